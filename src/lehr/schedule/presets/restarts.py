"""Functions that return restarts: falls that begin again at the peak."""

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
_LONGEST = {"%": 100, "epochs": LAST, "samples": 10**15, "tokens": 10**15}  # runs


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
    """Return cosines from the peak to the floor, cycle ``i`` being ``period * growth**i`` long.

    A cycle includes its warm-up, and the factor scales the height above the floor. Cycles of
    "20%" or "1 epoch" begin at the nearest steps to multiples of it; cycles of a real number of
    steps at the first step at or after them.

    Source: Loshchilov and Hutter, arXiv 1608.03983. In katsura-jp's and espnet's scheduler the
    growth leaves the warm-up out and the factor scales the peak; fairseq's shrinks the floor too.
    For equal cycles theirs is ``cosine_restarts(1.0, period, warmup=w) * step_decay(...)``.

    Args:
        peak: value at the first restart, above 0.
        period: length of the first cycle: a length, or a real number of steps.
        growth: factor on the length from cycle to cycle, above 0.
        factor: factor on the height above the floor from cycle to cycle, above 0 and at most 1.
        floor: value at the end of each cycle, from 0 to ``peak``; "10%" is of the peak.
        cycles: how many; then the floor holds. None: for ever, or as far as a graph can count.
        warmup: a linear rise from the floor at the beginning of each cycle: steps, or a length in
            the unit of the period. It is shorter than the first cycle; a later one that it would
            fill goes without.

    Raises:
        ValueError: if the cycles without a limit are too many to write down one by one.

    >>> s = cosine_restarts(1.0, period=2, growth=2)
    >>> [round(s(t), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    >>> cosine_restarts(0.1, "20%")
    cosine(0.1, '20%').repeat()
    """
    peak = number("peak", peak, above=0)
    floor = check_floor(floor, peak)
    growth = number("growth", growth, above=0)
    factor = number("factor", factor, above=0, at_most=1)
    first = check_interval("period", period)
    times = None if cycles is None else integer("cycles", cycles)
    amount = parse("period", first)
    rise = check_length("warmup", warmup, missing="a length, or 0 for none")
    rise = 0 if parse("warmup", rise).amount == 0 else rise
    if amount.unit != "steps":
        if growth != 1.0:

            def spelled(start: Fraction, end: Fraction, top: float) -> list[Schedule]:
                length = Amount(typed(float(end - start)), amount.unit)  # exact ones grow too long
                fills = start > 0 and parse("warmup", rise).amount >= end - start
                return [_spelled_cycle(top, floor, length, 0 if fills else rise)]

            starts = _starts(amount.amount, typed(growth), times, _LONGEST[amount.unit])
            return _growing(peak, factor, floor, starts, spelled)
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
    # a cycle of real steps begins at the first step at or after its exact beginning
    parts = amount.amount.denominator
    written_out = amount.unit == "steps" and parts <= MOST_TOGETHER
    late = real(1 - Fraction(1, parts)) if written_out else 0.5
    fading = wave.repeat(times) * Every(heights, first, late) + floor
    return fading if times is None else fading.take(scale_length(first, Fraction(times)))


def polynomial_cycles(
    peak: float, period: Length, cycles: int, *, floor: Floor = 0.0, power: float = 1.0
) -> Schedule:
    """Return a polynomial fall whose horizon moves one period on whenever it is reached.

    ``floor + (peak - floor) * (1 - t / ((i + 1) * period))**power`` in cycle i: each cycle begins
    lower than the one before. Keras's ``PolynomialDecay(cycle=True)``, where the value at a
    horizon itself is the floor; here it is the new cycle's first.

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
        # each is cut where its cycle begins
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
    """Return one cycle, or, of real steps, as many as take integer steps together."""
    exact = period.amount
    if period.unit != "steps" or exact.denominator > MOST_TOGETHER:
        return _spelled_cycle(top, bottom, period, rise)
    parts: list[Schedule] = []
    for i in range(exact.denominator):
        parts += _warm_cycle(i * exact, (i + 1) * exact, top, bottom=bottom, rise=rise)  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _spelled_cycle(top: float, bottom: float, period: Amount, rise: Length) -> Schedule:
    """Return one cycle of a length that the run will tell."""
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
    """Return one cycle at real times; a warm-up that would fill it is left out."""
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
    """Return cycles between exact starts; ``cycle`` makes one from its start, end and peak."""
    parts: list[Schedule] = []
    for i, (start, end) in enumerate(pairwise(starts)):
        top = peak if i == 0 else floor + (peak - floor) * factor**i
        parts += cycle(start, end, top)
    return Chain(tuple(parts)) if len(parts) > 1 else parts[0]


def _starts(
    period: Fraction, growth: Fraction, times: int | None, last: int = LAST
) -> list[Fraction]:
    """Return where growing cycles begin, as far as they can be counted, and the last one ends."""
    starts = [Fraction(0)]
    limit = MOST_PARTS if times is None else min(times, MOST_PARTS)
    while len(starts) <= limit and starts[-1] <= last:
        starts.append(starts[-1] + period)
        period *= growth
    if starts[-1] <= last and len(starts) - 1 != times:
        rule = (
            f"given, at most {MOST_PARTS}, where cycles of these lengths never end the longest run"
        )
        fail("cycles", rule, times)
    return starts
