"""Functions that return cycles: triangles, cyclical rates, restarts."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number, one_of, ordered, whole
from lehr.schedule.combine import Chain
from lehr.schedule.decays import Exponential
from lehr.schedule.length import Length, check_length, check_time_constant, scale_length
from lehr.schedule.shapes import Function, Ramp

LAST = 2**31 - 1  # the last step that a graph can count
MOST_PARTS = 200
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
        wave, ticks = _real_triangle(base, height, _exact(rise), _exact(fall))
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


def cosine_restarts(
    peak: float,
    period: float | str,
    growth: float = 1.0,
    decay: float = 1.0,
    floor: float = 0.0,
    cycles: int | None = None,
    warmup: int = 0,
) -> Schedule:
    """Return cosines from the peak to the floor, cycle ``i`` being ``period * growth**i`` long.

    Source: Loshchilov and Hutter, arXiv 1608.03983. Cycles begin where integers (or, with a real
    period or growth, fractions) say; the first whole step from there on belongs to the new cycle.

    Args:
        peak: value at the first restart, above 0.
        period: length of the first cycle: a length, or a number of steps that is not whole.
        growth: factor on the length from cycle to cycle, above 0.
        decay: factor on the height above the floor from cycle to cycle, above 0 and at most 1.
        floor: value at the end of each cycle, from 0 to ``peak``.
        cycles: how many; then the floor holds. None: for ever, or as far as a graph can count.
        warmup: steps of a linear rise from the floor, at the beginning of each cycle.

    Raises:
        ValueError: if the cycles without a limit are too many to write down one by one.

    >>> s = cosine_restarts(1.0, period=2, growth=2)
    >>> [round(s(t), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """
    peak = number("peak", peak, above=0)
    floor = number("floor", floor, at_least=0)
    ordered("floor", floor, "peak", peak)
    growth = number("growth", growth, above=0)
    decay = number("decay", decay, above=0, at_most=1)
    first = check_time_constant("period", period)
    times = None if cycles is None else whole("cycles", cycles)
    rise = whole("warmup", warmup, at_least=0)
    if isinstance(first, str):
        if rise or growth != 1.0:
            fail("period", "a number of steps with a growth or a warm-up", period)
    elif rise >= first:
        fail("warmup", f"below the period ({first:g})", warmup)
    if not isinstance(first, str) and (growth != 1.0 or (isinstance(first, float) and times)):
        exact = _exact(first), _exact(growth)
        return _growing_cycles(peak, *exact, decay, floor, times, rise)
    top, bottom = (peak, floor) if decay == 1.0 else (peak - floor, 0.0)
    wave, ticks = _restart(top, bottom, first, rise)
    if decay == 1.0:
        return wave.repeat(times)
    cycle: Length = first if isinstance(first, str) else wave.length  # type: ignore[assignment]
    fading = wave.repeat(times) * Exponential(1.0, decay, 1).every(cycle, ticks) + floor
    return fading if times is None else fading.take(scale_length("period", cycle, Fraction(times)))


def polynomial_cycles(
    peak: float, period: int, cycles: int, floor: float = 0.0, power: float = 1.0
) -> Schedule:
    """Return a polynomial fall whose horizon moves one period on whenever it is reached.

    ``floor + (peak - floor) * (1 - t / ((i + 1) * period))**power`` in cycle i: each cycle begins
    lower than the one before. Keras's ``PolynomialDecay(cycle=True)``, where the value at a
    horizon itself is the floor; here it is the new cycle's first.

    >>> [round(polynomial_cycles(1.0, 4, cycles=2)(t), 3) for t in range(9)]
    [1.0, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0]
    """
    peak = number("peak", peak, above=0)
    ordered("floor", number("floor", floor, at_least=0), "peak", peak)
    period, cycles = whole("period", period), whole("cycles", cycles)
    if cycles > MOST_PARTS:
        fail("cycles", f"at most {MOST_PARTS}", cycles)
    ends = range(period, (cycles + 1) * period, period)
    parts = [Ramp(peak, floor, period, "linear", power, offset=e - period, span=e) for e in ends]
    return Chain(tuple(parts))


def _restart(top: float, bottom: float, period: float | str, rise: int) -> tuple[Schedule, int]:
    """Return equal cycles that take whole steps together, and how many they are."""
    if isinstance(period, str):
        return Ramp(top, bottom, period, "cosine"), 1
    exact = _exact(period)
    cycles = _together("period", exact)
    parts: list[Schedule] = []
    for i in range(cycles):
        parts += _warm_cycle(i * exact, (i + 1) * exact, top, bottom, rise)
    return parts[0] if len(parts) == 1 else Chain(tuple(parts)), cycles


def _warm_cycle(
    start: Fraction, end: Fraction, top: float, bottom: float, rise: int
) -> list[Schedule]:
    """Return one cycle at real times; a warm-up that would fill it is left out."""
    if not 0 < rise < end - start:
        return _through([(start, top), (end, bottom)], "cosine")
    warm = _through([(start, bottom), (start + rise, top)])
    return warm + _through([(start + rise, top), (end, bottom)], "cosine")


def _growing_cycles(
    peak: float,
    period: Fraction,
    growth: Fraction,
    decay: float,
    floor: float,
    times: int | None,
    rise: int,
) -> Schedule:
    starts = [Fraction(0)]
    limit = MOST_PARTS if times is None else min(times, MOST_PARTS)
    while len(starts) <= limit and starts[-1] <= LAST:
        starts.append(starts[-1] + period)
        period *= growth
    if starts[-1] <= LAST and len(starts) - 1 != times:
        rule = f"given, at most {MOST_PARTS}, where cycles of these lengths do not reach step 2**31"
        fail("cycles", rule, times)
    parts: list[Schedule] = []
    for i, (start, end) in enumerate(pairwise(starts)):
        top = peak if i == 0 else floor + (peak - floor) * decay**i
        parts += _warm_cycle(start, end, top, floor, rise)
    return Chain(tuple(parts))


def _real_triangle(low: float, high: float, up: Fraction, down: Fraction) -> tuple[Schedule, int]:
    """Return as many cycles as take whole steps together, and how many they are."""
    cycles = _together("up and down", up + down)
    knots: list[Knot] = []
    for i in range(cycles):
        start = i * (up + down)
        knots += [(start, low), (start + up, high)]
    return Chain(tuple(_through([*knots, (cycles * (up + down), low)]))), cycles


def _together(field: str, cycle: Fraction) -> int:
    """Return how many cycles make whole steps."""
    if cycle.denominator > 16:
        rule = "such that at most 16 cycles make whole steps, as for cycles of 2.5 or 12.25 steps"
        fail(field, rule, float(cycle))
    return cycle.denominator


def _through(knots: Sequence[Knot], curve: str = "linear") -> list[Schedule]:
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


def _exact(value: float) -> Fraction:
    """Return the number that was typed: 0.1 is a tenth."""
    return Fraction(repr(value))


def _bounds(low: float, high: float) -> tuple[float, float]:
    low, high = number("low", low, at_least=0), number("high", high, above=0)
    ordered("low", low, "high", high)
    return low, high


def _triangle(low: float, high: float, half_cycle: Length) -> Schedule:
    if half_cycle is None:
        fail("half_cycle", "a length such as 500 or '1 epoch'", None)
    check_length("half_cycle", half_cycle)
    return Ramp(low, high, half_cycle).then(Ramp(high, low, half_cycle))
