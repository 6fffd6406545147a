"""Functions that return one shape: warm-ups and decays that people know by name."""

from collections.abc import Callable, Sequence
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential, InverseTime
from lehr.schedule.errors import fail, number, ordered
from lehr.schedule.length import Length, check_interval, check_length, check_share, typed
from lehr.schedule.piecewise import Function, Piecewise, Table
from lehr.schedule.shapes import Constant, Ramp, Segment, segment

Floor = float | str
"""A lower bound: a number, or a share of the peak such as "10%"."""


def constant(value: float, steps: Length = None) -> Schedule:
    """Return the same value at every step; with ``steps`` a part that long, else endless.

    >>> constant(0.1)(12345), constant(0.1, "5%")
    (0.1, constant(0.1, '5%'))
    """
    return Constant(value) if steps is None else Constant(value).take(steps)


def linear(start: float, end: float, steps: Length = None) -> Ramp:
    """Return a straight line, ``start + (end - start) * t / steps``; then ``end`` holds.

    >>> [linear(1.0, 0.0, steps=4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    return Ramp(number("start", start), end, steps)


def warmup(
    peak: float,
    steps: Length,
    *,
    start: float = 0.0,
    curve: str = "linear",
    power: float = 1.0,
    time_power: float = 1.0,
    from_zero: bool = True,
) -> Segment:
    """Return a rise from ``start`` to ``peak``, which is reached at step ``steps``.

    Step 0 has the value ``start``: with the default 0 the first update changes nothing.
    ``from_zero=False`` gives update n the value of step n + 1 instead, so that the first update
    moves and the last one of the warm-up is made at the peak. A constant warm-up is
    ``constant(value, steps)``.

    Args:
        peak: final value, above 0.
        steps: a length.
        start: value at step 0, from 0 to ``peak``.
        curve: name of a curve; "geometric" needs a start above 0; "log" is DeepSpeed's
            ``log(t + 1) / log(steps)``.
        power: exponent of what is left.
        time_power: exponent of the fraction of the time.
        from_zero: whether update n has the value of step n.

    Raises:
        ValueError: if the start lies above the peak, or the length is missing.

    >>> [warmup(0.1, 4)(t) for t in (0, 2, 4)]
    [0.0, 0.05, 0.1]
    >>> [warmup(1.0, 4, from_zero=False)(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    peak = number("peak", peak, above=0)
    ordered("start", number("start", start, at_least=0), "peak", peak)
    check_length("steps", steps, missing="a length such as 500 or '5%'")
    return segment(start, peak, steps, curve, power, time_power, from_zero)


def polynomial(
    peak: float,
    steps: Length = None,
    *,
    floor: Floor = 0.0,
    power: float = 1.0,
    time_power: float = 1.0,
) -> Ramp:
    """Return ``floor + (peak - floor) * (1 - (t / steps)**time_power)**power``; the floor holds.

    >>> [polynomial(1.0, 4, power=2)(t) for t in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    return _fall(peak, steps, floor, "linear", power, time_power)


def cosine(
    peak: float,
    steps: Length = None,
    *,
    floor: Floor = 0.0,
    power: float = 1.0,
    time_power: float = 1.0,
) -> Ramp:
    """Return ``floor + (peak - floor) * ((1 + cos(pi * (t / steps)**time_power)) / 2)**power``.

    After ``steps`` the floor holds.

    Source: Loshchilov and Hutter, arXiv 1608.03983; the power: optax; the power of the time
    (k-decay): Zhang and Li, arXiv 2004.05909.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``; "10%" is of the peak.
        power: exponent of what is left, above 0.
        time_power: exponent of the fraction of the time, above 0.

    Raises:
        ValueError: if the floor lies above the peak.

    >>> [round(cosine(1.0, 4)(t), 4) for t in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    >>> cosine(6e-4, floor="10%")
    cosine(0.0006, floor=6e-05)
    """
    return _fall(peak, steps, floor, "cosine", power, time_power)


def rex(peak: float, steps: Length = None, *, floor: Floor = 0.0) -> Ramp:
    """Return ``floor + (peak - floor) * (1 - u) / (1 - u / 2)``, ``u = t / steps``.

    Source: Chen et al., arXiv 2107.04197.

    >>> [round(rex(1.0, 4)(t), 4) for t in range(5)]
    [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """
    return _fall(peak, steps, floor, "rex")


def tanh(peak: float, steps: Length = None, *, floor: Floor = 0.0) -> Ramp:
    """Return a hyperbolic tangent from -7 to 3, scaled to fall from the peak to the floor.

    Source: Hsueh et al., arXiv 1806.01593; timm.

    >>> [round(tanh(1.0, 4)(t), 3) for t in range(5)]
    [1.0, 1.0, 0.982, 0.267, 0.0]
    """
    return _fall(peak, steps, floor, "tanh")


def exponential(
    peak: float, factor: float, every: float | str, *, staircase: bool = False
) -> Exponential:
    """Return ``peak * factor**(t / every)``, endless; a staircase takes ``floor(t / every)``.

    >>> [round(exponential(1.0, 0.1, every=100)(t), 4) for t in (0, 50, 100, 200)]
    [1.0, 0.3162, 0.1, 0.01]
    """
    timescale = check_interval("every", every, counted=False)
    return Exponential(number("peak", peak, above=0), factor, timescale, staircase)


def inverse_time(
    peak: float, timescale: float | str, *, power: float = 1.0, staircase: bool = False
) -> InverseTime:
    """Return ``peak / (1 + t / timescale)**power``, endless; a staircase takes the floor.

    >>> [inverse_time(1.0, timescale=10)(t) for t in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """
    return InverseTime(number("peak", peak, above=0), timescale, power, staircase)


def step_decay(peak: float, factor: float, every: float | str) -> Exponential:
    """Return ``peak * factor**floor(t / every)``, endless.

    >>> [round(step_decay(1.0, 0.1, every=10)(t), 4) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return exponential(peak, factor, every, staircase=True)


def multi_step(peak: float, factor: float, milestones: Sequence[Length]) -> Piecewise:
    """Return ``peak`` times ``factor`` for each of the milestones that is reached.

    >>> [round(multi_step(1.0, 0.1, (2, 4))(t), 4) for t in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    peak, factor = number("peak", peak, above=0), number("factor", factor, above=0)
    if not isinstance(milestones, list | tuple):
        fail("milestones", "a list", milestones, error=TypeError)
    missing = "lengths from step 0"
    at = tuple(check_length("milestones", length, missing=missing) for length in milestones)
    return Piecewise(at, tuple(peak * factor**i for i in range(len(at) + 1)))


def piecewise(
    boundaries: Sequence[Length], values: Sequence[float], *, curve: str = "constant"
) -> Piecewise:
    """Return values that change at boundaries: at once, or along a curve between knots.

    With "constant", ``values[0]`` holds before the first boundary and there is one value more
    than boundaries. With a curve, ``values[i]`` is the value at ``boundaries[i]``.

    >>> [piecewise((2, 4), (1.0, 0.1, 0.01))(t) for t in (1, 2, 4)]
    [1.0, 0.1, 0.01]
    >>> [piecewise((0, 4, 8), (0.0, 1.0, 0.0), curve="linear")(t) for t in (0, 2, 4, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return Piecewise(boundaries, values, curve)  # type: ignore[arg-type]


def table(values: Sequence[float]) -> Table:
    """Return the values of the first steps, written down; the last holds.

    >>> table([0.3, 0.2, 0.1])(1)
    0.2
    """
    return Table(tuple(values))


def from_function(f: Callable[[Any], Any], *, name: str | None = None) -> Function:
    """Return a user's own function of the step as a schedule, endless.

    To be called with arrays, or in a graph, the function must take them, and gets them as they are:
    it may use what that kind of array knows. TensorFlow multiplies no float with a bool, so
    ``0.1 * (step < 5)`` fails there; write ``tf.where(step < 5, 0.1, 0.0)``. With a name it can be
    written as JSON, and read where the same name has been given to the function before.

    >>> from_function(lambda step: 0.1 / (1 + step))(4)
    0.02
    """
    return Function(name, f)


def check_floor(floor: Floor, peak: float) -> float:
    """Return a floor from 0 to the peak, or raise."""
    if isinstance(floor, str):
        return float(typed(peak) * check_share("floor", floor))
    if number("floor", floor, at_least=0) > peak:
        fix = f"to rise, use warmup({floor!r}, steps, start={peak!r}, curve='cosine')"
        fail("floor", f"at most peak ({peak:g})", floor, fix)
    return float(floor)


def _fall(
    peak: float,
    steps: Length,
    floor: Floor,
    curve: str,
    power: float = 1.0,
    time_power: float = 1.0,
) -> Ramp:
    peak = number("peak", peak, above=0)
    return Ramp(peak, check_floor(floor, peak), steps, curve, power, time_power)
