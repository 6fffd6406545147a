"""Presets for complete runs: a warm-up followed by a decay."""

import math
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.decays import InverseTime
from lehr.schedule.errors import fail, integer, number, ordered
from lehr.schedule.length import Length, check_length, parse, scale_length, typed
from lehr.schedule.presets.basic import Floor, check_floor, constant, cosine
from lehr.schedule.presets.basic import warmup as rise
from lehr.schedule.run import make_run
from lehr.schedule.shapes import Ramp, segment


def inverse_sqrt(
    peak: float,
    warmup: Length,
    *,
    start: float = 0.0,
    timescale: float | str | None = None,
) -> Schedule:
    """Construct a linear warm-up and an inverse square root decay; endless.

    After the warm-up the value is ``peak * sqrt(warmup / t)``, or with ``timescale``
    ``peak / sqrt(1 + (t - warmup) / timescale)``.

    Args:
        peak: largest value, above 0.
        warmup: length of the linear warm-up.
        start: value at step 0, from 0 to ``peak``.
        timescale: a length; None uses the length of the warm-up.

    Raises:
        ValueError: if a value is out of range, or the warm-up is 0 or has "until" and
            ``timescale`` is None.

    >>> [inverse_sqrt(1.0, warmup=4)(t) for t in (0, 2, 4, 16)]
    [0.0, 0.5, 1.0, 0.5]
    """
    up = rise(peak, _required("warmup", warmup), start=start)
    length = parse("warmup", warmup)
    if timescale is None and (length.until or not length.amount):
        fail("timescale", f"given with the warm-up {warmup!r}", None)
    constant_of_time: Any = warmup if timescale is None else timescale
    return up.then(InverseTime(peak, constant_of_time, 0.5))


def noam(model_size: int, warmup: float, *, scale: float = 1.0) -> Schedule:
    """Construct the schedule of the Transformer: a linear warm-up and an inverse square root decay.

    The value is ``scale / sqrt(model_size) * min(1 / sqrt(s), s / warmup**1.5)`` with
    ``s = max(t, 1)``; the schedule is endless.

    Source: Vaswani et al., arXiv 1706.03762.

    Args:
        model_size: width of the model, at least 1.
        warmup: number of warm-up steps, at least 1.
        scale: factor on the value, above 0.

    Raises:
        ValueError: if a value is out of range, or the warm-up is not in steps.

    >>> [round(noam(512, warmup=4000)(t), 8) for t in (1, 4000, 16000)]
    [1.7e-07, 0.00069877, 0.00034939]
    """
    known = check_length("warmup", warmup, missing="a number of steps such as 4000")
    if not isinstance(known, int):
        fail("warmup", "an integer number of steps, which determines the peak", warmup)
    warmup = integer("warmup", known)
    scale = number("scale", scale, above=0)
    peak = scale / math.sqrt(integer("model_size", model_size)) / math.sqrt(warmup)
    first = constant(peak / warmup, 1)
    up = first if warmup == 1 else first.then(Ramp(peak / warmup, peak, warmup - 1))
    return up.then(InverseTime(peak, warmup, power=0.5))


def flat_cosine(peak: float, hold: Length, steps: Length = None, *, floor: Floor = 0.0) -> Schedule:
    """Construct a constant ``peak`` followed by a cosine decay to ``floor``.

    Args:
        peak: value of the constant part, above 0.
        hold: length of the constant part.
        steps: length of the decay; None takes the rest of the run.
        floor: final value, from 0 to ``peak``; "10%" is a share of the peak.

    Raises:
        ValueError: if the floor is above the peak.

    >>> [round(flat_cosine(1.0, hold=4, steps=4)(t), 4) for t in (0, 3, 6, 8)]
    [1.0, 1.0, 0.5, 0.0]
    """
    decay = cosine(peak, steps, floor=floor)
    return constant(peak, _required("hold", hold)).then(decay)


def wsd(
    peak: float,
    warmup: Length,
    cooldown: Length,
    *,
    steps: Length = None,
    start: float = 0.0,
    floor: Floor = 0.0,
    curve: str = "1-sqrt",
    power: float = 1.0,
) -> Schedule:
    """Construct a warmup-stable-decay schedule; the cooldown ends at the end of the run.

    For a stable phase that is not constant, use a chain:
    ``warmup(...).then(inverse_time(...)).then_to(floor, cooldown)``.

    Source: Hu et al., arXiv 2404.06395; the default cooldown is Hägele et al.'s, arXiv 2405.18392.

    Args:
        peak: value of the stable phase, above 0.
        warmup: length of the linear warm-up.
        cooldown: length of the cooldown.
        steps: total length in steps; None: the length of the run.
        start: value at step 0, from 0 to ``peak``.
        floor: final value, from 0 to ``peak``; "10%" is a share of the peak.
        curve: curve of the cooldown: "1-sqrt", "linear", "cosine", "geometric", ...
        power: exponent of the remaining fraction of the cooldown, above 0.

    Raises:
        ValueError: if warm-up and cooldown do not fit in the steps.

    >>> s = wsd(1.0, warmup=2, cooldown=4, steps=10)
    >>> [s(t) for t in (0, 1, 2, 5, 6, 7, 10)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0]
    >>> wsd(0.1, 100, 2000).resolve(10_000)
    warmup(0.1, 100).then(constant(0.1, 7900)).then(Ramp(0.1, 0.0, 2000, curve='1-sqrt'))
    """
    peak = number("peak", peak, above=0)
    up, down = _required("warmup", warmup), _required("cooldown", cooldown)
    fall = segment(peak, check_floor(floor, peak), down, curve, power)
    plan = rise(peak, up, start=start).then(constant(peak)).then(fall)
    if steps is None:
        return plan
    known = check_length("steps", steps)
    if not isinstance(known, int):
        fail("steps", "an integer number of steps", steps, "omit it and resolve the schedule")
    try:
        return plan._resolve(make_run(known), typed(0), typed(known))
    except ValueError:
        rule = f"lengths in steps or percent that add up to at most {known} steps"
        fail("warmup and cooldown", rule, (up, down))


def slanted_triangular(
    peak: float, steps: Length, *, rise: float = 0.1, start: float | None = None
) -> Schedule:
    """Construct a slanted triangle: a short linear warm-up and a long linear decay.

    Source: Howard and Ruder, arXiv 1801.06146.

    Args:
        peak: largest value, above 0; reached at step ``int(rise * steps)``.
        steps: total length, at least 2 steps.
        rise: share of the length before the peak, above 0 and below 1.
        start: first and final value; None: peak / 32.

    Raises:
        ValueError: if a value is out of range, or the length is omitted.

    >>> [slanted_triangular(1.0, 100, start=0.1)(t) for t in (0, 10, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    peak = number("peak", peak, above=0)
    low = peak / 32 if start is None else number("start", start, at_least=0)
    ordered("start", low, "peak", peak)
    length = check_length("steps", steps, missing="a length such as 1000 or '100%'")
    share = typed(number("rise", rise, above=0, below=1))
    if not isinstance(length, int):
        up, down = scale_length(length, share), scale_length(length, 1 - share)
        return Ramp(low, peak, up).then(Ramp(peak, low, down))
    integer("steps", length, at_least=2)
    first = min(max(1, math.floor(length * share)), length - 1)
    return Ramp(low, peak, first).then(Ramp(peak, low, length - first))


def _required(field: str, length: Length) -> Length:
    return check_length(field, length, missing="a length such as 500 or '5%'")
