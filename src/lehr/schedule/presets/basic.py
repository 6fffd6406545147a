"""Functions that return one shape: warm-ups and decays that people know by name."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.combine import Chain
from lehr.schedule.decays import Exponential, InverseTime
from lehr.schedule.errors import fail, number, ordered, whole
from lehr.schedule.length import Length, check_length
from lehr.schedule.shapes import Constant, Function, Piecewise, Ramp, Table


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


def polynomial(peak: float, steps: Length = None, floor: float = 0.0, power: float = 1.0) -> Ramp:
    """Return ``floor + (peak - floor) * (1 - t / steps)**power``; the floor holds.

    >>> [polynomial(1.0, steps=4, power=2)(t) for t in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    return _fall(peak, steps, floor, "linear", number("power", power, above=0))


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
    return _fall(peak, steps, floor, "cosine", number("exponent", exponent, above=0))


def k_decay(peak: float, steps: Length = None, k: float = 1.0, floor: float = 0.0) -> Ramp:
    """Return a cosine of ``(t / steps)**k``: k above 1 stays high longer.

    Source: Zhang and Li, arXiv 2004.05909; timm.

    >>> [round(k_decay(1.0, steps=4, k=2.0)(t), 4) for t in range(5)]
    [1.0, 0.9904, 0.8536, 0.4025, 0.0]
    """
    return _fall(peak, steps, floor, f"cosine^{number('k', k, above=0)!r}")


def rex(peak: float, steps: Length = None, floor: float = 0.0) -> Ramp:
    """Return ``floor + (peak - floor) * (1 - u) / (1 - u / 2)``, ``u = t / steps``.

    Source: Chen et al., arXiv 2107.04197.

    >>> [round(rex(1.0, steps=4)(t), 4) for t in range(5)]
    [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """
    return _fall(peak, steps, floor, "rex")


def tanh(peak: float, steps: Length = None, floor: float = 0.0) -> Ramp:
    """Return the fall of a hyperbolic tangent from -7 to 3, its ends brought to peak and floor.

    Source: Hsueh et al., arXiv 1806.01593; timm.

    >>> [round(tanh(1.0, steps=4)(t), 3) for t in range(5)]
    [1.0, 1.0, 0.982, 0.267, 0.0]
    """
    return _fall(peak, steps, floor, "tanh")


def exponential(
    start: float, rate: float, steps: float | str, staircase: bool = False
) -> Exponential:
    """Return ``start * rate**(t / steps)``, endless; a staircase takes ``t // steps``.

    >>> [round(exponential(1.0, 0.1, steps=100)(t), 4) for t in (0, 50, 100, 200)]
    [1.0, 0.3162, 0.1, 0.01]
    """
    return Exponential(number("start", start, above=0), rate, steps, staircase)


def inverse_time(
    start: float, steps: float | str, power: float = 1.0, staircase: bool = False
) -> InverseTime:
    """Return ``start / (1 + t / steps)**power``, endless; a staircase takes ``t // steps``.

    >>> [inverse_time(1.0, steps=10)(t) for t in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """
    return InverseTime(number("start", start, above=0), steps, power, staircase)


def step_decay(start: float, factor: float, every: Length) -> Exponential:
    """Return ``start * factor**(t // every)``, endless.

    >>> [round(step_decay(1.0, 0.1, every=10)(t), 4) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.1, 0.01]
    """
    start = number("start", start, above=0)
    if every is None:
        fail("every", "a length such as 1000 or '30 epochs'", None)
    check_length("every", every)
    return Exponential(start, number("factor", factor, above=0, at_most=1), every, staircase=True)


def multi_step(start: float, factor: float, at: Sequence[Length]) -> Piecewise:
    """Return ``start`` times ``factor`` for each of the milestones ``at`` that is reached.

    >>> [round(multi_step(1.0, 0.1, at=(2, 4))(t), 4) for t in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    start, factor = number("start", start, above=0), number("factor", factor, above=0)
    if not isinstance(at, list | tuple):
        fail("at", "a list", at, error=TypeError)
    return Piecewise(tuple(at), tuple(start * factor**i for i in range(len(at) + 1)))


def piecewise(
    boundaries: Sequence[int], values: Sequence[float], curve: str = "constant"
) -> Schedule:
    """Return values that change at boundaries: at once, or along a curve between knots.

    With "constant", ``values[0]`` holds before the first boundary and there is one value more
    than boundaries. With a curve, ``values[i]`` is the value at step ``boundaries[i]``.

    >>> [piecewise((2, 4), (1.0, 0.1, 0.01))(t) for t in (1, 2, 4)]
    [1.0, 0.1, 0.01]
    >>> [piecewise((0, 4, 8), (0.0, 1.0, 0.0), "linear")(t) for t in (0, 2, 4, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if curve == "constant":
        return Piecewise(boundaries, values)  # type: ignore[arg-type]
    for name, given in (("boundaries", boundaries), ("values", values)):
        if not isinstance(given, list | tuple):
            fail(name, "a list", given, error=TypeError)
    if len(boundaries) != len(values) or len(values) < 2:
        fail("values", f"one for each of at least 2 boundaries {tuple(boundaries)}", values)
    knots = [whole("boundaries", b, at_least=0) for b in boundaries]
    steps = [b - a for a, b in pairwise(knots)]
    if min(steps) < 1:
        fail("boundaries", "increasing", tuple(boundaries))
    ramps = [Ramp(a, b, n, curve) for (a, b), n in zip(pairwise(values), steps, strict=True)]
    if knots[0]:
        ramps.insert(0, Ramp(values[0], values[0], knots[0]))
    return ramps[0] if len(ramps) == 1 else Chain(tuple(ramps))


def warmup(peak: float, steps: Length, start: float = 0.0, curve: str = "linear") -> Ramp:
    """Return a rise from ``start`` to ``peak``, which is reached at step ``steps``.

    Step 0 stands at ``start``: with the default 0 the first update changes nothing.
    Follow it with ``.then(...)``; a constant warm-up is ``constant(value, steps)``.

    >>> [warmup(0.1, steps=4)(t) for t in (0, 2, 4)]
    [0.0, 0.05, 0.1]
    """
    peak = number("peak", peak, above=0)
    ordered("start", number("start", start, at_least=0), "peak", peak)
    if steps is None:
        fail("steps", "a length such as 500 or '5%'", None)
    return Ramp(start, peak, steps, curve)


def table(values: Sequence[float]) -> Table:
    """Return the values of the first steps, written down; the last holds.

    >>> table([0.3, 0.2, 0.1])(1)
    0.2
    """
    return Table(tuple(values))


def from_function(f: Callable[[Any], Any], name: str | None = None) -> Function:
    """Return a user's own function of the step as a schedule, endless.

    To be called with arrays, or in a graph, the function must take them, and gets them as they are:
    it may use what that kind of array knows. TensorFlow multiplies no float with a bool, so
    ``0.1 * (step < 5)`` fails there; write ``tf.where(step < 5, 0.1, 0.0)``. With a name it can be
    written as JSON, and read where the same name has been given to the function before.

    >>> from_function(lambda step: 0.1 / (1 + step))(4)
    0.02
    """
    return Function(name, f)


def _fall(peak: float, steps: Length, floor: float, curve: str, power: float = 1.0) -> Ramp:
    peak = number("peak", peak, above=0)
    ordered("floor", number("floor", floor, at_least=0), "peak", peak)
    return Ramp(peak, floor, steps, curve, power)
