"""Functions that return whole plans: a warm-up and what follows it."""

import math
from fractions import Fraction

from lehr.schedule.base import Schedule
from lehr.schedule.combine import Chain
from lehr.schedule.decays import InverseTime
from lehr.schedule.errors import fail, number, ordered, whole
from lehr.schedule.length import Length, Run, check_length, nearest, typed
from lehr.schedule.presets.basic import constant, cosine
from lehr.schedule.presets.basic import warmup as rise
from lehr.schedule.shapes import Ramp


def inverse_sqrt(
    peak: float, warmup: Length, start: float = 0.0, timescale: float | str | None = None
) -> Schedule:
    """Return a warm-up to ``peak``, then ``peak * sqrt(warmup / t)``, endless.

    Args:
        peak: largest value, above 0.
        warmup: length of the linear rise.
        start: value at step 0, from 0 to ``peak``.
        timescale: a length; given, the fall is ``peak / sqrt(1 + (t - warmup) / timescale)``.

    >>> [inverse_sqrt(1.0, warmup=4)(t) for t in (0, 2, 4, 16)]
    [0.0, 0.5, 1.0, 0.5]
    """
    up = rise(peak, _needed("warmup", warmup), start)
    return up.then(InverseTime(peak, warmup if timescale is None else timescale, 0.5))  # type: ignore[arg-type]


def noam(model_size: int, warmup: int, factor: float = 1.0) -> Schedule:
    """Return ``factor / sqrt(model_size) * min(1 / sqrt(s), s / warmup**1.5)``, s = max(t, 1).

    Source: Vaswani et al., arXiv 1706.03762.

    >>> [round(noam(512, warmup=4000)(t), 8) for t in (1, 4000, 16000)]
    [1.7e-07, 0.00069877, 0.00034939]
    """
    warmup = whole("warmup", warmup)
    factor = number("factor", factor, above=0)
    peak = factor / math.sqrt(whole("model_size", model_size)) / math.sqrt(warmup)
    parts: list[Schedule] = [constant(peak / warmup, 1)]
    if warmup > 1:
        parts.append(Ramp(peak / warmup, peak, warmup - 1))
    return Chain((*parts, InverseTime(peak, warmup, power=0.5)))


def flat_cosine(peak: float, flat: Length, steps: Length = None, floor: float = 0.0) -> Schedule:
    """Return ``peak`` for ``flat``, then a cosine to the floor over ``steps``, or the rest.

    >>> [flat_cosine(1.0, flat=4, steps=4)(t) for t in (0, 3, 6, 8)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return constant(peak, _needed("flat", flat)).then(cosine(peak, steps, floor))


def wsd(
    peak: float,
    warmup: Length,
    cooldown: Length,
    steps: int | None = None,
    curve: str = "1-sqrt",
    floor: float = 0.0,
    *,
    power: float = 1.0,
    start: float = 0.0,
    stable: Schedule | None = None,
) -> Schedule:
    """Return a warm-up, a stable phase, and a cooldown to the floor at the end of the run.

    Source: Hu et al., arXiv 2404.06395; the default cooldown is Hägele et al.'s, arXiv 2405.18392.

    Args:
        peak: value between warm-up and cooldown.
        warmup: length of the linear rise: whole steps, or a share of the run such as "5%".
        cooldown: length of the fall, likewise.
        steps: the whole run; None takes the run that resolves the plan, and then the cooldown
            must be a share of it.
        curve: of the cooldown: "1-sqrt", "linear", "cosine", "exponential", ...
        floor: last value, from 0 to ``peak``.
        power: exponent of what is left of the cooldown, above 0.
        start: value at step 0, from 0 to ``peak``.
        stable: what the stable phase does instead of staying at the peak, cut where the cooldown
            begins, which falls from there. It needs ``steps``.

    >>> s = wsd(1.0, warmup=2, cooldown=4, steps=10)
    >>> [s(t) for t in (0, 1, 2, 5, 6, 7, 10)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0]
    """
    peak = number("peak", peak, above=0)
    ordered("floor", number("floor", floor, at_least=0), "peak", peak)
    up, down = _needed("warmup", warmup), _needed("cooldown", cooldown)
    between: Length
    if steps is None and stable is None and _is_share(down) and not _is_share(up):
        # in runs of all lengths the same until the cooldown: they can branch off one trunk
        flat = constant(peak, _share_between("0%", down))
        return rise(peak, up, start).minimum(flat.then(_fall(peak, floor, None, curve, power)))
    if steps is None:
        between = _share_between(up, down)
    else:
        up, between, down = _steps_between(up, down, steps)
    middle, last = constant(peak, between), peak
    if stable is not None:
        if not isinstance(between, int) or not isinstance(stable, Schedule):
            fail("stable", "a schedule, in a plan of known steps", stable, "give steps=")
        middle, last = stable.take(between), stable(between)
    return rise(peak, up, start).then(middle).then(_fall(last, floor, down, curve, power))


def slanted_triangular(peak: float, steps: int, cut: float = 0.1, ratio: float = 32.0) -> Schedule:
    """Return a short rise from ``peak / ratio`` and a long fall back to it.

    Source: Howard and Ruder, arXiv 1801.06146.

    Args:
        peak: largest value, above 0; it stands at step ``int(cut * steps)``.
        steps: whole run, at least 2.
        cut: share of the run until the peak, above 0 and below 1.
        ratio: how many times smaller the ends are than the peak, at least 1.

    >>> [slanted_triangular(1.0, 100, ratio=10)(t) for t in (0, 10, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    low = number("peak", peak, above=0) / number("ratio", ratio, at_least=1)
    steps = whole("steps", steps, at_least=2)
    share = typed(number("cut", cut, above=0, below=1))
    up = min(max(1, math.floor(steps * share)), steps - 1)
    return Ramp(low, peak, up).then(Ramp(peak, low, steps - up))


def _fall(start: float, floor: float, length: Length, curve: str, power: float) -> Ramp:
    return Ramp(start, floor, length, "sqrt" if curve == "1-sqrt" else curve, power)


def _is_share(length: Length) -> bool:
    return isinstance(length, str) and length.endswith("%")


def _needed(field: str, length: Length) -> Length:
    if length is None:
        fail(field, "a length such as 500 or '5%'", None)
    return check_length(field, length)


def _steps_between(up: Length, down: Length, steps: int) -> tuple[int, int, int]:
    """Return warm-up, what lies between, and cooldown, in whole steps of a known run."""
    steps = whole("steps", steps, at_least=3)
    run = Run(steps)
    rising = nearest(run.exact("warmup", up, Fraction(0)))
    falling = steps - nearest(steps - run.exact("cooldown", down, Fraction(0)))
    if rising < 1 or falling < 1 or rising + falling >= steps:
        rule = f"at least 1 step each and less than the {steps} steps together"
        fail("warmup and cooldown", rule, (up, down))
    return rising, steps - rising - falling, falling


def _share_between(up: Length, down: Length) -> str:
    """Return what lies between warm-up and cooldown, as a share of the run."""
    if not _is_share(up) or not _is_share(down):
        fail("cooldown", "a share of the run", down, "or give steps=")
    share = 100 - sum(Fraction(str(n).rstrip("%")) for n in (up, down))
    if share <= 0:
        fail("warmup and cooldown", "less than the run together", (up, down))
    return f"{float(share)!r}%"
