"""The shapes of the schedulers: schedules with peak 1, in lehr's algebra."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.curves import find_curve
from lehr.schedule.errors import LAST, number
from lehr.schedule.piecewise import Function, Piecewise
from lehr.schedule.presets.basic import linear
from lehr.schedule.shapes import Ramp, Window

_cached = lru_cache(maxsize=256)  # the arguments may be changed between two steps
_COUNTED = 2**30  # last step that is counted; a power of 2, so that the ramp is exact


def left(curve: str, t: float, steps: float) -> float:
    """Return the remaining fraction of a curve at a real position."""
    if t >= steps:
        return 0.0
    return float(find_curve(curve).left(t / steps, (steps - t) / steps, scalar))


@_cached
def powers(gamma: float, every: int | None = None) -> Schedule:
    """Return ``gamma ** t``, or ``gamma ** floor(t / every)``; lehr's own decays only decrease."""
    t: Schedule = linear(0.0, float(_COUNTED), _COUNTED)
    if every is not None:
        number("step_size", every, above=0)
        t = t.every(min(every, LAST))
    return gamma**t


@_cached
def powers_at(gamma: float, milestones: tuple[float, ...]) -> Schedule:
    """Return ``gamma ** n``, where n is the number of milestones so far."""
    return gamma ** Piecewise(_first_steps(*milestones), tuple(range(len(milestones) + 1)))


@_cached
def two_values(before: float, after: float, boundary: float) -> Schedule:
    """Return a value before the boundary, and another one from there on."""
    return Piecewise(_first_steps(boundary), (before, after))


def _first_steps(*boundaries: float) -> tuple[int, ...]:
    return tuple(min(max(math.ceil(boundary), 0), LAST) for boundary in boundaries)


@_cached
def ramp(start: float, end: float, total: float, power: float = 1.0) -> Schedule:
    """Return a linear ramp, or a polynomial decay, in ``total`` steps, a real number."""
    if total <= LAST and float(total).is_integer():
        return Ramp(start, end, int(total), power=power)
    section = min(math.ceil(total), LAST)
    return Window(Ramp(start, end, power=power), section, 0.0, float(total))


@_cached
def cosine_wave(half: float) -> Schedule:
    """Return a cosine from 1 to 0 in ``half`` steps, a real number, and back, without end."""
    half = number("T_max", half, above=0)
    if half <= LAST // 2 and half.is_integer():
        fall, rise = (Ramp(a, 1.0 - a, int(half), "cosine") for a in (1.0, 0.0))
        return fall.then(rise).repeat()
    return Function(None, partial(_cosine_at, half))


def _cosine_at(half: float, t: Any) -> float:
    phase = t % (2.0 * half)
    return left("cosine", min(phase, 2.0 * half - phase), half)
