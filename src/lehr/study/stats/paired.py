"""Paired comparisons that keep their promises at small n."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.schedule.errors import fail, integer, number, one_of

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
SIGN_FLIP_FROM = 10  # seeds
_MOST_SUBSETS = 2**17  # all of them up to 17 seeds
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, over the same seeds.

    Attributes:
        difference: mean of the paired differences, arm minus reference.
        low: lower end of the interval.
        high: upper end of the interval.
        p_value: adjusted for the number of arms (Holm) and of looks.
        verdict: "better", "worse" or "undecided".
        n: number of paired seeds.
        effect_size: difference over the standard deviation of the differences (Cohen's d_z);
            None if all are equal.
        level: at which the arm was tested; its interval has confidence 1 - level.
        test: "paired t" or "sign flip".
        more_seeds: if undecided, about how many more seeds a new study needs to detect this
            difference at this standard deviation; None if more than a thousand. (To add them to
            this study would be an unplanned look.)
    """

    difference: float
    low: float
    high: float
    p_value: float
    verdict: str
    n: int
    effect_size: float | None
    level: float
    test: str
    more_seeds: int | None = None


def compare(
    reference: Sequence[float],
    arms: Mapping[str, Sequence[float]],
    mode: str = "max",
    *,
    alpha: float = ALPHA,
    family: int | None = None,
) -> dict[str, Comparison]:
    """Compare arms with a reference by paired tests, stepped down by Holm.

    Each arm is tested with `paired_test`. Its interval has the level of its Holm step,
    ``alpha / (family - rank)``: it excludes zero exactly if the verdict is better or worse.

    Args:
        reference: the reference's scores, one a seed.
        arms: for each arm its scores on the same seeds, or on the first of them.
        mode: "max" if more is better, "min" if less is.
        alpha: chance of a false verdict on any arm.
        family: number of comparisons to correct for; that of the arms if left out.

    Raises:
        ValueError: if an arm has fewer than 2 scores, more than the reference or one that is not
            finite, or alpha, family or mode is out of range.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> a, b, c = [0.81, 0.80, 0.83, 0.82], [0.84, 0.82, 0.86, 0.85], [0.80, 0.82, 0.81, 0.83]
    >>> {name: found.verdict for name, found in compare(a, {"b": b, "c": c}).items()}
    {'b': 'better', 'c': 'undecided'}
    """
    one_of("mode", mode, ("min", "max"))
    number("alpha", alpha, above=0, below=1)
    if family is None:
        family = len(arms)
    integer("family", family, at_least=len(arms))
    pairs = {name: differences(name, scores, reference) for name, scores in arms.items()}
    tests = {name: paired_test(pair, alpha / family) for name, pair in pairs.items()}
    result: dict[str, Comparison] = {}
    adjusted, level, rejecting = 0.0, alpha, True
    for rank, name in enumerate(sorted(pairs, key=lambda name: tests[name].p_value)):
        left, test, pair = family - rank, tests[name], pairs[name]
        adjusted = max(adjusted, min(1.0, left * test.p_value))
        if rejecting:  # after the first that is not rejected, none is, at its level
            level = alpha / left
            rejecting = test.p_value <= level
        difference, sd = statistics.fmean(pair), std(pair)
        verdict = "undecided"
        if rejecting:
            verdict = "better" if (difference > 0) == (mode == "max") else "worse"
        low, high = test.interval(level)
        result[name] = Comparison(
            difference,
            low,
            high,
            adjusted,
            verdict,
            n=len(pair),
            effect_size=difference / sd if sd else None,
            level=level,
            test=test.name,
            more_seeds=None if rejecting else _more_seeds(pair, level),
        )
    return {name: result[name] for name in arms}


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of differences against zero, and the interval that agrees with it.

    Attributes:
        name: "paired t" or "sign flip".
        p_value: not adjusted.
        interval: its ends at a level; it excludes zero exactly if ``p_value <= level``.
    """

    name: str
    p_value: float
    interval: Callable[[float], tuple[float, float]]


def paired_test(pair: Sequence[float], finest: float = ALPHA) -> PairedTest:
    """Return the test of some differences: paired t below ten, exact sign flips from ten on.

    The sign-flip test is exact if each difference is as likely as its negative, which pairing
    ensures for two equal arms. Its interval inverts the test: 95 % coverage at 16 seeds, where a
    BCa bootstrap has 92 % (docs/calibration.md). Its smallest p value is ``2**(1 - n)``: the
    t test is used where that is above ``finest``. Equal differences, whose std is 0, get
    the sign-flip test at any n.

    Args:
        pair: arm minus reference, one a seed.
        finest: the smallest level at which it will be used.

    >>> paired_test([0.1, 0.3, 0.2]).name, paired_test([0.5] * 12).p_value == 2**-11
    ('paired t', True)
    """
    if not std(pair):
        return _sign_flip(pair)
    reachable = 2 / min(2 ** len(pair), _MOST_SUBSETS) <= finest
    return _sign_flip(pair) if len(pair) >= SIGN_FLIP_FROM and reachable else _paired_t(pair)


def differences(name: str, scores: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return an arm's differences from a reference over the seeds that the arm has."""
    if not 2 <= len(scores) <= len(reference):
        fail(f"number of scores of {name}", f"2 to the reference's {len(reference)}", len(scores))
    pair = [score - base for score, base in zip(scores, reference, strict=False)]
    if not all(map(math.isfinite, pair)):
        fix = "leave diverged arms out"
        fail(f"scores of {name} and the reference", "finite", list(scores), fix)
    return pair


def std(pair: Sequence[float]) -> float:
    """Return the standard deviation; rounding of equal differences counts as none."""
    deviation = statistics.stdev(pair)
    return deviation if deviation > 1e-12 * max(map(abs, pair)) else 0.0


def _paired_t(pair: Sequence[float]) -> PairedTest:
    from scipy import stats  # late: a worker process needs no SciPy

    mean, sd, n = statistics.fmean(pair), std(pair), len(pair)

    def interval(level: float) -> tuple[float, float]:
        half = float(_half_width(sd, n, level))
        return mean - half, mean + half

    return PairedTest("paired t", float(stats.ttest_1samp(pair, 0.0).pvalue), interval)


def _half_width(sd: float, n: Any, level: float) -> Any:
    """Return half the width of the t interval, for a number of seeds or an array of them."""
    from scipy import stats

    return stats.t.isf(level / 2, n - 1) * sd / n**0.5


def _sign_flip(pair: Sequence[float]) -> PairedTest:
    """Return the sign-flip test, by the means of subsets.

    Flipping the signs of a subset of ``d_i - x`` makes their sum no smaller exactly if the
    subset's mean is at most x. So counting subset means gives the p value, and those in the k-th
    place from either end are the interval.

    Source: Hartigan, "Using subsample values as typical values", 1969.
    """
    import numpy as np

    means = _subset_means(pair)
    flips = means.size + 1  # one flips nothing
    fewest = 1 + min(int((means <= 0).sum()), int((means >= 0).sum()))

    def interval(level: float) -> tuple[float, float]:
        k = int(level / 2 * flips)
        if k == 0:  # only if all are equal: too few signs for any verdict
            mean = statistics.fmean(pair)
            return mean - abs(mean), mean + abs(mean)
        ends = np.partition(means, [k - 1, means.size - k])
        return float(ends[k - 1]), float(ends[-k])

    return PairedTest("sign flip", min(1.0, 2 * fewest / flips), interval)


def _subset_means(pair: Sequence[float]) -> np.ndarray:
    """Return the means of all subsets but the empty one, or of many random ones."""
    import numpy as np

    if 2 ** len(pair) <= _MOST_SUBSETS:
        sums, counts = np.zeros(1), np.zeros(1)
        for difference in pair:
            sums = np.concatenate([sums, sums + difference])
            counts = np.concatenate([counts, counts + 1])
    else:
        rng = np.random.default_rng(0)
        sums, counts = np.zeros(_MOST_SUBSETS), np.zeros(_MOST_SUBSETS)
        for difference in pair:
            chosen = rng.integers(0, 2, _MOST_SUBSETS, dtype=bool)
            sums += difference * chosen
            counts += chosen
    some = counts > 0
    means = sums[some] / counts[some]
    means[np.abs(means) <= 1e-12 * max(map(abs, pair))] = 0.0  # rounding must not break a tie
    return means


def _more_seeds(pair: Sequence[float], level: float) -> int | None:
    import numpy as np

    n = len(pair)
    if not std(pair):  # as many signs as it takes
        return max(1, math.ceil(1 - math.log2(level)) - n) if any(pair) else None
    seeds = np.arange(n + 1, _MOST_SEEDS + 1)
    enough = seeds[_half_width(std(pair), seeds, level) < abs(statistics.fmean(pair))]
    return int(enough[0]) - n if enough.size else None
