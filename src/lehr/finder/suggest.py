"""Suggested learning rates of a sweep; docs/suggestions.md has the data for the constants."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass

from lehr.finder.sweep import Sweep
from lehr.schedule.errors import one_of

WIDTH = 0.4  # decades: standard deviation of the centred smoothing
CAP = 30.0  # losses are clipped at the start plus this multiple of the fall
_FEWEST = 20  # number of finite losses required for a suggestion
_AT_START = 10  # number of first losses whose median is the loss before training
_CLEAR = 3.0  # a fall must be this many times the noise of the smoothed line


@dataclass(frozen=True)
class Suggestion:
    """A recommended rate and its bounds.

    Attributes:
        rule: name of the rule or use.
        lr: the suggested learning rate; None if there is no suggestion.
        low: a rate that is probably safe but slower.
        high: the largest rate worth trying.
        reason: reason for the suggestion, or for its absence.
    """

    rule: str
    lr: float | None
    low: float | None
    high: float | None
    reason: str


# use: lr, low and high as shares of the rate of the lowest loss, and the reason
USES = {
    "constant": (0.4, 0.13, 0.8, "four tenths of it suit a constant rate"),
    "one-cycle": (0.8, 0.27, 1.0, "eight tenths of it suit the peak of a single cycle"),
    "cyclical": (0.8, 0.08, 0.8, "eight tenths of it as upper bound, a tenth of that as lower"),
}


def suggest(sweep: Sweep, use: str) -> Suggestion:
    """Return the suggestion for a use.

    ``lr`` is 0.4 times the rate of the lowest smoothed loss for a constant rate, 0.8 times that
    rate for the peak of one cycle and for the upper bound of cyclical rates.

    Args:
        sweep: record of a range test.
        use: "constant", "one-cycle" or "cyclical".

    Raises:
        ValueError: if the use is unknown.

    >>> rates = [10 ** (k / 10 - 4) for k in range(40)]
    >>> losses = [(math.log10(x) + 1) ** 2 for x in rates]
    >>> suggestion = suggest(Sweep(rates, losses, "geometric", 40, "end"), "constant")
    >>> round(suggestion.lr, 4), suggestion.reason
    (0.04, 'the smoothed loss is lowest at 0.1; four tenths of it suit a constant rate')
    """
    share, low, high, why = USES[one_of("use", use, USES)]
    found = minimum(sweep)
    if found.lr is None:
        return Suggestion(use, None, None, None, found.reason)
    lr = found.lr
    return Suggestion(use, lr * share, lr * low, lr * high, f"{found.reason}; {why}")


def minimum(sweep: Sweep) -> Suggestion:
    """Return the rate of the lowest loss, smoothed by a centred Gaussian in log rate (no lag).

    >>> rates = [10 ** (k / 10 - 4) for k in range(40)]
    >>> losses = [(math.log10(x) + 1) ** 2 for x in rates]
    >>> minimum(Sweep(rates, losses, "geometric", 40, "end")).reason
    'the smoothed loss is lowest at 0.1'
    """
    if why := no_suggestion_reason(sweep):
        return Suggestion("minimum", None, None, None, why)
    rates, smooth = smoothed(sweep)
    lr = rates[lowest_point(smooth)]
    return Suggestion("minimum", lr, lr / 10, lr, f"the smoothed loss is lowest at {lr:.2g}")


def smoothed(sweep: Sweep) -> tuple[list[float], list[float]]:
    """Return the rates and the smoothed losses of the points with a finite loss.

    The kernel is a Gaussian in log rate with a standard deviation of 0.4 decades. Before
    smoothing, losses are clipped at ``start + 30 * (start - lowest)``, where ``start`` is the
    median of the first 10 losses.

    >>> rates, line = smoothed(Sweep((0.01, 0.1), (2.0, float("nan")), "geometric", 2, "end"))
    >>> rates, line
    ([0.01], [2.0])
    """
    points = [(r, x) for r, x in zip(sweep.rates, sweep.losses, strict=True) if math.isfinite(x)]
    rates, losses = [rate for rate, _ in points], [loss for _, loss in points]
    if losses:
        start = statistics.median(losses[:_AT_START])
        cap = start + CAP * (start - min(losses))
        losses = [min(loss, cap) for loss in losses]
    logs = [math.log10(rate) for rate in rates]
    if len(logs) < 2:
        return rates, losses
    # weight by the distance to the neighbours, because a linear sweep is dense at large rates
    around = [2 * logs[0] - logs[1], *logs, 2 * logs[-1] - logs[-2]]
    gaps = [b - a for a, b in zip(around, around[2:], strict=False)]
    line = []
    for centre in logs:
        weights = [
            gap * math.exp(-0.5 * ((x - centre) / WIDTH) ** 2)
            for gap, x in zip(gaps, logs, strict=True)
        ]
        total = math.fsum(w * loss for w, loss in zip(weights, losses, strict=True))
        line.append(total / math.fsum(weights))
    return rates, line


def lowest_point(line: list[float]) -> int:
    """Return the index of the lowest value."""
    return min(range(len(line)), key=line.__getitem__)


def no_suggestion_reason(sweep: Sweep) -> str:
    """Return the reason why a sweep allows no suggestion, or an empty string."""
    rates, smooth = smoothed(sweep)
    if len(rates) < _FEWEST:
        count = f"only {len(rates)} finite losses before it ended ({sweep.stopped})"
        return f"{count}, fewer than {_FEWEST} points: start lower or take more steps"
    lowest = lowest_point(smooth)
    fall = smooth[0] - smooth[lowest]
    if max(smooth) - smooth[lowest] <= _CLEAR * _noise(sweep, len(smooth) - 1):
        return "the curve is flat within its noise; take more steps or a wider range"
    if lowest == 0:
        return f"the loss rises from the start at {rates[0]:.2g}; start lower"
    if fall <= _CLEAR * _noise(sweep, lowest):
        return "the curve is flat within its noise; take more steps or a wider range"
    if lowest == len(smooth) - 1 and sweep.stopped == "end":
        return f"the loss still falls at the end, {rates[-1]:.2g}; go higher"
    return ""


def _noise(sweep: Sweep, lowest: int) -> float:
    """Return the standard error of the smoothed line, estimated from neighbouring differences."""
    losses = [loss for loss in sweep.losses if math.isfinite(loss)][: lowest + 1]
    if len(losses) < 3:
        return 0.0
    steps = [abs(b - a) for a, b in itertools.pairwise(losses)]
    spread = statistics.median(steps) / 0.954  # std; 0.954: median |difference| of normals
    decades = math.log10(sweep.rates[lowest] / sweep.rates[0])
    in_kernel = max(1.0, lowest / max(decades, WIDTH) * WIDTH * math.sqrt(4 * math.pi))
    rounding = 1e-9 * statistics.median(map(abs, losses))
    return max(spread / math.sqrt(in_kernel), rounding)
