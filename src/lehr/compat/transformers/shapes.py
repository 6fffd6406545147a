"""The shapes of the schedules: factors on the base rate, in lehr's algebra.

The arguments are those of the library; lengths may be real numbers.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

from lehr.compat.sections import Position, connect, real, section, step_at
from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.curves import find_curve
from lehr.schedule.decays import InverseTime
from lehr.schedule.errors import LAST, number
from lehr.schedule.piecewise import Function
from lehr.schedule.shapes import Constant, Ramp


def constant_with_warmup(num_warmup_steps: float) -> Schedule:
    """Return a linear warm-up, then 1."""
    return connect(warmup(real("num_warmup_steps", num_warmup_steps)), Constant(1.0))


def warmup(num_warmup_steps: Position) -> Schedule:
    """Return a linear warm-up from 0 to 1."""
    return section(0.0, 1.0, 0, num_warmup_steps)


def decay_positions(
    num_warmup_steps: float, num_training_steps: float
) -> tuple[Fraction, Fraction, Fraction]:
    """Return the ends of the warm-up and of the run, and the length of the decay, at least 1."""
    begin = Fraction(real("num_warmup_steps", num_warmup_steps))
    end = Fraction(real("num_training_steps", num_training_steps))
    return begin, end, max(end - begin, Fraction(1))


def linear(num_warmup_steps: float, num_training_steps: float) -> Schedule:
    """Return a linear warm-up, then a linear decay to 0."""
    begin, end, span = decay_positions(num_warmup_steps, num_training_steps)
    decay = section(1.0, 0.0, end - span, end, first=step_at(begin))
    return connect(warmup(begin), decay)


def cosine(
    num_warmup_steps: float,
    num_training_steps: float,
    num_cycles: float,
    min_lr_rate: float = 0.0,
) -> Schedule:
    """Return a linear warm-up, then a cosine wave between 1 and ``min_lr_rate``."""
    begin, _, span = decay_positions(num_warmup_steps, num_training_steps)
    return connect(warmup(begin), wave(begin, span, num_cycles, min_lr_rate, step_at(begin)))


def wave(begin: Position, span: Position, cycles: float, low: float, first: int) -> Schedule:
    """Return a cosine wave from 1 at the position ``begin``, seen from the step ``first``.

    It makes ``cycles`` waves, a real number, in ``span`` steps, and continues without end.
    """
    if not cycles:
        return Constant(1.0)
    half, offset = float(span) / (2.0 * abs(cycles)), float(first - begin)
    if half.is_integer() and half <= LAST // 2 and offset.is_integer():
        fall, rise = (Ramp(a, b, int(half), "cosine") for a, b in ((1.0, low), (low, 1.0)))
        found: Schedule = fall.then(rise).repeat()
        found = found.shift(-int(offset)) if offset else found
    else:
        found = Function(None, partial(wave_at, half, offset)) * (1.0 - low) + low
    return found.maximum(0.0) if low < 0.0 else found


def wave_at(half: float, offset: float, t: Any) -> Any:
    """Return the height of a cosine wave between 1 and 0; ``v`` of the curve goes on below 0."""
    return find_curve("cosine").left(
        None, (half - offset - t) / half, scalar.namespace(t) or scalar
    )


def cosine_with_hard_restarts(
    num_warmup_steps: float, num_training_steps: float, num_cycles: float
) -> Schedule:
    """Return a linear warm-up, then ``num_cycles`` cosine decays to 0, the last one maybe cut."""
    begin, _, span = decay_positions(num_warmup_steps, num_training_steps)
    cycles = Fraction(number("num_cycles", num_cycles, at_least=0))
    first, end = step_at(begin), step_at(begin + span)
    if not cycles:
        return connect(warmup(begin), Constant(1.0).take(end - first), Constant(0.0))
    parts = []
    for k in range(math.ceil(cycles)):
        since, until = (begin + i * span / cycles for i in (k, k + 1))
        part = section(1.0, 0.0, since, until, "cosine", first=first)
        cut = step_at(until) > end
        parts.append(part.take(end - max(step_at(since), first)) if cut else part)
    return connect(warmup(begin), *parts, Constant(0.0))


def polynomial(
    num_warmup_steps: float,
    num_training_steps: float,
    lr_end: float,
    power: float,
    lr_init: float,
) -> Schedule:
    """Return a linear warm-up, then a polynomial decay to ``lr_end / lr_init``."""
    begin, end, _ = decay_positions(num_warmup_steps, num_training_steps)
    low, first = real("lr_end", lr_end) / real("lr_init", lr_init), step_at(begin)
    if power == 0:  # 1 up to the end, with the end
        hold = Constant(1.0).take(max(math.floor(end) + 1 - first, 0))
        return connect(warmup(begin), hold, Constant(low))
    decay = section(1.0, low, begin, end, power=real("power", power), first=first)
    return connect(warmup(begin), decay)


def inverse_sqrt(num_warmup_steps: float, timescale: float) -> Schedule:
    """Return a linear warm-up, then ``1 / sqrt((t - num_warmup_steps) / timescale + 1)``."""
    steps, scale = (
        real("num_warmup_steps", num_warmup_steps),
        number("timescale", timescale, above=0),
    )
    offset = Fraction(step_at(steps)) - Fraction(steps)
    left, factor = InverseTime(1.0, scale, power=0.5).after(offset / Fraction(scale))
    decay = InverseTime(left, float(Fraction(scale) * factor), power=0.5)
    return connect(warmup(steps), decay)


def cosine_from_first_step(
    num_warmup_steps: float,
    num_training_steps: float,
    num_cycles: float,
    min_lr_rate: float = 0.0,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    """Return a warm-up whose first step is above 0, then a cosine wave that is one step ahead."""
    begin, _, span = decay_positions(num_warmup_steps, num_training_steps)
    first = step_at(begin)
    if warmup_lr_rate is None:
        rise = Ramp(0.0, first / max(1.0, float(begin)), first, from_zero=False)
    else:
        low, last = real("warmup_lr_rate", warmup_lr_rate), max(first - 1, 0)
        rise = Ramp(low, low + (1.0 - low) * last / max(1.0, float(begin) - 1.0), last)
    return connect(rise.take(first), wave(begin - 1, span, num_cycles, min_lr_rate, first))


def wsd(
    num_warmup_steps: float,
    num_stable_steps: float,
    num_decay_steps: float,
    warmup_type: str,
    decay_type: str,
    min_lr_ratio: float,
    num_cycles: float,
) -> Schedule:
    """Return a warm-up from ``min_lr_ratio``, 1, and a decay to ``min_lr_ratio``."""
    low, rise = real("min_lr_ratio", min_lr_ratio), real("num_warmup_steps", num_warmup_steps)
    hold = rise + real("num_stable_steps", num_stable_steps)
    end = hold + real("num_decay_steps", num_decay_steps)
    stable, decay, last = (max(step_at(rise), step_at(position)) for position in (rise, hold, end))
    curve, power = ("linear", 0.5) if warmup_type == "1-sqrt" else (warmup_type, 1.0)
    parts: list[Schedule] = [
        section(low, 1.0, 0, rise, curve, power),
        Constant(1.0).take(decay - stable),
    ]
    if decay_type == "cosine" and num_cycles != 0.5:
        fall: Schedule = wave(hold, max(1.0, end - hold), num_cycles, low, decay).take(
            max(last - decay, 0)
        )
    else:
        fall = section(1.0, low, hold, end, decay_type, first=decay)
    parts.append(fall)
    if low < 0.0:
        parts = [part.maximum(0.0) for part in parts]
    return connect(*parts, Constant(low))
