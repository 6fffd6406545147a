"""Schedules on a clock of their own: cut off, later, slower, backwards."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.errors import fail, whole
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent, Length, Run, check_length, nearest


@dataclass(frozen=True)
class Take(Schedule, kind="take"):
    """The first ``steps`` steps of a part; its value there then holds.

    >>> import lehr
    >>> s = lehr.exponential(1.0, 0.5, steps=1).take(2)
    >>> [s(t) for t in range(5)], s.length
    ([1.0, 0.5, 0.25, 0.25, 0.25], 2)
    """

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

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        steps, end = run.place("steps", self.steps, first)
        return Take(_resolved(self.part, run, first), steps), end


@dataclass(frozen=True)
class Shift(Schedule, kind="shift"):
    """A part ``steps`` later: its first value holds until then. Negative: that much earlier.

    >>> import lehr
    >>> s = lehr.linear(1.0, 0.0, steps=2)
    >>> [s.shift(1)(t) for t in range(4)], [s.shift(-1)(t) for t in range(2)]
    ([1.0, 1.0, 0.5, 0.0], [0.5, 0.0])
    """

    part: Schedule
    steps: int

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        steps = whole("steps", self.steps, at_least=-(2**62), unit="steps")
        length = part.length
        if isinstance(length, int):
            length += steps
            if length < 1:
                fail("steps", f"above -{part.length}, or nothing is left of the part", steps)
        self._derive(part=part, steps=steps, resolved=part.resolved, length=length)

    def at(self, t: Any, xp: Any) -> Any:
        if self.steps <= 0:
            return self.part.at(t - self.steps, xp)
        return self.part.at(xp.where(t < self.steps, 0, t - self.steps), xp)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        steps = nearest(self.steps * run.stretch)
        part, end = self.part._resolve(run, first + steps)
        return Shift(part, steps), end


@dataclass(frozen=True)
class Every(Schedule, kind="every"):
    """A part whose clock ticks once every ``steps`` steps: a schedule of epochs, say.

    Args:
        part: a schedule in whole ticks.
        steps: a length.
        ticks: how often the clock ticks in ``steps`` steps: at step ``t`` the part stands at
            ``t * ticks // steps``.

    >>> import lehr
    >>> s = lehr.linear(1.0, 0.0, steps=4).every(2)
    >>> [s(t) for t in range(9)]
    [1.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0]
    """

    part: Schedule
    steps: Length
    ticks: int = 1

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        if not part.resolved:
            fail("part", "in whole steps, which are counted as ticks", part)
        steps = check_length("steps", self.steps)
        if steps is None:
            fail("steps", "a length such as 500 or '1 epoch'", None)
        ticks = whole("ticks", self.ticks)
        if ticks > 1 and not isinstance(steps, int):
            fail("steps", "whole steps where there are several ticks", steps)
        if ticks > 1 and steps * ticks >= 2**31:  # type: ignore[operator]
            fail("steps", f"below 2**31 / {ticks} ticks, which graphs can count", steps)
        length: Extent = part.length
        if isinstance(length, int):
            length = -(-length * steps // ticks) if isinstance(steps, int) else UNKNOWN
        self._derive(
            part=part, steps=steps, ticks=ticks, resolved=isinstance(steps, int), length=length
        )

    def at(self, t: Any, xp: Any) -> Any:
        tick = t // self.steps
        if self.ticks > 1:
            tick = tick * self.ticks + t % self.steps * self.ticks // self.steps
        return self.part.at(tick, xp)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        ticks = self.ticks
        if run.stretch == 1:
            steps, _ = run.place("steps", self.steps, Fraction(0))
        else:
            exact = run.exact("steps", self.steps, first) / ticks
            steps, ticks = exact.numerator, exact.denominator
        result = Every(self.part, steps, ticks)
        if not isinstance(self.part.length, int):
            return result, math.inf
        return result, first + Fraction(self.part.length * steps, ticks)


@dataclass(frozen=True)
class Reverse(Schedule, kind="reverse"):
    """A part backwards: from its last value to its first, which then holds.

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, steps=4).reverse()(t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    part: Schedule

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        if part.length == ENDLESS:
            fail("part", "a schedule that ends", part, "give it an end with .take(steps)")
        self._derive(part=part, resolved=part.resolved, length=part.length)

    def at(self, t: Any, xp: Any) -> Any:
        return self.part.at(xp.where(t < self.length, self.length - t, 0), xp)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        part, end = self.part._resolve(run, first)
        return Reverse(part), end

    def reverse(self) -> Schedule:
        """Return the part, forwards again."""
        return self.part


def _resolved(part: Schedule, run: Run, first: Fraction) -> Schedule:
    return part if part.resolved and run.stretch == 1 else part._resolve(run, first)[0]
