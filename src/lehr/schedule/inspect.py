"""Inspection of a schedule before training: summary, lint and a text drawing."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lehr.schedule.errors import LAST, fail, integer

if TYPE_CHECKING:
    from lehr.schedule.base import Schedule

_MOST_EVALUATED = 100_000
_MOST_WORK = 500_000  # evaluated schedules; the more schedules in a tree, the fewer steps
_LEAST_EVALUATED = 200
_LEAST_SEARCHED = 64
_JUMP = 0.1  # smallest jump that is reported, as a fraction of the largest value
_HALF_CYCLE = (2, 8)  # recommended range in epochs: Smith, arXiv 1506.01186, section 3.2
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Summary:
    """Summary of the values of a schedule over a number of steps.

    Attributes:
        steps: number of steps that were evaluated.
        start: value at step 0.
        peak: largest value.
        peak_step: first step of the largest value.
        lowest: smallest value.
        last: value at the last step, ``steps - 1``.
        after: value at step ``steps``; for a schedule of that length, the final value.

    >>> import lehr
    >>> summary = lehr.warmup(0.1, 10).then(lehr.linear(0.1, 0.0, 90)).summary()
    >>> summary.peak, summary.peak_step, summary.after
    (0.1, 10, 0.0)
    """

    steps: int
    start: float
    peak: float
    peak_step: int
    lowest: float
    last: float
    after: float

    def __str__(self) -> str:
        """Return the summary as one sentence."""
        return (
            f"{self.steps} steps: {self.start:g} at the start, peak {self.peak:g} at step "
            f"{self.peak_step}, lowest {self.lowest:g}, {self.last:g} at the last step, "
            f"{self.after:g} after it"
        )


@dataclass(frozen=True)
class Finding:
    """A likely mistake found by ``lint``, with a suggested fix.

    Attributes:
        name: kind of mistake, such as "too long".
        advice: description and fix.
        where: name of the schedule in a policy, "lr" or "lr/head"; "" otherwise.
    """

    name: str
    advice: str
    where: str = ""


def summarise(schedule: Schedule, steps: int | None = None) -> Summary:
    """Summarise a schedule over its length, or over ``steps`` steps."""
    steps = steps_of(schedule, steps)
    values = {t: schedule(t) for t in _evaluated(schedule, steps)}
    peak_step = max(values, key=lambda t: (values[t], -t))
    return Summary(
        steps=steps,
        start=schedule(0),
        peak=values[peak_step],
        peak_step=peak_step,
        lowest=min(values.values()),
        last=schedule(steps - 1),
        after=schedule(steps),
    )


def steps_of(schedule: Schedule, steps: int | None) -> int:
    """Return the steps to inspect: by default the length of the schedule."""
    if steps is None:
        if not isinstance(schedule.length, int):
            fail("steps", "given for a schedule without a known end", None, "pass steps=")
        steps = schedule.length
    return integer("steps", steps)


def lint(
    schedule: Schedule, original: Schedule, steps: int, steps_per_epoch: float | None = None
) -> list[Finding]:
    """Check a resolved schedule for common mistakes in a run of ``steps`` steps.

    The advice quotes the lengths of ``original``, the schedule before it was resolved.
    """
    return [
        *_length_findings(schedule, steps, steps_per_epoch),
        *_vanished_findings(schedule, original),
        *_unreached_findings(schedule, steps),
        *_value_findings(schedule, steps),
        *_joint_findings(schedule, steps),
        *_cut_findings(schedule, steps),
        *(_cycle_findings(schedule, steps_per_epoch) if steps_per_epoch else ()),
    ]


def _length_findings(
    schedule: Schedule, steps: int, steps_per_epoch: float | None
) -> Iterator[Finding]:
    length = schedule.length
    if not isinstance(length, int) or length == steps or length >= LAST:  # cut at the largest step
        return
    if steps_per_epoch and steps_per_epoch > 1 and abs(length * steps_per_epoch - steps) <= 0.5:
        yield Finding(
            "stepped per epoch",
            f"its length of {length} steps is the number of epochs of the run, but a step is one "
            "update; write the lengths as '... epochs' or use .every('1 epoch')",
        )
    elif length < steps:
        yield Finding(
            "too short",
            f"it ends at step {length}; the last {steps - length} of the {steps} updates use "
            f"{schedule(length):g}; omit the last length",
        )
    elif (rise := _warmup_length(schedule)) is not None and rise >= steps:
        yield Finding(
            "warm-up longer than the run",
            f"the warm-up takes {rise} steps and the run has {steps}; shorten the warm-up",
        )
    else:
        yield Finding(
            "too long",
            f"it takes {length} steps and the run has {steps}: it stops at {schedule(steps):g} and "
            f"does not reach {schedule(length):g}; omit the last length",
        )


def _vanished_findings(schedule: Schedule, original: Schedule) -> Iterator[Finding]:
    """Find parts whose length was rounded to 0 steps."""
    from lehr.schedule.chain import Chain
    from lehr.schedule.piecewise import Piecewise

    if isinstance(schedule, Piecewise) and isinstance(original, Piecewise):
        for a, b in itertools.pairwise(range(len(schedule.boundaries))):
            if schedule.boundaries[a] == schedule.boundaries[b] and not original.resolved:
                yield Finding(
                    "part without a step",
                    f"the boundaries {original.boundaries[a]!r} and {original.boundaries[b]!r} are "
                    "rounded to the same step of this run; move or remove one of them",
                )
    parts, were = schedule._parts(), original._parts()
    if type(schedule) is not type(original) or len(parts) != len(were):
        return
    for i, (part, was) in enumerate(zip(parts, were, strict=True), 1):
        if isinstance(schedule, Chain) and part.length == 0 and was.length != 0:
            yield Finding(
                "part without a step",
                f"part {i}, {was!r}, is shorter than half a step of this run and has no effect; "
                "lengthen or remove it",
            )
        yield from _vanished_findings(part, was)


def _unreached_findings(schedule: Schedule, steps: int) -> Iterator[Finding]:
    """Find boundaries at or after the end of the run."""
    from lehr.schedule.decays import Decay
    from lehr.schedule.piecewise import Piecewise

    for part, place in _placed(schedule):
        at: list[int] = []
        if isinstance(part, Piecewise) and part.curve == "constant":
            at = [place(b) for b in part.boundaries]  # type: ignore[arg-type]
        elif isinstance(part, Decay) and part.staircase:
            at = [place(part._boundaries.at(1))]  # type: ignore[union-attr]
        late = [step for step in at if step >= steps]
        if late:
            yield Finding(
                "never reached",
                f"the values from step {late[0]} on are never used, as the run has {steps} "
                "steps; move the boundaries or lengthen the run",
            )


def _cut_findings(schedule: Schedule, steps: int) -> Iterator[Finding]:
    """Find a last cycle that is incomplete at the end of the run."""
    from lehr.schedule.repeat import Repeat

    for part, place in _placed(schedule):
        if not isinstance(part, Repeat) or part.times is not None or place(0) >= steps:
            continue
        boundaries = part._boundaries
        assert boundaries is not None  # the schedule is resolved
        starts = range(steps + 1)  # a cycle takes at least one step
        k = bisect.bisect_right(starts, steps, key=lambda k: place(boundaries.at(k))) - 1
        start, end = place(boundaries.at(k)), place(boundaries.at(k + 1))
        if start < steps:
            yield Finding(
                "cycle cut off",
                f"the run ends after {steps - start} of the {end - start} steps of its last cycle; "
                "use a share of the run as the length of a cycle, such as '20%'",
            )


def _value_findings(schedule: Schedule, steps: int) -> Iterator[Finding]:
    values = [schedule(t) for t in _evaluated(schedule, steps)]
    if min(values) < 0:
        yield Finding("negative", f"it falls to {min(values):g}; use .clip(floor=0.0)")
    if max(values) == 0:
        yield Finding("always zero", "the parameters would not change; use a peak above 0")


def _joint_findings(schedule: Schedule, steps: int) -> Iterator[Finding]:
    """Find jumps between parts; a rise after a decreasing part is a restart and is not reported."""
    for parts, first in _chains(schedule):
        chain = [part for part in parts[:-1] if part.length != 0] + [parts[-1]]
        top = max(abs(value) for part in chain for value in _ends(part))
        for before, after in itertools.pairwise(chain):
            first += before.length if isinstance(before.length, int) else 0
            (start, end), begin = _ends(before), _ends(after)[0]
            restart = end < start and begin > end
            if first < steps and abs(begin - end) > _JUMP * top and not restart:
                yield Finding(
                    "jump at a joint",
                    f"at step {first} it jumps from {end:g} to {begin:g}; use the end value of one "
                    "part as the start value of the next",
                )


def _cycle_findings(schedule: Schedule, steps_per_epoch: float) -> Iterator[Finding]:
    from lehr.schedule.repeat import Repeat

    for part in _tree(schedule):
        if not isinstance(part, Repeat):
            continue
        for chain, _ in _chains(part.cycle):
            rise = chain[0]
            start, end = _ends(rise)
            half = rise.length / steps_per_epoch  # type: ignore[operator]
            if len(chain) == 2 and start < end and not _HALF_CYCLE[0] <= half <= _HALF_CYCLE[1]:
                yield Finding(
                    "half cycle",
                    f"a half cycle takes {half:g} epochs; Smith recommends 2 to 8: "
                    "half_cycle='4 epochs'",
                )


def text_drawing(schedule: Schedule, steps: int, width: int = 64, height: int = 8) -> str:
    """Draw ``steps`` steps of a schedule with block characters."""
    if steps <= width:
        values = [schedule(column * steps // width) for column in range(width)]
    else:
        values = [-math.inf] * width
        for t in _evaluated(schedule, steps):
            column = t * width // steps
            values[column] = max(values[column], schedule(t))
    lines = block_rows(values, min(*values, 0.0), max(values), height)
    side = len(lines[0]) - width - 1
    lines.append(f"{'':>{side}}└{'0':─<{width - len(str(steps))}}{steps}")
    return "\n".join(lines)


def block_rows(values: list[float], low: float, high: float, height: int) -> list[str]:
    """Return rows of block characters, one column per value, with the scale on the left."""
    span = (high - low) or 1.0
    eighths = [round((value - low) / span * height * 8) for value in values]
    top, bottom = f"{high:g}", f"{low:g}"
    label = max(len(top), len(bottom))
    lines = []
    for row in reversed(range(height)):
        cells = "".join(_BLOCKS[min(8, max(0, level - 8 * row))] for level in eighths)
        side = top if row == height - 1 else bottom if row == 0 else ""
        lines.append(f"{side:>{label}} │{cells}")
    return lines


def _evaluated(schedule: Schedule, steps: int) -> list[int]:
    """Return the steps to evaluate: all of them, or an even selection and every joint."""
    most = min(_MOST_EVALUATED, max(_LEAST_EVALUATED, _MOST_WORK // schedule._nodes))
    if steps <= most:
        return list(range(steps))
    spread = {i * (steps - 1) // (most - 1) for i in range(most)}
    return sorted(spread | set(joints(schedule, steps - 1, most // 10)))


def joints(schedule: Schedule, last: int, most: int) -> list[int]:
    """Return the first ``most`` steps up to ``last`` at which a part of the tree starts or ends."""
    return list(itertools.islice(schedule._joints(last), most))


def suspects(schedule: Schedule, valid: Callable[[float], bool]) -> Iterator[int]:
    """Yield steps whose values may be invalid: joints, and steps inside parts, in that order.

    A range of steps is divided until its bounds are valid or it is a single step. The amount of
    work is limited, so a value of a schedule that is a difference of others may be missed.
    """
    work = max(_LEAST_SEARCHED, _MOST_WORK // 5 // schedule._nodes)
    yield from joints(schedule, LAST, min(1000, work))
    ranges = [(0, LAST)]
    while ranges and work > 0:
        first, last = ranges.pop()
        work -= 1
        if first == last:
            yield first
        elif not all(map(valid, schedule._bounds(first, last))):
            middle = (first + last) // 2
            ranges += [(middle + 1, last), (first, middle)]


def _ends(part: Schedule) -> tuple[float, float]:
    return part(0), part(part.length) if isinstance(part.length, int) else part(0)


def _warmup_length(schedule: Schedule) -> int | None:
    for chain, first in _chains(schedule):
        start, end = _ends(chain[0])
        if first == 0 and start < end and isinstance(chain[0].length, int):
            return chain[0].length
    return None


def _tree(schedule: Schedule) -> Iterator[Schedule]:
    yield schedule
    for part in schedule._parts():
        yield from _tree(part)


Place = Callable[[int], int]
"""Function from a step of a part to the step of the run."""


def _placed(schedule: Schedule, place: Place = int) -> Iterator[tuple[Schedule, Place]]:
    """Yield the schedules of a tree that are not repeated, with the positions of their steps."""
    from lehr.schedule.chain import Chain
    from lehr.schedule.clock import Every, Shift, Take
    from lehr.schedule.combine import Pointwise

    yield schedule, place
    if isinstance(schedule, Chain):
        first = 0
        for part in schedule.parts:
            yield from _placed(part, lambda t, first=first: place(first + t))  # type: ignore[misc]
            first += part.length if isinstance(part.length, int) else 0
    elif isinstance(schedule, Shift):
        yield from _placed(schedule.part, lambda t: place(max(0, t + int(schedule.steps))))  # type: ignore[arg-type]
    elif isinstance(schedule, Every):
        yield from _placed(schedule.part, lambda t: place(schedule._boundaries.at(t)))  # type: ignore[union-attr]
    elif isinstance(schedule, Pointwise | Take):
        for part in schedule._parts():
            yield from _placed(part, place)


def _chains(schedule: Schedule) -> Iterator[tuple[tuple[Schedule, ...], int]]:
    """Yield the parts of each chain that counts steps of the run, with the chain's first step."""
    from lehr.schedule.chain import Chain

    for part, place in _placed(schedule):
        if isinstance(part, Chain) and place(1000) - place(0) == 1000:  # not inside an Every
            yield part.parts, place(0)
