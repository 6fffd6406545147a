"""Functions that return restarts: falls that begin again at the top."""

from fractions import Fraction
from itertools import pairwise

from lehr.schedule.base import Schedule
from lehr.schedule.combine import Chain
from lehr.schedule.decays import Exponential
from lehr.schedule.errors import fail, number, ordered, whole
from lehr.schedule.length import (
    LAST,
    Length,
    check_length,
    check_time_constant,
    parse,
    scale_length,
    spell,
    typed,
)
from lehr.schedule.presets.cycles import through, together
from lehr.schedule.shapes import Ramp

MOST_PARTS = 200
_LONGEST = {"%": 100, "epochs": LAST, "samples": 10**15, "tokens": 10**15}  # runs


def cosine_restarts(
    peak: float,
    period: float | str,
    growth: float = 1.0,
    decay: float = 1.0,
    floor: float = 0.0,
    cycles: int | None = None,
    warmup: int | str = 0,
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
        warmup: a linear rise from the floor at the beginning of each cycle: steps, or a length in
            the unit of the period. It is shorter than the first cycle; a later one that it would
            fill goes without.

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
    if isinstance(first, str):
        rise = None if warmup == 0 else check_length("warmup", warmup)
        if growth != 1.0:
            return _growing_lengths(peak, first, typed(growth), decay, floor, times, rise)
    else:
        rise = whole("warmup", warmup, at_least=0)
        if rise >= first:
            fail("warmup", f"below the period ({first:g})", warmup)
        if growth != 1.0 or (isinstance(first, float) and times):
            exact = typed(first), typed(growth)
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


def _restart(top: float, bottom: float, period: float | str, rise: Length) -> tuple[Schedule, int]:
    """Return equal cycles that take whole steps together, and how many they are."""
    if isinstance(period, str):
        return _spelled_cycle(top, bottom, period, rise), 1
    exact = typed(period)
    cycles = together("period", exact)
    parts: list[Schedule] = []
    for i in range(cycles):
        parts += _warm_cycle(i * exact, (i + 1) * exact, top, bottom, rise)  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts)), cycles


def _spelled_cycle(top: float, bottom: float, period: str, rise: Length) -> Schedule:
    """Return one cycle of a length that the run will tell."""
    if rise is None:
        return Ramp(top, bottom, period, "cosine")
    return Ramp(bottom, top, rise).then(Ramp(top, bottom, _left(period, rise), "cosine"))


def _warm_cycle(
    start: Fraction, end: Fraction, top: float, bottom: float, rise: int
) -> list[Schedule]:
    """Return one cycle at real times; a warm-up that would fill it is left out."""
    if not 0 < rise < end - start:
        return through([(start, top), (end, bottom)], "cosine")
    warm = through([(start, bottom), (start + rise, top)])
    return warm + through([(start + rise, top), (end, bottom)], "cosine")


def _growing_cycles(
    peak: float,
    period: Fraction,
    growth: Fraction,
    decay: float,
    floor: float,
    times: int | None,
    rise: int,
) -> Schedule:
    starts = _starts(period, growth, times)
    parts: list[Schedule] = []
    for i, (start, end) in enumerate(pairwise(starts)):
        top = peak if i == 0 else floor + (peak - floor) * decay**i
        parts += _warm_cycle(start, end, top, floor, rise)
    return Chain(tuple(parts))


def _growing_lengths(
    peak: float,
    period: str,
    growth: Fraction,
    decay: float,
    floor: float,
    times: int | None,
    rise: Length,
) -> Schedule:
    amount, unit = parse("period", period)
    starts = _starts(amount, growth, times, _LONGEST[unit])
    parts: list[Schedule] = []
    for i, (start, end) in enumerate(pairwise(starts)):
        top = peak if i == 0 else floor + (peak - floor) * decay**i
        if i and isinstance(rise, str) and parse("warmup", rise)[0] >= end - start:
            rise = None  # as for cycles in steps: a warm-up that would fill a cycle is left out
        parts.append(_spelled_cycle(top, floor, str(spell(end - start, unit)), rise))
    return Chain(tuple(parts))


def _left(period: str, rise: Length) -> Length:
    """Return what a warm-up leaves of a cycle, in the same unit."""
    amount, unit = parse("period", period)
    taken, other = parse("warmup", str(rise)) if isinstance(rise, str) else (amount, "steps")
    if unit != other or taken >= amount:
        fail("warmup", f"less than a cycle of {period}, in the same unit", rise)
    return spell(amount - taken, unit)


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
