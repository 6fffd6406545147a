"""Interim looks at a study: stop arms that cannot win, without increasing the error rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from lehr.schedule.errors import fail, integer, number, one_of
from lehr.study.stats.paired import ALPHA, Comparison, compare, differences, paired_test

_EVERY = 4  # seeds


def looks(seeds: int) -> tuple[int, ...]:
    """Return the looks, as numbers of finished seeds: every four seeds, and at the end.

    Looks with fewer than two remaining seeds are omitted.

    Raises:
        ValueError: if there are fewer than 2 seeds.

    >>> looks(8), looks(10), looks(5)
    ((4, 8), (4, 8, 10), (5,))
    """
    integer("seeds", seeds, at_least=2)
    return (*range(_EVERY, seeds - 1, _EVERY), seeds)


def spent(fraction: float, alpha: float = ALPHA) -> float:
    """Return the part of alpha spent after a fraction of a study's seeds.

    ``2 - 2 Phi(z / sqrt(fraction))``, where z is the normal quantile of ``1 - alpha / 2``.

    Raises:
        ValueError: unless the fraction is above 0 and at most 1, and alpha between 0 and 1.

    Source: Lan and DeMets, "Discrete sequential boundaries for clinical trials", 1983
    (O'Brien-Fleming-like function).

    >>> round(spent(0.5), 4), round(spent(1.0), 4)
    (0.0056, 0.05)
    """
    number("fraction", fraction, above=0, at_most=1)
    number("alpha", alpha, above=0, below=1)
    normal = statistics.NormalDist()
    return 2 * normal.cdf(normal.inv_cdf(alpha / 2) / math.sqrt(fraction))


def increments(seeds: int, alpha: float = ALPHA) -> dict[int, float]:
    """Return the significance level of each look: the increment of `spent`.

    The increments add up to alpha. By Bonferroni's inequality, the error probability of all looks
    is at most alpha for any dependence between the looks. This is conservative.

    Raises:
        ValueError: unless at least 2 seeds are planned, and alpha is between 0 and 1.

    >>> {look: round(level, 4) for look, level in increments(8).items()}
    {4: 0.0056, 8: 0.0444}
    """
    totals = {look: spent(look / seeds, alpha) for look in looks(seeds)}
    steps = pairwise([0.0, *totals.values()])
    return {look: after - before for look, (before, after) in zip(totals, steps, strict=True)}


def cannot_win(
    scores: Mapping[str, Sequence[float]], mode: str = "max", alpha: float = ALPHA
) -> dict[str, str]:
    """Return the arms that can no longer win, each with the arm that it cannot beat.

    An arm cannot win if the paired interval of its difference to the best arm is entirely on the
    worse side of zero, or if it diverged and another arm did not. The best arm is the arm with the
    best mean. Intervals are corrected for all pairs of arms, because the best arm is chosen by the
    same scores.

    Args:
        scores: scores of each arm. Arms with fewer scores than the longest were stopped earlier;
            they are used only in the correction.
        mode: "max" if larger scores are better, "min" if smaller ones are.
        alpha: probability of stopping any arm that is equal to the best; at a look, the
            increment of the look.

    Raises:
        ValueError: if there are fewer than 2 seeds, or an argument is out of range.

    >>> cannot_win({"a": [0.80, 0.81, 0.82], "b": [0.5, 0.509, 0.521], "c": [0.82, 0.79, 0.83]})
    {'b': 'c'}
    """
    one_of("mode", mode, ("min", "max"))
    number("alpha", alpha, above=0, below=1)
    seeds = max(map(len, scores.values()), default=0)
    integer("seeds", seeds, at_least=2)
    running = {name: list(values) for name, values in scores.items() if len(values) == seeds}
    means = {name: statistics.fmean(s) for name, s in running.items() if _finite(s)}
    if not means:
        return {}
    best = (max if mode == "max" else min)(means, key=means.__getitem__)
    level = alpha / max(1, math.comb(len(scores), 2))

    def may_win(name: str) -> bool:
        if name not in means:
            return False
        pair = differences(name, running[name], running[best])
        low, high = paired_test(pair, level).interval(level)
        return high >= 0 if mode == "max" else low <= 0

    return {name: best for name in running if name != best and not may_win(name)}


def judge(
    scores: Mapping[str, Sequence[float]],
    reference: str,
    mode: str = "max",
    *,
    stopped: Mapping[str, int] | None = None,
    seeds: int | None = None,
    alpha: float = ALPHA,
) -> dict[str, Comparison]:
    """Compare all arms with the reference, with or without interim looks.

    Without looks this is `compare`. With looks, an arm is tested at the look at which it was
    stopped, or at the end, with the increment of alpha of this look. Each look is corrected for
    all arms (Holm); p values are scaled for comparison with alpha. Arms with a score that is not
    finite are omitted.

    Args:
        scores: scores of each arm, one per seed.
        reference: name of the arm to compare with; it is never stopped.
        mode: "max" if larger scores are better, "min" if smaller ones are.
        stopped: number of seeds of each stopped arm; ``{}`` if no arm was stopped at the looks,
            None for a study without looks.
        seeds: planned number of seeds; default: the number of scores of the reference.
        alpha: probability of a false verdict on any arm.

    Raises:
        ValueError: if an arm was stopped at a number of seeds without a look, an arm has a wrong
            number of scores, or the reference has a score that is not finite.

    >>> scores = {"a": [0.80, 0.81, 0.82, 0.80, 0.81, 0.80], "b": [0.50, 0.51, 0.521, 0.50]}
    >>> judge(scores, "a", stopped={"b": 4})["b"].verdict
    'worse'
    """
    one_of("reference", reference, scores)
    base = scores[reference]
    others = {name: s for name, s in scores.items() if name != reference and _finite(s)}
    if stopped is None:
        return compare(base, others, mode, alpha=alpha)
    levels = increments(len(base) if seeds is None else seeds, alpha)
    end = max(levels)
    ends = {name: stopped.get(name, end) for name in others}
    result: dict[str, Comparison] = {}
    for look, level in levels.items():
        here = {name: others[name][:look] for name in others if ends[name] == look}
        found = compare(base, here, mode, alpha=level, family=len(others))
        for name, c in found.items():
            if c.n != look:
                fail(f"number of scores of {name}", f"{look}, as at its last look", c.n)
            result[name] = replace(c, p_value=min(1.0, c.p_value * alpha / level))
    for name in others:
        if name not in result:
            fail(f"stopped[{name!r}]", f"one of the looks {[*levels]}", ends[name])
    return {name: result[name] for name in others}


def _finite(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))
