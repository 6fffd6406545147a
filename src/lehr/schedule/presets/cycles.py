"""Functions that return cycles: triangles and cyclical rates."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.combine import Chain
from lehr.schedule.decays import Exponential
from lehr.schedule.errors import fail, number, one_of, ordered
from lehr.schedule.length import (
    LAST,
    Length,
    check_length,
    check_time_constant,
    scale_length,
    typed,
)
from lehr.schedule.shapes import Function, Ramp

Knot = tuple[Fraction, float]


def triangular(low: float, high: float, half_cycle: Length) -> Schedule:
    """Return ``low`` to ``high`` in a half cycle and back in the next, for ever.

    Source: Smith, arXiv 1506.01186.

    >>> [triangular(0.0, 1.0, half_cycle=2)(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    """
    low, high = _bounds(low, high)
    return _triangle(low, high, half_cycle).repeat()


def triangular2(low: float, high: float, half_cycle: Length) -> Schedule:
    """Return `triangular` whose height above ``low`` halves after each cycle.

    >>> [triangular2(0.0, 1.0, half_cycle=2)(t) for t in range(9)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """
    low, high = _bounds(low, high)
    cycle = scale_length("half_cycle", check_length("half_cycle", half_cycle), Fraction(2))
    wave = _triangle(0.0, high - low, half_cycle).repeat()
    return wave * Exponential(1.0, 0.5, cycle, staircase=True) + low  # type: ignore[arg-type]


def exp_range(low: float, high: float, half_cycle: Length, rate: float) -> Schedule:
    """Return `triangular` whose height above ``low`` is multiplied by ``rate**t``.

    Args:
        low: lower bound, at least 0.
        high: upper bound at step 0.
        half_cycle: a length.
        rate: factor per step, above 0 and at most 1.

    >>> [round(exp_range(0.0, 1.0, half_cycle=1, rate=0.5)(t), 4) for t in range(4)]
    [0.0, 0.5, 0.0, 0.125]
    """
    low, high = _bounds(low, high)
    return _triangle(0.0, high - low, half_cycle).repeat() * Exponential(1.0, rate, 1) + low


def cyclical(
    low: float,
    high: float,
    up: float | str,
    down: float | str | None = None,
    scale: Callable[[Any], Any] | Schedule | None = None,
    per: str = "cycle",
) -> Schedule:
    """Return ``low + (high - low) * wave * scale``, the wave 0 to 1 in ``up``, back in ``down``.

    Source: Smith, arXiv 1506.01186. `triangular2` is ``scale=exponential(1.0, 0.5, 1)``.

    Args:
        low: lower bound, at least 0.
        high: upper bound where the scale is 1.
        up: length of the rise: a length, or a number of steps that is not whole. Cycles of 2.5 + 2
            steps begin at steps 0, 4.5, 9 ... exactly.
        down: length of the fall; as long as ``up`` if left out.
        scale: a schedule, or a function, of the number of the cycle (from 0) or of the step.
        per: what the scale is a function of, "cycle" or "step".

    >>> [cyclical(0.0, 1.0, up=1, down=4)(t) for t in range(7)]
    [0.0, 1.0, 0.75, 0.5, 0.25, 0.0, 1.0]
    >>> s = cyclical(0.0, 1.0, up=1, scale=lambda cycle: 1 / (1 + cycle))
    >>> [s(t) for t in range(6)]
    [0.0, 1.0, 0.0, 0.5, 0.0, 0.3333333333333333]
    """
    low, high = _bounds(low, high)
    one_of("per", per, ("cycle", "step"))
    rise = check_time_constant("up", up)
    fall = rise if down is None else check_time_constant("down", down)
    base, height = (low, high) if scale is None else (0.0, high - low)
    ticks = 1
    if isinstance(rise, str) or isinstance(fall, str):
        wave: Schedule = Ramp(base, height, rise).then(Ramp(height, base, fall))  # type: ignore[arg-type]
    else:
        wave, ticks = _real_triangle(base, height, typed(rise), typed(fall))
    if scale is None:
        return wave.repeat()
    factor = scale if isinstance(scale, Schedule) else Function(None, scale)
    if per == "cycle":
        cycle: Length = wave.length  # type: ignore[assignment]
        if cycle is None:
            if rise != fall:
                fail("down", "as long as up, or both whole steps, with a scale per cycle", down)
            cycle = scale_length("up", rise, Fraction(2))  # type: ignore[arg-type]
        factor = factor.every(cycle, ticks)
    return wave.repeat() * factor + low


def _real_triangle(low: float, high: float, up: Fraction, down: Fraction) -> tuple[Schedule, int]:
    """Return as many cycles as take whole steps together, and how many they are."""
    cycles = together("up and down", up + down)
    knots: list[Knot] = []
    for i in range(cycles):
        start = i * (up + down)
        knots += [(start, low), (start + up, high)]
    return Chain(tuple(through([*knots, (cycles * (up + down), low)]))), cycles


def together(field: str, cycle: Fraction) -> int:
    """Return how many cycles make whole steps."""
    if cycle.denominator > 16:
        rule = "such that at most 16 cycles make whole steps, as for cycles of 2.5 or 12.25 steps"
        fail(field, rule, float(cycle))
    return cycle.denominator


def through(knots: Sequence[Knot], curve: str = "linear") -> list[Schedule]:
    """Return ramps from knot to knot, at real times; each owns the whole steps in its time."""
    parts: list[Schedule] = []
    for (start, value), (end, next_value) in pairwise(knots):
        first, last = math.ceil(start), min(math.ceil(end), LAST)
        if first >= last:
            continue  # no whole step lies between
        steps, offset, span = last - first, float(first - start), float(end - start)
        if offset == 0.0 and span == steps:
            parts.append(Ramp(value, next_value, steps, curve))
        else:
            if last == math.ceil(end):
                span = min(span, offset + steps)
            parts.append(Ramp(value, next_value, steps, curve, offset=offset, span=span))
    return parts


def _bounds(low: float, high: float) -> tuple[float, float]:
    low, high = number("low", low, at_least=0), number("high", high, above=0)
    ordered("low", low, "high", high)
    return low, high


def _triangle(low: float, high: float, half_cycle: Length) -> Schedule:
    if half_cycle is None:
        fail("half_cycle", "a length such as 500 or '1 epoch'", None)
    check_length("half_cycle", half_cycle)
    return Ramp(low, high, half_cycle).then(Ramp(high, low, half_cycle))
