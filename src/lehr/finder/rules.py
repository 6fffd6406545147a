"""Rules of other libraries and papers, for comparison with `suggest` (docs/suggestions.md)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

from lehr.finder.suggest import Suggestion, lowest_point, no_suggestion_reason, smoothed
from lehr.finder.sweep import Sweep

Rule = Callable[[Sweep], Suggestion]
RULES: dict[str, Rule] = {}
_FASTAI_BETA = 0.98
_FASTAI_WINDOW = 15
_FASTAI_CHANGE = 0.005


def _rule(rule: Rule) -> Rule:
    """Register a rule by its name; call it only for sweeps that allow a suggestion."""

    @functools.wraps(rule)
    def checked(sweep: Sweep) -> Suggestion:
        why = no_suggestion_reason(sweep)
        return Suggestion(rule.__name__, None, None, None, why) if why else rule(sweep)

    RULES[rule.__name__] = checked
    return checked


@_rule
def steepest(sweep: Sweep) -> Suggestion:
    """Return the rate at which the smoothed loss falls fastest per decade.

    The bounds are a third of this rate and three times this rate. Source: torch-lr-finder, ignite.

    >>> rates = [10 ** (k / 10 - 4) for k in range(40)]
    >>> losses = [math.tanh(-2 * (math.log10(x) + 2)) for x in rates]
    >>> steepest(Sweep(rates, losses, "geometric", 40, "diverged")).reason
    'the loss falls fastest at 0.01'
    """
    rates, line = smoothed(sweep)
    last = lowest_point(line)

    def slope(i: int) -> float:
        return (line[i + 1] - line[i - 1]) / math.log10(rates[i + 1] / rates[i - 1])

    lr = rates[min(range(1, max(2, last)), key=slope)]
    return Suggestion("steepest", lr, lr / 3, lr * 3, f"the loss falls fastest at {lr:.2g}")


@_rule
def halfway(sweep: Sweep) -> Suggestion:
    """Return the first rate at which the smoothed loss has fallen by half of its total fall."""
    lr = _fallen(sweep, 0.5)
    return Suggestion("halfway", lr, lr / 3, lr * 3, f"the loss has fallen by half at {lr:.2g}")


@_rule
def smith(sweep: Sweep) -> Suggestion:
    """Return Smith's bounds for cyclical rates: the start and the end of the fall of the loss.

    The start is the rate at which a tenth of the fall is reached.

    Source: Smith, arXiv 1506.01186, section 3.3, which uses validation accuracy.
    """
    rates, line = smoothed(sweep)
    low, high = _fallen(sweep, 0.1), rates[lowest_point(line)]
    why = f"the loss starts to fall at {low:.2g} and stops at {high:.2g}"
    return Suggestion("smith", high, low, high, why)


@_rule
def book(sweep: Sweep) -> Suggestion:
    """Return a tenth of the rate at which the loss starts to rise.

    Source: Géron, Hands-On Machine Learning, chapter 11.
    """
    return _tenth("book", sweep, smoothed, "the loss starts to rise")


@_rule
def minimum_tenth(sweep: Sweep) -> Suggestion:
    """Return a tenth of the rate of the lowest running mean. Source: fastai's ``minimum``."""
    return _tenth("minimum_tenth", sweep, _as_fastai, "the running mean is lowest")


@_rule
def valley(sweep: Sweep) -> Suggestion:
    """Return the rate in the middle of the longest decreasing subsequence of the running mean.

    Source: fastai's ``valley``, its default.
    """
    rates, means = _as_fastai(sweep)
    lengths = [1] * len(means)  # of the longest decreasing subsequence ending at i
    for i, mean in enumerate(means):
        for j in range(i):
            if mean < means[j] and lengths[i] < lengths[j] + 1:
                lengths[i] = lengths[j] + 1
    end = lengths.index(max(lengths))
    third = (end - (start := end - lengths[end])) / 3
    at = max(0, start + int(third) + int(third / 2))
    lr = rates[at]
    return Suggestion("valley", lr, lr / 3, lr * 3, f"the middle of the longest fall is {lr:.2g}")


@_rule
def slide(sweep: Sweep) -> Suggestion:
    """Return the first rate, from the right, at which the slope stops changing.

    Two slopes, 15 points apart, count as equal within 0.005, regardless of the scale of the loss.

    Source: fastai's ``slide``.
    """
    rates, means = _as_fastai(sweep)
    if len(means) <= _FASTAI_WINDOW + 1:
        why = f"only {len(means)} points; take more steps"
        return Suggestion("slide", None, None, None, why)
    inner = [(b - a) / 2 for a, b in zip(means, means[2:], strict=False)]
    slopes = [means[1] - means[0], *inner, means[-1] - means[-2]]
    right, left = len(slopes) - 1, len(slopes) - 1 - _FASTAI_WINDOW
    found = left
    while left >= 0 and abs(slopes[right] - slopes[left]) > _FASTAI_CHANGE:
        found = left
        right, left = right - 1, left - 1
    lr = rates[found]
    return Suggestion("slide", lr, lr / 3, lr * 3, f"left of {lr:.2g} the slope changes little")


def _tenth(
    rule: str, sweep: Sweep, line_of: Callable[[Sweep], tuple[list[float], list[float]]], event: str
) -> Suggestion:
    """Return a tenth of the rate at which a smoothed line is lowest."""
    rates, line = line_of(sweep)
    rate = rates[lowest_point(line)]
    return Suggestion(rule, rate / 10, rate / 30, rate, f"{event} at {rate:.2g}; a tenth of it")


def _fallen(sweep: Sweep, share: float) -> float:
    """Return the first rate at which the smoothed loss has fallen by a share of its total fall."""
    rates, line = smoothed(sweep)
    last = lowest_point(line)
    top = max(line[: last + 1])
    level = top - share * (top - line[last])
    begin = line.index(top)
    return next(r for r, x in zip(rates[begin:], line[begin:], strict=True) if x <= level)


def _as_fastai(sweep: Sweep) -> tuple[list[float], list[float]]:
    """Return rates and running means as in fastai, without the first tenth and last 5 points."""
    means, mean = [], 0.0
    for i, loss in enumerate(itertools.takewhile(math.isfinite, sweep.losses), 1):
        mean = _FASTAI_BETA * mean + (1 - _FASTAI_BETA) * loss
        means.append(mean / (1 - _FASTAI_BETA**i))
    first, last = sweep.steps // 10, len(means) - 5
    return list(sweep.rates[first:last]), means[first:last]
