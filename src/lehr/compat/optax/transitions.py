"""Schedules with one transition, and piecewise constant ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import accumulate
from operator import mul
from typing import Any

from lehr.compat.sections import Position, connect, real, section, step_at
from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential
from lehr.schedule.errors import LAST, fail
from lehr.schedule.piecewise import Piecewise
from lehr.schedule.shapes import Constant

Value = Any  # a number, or an array of one number (NumPy, JAX, PyTorch, TensorFlow)
_LARGEST_EXPONENT = 600.0  # growth stops at exp(600), which is finite in float64


def constant_schedule(value: Value) -> Schedule:
    """Return a constant schedule.

    Args:
        value: value at every step.

    Raises:
        TypeError: if the value is not one known number.

    >>> constant_schedule(0.1)(7)
    0.1
    """
    return Constant(real("value", value))


def polynomial_schedule(
    init_value: Value,
    end_value: Value,
    power: Value,
    transition_steps: float,
    transition_begin: float = 0,
) -> Schedule:
    """Return a polynomial transition: ``(init - end) * (1 - u) ** power + end``.

    ``u`` is the elapsed fraction, ``(t - transition_begin) / transition_steps``, from 0 to 1.

    Args:
        init_value: value up to ``transition_begin``.
        end_value: value at the end and after.
        power: the exponent, at least 0.
        transition_steps: length in steps, a real number; 0 or less: the schedule is constant.
        transition_begin: step at which the transition begins; a negative one counts as 0.

    Raises:
        ValueError: if the exponent is negative.
        TypeError: if a value is not one known number.

    >>> schedule = polynomial_schedule(1.0, 0.0, 2, transition_steps=2, transition_begin=1)
    >>> [schedule(t) for t in range(5)]
    [1.0, 1.0, 0.25, 0.0, 0.0]
    """
    start, end = real("init_value", init_value), real("end_value", end_value)
    steps, exponent = real("transition_steps", transition_steps), real("power", power)
    begin = max(real("transition_begin", transition_begin), 0.0)
    if steps <= 0 or exponent == 0:
        return Constant(start)
    hold = Constant(start).take(step_at(begin))
    return connect(hold, section(start, end, begin, begin + steps, power=exponent))


def linear_schedule(
    init_value: Value, end_value: Value, transition_steps: float, transition_begin: float = 0
) -> Schedule:
    """Return a linear transition: `polynomial_schedule` with the exponent 1.

    Args:
        init_value: value up to ``transition_begin``.
        end_value: value at the end and after.
        transition_steps: length in steps, a real number; 0 or less: the schedule is constant.
        transition_begin: step at which the transition begins; a negative one counts as 0.

    Raises:
        TypeError: if a value is not one known number.

    >>> linear_schedule(1.0, 0.0, transition_steps=10)
    linear(1.0, 0.0, 10)
    """
    return polynomial_schedule(init_value, end_value, 1.0, transition_steps, transition_begin)


def piecewise_constant_schedule(
    init_value: Value, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """Return a piecewise constant schedule; each boundary is the first step with a new value.

    Args:
        init_value: value before the first boundary.
        boundaries_and_scales: the factor at each boundary, in steps; each one multiplies the value
            before it.

    Raises:
        ValueError: if a factor is negative.
        TypeError: if a value is not one known number.

    >>> schedule = piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.1})
    >>> [schedule(t) for t in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.05, 0.05]
    """
    boundaries, values = knots("piecewise_constant_schedule", init_value, boundaries_and_scales)
    if not boundaries:
        return Constant(values[0])
    return Piecewise(tuple(map(step_at, boundaries)), values)


def knots(
    function: str, init_value: Value, boundaries_and_scales: Mapping[int, float] | None
) -> tuple[list[float], tuple[float, ...]]:
    """Return the boundaries in order, and the value before and after each of them."""
    pairs = sorted(
        (real("boundaries_and_scales", b), s) for b, s in (boundaries_and_scales or {}).items()
    )
    scales = [real("boundaries_and_scales", scale) for _, scale in pairs]
    if any(scale < 0.0 for scale in scales):
        raise ValueError(f"`{function}` expects non-negative scale factors")
    values = tuple(accumulate([real("init_value", init_value), *scales], mul))
    return [boundary for boundary, _ in pairs], values


def cosine_decay_schedule(
    init_value: Value, decay_steps: float, alpha: Value = 0.0, exponent: Value = 1.0
) -> Schedule:
    """Return a cosine decay: ``init * ((1 - alpha) * ((1 + cos(pi u)) / 2) ** exponent + alpha)``.

    ``u`` is the elapsed fraction ``t / decay_steps``, at most 1.

    Source: Loshchilov and Hutter, arXiv 1608.03983.

    Args:
        init_value: value at step 0.
        decay_steps: length in steps, a real number above 0.
        alpha: value at the end, as a share of ``init_value``.
        exponent: exponent of the cosine, at least 0.

    Raises:
        ValueError: if ``decay_steps`` is not above 0, or the exponent is negative.
        TypeError: if a value is not one known number.

    >>> cosine_decay_schedule(0.5, decay_steps=100, alpha=0.1)
    cosine(0.5, 100, floor=0.05)
    """
    start = real("init_value", init_value)
    return cosine_part(start, start * real("alpha", alpha), 0, decay_steps, exponent)


def cosine_part(
    start: float, end: float, begin: float, decay_steps: float, exponent: Value, *, first: int = 0
) -> Schedule:
    """Return a cosine decay between real positions; see `section`."""
    steps, power = real("decay_steps", decay_steps), real("exponent", exponent)
    if not steps > 0:
        raise ValueError(
            f"The cosine_decay_schedule requires positive decay_steps, got {decay_steps=}."
        )
    if power == 0:
        return Constant(start).take(step_at(begin + steps) - max(step_at(begin), first))
    return section(start, end, begin, begin + steps, "cosine", power, first=first)


def exponential_decay(
    init_value: Value,
    transition_steps: float,
    decay_rate: float,
    transition_begin: float = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> Schedule:
    """Return ``init * decay_rate ** ((t - transition_begin) / transition_steps)``, within a bound.

    Args:
        init_value: value up to ``transition_begin``.
        transition_steps: steps in which the value is multiplied by ``decay_rate``, a real number;
            0 or less: the schedule is constant.
        decay_rate: the factor, at least 0; above 1 the value grows (up to ``exp(600)`` times), and
            with 0 the schedule is constant.
        transition_begin: step at which the decay begins; a negative one counts as 0.
        staircase: whether the exponent is rounded down.
        end_value: lower bound of the value, or the upper one for a factor of 1 or more; None: no
            bound.

    Raises:
        ValueError: if the factor is negative, or ``transition_begin`` is not an integer for a
            staircase.
        TypeError: if a value is not one known number.

    >>> schedule = exponential_decay(1.0, transition_steps=2, decay_rate=0.25, end_value=0.1)
    >>> [round(schedule(t), 6) for t in range(5)]
    [1.0, 0.5, 0.25, 0.125, 0.1]
    """
    start, begin = real("init_value", init_value), real("transition_begin", transition_begin)
    return exponential_part(
        start, transition_steps, decay_rate, max(begin, 0.0), bool(staircase), end_value
    )


def exponential_part(
    start: float,
    transition_steps: float,
    decay_rate: float,
    begin: float,
    staircase: bool,
    end_value: Value | None,
) -> Schedule:
    """Return an exponential decay that begins at a real position, also before step 0."""
    steps, rate = real("transition_steps", transition_steps), real("decay_rate", decay_rate)
    if steps <= 0 or rate == 0:
        return Constant(start)
    if rate < 0:
        fail("decay_rate", "a number at least 0", decay_rate)
    first = step_at(begin)
    gone, fraction = divmod(first - begin, 1.0)
    if staircase and fraction:
        fail("transition_begin", "an integer for a staircase", begin)
    curve = powers(start, rate, steps, staircase, fraction)
    if gone:
        curve = curve.shift(-int(gone))
    curve = connect(Constant(start).take(first), curve)
    if end_value is None:
        return curve
    bound = real("end_value", end_value)
    return curve.maximum(bound) if rate < 1.0 else curve.minimum(bound)


def powers(start: float, rate: float, steps: float, staircase: bool, ahead: Position) -> Schedule:
    """Return ``start * rate ** ((t + ahead) / steps)``."""
    decay = Exponential(1.0, min(rate, 1.0 / rate), steps, staircase)
    left, _ = decay.after(Fraction(ahead) / Fraction(steps))
    if rate <= 1.0:
        return Exponential(start * left, rate, steps, staircase)
    last = int(min(_LARGEST_EXPONENT / math.log(rate) * steps, LAST))
    return (start / left / decay).take(last)
