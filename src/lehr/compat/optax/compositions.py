"""Schedules of several parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lehr.compat.optax.transitions import (
    Value,
    cosine_part,
    exponential_part,
    knots,
    linear_schedule,
)
from lehr.compat.sections import connect, real, section, step_at
from lehr.schedule.base import Schedule
from lehr.schedule.errors import LAST, fail
from lehr.schedule.piecewise import Function
from lehr.schedule.shapes import Constant


def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: Value,
    boundaries_and_scales: Mapping[int, float] | None = None,
) -> Schedule:
    """Return a schedule that is interpolated between its values at the boundaries.

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: value at step 0.
        boundaries_and_scales: the factor at each boundary, in steps; each one multiplies the value
            at the boundary before it.

    Raises:
        ValueError: if the type is unknown or a factor is negative.
        TypeError: if a value is not one known number.

    >>> schedule = piecewise_interpolate_schedule("linear", 1.0, {2: 0.5, 4: 0.5})
    >>> [schedule(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.375, 0.25, 0.25]
    """
    if interpolate_type not in ("linear", "cosine"):
        raise ValueError("`interpolate_type` must be either 'cosine' or 'linear'")
    name = "piecewise_interpolate_schedule"
    boundaries, values = knots(name, init_value, boundaries_and_scales)
    if not boundaries:
        return Constant(values[0])
    ends = zip(pairwise(values), pairwise([0.0, *boundaries]), strict=True)
    return connect(*(section(*ab, *positions, interpolate_type) for ab, positions in ends))


def linear_onecycle_schedule(
    transition_steps: float,
    peak_value: Value,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Return a one-cycle schedule of three linear phases.

    Source: Smith and Topin, arXiv 1708.07120.

    Args:
        transition_steps: length in steps.
        peak_value: value at step ``int(pct_start * transition_steps)``.
        pct_start: share of the steps before the peak.
        pct_final: share of the steps until the value has returned to the first one.
        div_factor: the first value is ``peak_value / div_factor``.
        final_div_factor: the last value is the first one divided by it.

    Raises:
        ValueError: if ``transition_steps`` is not above 0.

    >>> schedule = linear_onecycle_schedule(20, 1.0, div_factor=2.0)
    >>> [round(schedule(t), 5) for t in (0, 3, 6, 17, 20)]
    [0.5, 0.75, 1.0, 0.5, 5e-05]
    """
    require_steps("linear", transition_steps)
    return piecewise_interpolate_schedule(
        "linear",
        real("peak_value", peak_value) / div_factor,
        {
            int(pct_start * transition_steps): div_factor,
            int(pct_final * transition_steps): 1.0 / div_factor,
            transition_steps: 1.0 / final_div_factor,  # type: ignore[dict-item]
        },
    )


def cosine_onecycle_schedule(
    transition_steps: float,
    peak_value: Value,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Return a one-cycle schedule of two cosine phases.

    Source: Smith and Topin, arXiv 1708.07120.

    Args:
        transition_steps: length in steps.
        peak_value: value at step ``int(pct_start * transition_steps)``.
        pct_start: share of the steps before the peak.
        div_factor: the first value is ``peak_value / div_factor``.
        final_div_factor: the last value is the first one divided by it.

    Raises:
        ValueError: if ``transition_steps`` is not above 0.

    >>> schedule = cosine_onecycle_schedule(10, 1.0, div_factor=2.0)
    >>> [round(schedule(t), 4) for t in (0, 1, 3, 6, 10)]
    [0.5, 0.625, 1.0, 0.6113, 0.0001]
    """
    require_steps("cosine", transition_steps)
    return piecewise_interpolate_schedule(
        "cosine",
        real("peak_value", peak_value) / div_factor,
        {
            int(pct_start * transition_steps): div_factor,
            int(transition_steps): 1.0 / (div_factor * final_div_factor),
        },
    )


def require_steps(kind: str, transition_steps: float) -> None:
    """Raise unless a one-cycle schedule has steps."""
    if transition_steps <= 0:
        text = f"A {kind} onecycle schedule was set with a non-positive `transition_steps`"
        raise ValueError(text)


def warmup_constant_schedule(init_value: Value, peak_value: Value, warmup_steps: float) -> Schedule:
    """Return a linear warm-up followed by a constant: `linear_schedule` by other names.

    Args:
        init_value: value at step 0.
        peak_value: value at the end of the warm-up and after.
        warmup_steps: length in steps, a real number; 0 or less: the value remains ``init_value``.

    Raises:
        TypeError: if a value is not one known number.

    >>> warmup_constant_schedule(0.0, 1.0, warmup_steps=10)
    warmup(1.0, 10)
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: float,
    decay_steps: float,
    end_value: Value = 0.0,
    exponent: Value = 1.0,
) -> Schedule:
    """Return a linear warm-up followed by a `cosine_decay_schedule`.

    Args:
        init_value: value at step 0.
        peak_value: value at the end of the warm-up; with 0 the value after it is 0.
        warmup_steps: length of the warm-up in steps, a real number.
        decay_steps: length of the schedule in steps, with the warm-up.
        end_value: value at the end and after.
        exponent: exponent of the cosine, at least 0.

    Raises:
        ValueError: if ``decay_steps`` is not above ``warmup_steps``, or the exponent is negative.
        TypeError: if a value is not one known number.

    >>> warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=100, end_value=0.1)
    warmup(1.0, 10).then(cosine(1.0, 90, floor=0.1))
    """
    cycle = (init_value, peak_value, warmup_steps, decay_steps, end_value, exponent)
    return connect(*warmup_and_cosine(0.0, *cycle))


def warmup_and_cosine(
    begin: float,
    init_value: Value,
    peak_value: Value,
    warmup_steps: float,
    decay_steps: float,
    end_value: Value = 0.0,
    exponent: Value = 1.0,
) -> tuple[Schedule, Schedule]:
    """Return the parts of a `warmup_cosine_decay_schedule` that begins at a real position."""
    start, peak = real("init_value", init_value), real("peak_value", peak_value)
    end = real("end_value", end_value) if peak else 0.0
    steps, total = real("warmup_steps", warmup_steps), real("decay_steps", decay_steps)
    first = step_at(begin)
    warmup = section(start, peak, begin, begin + steps, first=first)
    return warmup, cosine_part(peak, end, begin + steps, total - steps, exponent, first=first)


def warmup_exponential_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: float,
    transition_steps: float,
    decay_rate: Value,
    transition_begin: float = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> Schedule:
    """Return a linear warm-up followed by an `exponential_decay`.

    Args:
        init_value: value at step 0.
        peak_value: value at the end of the warm-up.
        warmup_steps: length of the warm-up in steps, a real number.
        transition_steps: steps in which the value is multiplied by ``decay_rate``, a real number;
            0 or less: the value remains the peak.
        decay_rate: the factor, at least 0; with 0 the value remains the peak.
        transition_begin: steps after the warm-up at which the decay begins; a negative number
            counts as 0.
        staircase: whether the exponent is rounded down.
        end_value: lower bound of the value, or the upper one for a factor of 1 or more; None: no
            bound.

    Raises:
        ValueError: if the factor is negative, or the decay of a staircase begins between two steps.
        TypeError: if a value is not one known number.

    >>> schedule = warmup_exponential_decay_schedule(0.0, 1.0, 2, 1, 0.5, transition_begin=1)
    >>> [schedule(t) for t in range(6)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.25]
    """
    peak, steps = real("peak_value", peak_value), real("warmup_steps", warmup_steps)
    warmup = section(real("init_value", init_value), peak, 0, steps)
    begin = steps - step_at(steps) + max(real("transition_begin", transition_begin), 0.0)
    decay = exponential_part(peak, transition_steps, decay_rate, begin, bool(staircase), end_value)
    return connect(warmup, decay)


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Return several cycles of `warmup_cosine_decay_schedule` (SGD with warm restarts).

    Source: Loshchilov and Hutter, arXiv 1608.03983.

    Args:
        cosine_kwargs: the arguments of each cycle; ``decay_steps`` is its length.

    Raises:
        ValueError: if there is no cycle, or ``decay_steps`` is not above ``warmup_steps``.
        TypeError: if an argument is missing or unknown.

    >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 3}
    >>> schedule = sgdr_schedule([cycle, cycle | {"peak_value": 0.5}])
    >>> [round(schedule(t), 6) for t in range(7)]
    [0.0, 1.0, 0.5, 0.0, 0.5, 0.25, 0.0]
    """
    begin, parts = 0.0, list[Schedule]()
    for cycle in cosine_kwargs:
        parts += warmup_and_cosine(begin, **cycle)
        begin += real("decay_steps", cycle["decay_steps"])
    if not parts:
        fail("cosine_kwargs", "a list of at least one dict", [])
    return connect(*parts)


def join_schedules(
    schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[int]
) -> Schedule:
    """Return the schedules one after the other; each one counts from its boundary.

    Args:
        schedules: schedules of lehr, or other functions of the step (of Optax, for instance).
        boundaries: the first step of the second and each later schedule.

    Raises:
        ValueError: if a boundary is not an integer, or there is no schedule.
        TypeError: if a schedule is not callable.

    >>> from lehr.compat.optax import constant_schedule
    >>> schedule = join_schedules([constant_schedule(1.0), linear_schedule(0.5, 0.0, 2)], [1])
    >>> [schedule(t) for t in range(4)]
    [1.0, 0.5, 0.25, 0.0]
    """
    starts = [0, *(whole_step(boundary) for boundary in boundaries)]
    parts: list[Schedule] = []
    end = LAST
    for begin, function in reversed([*zip(starts, schedules, strict=False)]):
        part = function if isinstance(function, Schedule) else Function(None, function)
        first = max(begin, 0)
        if begin < 0:  # its beginning is dropped
            dropped = min(-begin, part.length) if isinstance(part.length, int) else -begin
            part = part.shift(-dropped)
        if first < end:
            owned = end - first
            parts.append(part if not parts or part.length == owned else part.take(owned))
            end = first
    if not parts:
        fail("schedules", "a list of at least one schedule", schedules)
    return connect(*reversed(parts))


def whole_step(boundary: Any) -> int:
    """Return a boundary as an integer."""
    if not real("boundaries", boundary).is_integer():
        fail("boundaries", "integers", boundary)
    return int(boundary)
