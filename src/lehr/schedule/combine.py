"""Combinators: schedules made of schedules."""

import bisect
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial, reduce
from itertools import accumulate, pairwise
from typing import Any, Self

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.boundaries import HALF, Boundaries, integers_of, phase_of
from lehr.schedule.clock import Take, make_boundaries
from lehr.schedule.code import (
    NEGATIVE,
    POWER,
    PRIMARY,
    PRODUCT,
    SUM,
    Code,
    call,
    method,
    operand,
    within,
)
from lehr.schedule.errors import LAST, fail, whole
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent, in_steps, nearest, parse, real
from lehr.schedule.run import Run
from lehr.schedule.shapes import Constant, Segment

_MOST_CYCLES = 1000  # that are looked at, or written down one by one


@dataclass(frozen=True, repr=False)
class Chain(Schedule, kind="chain"):
    """One part after the other, each with its own clock; after the last its final value holds.

    At most one part may have an open length (omitted, or endless and followed by another part):
    it takes the rest of the run. Parts of length 0 stay in the definition and have no effect.

    >>> import lehr
    >>> s = lehr.linear(0.0, 1.0, steps=2).then(lehr.linear(1.0, 0.0, steps=4))
    >>> [s(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]
    _firsts: tuple[int, ...] = field(init=False, compare=False)
    _played: tuple[Schedule, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        parts = _continue_each(_flatten(Chain, self.parts))
        open_parts = [i for i, part in enumerate(parts) if part.length in (ENDLESS, REST)]
        if len(open_parts) > 1:
            which = " and ".join(f"part {i + 1} ({_why_open(parts[i])})" for i in open_parts)
            fix = "give all but one of them a length, or an end with .take(steps)"
            fail("parts", "with at most one that takes the rest of the run", which, fix)
        resolved = all(part.resolved for part in parts)
        resolved = resolved and open_parts in ([], [len(parts) - 1])
        if open_parts:
            last = open_parts[0] == len(parts) - 1
            length: Extent = ENDLESS if last and parts[-1].length == ENDLESS else REST
        else:
            length = _total([part.length for part in parts])
        self._derive(parts=parts, resolved=resolved, length=length, _firsts=(), _played=())
        if resolved:
            firsts = accumulate((part.length for part in parts[:-1]), initial=0)
            *before, last_part = zip(firsts, parts, strict=True)
            played = [(f, part) for f, part in before if part.length] + [last_part]
            self._derive(_firsts=tuple(f for f, _ in played), _played=tuple(p for _, p in played))

    def at(self, t: Any, xp: Any) -> Any:
        firsts = self._firsts
        if xp is scalar:
            i = bisect.bisect_right(firsts, t) - 1
            return self._played[i].at(t - firsts[i], xp)
        if xp.__name__ == "numpy" and getattr(t, "ndim", 0):
            return self._at_numpy(t, xp)
        value = self._played[0].at(t, xp)
        for first, part in zip(firsts[1:], self._played[1:], strict=True):
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
        for part, first, (a, b) in zip(self._played, self._firsts, pairwise(edges), strict=True):
            if a < b:
                values[a:b] = part.at(steps[a:b] - first, np)
        if order is not None:
            values[order] = values.copy()
        return values.reshape(t.shape)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        parts: list[Schedule] = []
        positions = self._positions(run, first, last)
        for i, (part, (start, end)) in enumerate(
            zip(self.parts, pairwise(positions), strict=True), 1
        ):
            if parts and nearest(start) >= LAST:  # never reached
                break
            try:
                if parts:
                    part = _continue(parts[-1], part)
                is_open = part.length in (ENDLESS, REST)
                resolved = part._resolved(run, start, end if is_open else run.steps)
                if part.length == ENDLESS and i < len(self.parts):
                    resolved = Take(resolved, nearest(end) - nearest(start))
            except ValueError as error:
                raise _placed(error, i) from None
            parts.append(resolved)
        return Chain(tuple(parts)) if len(parts) > 1 else parts[0]

    def _positions(self, run: Run, first: Fraction, last: Fraction | None) -> list[Any]:
        """Return the exact positions of the parts' ends; after an open part, from the end."""
        forward: list[Any] = [first]
        backward: list[Any] = []
        for i, part in enumerate(self.parts):
            if part.length in (ENDLESS, REST):
                after = self.parts[i + 1 :]
                if after or part.length == REST:
                    backward = [run.end(last)]
                    for j, later in reversed([*enumerate(after, i + 2)]):
                        with_path = partial(later._move, run, backward[-1], backward=True)
                        backward.append(_in_part(j, with_path))
                    if backward[-1] < forward[-1]:
                        needed = math.ceil(forward[-1] + run.end(last) - backward[-1])
                        rule = f"at least {needed}, as the parts that have a length end there"
                        fail("steps", rule, int(run.end(last)))
                else:
                    backward = [None]
                break
            forward.append(_in_part(i + 1, partial(part._move, run, forward[-1])))
        return forward + backward[::-1]

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        for part in reversed(self.parts) if backward else self.parts:
            start = part._move(run, start, backward=backward)
        return start

    def _joints(self, last: int) -> Iterable[int]:
        for first, part in zip(self._firsts, self._played, strict=True):
            yield from (first + t for t in part._joints(last - first) if first + t <= last)

    def _parts(self) -> tuple[Schedule, ...]:
        return self.parts

    def _code(self) -> Code:
        text = within(self.parts[0], PRIMARY)
        for part in self.parts[1:]:
            text += f".{_next_code(part)}"
        return text, PRIMARY


def _next_code(part: Schedule) -> str:
    if part == Take(Constant(None), 1):
        return "with_end()"
    if isinstance(part, Segment) and part.start is None:
        curve = getattr(part, "curve", "geometric")
        to = call("then_to", part.end, part.steps, curve=(curve, "linear"))
        if part == _segment_to(part.end, part.steps, curve):
            return to[0]
    return f"then({part!r})"


def _segment_to(end: float, steps: Any, curve: str) -> Segment:
    from lehr.schedule.shapes import segment

    return segment(None, end, steps, curve)


def _continue_each(parts: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    """Return parts with open starts at the final value of the part before, where it is known."""
    done = [parts[0]]
    if parts[0]._continued(0.0) != parts[0]:
        fail("part 1 of a chain", "one with a start", parts[0])
    for part in parts[1:]:
        done.append(_continue(done[-1], part))
    return tuple(done)


def _continue(before: Schedule, part: Schedule) -> Schedule:
    if before.resolved and isinstance(before.length, int):
        return part._continued(before.at(before.length, scalar))
    return part


def _in_part(i: int, move: Any) -> Fraction:
    try:
        return move()  # type: ignore[no-any-return]
    except ValueError as error:
        raise _placed(error, i) from None


def _placed(error: ValueError, i: int) -> ValueError:
    message = str(error)
    return ValueError(message if message.startswith("in ") else f"in Chain part {i}: {message}")


def _why_open(part: Schedule) -> str:
    return "takes the rest" if part.length == REST else "never ends"


@dataclass(frozen=True, repr=False)
class Repeat(Schedule, kind="repeat"):
    """A part over and over; after ``times`` times its final value holds (endless without).

    Cycle ``k`` begins at the step nearest to ``k`` times the part's exact length, so cycles of a
    fractional length ("20%", "1 epoch") do not drift.

    Args:
        part: a schedule that ends.
        times: how often; None for ever.
        phase: fraction of a step by which the first cycle began before the part's first step,
            plus 1/2; see `Boundaries`.

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
        if None in _lengths(part):
            fail("part", "one whose lengths are given, as all cycles are alike", part)
        times = None if self.times is None else whole("times", self.times)
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

    def at(self, t: Any, xp: Any) -> Any:
        if self._cycles:
            return self._at_variant(t, xp)
        period: Any = self.part.length
        local = t % period
        if self.times is not None:
            local = xp.where(t < self.length, local, period)
        if xp is not scalar and xp.__name__ == "numpy" and local.size > period:
            one = self.part.at(xp.arange(period + 1), xp)  # of many cycles one is enough
            return xp.broadcast_to(one, period + 1)[local]
        return self.part.at(local, xp)

    def _at_variant(self, t: Any, xp: Any) -> Any:
        """Return the value where cycles differ by a step: which one follows from the fraction."""
        boundaries: Any = self._boundaries
        k = boundaries.last_before(t, xp)
        if self.times is not None:
            k = xp.where(k < self.times, k, self.times - 1)
        first, rest = boundaries.position(k, xp)
        local, which = t - first, integers_of(t, xp)
        value = self._cycles[0][1].at(local, xp)
        for least, cycle in self._cycles[1:]:
            value = xp.where(rest < least[which], value, cycle.at(local, xp))
        return value

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        try:
            exact = self.part._exact(run)
        except ValueError:
            if not any(map(run.ramp_of, _lengths(self.part))):
                raise
            return self._written_out(run, first, last)  # cycles in samples or tokens under a ramp
        phase = phase_of(first) if self.phase == 0.5 else parse("phase", self.phase).amount
        result = Repeat(exact, self.times, real(phase))
        if result._boundaries and result._boundaries.interval.denominator > 1:
            return result
        return Repeat(exact._resolved(run, first, None), self.times)  # all cycles are alike

    def _written_out(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        cycles: list[Schedule] = []
        while self.times is None or len(cycles) < self.times:
            if len(cycles) == _MOST_CYCLES:
                fail("times", f"at most {_MOST_CYCLES} under a batch-size ramp", self.times)
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
            part = self.part if self.part.resolved else self._cycles[0][1]
            yield from (first + t for t in part._joints(last - first))
        yield boundaries.at(cycles)

    def _parts(self) -> tuple[Schedule, ...]:
        return (self.part,)

    def _code(self) -> Code:
        if self.phase == 0.5:
            return method(self.part, "repeat", self.times)
        return call("Repeat", self.part, self.times, phase=(self.phase, 0.5))


_NO_RUN = Run()


def _exact_period(part: Schedule) -> Fraction | None:
    """Return the length of a part in real steps, None where a run must tell it."""
    known = all(map(in_steps, _lengths(part)))
    return part._move(_NO_RUN, Fraction(0)) if known else None


def _variants(
    part: Schedule, boundaries: Boundaries
) -> tuple[tuple[tuple[int, ...], Schedule], ...]:
    """Return the different cycles, each with the smallest fraction at which it is the one.

    A cycle's inner boundaries depend on the fraction between its exact and its rounded beginning,
    and each of them moves once, so equal cycles at two fractions are equal between them.
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


def _lengths(part: Schedule) -> Iterable[Any]:
    for name in part.LENGTHS:
        value = getattr(part, name)
        yield from value if isinstance(value, tuple) else (value,)
    for inner in part._parts():
        yield from _lengths(inner)


class Pointwise(Schedule):
    """Schedules on one clock, folded step by step; as long as the longest that moves."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        parts = self._checked()
        moving = [part.length for part in parts if not isinstance(part, Constant)] or [ENDLESS]
        self._derive(
            parts=parts, length=_longest(moving), resolved=all(part.resolved for part in parts)
        )

    def _checked(self) -> tuple[Schedule, ...]:
        return _flatten(type(self), self.parts)

    @staticmethod
    @abstractmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        """Combine two values."""

    def at(self, t: Any, xp: Any) -> Any:
        return reduce(partial(self.fold, xp=xp), [part.at(t, xp) for part in self.parts])

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Self:
        parts = tuple(part._resolved(run, first, last) for part in self.parts)
        return type(self)(parts)  # type: ignore[call-arg]

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        moving = [part for part in self.parts if not isinstance(part, Constant)]
        ends = [part._move(run, start, backward=backward) for part in moving]
        return min(ends) if backward else max(ends)

    def _joints(self, last: int) -> Iterable[int]:
        for part in self.parts:
            yield from part._joints(last)

    def _parts(self) -> tuple[Schedule, ...]:
        return self.parts


@dataclass(frozen=True, repr=False)
class Product(Pointwise, kind="product"):
    """The product of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a * b

    def _code(self) -> Code:
        positive = self._without_sign()
        if positive is not None:
            return f"-{within(positive, NEGATIVE)}", NEGATIVE
        return _operators(self.parts, "*", PRODUCT)

    def _without_sign(self) -> Schedule | None:
        """Return what ``-`` was applied to, if this is its result."""
        first, *rest = self.parts
        if first != Constant(-1.0) or (len(rest) == 1 and isinstance(rest[0], Constant)):
            return None
        return Product(tuple(rest)) if len(rest) > 1 else rest[0]


@dataclass(frozen=True, repr=False)
class Sum(Pointwise, kind="sum"):
    """The sum of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a + b

    def _code(self) -> Code:
        first, second, *_ = self.parts
        text = operand(first, PRODUCT, number=not isinstance(second, Constant))
        for part in self.parts[1:]:
            positive = part._without_sign() if isinstance(part, Product) else None
            if isinstance(part, Constant) and part.value is not None and part.value < 0.0:
                text += f" - {-part.value!r}"
            elif positive is not None:
                text += f" - {within(positive, PRODUCT)}"
            else:
                text += f" + {operand(part, PRODUCT, number=True)}"
        return text, SUM


@dataclass(frozen=True, repr=False)
class Min(Pointwise, kind="min"):
    """The smallest of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a < b, a, b)

    def _code(self) -> Code:
        return _methods(self.parts, "minimum")


@dataclass(frozen=True, repr=False)
class Max(Pointwise, kind="max"):
    """The largest of its parts at each step."""

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a > b, a, b)

    def _code(self) -> Code:
        return _methods(self.parts, "maximum")


@dataclass(frozen=True, repr=False)
class Quotient(Pointwise, kind="quotient"):
    """The first of its two parts divided by the second at each step."""

    parts: tuple[Schedule, ...]

    def _checked(self) -> tuple[Schedule, ...]:
        return _pair(self.parts)

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a / b

    def _code(self) -> Code:
        return _operators(self.parts, "/", PRODUCT)


@dataclass(frozen=True, repr=False)
class Power(Pointwise, kind="power"):
    """The first of its two parts to the power of the second at each step."""

    parts: tuple[Schedule, ...]

    def _checked(self) -> tuple[Schedule, ...]:
        return _pair(self.parts)

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a**b

    def _code(self) -> Code:
        base, exponent = self.parts
        left = operand(base, PRIMARY, number=not isinstance(exponent, Constant))
        return f"{left} ** {operand(exponent, NEGATIVE, number=True)}", POWER


def _operators(parts: tuple[Schedule, ...], sign: str, binding: int) -> Code:
    first, second, *_ = parts
    texts = [operand(first, binding, number=not isinstance(second, Constant))]
    texts += [operand(part, binding + 1, number=True) for part in parts[1:]]
    return f" {sign} ".join(texts), binding


def _methods(parts: tuple[Schedule, ...], name: str) -> Code:
    text = within(parts[0], PRIMARY)
    for part in parts[1:]:
        text += f".{name}({operand(part, SUM, number=True)})"
    return text, PRIMARY


def _flatten(cls: type[Schedule], parts: Any) -> tuple[Schedule, ...]:
    """Return at least two parts, without nested combinations of the same kind."""
    if not isinstance(parts, list | tuple):
        fail("parts", "a list of schedules", parts, error=TypeError)
    flat: list[Schedule] = []
    for i, part in enumerate(parts, 1):
        part = as_schedule(f"part {i}", part)
        flat += part._parts() if type(part) is cls else [part]
    if len(flat) < 2:
        fail("parts", "a list of at least 2 schedules", parts)
    return tuple(flat)


def _pair(parts: Any) -> tuple[Schedule, ...]:
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        fail("parts", "two schedules", parts)
    return tuple(as_schedule(f"part {i}", part) for i, part in enumerate(parts, 1))


def _total(lengths: list[Extent]) -> Extent:
    return sum(lengths) if all(isinstance(n, int) for n in lengths) else UNKNOWN  # type: ignore[arg-type]


def _longest(lengths: list[Extent]) -> Extent:
    for extent in (ENDLESS, REST, UNKNOWN):
        if extent in lengths:
            return extent
    return max(lengths)  # type: ignore[type-var]
