"""Paired comparisons that keep their promises at small n."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, over the same seeds.

    Attributes:
        difference: mean of the paired differences, arm minus reference.
        low: lower end of the interval.
        high: upper end of the interval.
        p_value: of the paired t test, adjusted by Holm for the number of arms.
        verdict: "better", "worse" or "undecided".
    """

    difference: float
    low: float
    high: float
    p_value: float
    verdict: str


def compare(
    reference: Sequence[float], arms: Mapping[str, Sequence[float]], mode: str = "max"
) -> dict[str, Comparison]:
    """Compare arms with a reference by paired t tests, stepped down by Holm.

    Each interval has the level at which Holm tested its arm, at least 95 %, so that it leaves
    out zero exactly when the verdict is better or worse.

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
        low, high = _interval(pairs[name], 1 - level)
        verdict = "undecided"
        if rejecting:
            verdict = "better" if (difference > 0) == (mode == "max") else "worse"
        result[name] = Comparison(difference, low, high, adjusted, verdict)
    return {name: result[name] for name in arms}


def _interval(values: Sequence[float], level: float) -> tuple[float, float]:
    from scipy import stats  # late: a worker process needs no SciPy

    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return mean - float(half), mean + float(half)


def _p_value(differences: Sequence[float]) -> float:
    from scipy import stats

    if statistics.stdev(differences) == 0:  # no spread: a difference is certain, or there is none
        return 0.0 if differences[0] else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
