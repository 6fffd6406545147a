"""Presets for cyclical schedules."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.chain import Chain
from lehr.schedule.clock import Every
from lehr.schedule.decays import Exponential
from lehr.schedule.errors import LAST, fail, number, one_of
from lehr.schedule.length import Amount, check_interval, parse, real
from lehr.schedule.piecewise import Function
from lehr.schedule.presets.basic import Floor, check_floor
from lehr.schedule.shapes import Ramp, Window

Knot = tuple[Fraction, float]
_CHECKED_CYCLES = 100
# largest number of fractional periods that are expanded to a sequence of integer length
MOST_TOGETHER = 16


def triangular(floor: Floor, peak: float, half_cycle: float | str) -> Schedule:
    """Construct a triangular wave between ``floor`` and ``peak``; endless.

    The value is ``floor + (peak - floor) * (1 - abs(t / half_cycle % 2 - 1))``.

    Source: Smith, arXiv 1506.01186.

    Args:
        floor: lower bound, at least 0; "10%" is a share of the peak.
        peak: upper bound, above 0.
        half_cycle: length of the rise and of the fall: a length, or a real number of steps.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [triangular(0.0, 1.0, half_cycle=2)(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    """
    return cyclical(floor, peak, check_interval("half_cycle", half_cycle))


def triangular2(floor: Floor, peak: float, half_cycle: float | str) -> Schedule:
    """Construct a `triangular` wave whose height above ``floor`` is halved after each cycle.

    The height in cycle ``i`` (from 0) is ``(peak - floor) / 2**i``.

    Source: Smith, arXiv 1506.01186.

    Args:
        floor: lower bound, at least 0; "10%" is a share of the peak.
        peak: upper bound of the first cycle, above 0.
        half_cycle: length of the rise and of the fall: a length, or a real number of steps.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [triangular2(0.0, 1.0, half_cycle=2)(t) for t in range(9)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """
    scale = Exponential(1.0, 0.5, 1)
    return cyclical(floor, peak, check_interval("half_cycle", half_cycle), scale=scale)


def exp_range(floor: Floor, peak: float, half_cycle: float | str, factor: float) -> Schedule:
    """Construct a `triangular` wave whose height above ``floor`` is multiplied by ``factor**t``.

    Source: Smith, arXiv 1506.01186.

    Args:
        floor: lower bound, at least 0; "10%" is a share of the peak.
        peak: upper bound at step 0, above 0.
        half_cycle: length of the rise and of the fall: a length, or a real number of steps.
        factor: factor per step, above 0 and at most 1.

    Raises:
        ValueError: if the floor is above the peak, or the factor is out of range.

    >>> [round(exp_range(0.0, 1.0, half_cycle=1, factor=0.5)(t), 4) for t in range(4)]
    [0.0, 0.5, 0.0, 0.125]
    """
    scale = Exponential(1.0, factor, 1)
    half = check_interval("half_cycle", half_cycle)
    return cyclical(floor, peak, half, scale=scale, per="step")


def cyclical(
    floor: Floor,
    peak: float,
    up: float | str,
    down: float | str | None = None,
    *,
    scale: Callable[[Any], Any] | Schedule | None = None,
    per: str = "cycle",
) -> Schedule:
    """Construct a cyclical schedule, ``floor + (peak - floor) * wave * scale``; endless.

    The wave rises linearly from 0 to 1 in ``up`` and falls back to 0 in ``down``.

    Source: Smith, arXiv 1506.01186. `triangular2` is ``scale=exponential(1.0, 0.5, 1)``.

    Args:
        floor: lower bound, at least 0; "10%" is a share of the peak.
        peak: upper bound for a scale of 1, above 0.
        up: length of the rise: a length, or a real number of steps. Cycles of 2.5 + 2 steps start
            exactly at 0, 4.5, 9 ... steps.
        down: length of the fall; None: the same as ``up``.
        scale: a function of the cycle number, which starts from 1 as in Smith's paper, or a
            schedule of cycles from 0; with ``per="step"``, a function or schedule of the step.
            It must be at most 1; the result is not clipped.
        per: argument of the scale, "cycle" or "step".

    Raises:
        ValueError: if the scale is not between 0 and 1 for one of the first 100 cycles.

    >>> [cyclical(0.0, 1.0, up=1, down=4)(t) for t in range(7)]
    [0.0, 1.0, 0.75, 0.5, 0.25, 0.0, 1.0]
    >>> s = cyclical(0.0, 1.0, up=1, scale=lambda cycle: 1 / cycle)
    >>> [s(t) for t in range(6)]
    [0.0, 1.0, 0.0, 0.5, 0.0, 0.3333333333333333]
    """
    peak = number("peak", peak, above=0)
    floor = check_floor(floor, peak, "swap floor and peak")
    one_of("per", per, ("cycle", "step"))
    rise = check_interval("up", up)
    fall = rise if down is None else check_interval("down", down)
    low, height = (floor, peak) if scale is None else (0.0, peak - floor)
    wave: Schedule
    if isinstance(rise, float) or isinstance(fall, float):
        wave = _real_triangle(low, height, parse("up", rise), parse("down", fall))
    else:
        wave = Ramp(low, height, rise).then(Ramp(height, low, fall))
    if scale is None:
        return wave.repeat()
    if not isinstance(scale, Schedule) and not callable(scale):
        fail("scale", "a function of the cycle or a schedule", scale, error=TypeError)
    factor = scale if isinstance(scale, Schedule) else Function(None, scale)
    if per == "cycle":
        if not isinstance(scale, Schedule):
            factor = factor.shift(-1)
        factor = _per_cycle(factor, parse("up", rise), parse("down", fall))
    return wave.repeat() * factor + floor


def _per_cycle(factor: Schedule, up: Amount, down: Amount) -> Schedule:
    """Convert a schedule of cycles to a schedule of steps."""
    if factor.resolved:
        for k in range(_CHECKED_CYCLES):
            fix = "a function of the cycle is called with 1 for the first one"
            number(f"scale of cycle {k + 1}", factor(k), at_least=0, at_most=1, fix=fix)
    if up.unit != down.unit:
        fail("down", f"in {up.unit}, as up is, with a scale per cycle", str(down))
    period = replace(up, amount=up.amount + down.amount)
    if up.unit != "steps":
        return factor.every(str(period))
    if period.amount < 1:
        rule = "at least 1 step together with a scale per cycle"
        fail("up and down", rule, float(period.amount))
    if period.amount.denominator > MOST_TOGETHER:
        return factor.every(real(period.amount))
    # a cycle of fractional length starts at the first step at or after its exact start
    return Every(factor, real(period.amount), real(1 - Fraction(1, period.amount.denominator)))


def _real_triangle(low: float, high: float, up: Amount, down: Amount) -> Schedule:
    """Return the smallest number of cycles with an integer total length, at exact positions.

    If these are too many, return one cycle; `Repeat` then starts each at the nearest step.
    """
    period = up.amount + down.amount
    cycles = period.denominator
    if up.unit != "steps" or down.unit != "steps" or cycles > MOST_TOGETHER:
        return Ramp(low, high, str(up)).then(Ramp(high, low, str(down)))
    knots: list[Knot] = []
    for i in range(cycles):
        start = i * period
        knots += [(start, low), (start + up.amount, high)]
    parts = through([*knots, (cycles * period, low)])
    return Chain(tuple(parts)) if len(parts) > 1 else parts[0]


def through(knots: Sequence[Knot], curve: str = "linear") -> list[Schedule]:
    """Return ramps between knots at real positions; each owns the integer steps in its range."""
    parts: list[Schedule] = []
    for (start, value), (end, next_value) in pairwise(knots):
        first, last = math.ceil(start), min(math.ceil(end), LAST)
        if first >= last:
            continue  # the range contains no integer step
        steps, offset, span = last - first, float(first - start), float(end - start)
        if offset == 0.0 and span == steps:
            parts.append(Ramp(value, next_value, steps, curve))
        else:
            if last == math.ceil(end):
                span = min(span, offset + steps)
            parts.append(Window(Ramp(value, next_value, None, curve), steps, offset, span))
    return parts
