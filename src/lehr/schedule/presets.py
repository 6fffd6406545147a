"""Functions that return compositions: the policies people know by name."""

from fractions import Fraction

from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number, ordered
from lehr.schedule.decays import Exponential
from lehr.schedule.length import Length, check_length, scale_length
from lehr.schedule.shapes import Constant, Ramp


def constant(value: float, steps: Length = None) -> Schedule:
    """Return the same value at every step; with ``steps`` a part that long, else endless.

    >>> constant(0.1)(12345)
    0.1
    """
    return Constant(value) if steps is None else Ramp(value, value, steps)


def linear(start: float, end: float, steps: Length = None) -> Ramp:
    """Return a straight line, ``start + (end - start) * t / steps``; then ``end`` holds.

    >>> [linear(1.0, 0.0, steps=4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    return Ramp(start, end, steps)


def cosine(peak: float, steps: Length = None, floor: float = 0.0, exponent: float = 1.0) -> Ramp:
    """Return ``floor + (peak - floor) * ((1 + cos(pi t / steps)) / 2)**exponent``; floor holds.

    Source: Loshchilov and Hutter, arXiv 1608.03983; the exponent: optax.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``.
        exponent: above 0.

    Raises:
        ValueError: if the floor lies above the peak.

    >>> [round(cosine(1.0, steps=4)(t), 4) for t in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """
    peak = number("peak", peak, above=0)
    ordered("floor", number("floor", floor, at_least=0), "peak", peak)
    number("exponent", exponent, above=0)
    return Ramp(peak, floor, steps, "cosine", exponent)


def exponential(start: float, rate: float, steps: Length) -> Exponential:
    """Return ``start * rate**(t / steps)``, endless.

    >>> [round(exponential(1.0, 0.1, steps=100)(t), 4) for t in (0, 50, 100, 200)]
    [1.0, 0.3162, 0.1, 0.01]
    """
    return Exponential(number("start", start, above=0), rate, steps)


def warmup(peak: float, steps: Length, start: float = 0.0, curve: str = "linear") -> Ramp:
    """Return a rise from ``start`` to ``peak``, which is reached at step ``steps``.

    Step 0 stands at ``start``: with the default 0 the first update changes nothing.
    Follow it with ``.then(...)``.

    >>> [warmup(0.1, steps=4)(t) for t in (0, 2, 4)]
    [0.0, 0.05, 0.1]
    """
    peak = number("peak", peak, above=0)
    ordered("start", number("start", start, at_least=0), "peak", peak)
    if steps is None:
        fail("steps", "a length such as 500 or '5%'", None)
    return Ramp(start, peak, steps, curve)


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
    return wave * Exponential(1.0, 0.5, cycle, staircase=True) + low


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


def _bounds(low: float, high: float) -> tuple[float, float]:
    low, high = number("low", low, at_least=0), number("high", high, above=0)
    ordered("low", low, "high", high)
    return low, high


def _triangle(low: float, high: float, half_cycle: Length) -> Schedule:
    if half_cycle is None:
        fail("half_cycle", "a length such as 500 or '1 epoch'", None)
    check_length("half_cycle", half_cycle)
    return Ramp(low, high, half_cycle).then(Ramp(high, low, half_cycle))
