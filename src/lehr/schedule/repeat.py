"""Periodic repetition of a schedule, with cycles of integer or fractional length."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.boundaries import HALF, Boundaries, integers_of, phase_of
from lehr.schedule.chain import Chain
from lehr.schedule.clock import make_boundaries
from lehr.schedule.code import (
    Code,
    call,
    method,
)
from lehr.schedule.errors import fail, integer
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent, in_steps, parse, real
from lehr.schedule.run import MOST_PIECES, Run

_MOST_CYCLES = 1000  # largest number of cycles whose joints are listed


@dataclass(frozen=True, repr=False)
class Repeat(Schedule, kind="repeat"):
    """A part repeated ``times`` times; its final value is then held. Endless for None.

    Cycle ``k`` starts at the step nearest to ``k`` times the exact length of the part, so cycles
    of a fractional length ("20%", "1 epoch") do not drift.

    Args:
        part: a finite schedule whose lengths are all given.
        times: number of cycles, at least 1; None repeats without end.
        phase: fraction of a step by which the first cycle starts before the first step of the
            part, plus 1/2; see `Boundaries`.

    Raises:
        ValueError: if the part is endless, has an omitted length, or is shorter than one step.

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, steps=2).repeat()(t) for t in range(5)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    part: Schedule
    times: int | None = None
    phase: float | str = 0.5
    _boundaries: Boundaries | None = field(init=False, compare=False)
    _cycles: tuple[tuple[tuple[int, ...], Schedule], ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        part = as_schedule("part", self.part)
        if part.length in (ENDLESS, REST):
            fail("part", "a schedule that ends", part, "give it an end with .take(steps)")
        if None in part._all_lengths():
            fail("part", "a schedule without omitted lengths", part, "give every part a length")
        times = None if self.times is None else integer("times", self.times)
        period = part.length if part.resolved else _exact_period(part)
        boundaries = None
        if isinstance(period, int | Fraction):
            if period < 1:
                fail("part", f"at least 1 step long to be repeated, not {float(period):g}", part)
            boundaries = make_boundaries(Fraction(period), self.phase)
        length: Extent = ENDLESS
        if times is not None:
            length = boundaries.at(times) if boundaries else UNKNOWN
        self._derive(
            part=part,
            times=times,
            phase=real(boundaries.phase) if boundaries else 0.5,
            length=length,
            resolved=boundaries is not None,
            _boundaries=boundaries,
            _cycles=() if part.resolved or not boundaries else _variants(part, boundaries),
        )

    @property
    def cycle(self) -> Schedule:
        """The first cycle in integer steps."""
        return self._cycles[0][1] if self._cycles else self.part

    def at(self, t: Any, xp: Any) -> Any:
        if self._cycles:
            return self._at_variant(t, xp)
        period: Any = self.part.length
        local = t % period
        if self.times is not None:
            local = xp.where(t < self.length, local, period)
        if xp is not scalar and xp.__name__ == "numpy" and local.size > period:
            one = self.part.at(xp.arange(period + 1), xp)  # one cycle is evaluated and indexed
            return xp.broadcast_to(one, period + 1)[local]
        return self.part.at(local, xp)

    def _at_variant(self, t: Any, xp: Any) -> Any:
        """Return the value if cycles differ by a step; the fraction selects the variant."""
        boundaries: Any = self._boundaries
        k = boundaries.last_before(t, xp)
        if self.times is not None:
            k = xp.where(k < self.times, k, self.times - 1)
        first, rest = boundaries.position(k, xp)
        local, which = t - first, integers_of(t, xp)
        if xp is not scalar and xp.__name__ == "numpy" and t.size > self._table_size():
            longest = math.ceil(boundaries.interval)
            cycles = xp.stack([cycle.at(xp.arange(longest + 1), xp) for _, cycle in self._cycles])
            firsts = [least[which] for least, _ in self._cycles]
            found = xp.searchsorted(firsts, rest, side="right") - 1
            return cycles[found, xp.minimum(local, longest)]
        value = self._cycles[0][1].at(local, xp)
        for least, cycle in self._cycles[1:]:
            value = xp.where(rest < least[which], value, cycle.at(local, xp))
        return value

    def _table_size(self) -> int:
        """Return the total number of values of all variants."""
        return math.ceil(self._boundaries.interval) * len(self._cycles)  # type: ignore[union-attr]

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        try:
            exact = self.part._exact(run)
        except ValueError:
            if not any(map(run.ramp_of, self.part._all_lengths())):
                raise
            return self._expanded(
                run, first, last
            )  # cycles in samples or tokens along a batch-size ramp
        phase = phase_of(first) if self.phase == 0.5 else parse("phase", self.phase).amount
        result = Repeat(exact, self.times, real(phase))
        if result._boundaries and result._boundaries.interval.denominator > 1:
            return result
        return Repeat(
            exact._resolved(run, first, None), self.times
        )  # integer length: all cycles are equal

    def _expanded(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        cycles: list[Schedule] = []
        while self.times is None or len(cycles) < self.times:
            if len(cycles) == MOST_PIECES:
                fail("times", f"at most {MOST_PIECES} under a batch-size ramp", self.times)
            if self.times is None and first >= run.end(last):
                break
            cycles.append(self.part._resolve(run, first, last))
            first = self.part._move(run, first)
        return Chain(tuple(cycles)) if len(cycles) > 1 else cycles[0]

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        for _ in range(self.times or 0):
            start = self.part._move(run, start, backward=backward)
        return start

    def _joints(self, last: int) -> Iterable[int]:
        boundaries: Any = self._boundaries
        cycles = _MOST_CYCLES if self.times is None else min(self.times, _MOST_CYCLES)
        for k in range(cycles):
            first = boundaries.at(k)
            if first > last:
                return
            yield from (first + t for t in self.cycle._joints(last - first))
        yield boundaries.at(cycles)

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        if self.phase == 0.5:
            return method(self.part, "repeat", self.times)
        return call("Repeat", self.part, self.times, phase=(self.phase, 0.5))


_NO_RUN = Run()


def _exact_period(part: Schedule) -> Fraction | None:
    """Return the length of a part in real steps; None if it depends on the run."""
    known = all(map(in_steps, part._all_lengths()))
    return part._move(_NO_RUN, Fraction(0)) if known else None


def _variants(
    part: Schedule, boundaries: Boundaries
) -> tuple[tuple[tuple[int, ...], Schedule], ...]:
    """Return the variants of a cycle, each with the smallest fraction to which it applies.

    The inner boundaries of a cycle depend on the fraction between its exact and its rounded start.
    Each boundary moves once as the fraction grows, so if the cycles at two fractions are equal,
    all cycles between them are equal; a bisection finds the variants.
    """
    parts = math.lcm(boundaries.interval.denominator, boundaries.phase.denominator)

    def cycle(i: int) -> Schedule:
        return part._resolve(_NO_RUN, Fraction(i, parts) + HALF, None)

    def between(low: int, first: Schedule, high: int, last: Schedule) -> Iterable[Any]:
        if first == last:
            return
        if high - low == 1:
            yield boundaries.in_parts(Fraction(high, parts)), last
            return
        middle = (low + high) // 2
        inside = cycle(middle)
        yield from between(low, first, middle, inside)
        yield from between(middle, inside, high, last)

    first, last = cycle(0), cycle(parts - 1)
    return (((0, 0, 0), first), *between(0, first, parts - 1, last))
