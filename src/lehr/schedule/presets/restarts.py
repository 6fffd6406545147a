"""Presets for decays with warm restarts."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise

from lehr.schedule.base import Schedule
from lehr.schedule.chain import Chain
from lehr.schedule.clock import Every
from lehr.schedule.decays import Exponential
from lehr.schedule.errors import LAST, fail, integer, number
from lehr.schedule.length import (
    Amount,
    Length,
    check_interval,
    check_length,
    parse,
    real,
    scale_length,
    typed,
)
from lehr.schedule.presets.basic import Floor, check_floor
from lehr.schedule.presets.cycles import MOST_TOGETHER, through
from lehr.schedule.shapes import Ramp, Window

MOST_PARTS = 200
_LONGEST = {"%": 100, "epochs": LAST, "samples": 10**15, "tokens": 10**15}  # longest run


def cosine_restarts(
    peak: float,
    period: float | str,
    *,
    growth: float = 1.0,
    factor: float = 1.0,
    floor: Floor = 0.0,
    cycles: int | None = None,
    warmup: Length = 0,
) -> Schedule:
    """Construct cosine decays with warm restarts (SGDR).

    Cycle ``i`` (from 0) has the length ``period * growth**i`` and decays along a cosine from
    ``floor + (peak - floor) * factor**i`` to ``floor``. The length includes the warm-up of the
    cycle. Cycles in shares or epochs ("20%", "1 epoch") start at the step nearest to their exact
    position; cycles in a real number of steps start at the first step at or after it.

    Source: Loshchilov and Hutter, arXiv 1608.03983. In the schedulers of katsura-jp and espnet,
    the growth excludes the warm-up and the factor scales the peak; fairseq also scales the floor.
    For equal cycles, ``cosine_restarts(1.0, period, warmup=w) * step_decay(...)`` reproduces them.

    Args:
        peak: value at the start of the first cycle, above 0.
        period: length of the first cycle: a length, or a real number of steps.
        growth: factor on the length of each cycle relative to the preceding one, above 0.
        factor: factor on the height above the floor per cycle, above 0 and at most 1.
        floor: value at the end of each cycle, from 0 to ``peak``; "10%" is a share of the peak.
        cycles: number of cycles, after which the floor is held. None: endless; growing cycles
            continue to the largest step that a graph can represent.
        warmup: length of a linear warm-up from the floor at the start of each cycle: steps, or a
            length in the unit of the period. It must be shorter than the first cycle; a later
            cycle that is not longer than it has no warm-up.

    Raises:
        ValueError: if a value is out of range, or ``cycles`` is None and more than 200 cycles
            would have to be expanded.

    >>> s = cosine_restarts(1.0, period=2, growth=2)
    >>> [round(s(t), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    >>> cosine_restarts(0.1, "20%")
    cosine(0.1, '20%').repeat()
    """
    peak = number("peak", peak, above=0)
    floor = check_floor(floor, peak)
    growth = number("growth", growth, above=0)
    if not 1e-6 <= growth <= 1e6:
        fail("growth", "from 1e-06 to 1e+06", growth)
    factor = number("factor", factor, above=0, at_most=1)
    first = check_interval("period", period)
    times = None if cycles is None else integer("cycles", cycles)
    if times is not None and times > LAST:
        fail("cycles", "below 2**31, which frameworks count in int32", times)
    amount = parse("period", first)
    rise = check_length("warmup", warmup, missing="a length, or 0 for none")
    rise = 0 if parse("warmup", rise).amount == 0 else rise
    if amount.unit != "steps":
        if growth != 1.0:

            def cycle(start: Fraction, end: Fraction, top: float) -> list[Schedule]:
                length = Amount(
                    typed(float(end - start)), amount.unit
                )  # exact fractions grow too long
                fills = start > 0 and parse("warmup", rise).amount >= end - start
                return [_text_cycle(top, floor, length, 0 if fills else rise)]

            starts = _starts(amount.amount, typed(growth), times, _LONGEST[amount.unit])
            return _growing(peak, factor, floor, starts, cycle)
    else:
        if not isinstance(rise, int):
            fail("warmup", "an integer number of steps, as the period is in steps", warmup)
        steps = rise
        if steps >= amount.amount:
            fail("warmup", f"below the period ({float(amount.amount):g})", warmup)
        if growth != 1.0 or (not isinstance(first, int) and times):
            starts = _starts(amount.amount, typed(growth), times)
            real_cycle = partial(_warm_cycle, bottom=floor, rise=steps)
            return _growing(peak, factor, floor, starts, real_cycle)
    top, bottom = (peak, floor) if factor == 1.0 else (peak - floor, 0.0)
    wave = _restart(top, bottom, amount, rise)
    if factor == 1.0:
        return wave.repeat(times)
    heights = Exponential(1.0, factor, 1)
    # a cycle of fractional length starts at the first step at or after its exact start
    parts = amount.amount.denominator
    expanded = amount.unit == "steps" and parts <= MOST_TOGETHER
    late = real(1 - Fraction(1, parts)) if expanded else 0.5
    fading = wave.repeat(times) * Every(heights, first, late) + floor
    return fading if times is None else fading.take(scale_length(first, Fraction(times)))


def polynomial_cycles(
    peak: float, period: Length, cycles: int, *, floor: Floor = 0.0, power: float = 1.0
) -> Schedule:
    """Construct a polynomial decay whose horizon is extended by one period in each cycle.

    In cycle ``i`` (from 0) the value is
    ``floor + (peak - floor) * (1 - t / ((i + 1) * period))**power``, so each cycle starts below
    the preceding one. Afterwards the floor is held.

    Source: Keras's ``PolynomialDecay(cycle=True)``. Its value at step ``i * period`` is the floor;
    here it is the first value of the next cycle.

    Args:
        peak: value at step 0, above 0.
        period: length of a cycle.
        cycles: number of cycles, from 1 to 200.
        floor: lower bound, from 0 to ``peak``; "10%" is a share of the peak.
        power: exponent of the remaining fraction, above 0.

    Raises:
        ValueError: if a value is out of range.

    >>> [round(polynomial_cycles(1.0, 4, cycles=2)(t), 3) for t in range(9)]
    [1.0, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0]
    """
    peak = number("peak", peak, above=0)
    floor = check_floor(floor, peak)
    length = check_length("period", period, missing="a length such as 1000 or '30 epochs'")
    cycles = integer("cycles", cycles)
    if cycles > MOST_PARTS:
        fail("cycles", f"at most {MOST_PARTS}", cycles)
    if not isinstance(length, int):
        ends = [scale_length(length, Fraction(i)) for i in range(1, cycles + 1)]
        falls = [Ramp(peak, floor, end, "linear", power) for end in ends]
        # each decay is used from the start of its cycle
        parts = [f.shift(_minus(e)).take(length) for f, e in zip(falls[1:], ends, strict=False)]
        return Chain((falls[0], *parts)) if parts else falls[0]
    integer("period", length)
    shape = Ramp(peak, floor, None, "linear", power)
    first = Ramp(peak, floor, length, "linear", power)
    windows = [Window(shape, length, i * length, (i + 1) * length) for i in range(1, cycles)]
    return Chain((first, *windows)) if windows else first


def _minus(length: Length) -> str:
    return f"-{length}"


def _restart(top: float, bottom: float, period: Amount, rise: Length) -> Schedule:
    """Return one cycle; for a fractional period, the fewest cycles of integer total length."""
    exact = period.amount
    if period.unit != "steps" or exact.denominator > MOST_TOGETHER:
        return _text_cycle(top, bottom, period, rise)
    parts: list[Schedule] = []
    for i in range(exact.denominator):
        parts += _warm_cycle(i * exact, (i + 1) * exact, top, bottom=bottom, rise=rise)  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _text_cycle(top: float, bottom: float, period: Amount, rise: Length) -> Schedule:
    """Return one cycle whose length depends on the run."""
    if rise == 0:
        return Ramp(top, bottom, str(period), "cosine")
    taken = parse("warmup", rise)
    if taken.unit != period.unit or taken.until or taken.amount >= period.amount:
        fail("warmup", f"less than a cycle of {period}, in the same unit", rise)
    left = str(Amount(period.amount - taken.amount, period.unit))
    return Ramp(bottom, top, rise).then(Ramp(top, bottom, left, "cosine"))


def _warm_cycle(
    start: Fraction, end: Fraction, top: float, *, bottom: float, rise: int
) -> list[Schedule]:
    """Return one cycle at real positions; a warm-up that is not shorter is omitted."""
    if not 0 < rise < end - start:
        return through([(start, top), (end, bottom)], "cosine")
    warm = through([(start, bottom), (start + rise, top)])
    return warm + through([(start + rise, top), (end, bottom)], "cosine")


def _growing(
    peak: float,
    factor: float,
    floor: float,
    starts: list[Fraction],
    cycle: Callable[[Fraction, Fraction, float], list[Schedule]],
) -> Schedule:
    """Chain cycles between exact positions; ``cycle`` constructs one from start, end and peak."""
    parts: list[Schedule] = []
    for i, (start, end) in enumerate(pairwise(starts)):
        top = peak if i == 0 else floor + (peak - floor) * factor**i
        parts += cycle(start, end, top)
    return Chain(tuple(parts)) if len(parts) > 1 else parts[0]


def _starts(
    period: Fraction, growth: Fraction, times: int | None, last: int = LAST
) -> list[Fraction]:
    """Return the starts of growing cycles up to the largest step, and the end of the last one."""
    starts = [Fraction(0)]
    limit = MOST_PARTS if times is None else min(times, MOST_PARTS)
    while len(starts) <= limit and starts[-1] <= last:
        starts.append(starts[-1] + period)
        period *= growth
    if starts[-1] <= last and len(starts) - 1 != times:
        rule = f"given, at most {MOST_PARTS}, if {MOST_PARTS} cycles do not cover the longest run"
        fail("cycles", rule, times)
    return starts
