"""Combinators: schedules made of schedules."""

import bisect
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial, reduce
from itertools import accumulate, pairwise
from typing import Any, Self

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.errors import fail, whole
from lehr.schedule.length import (
    ENDLESS,
    LAST,
    REST,
    UNKNOWN,
    Extent,
    Run,
)
from lehr.schedule.shapes import Constant


@dataclass(frozen=True)
class Chain(Schedule, kind="chain"):
    """One part after the other, each with its own clock; after the last its final value holds.

    >>> import lehr
    >>> s = lehr.linear(0.0, 1.0, steps=2).then(lehr.linear(1.0, 0.0, steps=4))
    >>> [s(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]
    _firsts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _check_parts(self.parts)
        for i, part in enumerate(parts[:-1], 1):
            if part.length in (ENDLESS, REST):
                never = "it never ends" if part.length == ENDLESS else f"it takes {REST}"
                way_out = f"{never}: give it an end with .take(steps)"
                fail(f"part {i} of a chain", "a schedule that ends", part, way_out)
        resolved = all(part.resolved for part in parts)
        *before, last = [part.length for part in parts]
        length = last if last in (ENDLESS, REST) else _total([*before, last])
        self._derive(
            parts=parts,
            resolved=resolved,
            length=length,
            _firsts=tuple(accumulate(before, initial=0)) if resolved else (),
        )

    def at(self, t: Any, xp: Any) -> Any:
        firsts = self._firsts
        if xp is scalar:
            i = bisect.bisect_right(firsts, t) - 1
            return self.parts[i].at(t - firsts[i], xp)
        if xp.__name__ == "numpy" and getattr(t, "ndim", 0):
            return self._at_numpy(t, xp)
        value = self.parts[0].at(t, xp)
        for first, part in zip(firsts[1:], self.parts[1:], strict=True):
            if first > LAST and scalar.narrow(t):
                break
            # every part is evaluated, so the ones not yet begun stand at their first step
            local = xp.where(t < first, 0, t - first)
            value = xp.where(t < first, value, part.at(local, xp))
        return value

    def _at_numpy(self, t: Any, np: Any) -> Any:
        """Return the values at known steps: each part is asked for its own only."""
        steps, order = t.ravel(), None
        if (steps[1:] < steps[:-1]).any():
            order = np.argsort(steps)
            steps = steps[order]
        edges = [0, *np.searchsorted(steps, self._firsts[1:]).tolist(), len(steps)]
        values = np.empty(len(steps))
        for part, first, (a, b) in zip(self.parts, self._firsts, pairwise(edges), strict=True):
            if a < b:
                values[a:b] = part.at(steps[a:b] - first, np)
        if order is not None:
            values[order] = values.copy()
        return values.reshape(t.shape)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        parts = []
        for i, part in enumerate(self.parts, 1):
            try:
                resolved, first = part._resolve(run, first)  # type: ignore[assignment]
            except ValueError as error:
                message = str(error)
                if message.startswith("in "):
                    raise
                raise ValueError(f"in Chain part {i}: {message}") from None
            parts.append(resolved)
        return Chain(tuple(parts)), first


@dataclass(frozen=True)
class Repeat(Schedule, kind="repeat"):
    """A part over and over; after ``times`` times its last value holds (endless without).

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, steps=2).repeat()(t) for t in range(5)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    part: Schedule
    times: int | None = None

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        if part.length in (ENDLESS, REST):
            fail("part", "a schedule that ends", part, "give it an end with .take(steps)")
        times = None if self.times is None else whole("times", self.times)
        known = isinstance(part.length, int)
        length: Extent = ENDLESS
        if times is not None:
            length = part.length * times if isinstance(part.length, int) else UNKNOWN
        self._derive(part=part, times=times, resolved=known and part.resolved, length=length)

    def at(self, t: Any, xp: Any) -> Any:
        period: Any = self.part.length
        local = t % period
        if self.times is not None:
            local = xp.where(t < self.length, local, period)
        if xp is not scalar and xp.__name__ == "numpy" and local.size > period:
            one = self.part.at(xp.arange(period + 1), xp)  # of many cycles one is enough
            return xp.broadcast_to(one, period + 1)[local]
        return self.part.at(local, xp)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        period = self.part.length
        if isinstance(period, int) and (period * run.stretch).denominator != 1 and self.times:
            return Chain((self.part,) * self.times)._resolve(run, first)  # ends where it should
        part, _ = self.part._resolve(run, Fraction(0))  # every cycle has the same whole steps
        result = Repeat(part, self.times)
        length = result.length
        return result, first + length if isinstance(length, int) else math.inf


class Pointwise(Schedule):
    """Schedules on one clock, folded step by step; as long as the longest that moves."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        parts = _check_parts(self.parts)
        moving = [part.length for part in parts if not isinstance(part, Constant)] or [ENDLESS]
        self._derive(
            parts=parts, length=_longest(moving), resolved=all(part.resolved for part in parts)
        )

    @staticmethod
    @abstractmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        """Combine two values."""

    def at(self, t: Any, xp: Any) -> Any:
        return reduce(partial(self.fold, xp=xp), [part.at(t, xp) for part in self.parts])

    def _resolve(self, run: Run, first: Fraction) -> tuple[Self, Fraction | float]:
        parts, ends = zip(*(part._resolve(run, first) for part in self.parts), strict=True)
        result = type(self)(parts)  # type: ignore[call-arg]
        return result, math.inf if result.length == ENDLESS else max(
            e for e in ends if e != math.inf
        )


@dataclass(frozen=True)
class Product(Pointwise, kind="product"):
    """The product of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a * b


@dataclass(frozen=True)
class Sum(Pointwise, kind="sum"):
    """The sum of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a + b


@dataclass(frozen=True)
class Min(Pointwise, kind="min"):
    """The smallest of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a < b, a, b)


@dataclass(frozen=True)
class Max(Pointwise, kind="max"):
    """The largest of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a > b, a, b)


def _check_parts(parts: Any) -> tuple[Schedule, ...]:
    if not isinstance(parts, list | tuple) or not parts:
        fail("parts", "a list of schedules", parts, error=TypeError)
    return tuple(as_schedule(f"part {i}", part) for i, part in enumerate(parts, 1))


def _total(lengths: list[Extent]) -> Extent:
    return sum(lengths) if all(isinstance(n, int) for n in lengths) else UNKNOWN  # type: ignore[arg-type]


def _longest(lengths: list[Extent]) -> Extent:
    for extent in (ENDLESS, REST, UNKNOWN):
        if extent in lengths:
            return extent
    return max(lengths)  # type: ignore[type-var]
