"""Periodic repetition of a schedule, with cycles of integer or fractional length."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule, ordered_pair
from lehr.schedule.boundaries import HALF, Boundaries, integers_of, phase_of
from lehr.schedule.chain import Chain
from lehr.schedule.clock import make_boundaries
from lehr.schedule.code import (
    Code,
    call,
    method,
)
from lehr.schedule.errors import LAST, fail, integer
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent, in_steps, parse, real
from lehr.schedule.run import MOST_PIECES, Run
from lehr.schedule.steps import END


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
        if times is not None and times > LAST:
            fail("times", "below 2**31, which frameworks count in int32", times)
        period = part.length if part.resolved else _exact_period(part)
        boundaries = None
        if isinstance(period, int | Fraction):
            if period < 1:
                fail("part", f"at least 1 step long to be repeated, not {float(period):g}", part)
            longest = 62 if isinstance(period, int) else 31  # binary digits
            if period >= 2**longest:
                fail("part", f"shorter than 2**{longest} steps to be repeated", part)
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
            _cycles=(),
        )
        if boundaries and not part.resolved:
            cycles, work = _variants(part, boundaries)
            self._derive(_cycles=cycles, _nodes=1 + work)

    @property
    def cycle(self) -> Schedule:
        """The first cycle in integer steps."""
        return self._cycles[0][1] if self._cycles else self.part

    def at(self, t: Any, xp: Any) -> Any:
        if self._cycles:
            return self._at_variant(t, xp)
        period: Any = self.part.length
        length: Any = self.length
        last = LAST if scalar.narrow(t) else END - 1  # larger numbers cannot be compared with t
        local = t % period if period <= last else t
        if self.times is not None and length <= last:
            local = xp.where(t < length, local, period)
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
        times = self.times or 0
        if not any(map(run.ramp_of, self.part._all_lengths())):
            period = self.part._move(run, Fraction(0))
            return start - times * period if backward else start + times * period
        if times > MOST_PIECES:
            fail("times", f"at most {MOST_PIECES} under a batch-size ramp", times)
        for _ in range(times):
            start = self.part._move(run, start, backward=backward)
        return start

    def _next_joint(self, t: int) -> int | None:
        boundaries: Any = self._boundaries
        if t < 0:
            return 0
        if t >= self.length:  # type: ignore[operator]
            return None
        k = boundaries.last_before(t, scalar)
        first, end = boundaries.at(k), boundaries.at(k + 1)
        joint = self.cycle._next_joint(t - first)
        return end if joint is None else min(first + joint, end)  # type: ignore[no-any-return]

    def _previous_joint(self, t: int) -> int | None:
        boundaries: Any = self._boundaries
        if t <= 0:
            return None
        if t > self.length:  # type: ignore[operator]
            return self.length  # type: ignore[return-value]
        first = boundaries.at(boundaries.last_before(t - 1, scalar))
        return first + self.cycle._previous_joint(t - first)  # type: ignore[no-any-return]

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        boundaries: Any = self._boundaries
        cycles = [cycle for _, cycle in self._cycles] or [self.part]
        k = boundaries.last_before(first, scalar)
        start, end = boundaries.at(k), boundaries.at(k + 1)
        # one range of one cycle: several would be exponential in nested repetitions
        within = (
            (first - start, last - start) if last < end else (0, math.ceil(boundaries.interval) - 1)
        )
        if first >= self.length or first == last:  # type: ignore[operator]
            return ordered_pair(self.at(first, scalar))
        found = [*itertools.chain.from_iterable(cycle._bounds(*within) for cycle in cycles)]
        if last >= self.length:  # type: ignore[operator]
            found.append(self.at(last, scalar))
        return ordered_pair(*found)

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        if self.phase == 0.5:
            return method(self.part, "repeat", self.times)
        return call("Repeat", self.part, self.times, phase=(self.phase, 0.5))


_NO_RUN = Run()
_MOST_WORK = 5000  # largest number of schedules constructed to find the variants of a cycle


def _exact_period(part: Schedule) -> Fraction | None:
    """Return the length of a part in real steps; None if it depends on the run."""
    known = all(map(in_steps, part._all_lengths()))
    return part._move(_NO_RUN, Fraction(0)) if known else None


def _variants(
    part: Schedule, boundaries: Boundaries
) -> tuple[tuple[tuple[tuple[int, ...], Schedule], ...], int]:
    """Return the variants of a cycle, and the number of schedules constructed to find them.

    With each variant comes the smallest fraction to which it applies.

    The inner boundaries of a cycle depend on the fraction between its exact and its rounded start.
    Each boundary moves once as the fraction grows, so if the cycles at two fractions are equal,
    all cycles between them are equal; a bisection finds the variants.
    """
    parts = math.lcm(boundaries.interval.denominator, boundaries.phase.denominator)

    work = 0

    def cycle(i: int) -> Schedule:
        nonlocal work
        found = part._resolve(_NO_RUN, Fraction(i, parts) + HALF, None)
        work += found._nodes
        if work > _MOST_WORK:
            rule = "a schedule whose cycles are rounded to steps in few different ways"
            fail("part", rule, part, "give its parts lengths in integer steps")
        return found

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
    return (((0, 0, 0), first), *between(0, first, parts - 1, last)), work
