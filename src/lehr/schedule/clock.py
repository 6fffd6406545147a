"""Time transformations of a schedule: cut, shift, slow down, reverse."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.boundaries import HALF, Boundaries, phase_of
from lehr.schedule.code import PRIMARY, Code, call, method, within
from lehr.schedule.errors import LAST, fail, number
from lehr.schedule.length import (
    ENDLESS,
    REST,
    UNKNOWN,
    Extent,
    Length,
    check_interval,
    check_length,
    in_steps,
    nearest,
    parse,
    real,
)
from lehr.schedule.run import Run, SizeRamp
from lehr.schedule.shapes import Constant


@dataclass(frozen=True, repr=False)
class Take(Schedule, kind="take"):
    """The first ``steps`` steps of a part; its value at step ``steps`` is then held.

    Args:
        part: a schedule or a number.
        steps: a length; None takes the rest of the run.

    Raises:
        ValueError: if ``steps`` is not a valid length.

    >>> import lehr
    >>> s = lehr.exponential(1.0, 0.5, every=1).take(2)
    >>> [s(t) for t in range(5)], s.length
    ([1.0, 0.5, 0.25, 0.25, 0.25], 2)
    """

    LENGTHS = ("steps",)

    part: Schedule
    steps: Length

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        steps = check_length("steps", self.steps)
        known = isinstance(steps, int)
        self._derive(
            part=part,
            steps=steps,
            resolved=known and part.resolved,
            length=steps if known else REST if steps is None else UNKNOWN,
        )

    def at(self, t: Any, xp: Any) -> Any:
        return self.part.at(xp.where(t < self.steps, t, self.steps), xp)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        part = self.part._resolved(run, first, run.steps)
        return Take(part, run.place("steps", self.steps, first, last))

    def _next_joint(self, t: int) -> int | None:
        steps: Any = self.steps
        if t >= steps:
            return None
        joint = self.part._next_joint(t)
        return steps if joint is None else min(joint, steps)  # type: ignore[no-any-return]

    def _previous_joint(self, t: int) -> int | None:
        steps: Any = self.steps
        return steps if t > steps else self.part._previous_joint(t)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        steps: Any = self.steps
        return self.part._bounds(min(first, steps), min(last, steps))

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _continued(self, value: float) -> Schedule:
        part = self.part._continued(value)
        return self if part is self.part else replace(self, part=part)

    def _code(self) -> Code:
        if isinstance(self.part, Constant) and self.steps is not None:
            return call("constant", self.part.value, self.steps)
        return f"{within(self.part, PRIMARY)}.take({self.steps!r})", PRIMARY


@dataclass(frozen=True, repr=False)
class Shift(Schedule, kind="shift"):
    """A part delayed by ``steps``; its first value is held until then.

    Args:
        part: a schedule or a number.
        steps: a length without "until"; a negative length moves the part earlier and drops its
            beginning.

    Raises:
        ValueError: if a negative length exceeds the length of the part.

    >>> import lehr
    >>> s = lehr.linear(1.0, 0.0, steps=2)
    >>> [s.shift(1)(t) for t in range(4)], [s.shift(-1)(t) for t in range(2)]
    ([1.0, 1.0, 0.5, 0.0], [0.5, 0.0])
    """

    LENGTHS = ("steps",)

    part: Schedule
    steps: Length

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        steps = check_length("steps", self.steps, signed=True, missing="a length such as '5%'")
        if isinstance(steps, str) and parse("steps", steps).until:
            fail("steps", "a length without 'until'", steps)
        length = part.length
        if isinstance(length, int):
            if length > LAST and isinstance(steps, int) and steps < 0:
                fail("part", "shorter than 2**31 steps to be moved earlier", part)
            length = length + steps if isinstance(steps, int) else UNKNOWN
        if isinstance(length, int) and length < 0:
            fail("steps", f"at least -{part.length}, minus the length of the part", steps)
        resolved = part.resolved and isinstance(steps, int)
        self._derive(part=part, steps=steps, resolved=resolved, length=length)

    def at(self, t: Any, xp: Any) -> Any:
        steps: Any = self.steps
        if steps <= 0:
            if scalar.narrow(t):  # without overflow
                return self.part.at(xp.where(t < LAST + steps, t - steps, LAST), xp)
            return self.part.at(t - steps, xp)
        return self.part.at(xp.where(t < steps, 0, t - steps), xp)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        start = run.move("steps", self.steps, first)
        part = self.part._resolved(run, start, last)
        return Shift(part, nearest(start) - nearest(first))

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        if not backward:
            return self.part._move(run, run.move("steps", self.steps, start))
        start = self.part._move(run, start, backward=True)
        return run.move("steps", self.steps, start, backward=True)

    def _next_joint(self, t: int) -> int | None:
        steps: Any = self.steps
        if t < 0:
            return 0
        joint = self.part._next_joint(t - steps)
        return None if joint is None else joint + steps

    def _previous_joint(self, t: int) -> int | None:
        steps: Any = self.steps
        if t <= 0:
            return None
        joint = self.part._previous_joint(t - steps)
        return 0 if joint is None else max(0, joint + steps)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        steps: Any = self.steps
        return self.part._bounds(max(0, first - steps), max(0, last - steps))

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        return method(self.part, "shift", self.steps)


@dataclass(frozen=True, repr=False)
class Every(Schedule, kind="every"):
    """A part that advances by one tick every ``steps`` steps, for instance once per epoch.

    Tick ``k`` starts at the step nearest to ``k * steps``.

    Args:
        part: a schedule: integer lengths count ticks, an omitted length is the number of ticks in
            the run, and other units refer to the run.
        steps: a length, or a real number of steps, at least 1.
        phase: fraction of a step by which the clock starts before the first step of the part,
            plus 1/2; see `Boundaries`.

    Raises:
        ValueError: if ``steps`` is below 1 or omitted.

    >>> import lehr
    >>> s = lehr.linear(1.0, 0.0, steps=4).every(2)
    >>> [s(t) for t in range(9)]
    [1.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0]
    >>> lehr.cosine(0.1).every("1 epoch").resolve(1000, steps_per_epoch=100)
    cosine(0.1, 10).every(100)
    """

    LENGTHS = ("steps",)

    part: Schedule
    steps: float | str
    phase: float | str = 0.5
    _boundaries: Boundaries | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        steps = check_interval("steps", self.steps)
        known = in_steps(steps)
        interval = parse("steps", steps).amount
        if known and interval < 1:
            fail("steps", "at least 1 step", self.steps)
        boundaries = make_boundaries(interval, self.phase) if known else None
        length: Extent = part.length
        if isinstance(length, int):
            length = boundaries.at(length) if boundaries else UNKNOWN
        self._derive(
            part=part,
            steps=steps,
            phase=real(boundaries.phase) if boundaries else 0.5,
            resolved=known and part.resolved,
            length=length,
            _boundaries=boundaries,
        )

    def at(self, t: Any, xp: Any) -> Any:
        if type(self.steps) is int:
            return self.part.at(t // self.steps, xp)
        return self.part.at(self._boundaries.last_before(t, xp), xp)  # type: ignore[union-attr]

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        sizes = run.ramp_of(self.steps)
        if sizes is not None:
            return self._along(sizes, first, run.end(last))
        interval = run.distance("steps", self.steps)
        if interval < 1:
            fail("steps", f"at least 1 step, not {float(interval):g}", self.steps)
        end = None if last is None else (last - first) / interval
        part = self.part._resolved(run.ticks(interval), Fraction(0), end)
        phase = phase_of(first) if self.phase == 0.5 else parse("phase", self.phase).amount
        every = Every(part, real(interval), real(phase) if interval.denominator > 1 else 0.5)
        if self.length != REST or last is None:
            return every
        length = nearest(last) - nearest(first)
        return every if every.length == length else Take(every, length)

    def _along(self, sizes: SizeRamp, first: Fraction, last: Fraction) -> Schedule:
        """Return the values of the ticks as a `Piecewise`, for a batch-size ramp."""
        if not self.part.resolved:
            rule = "in ticks (integer lengths) when the ticks follow a batch-size ramp"
            fail("part", rule, self.part)
        amount = parse("steps", self.steps).amount
        ticks = sizes.multiples("steps", amount, first, last)
        values = tuple(self.part(k) for k in range(len(ticks) + 1))
        return piecewise.Piecewise(tuple(nearest(t) - nearest(first) for t in ticks), values)

    def _exact(self, run: Run) -> Schedule:
        interval = run.distance("steps", self.steps)
        return Every(self.part._exact(run.ticks(interval)), real(interval), self.phase)

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        interval = run.distance("steps", self.steps)
        ticks = nearest(self.part._move(run.ticks(interval), Fraction(0)))
        return start - ticks * interval if backward else start + ticks * interval

    def _next_joint(self, t: int) -> int | None:
        tick = self.part._next_joint(self._tick(t))
        return None if tick is None else self._boundaries.at(tick)  # type: ignore[union-attr]

    def _previous_joint(self, t: int) -> int | None:
        tick = self.part._previous_joint(self._tick(t - 1) + 1)
        return None if tick is None else self._boundaries.at(tick)  # type: ignore[union-attr]

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        return self.part._bounds(self._tick(first), self._tick(last))

    def _tick(self, t: int) -> int:
        """Return the tick at step ``t``; -1 before the first one."""
        return self._boundaries.last_before(t, scalar) if t >= 0 else -1  # type: ignore[union-attr]

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        if self.phase == 0.5:
            return method(self.part, "every", self.steps)
        return call("Every", self.part, self.steps, self.phase)


@dataclass(frozen=True, repr=False)
class Reverse(Schedule, kind="reverse"):
    """A part reversed in time: from its end value to its value at step 0, which is then held.

    Args:
        part: a finite schedule.

    Raises:
        ValueError: if the part is endless or reversed.

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, steps=4).reverse()(t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    part: Schedule

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        if part.length == ENDLESS:
            fail("part", "a schedule that ends", part, "give it an end with .take(steps)")
        if isinstance(part.length, int) and part.length > LAST:
            fail("part", "shorter than 2**31 steps to be reversed", part)
        if isinstance(part, Reverse):
            fail("part", "a schedule that is not reversed", part, "use its .part")
        self._derive(part=part, resolved=part.resolved, length=part.length)

    def at(self, t: Any, xp: Any) -> Any:
        return self.part.at(xp.where(t < self.length, self.length - t, 0), xp)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        return Reverse(self.part._resolved(run, first, last))

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        return self.part._move(run, start, backward=backward)

    def _next_joint(self, t: int) -> int | None:
        length: Any = self.length  # an endless part is rejected
        joint = self.part._previous_joint(length - t)
        return None if joint is None else length - joint

    def _previous_joint(self, t: int) -> int | None:
        length: Any = self.length
        joint = self.part._next_joint(length - t)
        return None if joint is None or joint > length else length - joint

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        length: Any = self.length
        return self.part._bounds(max(0, length - last), max(0, length - first))

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        return method(self.part, "reverse")

    def reverse(self) -> Schedule:
        """Return the part, which is not reversed."""
        return self.part


def make_boundaries(interval: Fraction, phase: Any) -> Boundaries:
    """Return boundaries with a checked phase; an integer interval always uses 1/2."""
    if not isinstance(phase, str):
        number("phase", phase, at_least=0, below=1)
    exact = parse("phase", check_interval("phase", phase) if phase else 0).amount
    return Boundaries(interval, HALF if interval.denominator == 1 else exact)


# imports the classes above, and their methods use it
from lehr.schedule import piecewise  # noqa: E402
