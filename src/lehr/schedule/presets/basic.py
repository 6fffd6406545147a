"""Presets with one shape: constant, warm-ups, decays, piecewise values and functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential, InverseTime
from lehr.schedule.errors import fail, number, ordered
from lehr.schedule.length import Length, check_interval, check_length, check_share, typed
from lehr.schedule.piecewise import Function, Piecewise, Table, increasing
from lehr.schedule.shapes import Constant, Ramp, Segment, segment

Floor = float | str
"""A lower bound: a number, or a share of the peak such as "10%"."""


def constant(value: float, steps: Length = None) -> Schedule:
    """Construct a constant schedule.

    Args:
        value: value at every step.
        steps: length of the part; None: endless, or the rest of the run if another part follows.

    >>> constant(0.1)(12345), constant(0.1, "5%")
    (0.1, constant(0.1, '5%'))
    """
    return Constant(value) if steps is None else Constant(value).take(steps)


def linear(start: float, end: float, steps: Length = None) -> Ramp:
    """Construct a linear schedule, ``start + (end - start) * t / steps``; ``end`` is then held.

    Args:
        start: value at step 0.
        end: value at step ``steps`` and after.
        steps: a length; None takes the rest of the run.

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
    """Construct a warm-up from ``start`` to ``peak``, which is reached at step ``steps``.

    Step 0 has the value ``start``: with the default of 0 the first update does not change the
    parameters. With ``from_zero=False``, update n uses the value of step n + 1, so that the first
    update is above ``start`` and the last update of the warm-up uses the peak. For a constant
    warm-up use ``constant(value, steps)``.

    Args:
        peak: final value, above 0.
        steps: a length.
        start: value at step 0, from 0 to ``peak``.
        curve: name of a curve; "geometric" requires a start above 0; "log" is DeepSpeed's
            ``log(t + 1) / log(steps)``.
        power: exponent of the remaining fraction of the curve, above 0.
        time_power: exponent of the elapsed time fraction, above 0.
        from_zero: whether update n uses the value of step n.

    Raises:
        ValueError: if the start is above the peak, or the length is missing.

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
    """Construct a polynomial decay from ``peak`` to ``floor``; the floor is then held.

    The value is ``floor + (peak - floor) * (1 - (t / steps)**time_power)**power``.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``; "10%" is a share of the peak.
        power: exponent of the remaining fraction, above 0; 1 is linear.
        time_power: exponent of the elapsed time fraction, above 0.

    Raises:
        ValueError: if the floor is above the peak.

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
    """Construct a cosine decay from ``peak`` to ``floor``; the floor is then held.

    The value is ``floor + (peak - floor) * ((1 + cos(pi * (t / steps)**time_power)) / 2)**power``.

    Source: Loshchilov and Hutter, arXiv 1608.03983; ``power``: optax; ``time_power`` (k-decay):
    Zhang and Li, arXiv 2004.05909.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``; "10%" is a share of the peak.
        power: exponent of the remaining fraction, above 0.
        time_power: exponent of the elapsed time fraction, above 0.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [round(cosine(1.0, 4)(t), 4) for t in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    >>> cosine(6e-4, floor="10%")
    cosine(0.0006, floor=6e-05)
    """
    return _fall(peak, steps, floor, "cosine", power, time_power)


def rex(peak: float, steps: Length = None, *, floor: Floor = 0.0) -> Ramp:
    """Construct a REX decay from ``peak`` to ``floor``; the floor is then held.

    The value is ``floor + (peak - floor) * (1 - u) / (1 - u / 2)`` with ``u = t / steps``.

    Source: Chen et al., arXiv 2107.04197.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``; "10%" is a share of the peak.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [round(rex(1.0, 4)(t), 4) for t in range(5)]
    [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """
    return _fall(peak, steps, floor, "rex")


def tanh(peak: float, steps: Length = None, *, floor: Floor = 0.0) -> Ramp:
    """Construct a tanh decay from ``peak`` to ``floor``; the floor is then held.

    The value is ``floor + (peak - floor) * (tanh(3) - tanh(10 * u - 7)) / (tanh(3) + tanh(7))``
    with ``u = t / steps``.

    Source: Hsueh et al., arXiv 1806.01593; timm.

    Args:
        peak: value at step 0, above 0.
        steps: a length; None takes the rest of the run.
        floor: value at step ``steps`` and after, from 0 to ``peak``; "10%" is a share of the peak.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [round(tanh(1.0, 4)(t), 3) for t in range(5)]
    [1.0, 1.0, 0.982, 0.267, 0.0]
    """
    return _fall(peak, steps, floor, "tanh")


def exponential(
    peak: float, factor: float, every: float | str, *, staircase: bool = False
) -> Exponential:
    """Construct an exponential decay, ``peak * factor**(t / every)``; endless.

    Args:
        peak: value at step 0, above 0.
        factor: factor per ``every`` steps, above 0 and at most 1.
        every: a length or a real number of steps; never rounded.
        staircase: use ``floor(t / every)`` as the exponent, as in `step_decay`.

    Raises:
        ValueError: if a value is out of range.

    >>> [round(exponential(1.0, 0.1, every=100)(t), 4) for t in (0, 50, 100, 200)]
    [1.0, 0.3162, 0.1, 0.01]
    """
    timescale = check_interval("every", every, counted=False)
    return Exponential(number("peak", peak, above=0), factor, timescale, staircase)


def inverse_time(
    peak: float, timescale: float | str, *, power: float = 1.0, staircase: bool = False
) -> InverseTime:
    """Construct an inverse-time decay, ``peak / (1 + t / timescale)**power``; endless.

    Args:
        peak: value at step 0, above 0.
        timescale: a length or a real number of steps; never rounded.
        power: exponent, above 0.
        staircase: use ``floor(t / timescale)``: one decrease per ``timescale`` steps.

    Raises:
        ValueError: if a value is out of range.

    >>> [inverse_time(1.0, timescale=10)(t) for t in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """
    return InverseTime(number("peak", peak, above=0), timescale, power, staircase)


def step_decay(peak: float, factor: float, every: float | str) -> Exponential:
    """Construct a step decay, ``peak * factor**floor(t / every)``; endless.

    Args:
        peak: value at step 0, above 0.
        factor: factor per ``every`` steps, above 0 and at most 1.
        every: a length or a real number of steps, at least 1.

    Raises:
        ValueError: if a value is out of range.

    >>> [round(step_decay(1.0, 0.1, every=10)(t), 4) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return exponential(peak, factor, every, staircase=True)


def multi_step(peak: float, factor: float, milestones: Sequence[Length]) -> Piecewise:
    """Construct a decay that multiplies the value by ``factor`` at each milestone; endless.

    Args:
        peak: value before the first milestone, above 0.
        factor: factor at each milestone, above 0.
        milestones: increasing lengths from step 0.

    Raises:
        ValueError: if a value is out of range, or the milestones decrease.
        TypeError: if the milestones are not a list or tuple.

    >>> [round(multi_step(1.0, 0.1, (2, 4))(t), 4) for t in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    peak, factor = number("peak", peak, above=0), number("factor", factor, above=0)
    if not isinstance(milestones, list | tuple):
        fail("milestones", "a list", milestones, error=TypeError)
    missing = "lengths from step 0"
    at = tuple(check_length("milestones", length, missing=missing) for length in milestones)
    increasing("milestones", at)
    try:
        values = tuple(peak * factor**i for i in range(len(at) + 1))
    except OverflowError:
        fail("factor", f"a number whose power {len(at)} is finite", factor)
    return Piecewise(at, values)


def piecewise(
    boundaries: Sequence[Length], values: Sequence[float], *, curve: str = "constant"
) -> Piecewise:
    """Construct piecewise constant values, or values interpolated along a curve between knots.

    Args:
        boundaries: increasing lengths from step 0.
        values: for "constant", one value more than boundaries; ``values[0]`` applies before the
            first boundary. For a curve, ``values[i]`` is the value at ``boundaries[i]``.
        curve: "constant", or the curve between knots: "linear", "cosine", "geometric" ...

    Raises:
        ValueError: if the boundaries decrease or the number of values is wrong.
        TypeError: if boundaries or values are not a list or tuple.

    >>> [piecewise((2, 4), (1.0, 0.1, 0.01))(t) for t in (1, 2, 4)]
    [1.0, 0.1, 0.01]
    >>> [piecewise((0, 4, 8), (0.0, 1.0, 0.0), curve="linear")(t) for t in (0, 2, 4, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return Piecewise(boundaries, values, curve)  # type: ignore[arg-type]


def table(values: Sequence[float]) -> Table:
    """Construct a schedule from a list of values, one per step; the last value is then held.

    Args:
        values: at least one number.

    Raises:
        TypeError: if there are no values, or one is not a number.

    >>> table([0.3, 0.2, 0.1])(1)
    0.2
    """
    given: Any = values
    if not isinstance(given, Iterable) or isinstance(given, set | frozenset | Mapping | str):
        fail("values", "a list of at least one number", given, error=TypeError)
    return Table(tuple(given))


def from_function(f: Callable[[Any], Any], *, name: str | None = None) -> Function:
    """Construct a schedule from a user-defined function of the step; endless.

    Arrays and graph tensors are passed to the function unchanged, so it must support their type
    and may use its operations. TensorFlow cannot multiply a float by a bool: write
    ``tf.where(step < 5, 0.1, 0.0)`` instead of ``0.1 * (step < 5)``.

    Args:
        f: function from a step, or an array of steps, to the value.
        name: name of the function in JSON; None: the schedule cannot be saved. To load the JSON,
            first register the function under the same name with ``from_function``.

    Raises:
        ValueError: if another function has the name.
        TypeError: if ``f`` is not callable.

    >>> from_function(lambda step: 0.1 / (1 + step))(4)
    0.02
    """
    return Function(name, f)


def check_floor(floor: Floor, peak: float, fix: str = "") -> float:
    """Return the floor as a number; raise unless it is between 0 and the peak."""
    if isinstance(floor, str):
        return float(typed(peak) * check_share("floor", floor))
    if number("floor", floor, at_least=0) > peak:
        rise = f"to rise, use warmup({floor!r}, steps, start={peak!r}, curve='cosine')"
        fail("floor", f"at most peak ({peak:g})", floor, fix or rise)
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
