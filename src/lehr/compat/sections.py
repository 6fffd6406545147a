"""Parts of chains between real positions, as other libraries define them.

A phase of another library may begin and end between two steps. A part of a chain owns the integer
steps in it, and its curve is measured from the real positions.
"""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.chain import Chain
from lehr.schedule.errors import LAST, number
from lehr.schedule.shapes import Ramp, Window

Position = float | Fraction


def real(field: str, value: Any) -> float:
    """Return a number, or an array of one number, as a float.

    Raises:
        ValueError: if the number is not finite.
        TypeError: if the value is not one known number.
    """
    if getattr(value, "ndim", None) == 0:
        with suppress(TypeError):  # a traced value of JAX; `number` raises with a hint
            value = float(value)
    return number(field, value)


def step_at(position: Position) -> int:
    """Return the first step at or after a position; at most the last step."""
    return min(max(math.ceil(position), 0), LAST)


def section(
    start: float,
    end: float,
    begin: Position,
    finish: Position,
    curve: str = "linear",
    power: float = 1.0,
    *,
    first: int = 0,
) -> Schedule:
    """Return the part of a curve with the steps from ``begin``, or ``first``, up to ``finish``.

    Args:
        start: value at the position ``begin``.
        end: value at ``finish`` and after.
        begin: real position in steps; may be negative.
        finish: real position in steps.
        curve: name of a curve.
        power: exponent of the remaining fraction.
        first: the first step of the part, if that is later than ``begin``.

    >>> section(1.0, 0.0, 2, 6), section(1.0, 0.0, 2.5, 6.0)(0)
    (linear(1.0, 0.0, 4), 0.8571428571428571)
    """
    first = max(step_at(begin), first)
    steps = max(step_at(finish) - first, 0)
    if not steps or (first == begin and first + steps == finish):
        return Ramp(start, end, steps, curve, power)
    shape = Ramp(start, end, None, curve, power)
    return Window(shape, steps, float(first - begin), float(finish - begin))


def connect(*parts: Schedule) -> Schedule:
    """Return the chain of the parts, without those of length 0 before the last one.

    >>> connect(section(0.0, 1.0, 0, 0), section(1.0, 0.0, 0, 4))
    linear(1.0, 0.0, 4)
    """
    *before, last = parts
    used = (*(part for part in before if part.length), last)
    return Chain(used) if len(used) > 1 else last
