"""Paired comparisons that keep their promises at small n."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALPHA = 0.05
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, over the same seeds.

    Attributes:
        difference: mean of the paired differences, arm minus reference.
        low: lower end of the interval.
        high: upper end of the interval.
        p_value: of the paired t test, adjusted by Holm for the number of arms.
        verdict: "better", "worse" or "undecided".
        more_seeds: if undecided, about how many more would tell, should difference and spread
            stay what they are; None if a thousand would not do.
    """

    difference: float
    low: float
    high: float
    p_value: float
    verdict: str
    more_seeds: int | None = None


def compare(
    reference: Sequence[float], arms: Mapping[str, Sequence[float]], mode: str = "max"
) -> dict[str, Comparison]:
    """Compare arms with a reference by paired t tests, stepped down by Holm.

    Each interval has the level at which Holm tested its arm, at least 95 %, so that it leaves
    out zero exactly when the verdict is better or worse. Differences that are all the same have
    no spread to test by: the exact sign-flip test judges them, and unless it decides their
    interval reaches from zero to twice the difference.

    Args:
        reference: the reference's scores, one a seed.
        arms: for each arm its scores on the same seeds.
        mode: "max" if more is better, "min" if less is.
    """
    pairs = {
        name: [a - r for a, r in zip(scores, reference, strict=True)]
        for name, scores in arms.items()
    }
    p_values = {name: _p_value(differences) for name, differences in pairs.items()}
    ordered = sorted(pairs, key=p_values.__getitem__)
    result: dict[str, Comparison] = {}
    adjusted, level, rejecting = 0.0, ALPHA, True
    for rank, name in enumerate(ordered):
        left = len(ordered) - rank
        adjusted = max(adjusted, min(1.0, left * p_values[name]))
        if rejecting:  # after the first that stands, all stand, at its level
            level = ALPHA / left
            rejecting = p_values[name] <= level
        difference = statistics.fmean(pairs[name])
        half = _half_width(_spread(pairs[name]), len(pairs[name]), level)
        if half == 0 and not rejecting:
            half = abs(difference)
        verdict, more = "undecided", None
        if rejecting:
            verdict = "better" if (difference > 0) == (mode == "max") else "worse"
        else:
            more = _more_seeds(pairs[name], level)
        low, high = difference - half, difference + half
        result[name] = Comparison(difference, low, high, adjusted, verdict, more)
    return {name: result[name] for name in arms}


def _half_width(spread: float, n: int, level: float) -> float:
    from scipy import stats  # late: a worker process needs no SciPy

    return float(stats.t.ppf(1 - level / 2, n - 1)) * spread / math.sqrt(n)


def _more_seeds(differences: Sequence[float], level: float) -> int | None:
    difference, spread = abs(statistics.fmean(differences)), _spread(differences)
    if difference == 0:
        return None
    enough = (
        n
        for n in range(len(differences) + 1, _MOST_SEEDS + 1)
        if _half_width(spread, n, level) < difference
    )
    n = next(enough, None)
    return None if n is None else n - len(differences)


def _p_value(differences: Sequence[float]) -> float:
    from scipy import stats

    if _spread(differences) == 0:
        return float(2 ** (1 - len(differences))) if differences[0] else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _spread(differences: Sequence[float]) -> float:
    """Return the standard deviation; rounding of equal differences counts as none."""
    spread = statistics.stdev(differences)
    return spread if spread > 1e-12 * max(map(abs, differences)) else 0.0
