"""Piecewise values, a table of values, and a user-defined function as schedules."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, ordered_pair
from lehr.schedule.code import Code, call
from lehr.schedule.curves import CURVES
from lehr.schedule.errors import fail, number, one_of
from lehr.schedule.length import ENDLESS, UNKNOWN, Length, check_length, nearest
from lehr.schedule.run import MOST_PIECES, Run
from lehr.schedule.shapes import Constant, segment

_MOST_VALUES = 10_000  # largest number of table values of a curve along a batch-size ramp


def increasing(field: str, lengths: Sequence[Length]) -> list[int]:
    """Return the lengths in integer steps; raise if they decrease."""
    known = [length for length in lengths if isinstance(length, int)]
    if any(a > b for a, b in itertools.pairwise(known)):
        fail(field, "increasing", lengths)
    return known


@dataclass(frozen=True, repr=False)
class Piecewise(Schedule, kind="piecewise"):
    """Piecewise constant values (endless), or values interpolated along a curve between knots.

    Args:
        boundaries: increasing lengths from step 0; a new value applies from its boundary on.
        values: for the curve "constant", one value more than boundaries; the first one applies
            before the first boundary. For another curve, one value per boundary.
        curve: "constant", or the curve between knots: "linear", "cosine", "geometric" ...

    Raises:
        ValueError: if the boundaries decrease or the number of values is wrong.
        TypeError: if boundaries or values are not a list or tuple.

    >>> from lehr.schedule import Piecewise
    >>> [Piecewise((2, 4), (1.0, 0.1, 0.01))(t) for t in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    >>> [Piecewise((0, 4, 8), (0.0, 1.0, 0.0), "linear")(t) for t in (0, 2, 4, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    LENGTHS = ("boundaries",)

    boundaries: tuple[Length, ...]
    values: tuple[float, ...]
    curve: str = "constant"
    _chain: Schedule | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), list | tuple):
                fail(name, "a list", getattr(self, name), error=TypeError)
        missing = "lengths from step 0"
        boundaries = tuple(check_length("boundaries", b, missing=missing) for b in self.boundaries)
        values = tuple(number("values", value) for value in self.values)
        known: list[Any] = increasing("boundaries", boundaries)
        resolved = len(known) == len(boundaries)
        constant = one_of("curve", self.curve, ("constant", *CURVES, "geometric")) == "constant"
        if constant and len(values) != len(boundaries) + 1:
            count = f"{len(boundaries)} boundar{'y' if len(boundaries) == 1 else 'ies'}"
            fail("values", f"a list of {len(boundaries) + 1} items for {count}", values)
        if not constant and (len(boundaries) != len(values) or len(values) < 2):
            fail("values", f"one for each of at least 2 boundaries {boundaries}", values)
        self._derive(
            boundaries=boundaries,
            values=values,
            resolved=resolved,
            length=ENDLESS if constant else known[-1] if resolved else UNKNOWN,
            _chain=None,
        )
        if not constant:
            steps = [b - a for a, b in itertools.pairwise(known)] if resolved else []
            steps += [0] * (len(values) - 1 - len(steps))
            ends = zip(itertools.pairwise(values), steps, strict=True)
            parts: list[Schedule] = [segment(a, b, n, self.curve) for (a, b), n in ends]
            if resolved:
                hold = Constant(values[0]).take(known[0])
                self._derive(_chain=chain.Chain((hold, *parts)))

    def at(self, t: Any, xp: Any) -> Any:
        if self._chain is not None:
            return self._chain.at(t, xp)
        if xp is scalar:
            return self.values[bisect.bisect_right(self.boundaries, t)]
        if xp.__name__ == "numpy" and len(self.boundaries) > 8:  # binary search is faster
            return xp.asarray(self.values)[xp.searchsorted(self.boundaries, t, side="right")]
        value = xp.where(t >= 0, self.values[0], self.values[0])
        for boundary, later in zip(self.boundaries, self.values[1:], strict=True):
            value = xp.where(t >= boundary, later, value)
        return value

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        at = tuple(run.place("boundaries", b, first, last) for b in self.boundaries)
        integer_steps = replace(self, boundaries=at)
        ramps = [run.ramp_of(b) for b in self.boundaries[1:]]
        if self.curve == "constant" or not any(ramps):
            return integer_steps
        parts: list[Schedule] = [Constant(self.values[0]).take(at[0])]
        ends = zip(itertools.pairwise(self.values), itertools.pairwise(at), ramps, strict=True)
        for (value, next_value), (start, end), ramp in ends:
            part = segment(value, next_value, end - start, self.curve)
            if ramp is not None and end - start > 1:
                parts.append(part._along(ramp, nearest(first) + start, end - start))
            else:
                parts.append(part)
        return chain.Chain(tuple(parts))

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        return run.move("boundaries", self.boundaries[-1], start, backward=backward)

    def _next_joint(self, t: int) -> int | None:
        boundaries: Any = self.boundaries
        if t < 0:
            return 0
        i = bisect.bisect_right(boundaries, t)
        return boundaries[i] if i < len(boundaries) else None

    def _previous_joint(self, t: int) -> int | None:
        boundaries: Any = self.boundaries
        i = bisect.bisect_left(boundaries, t)
        return boundaries[i - 1] if i else super()._previous_joint(t)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        if self._chain is not None:
            return self._chain._bounds(first, last)
        boundaries: Any = self.boundaries
        i, i_last = (bisect.bisect_right(boundaries, t) for t in (first, last))
        return ordered_pair(*self.values[i : i_last + 1])

    def _code(self) -> Code:
        values = [list(self.boundaries), list(self.values)]
        return call("piecewise", *values, curve=(self.curve, "constant"))


@dataclass(frozen=True, repr=False)
class Table(Schedule, kind="table"):
    """A list of values, one per step; the last value is then held.

    Args:
        values: at least one number.

    Raises:
        TypeError: if the values are not a list or tuple of numbers, or there are none.

    >>> from lehr.schedule import Table
    >>> [Table((0.3, 0.2, 0.1))(t) for t in range(5)]
    [0.3, 0.2, 0.1, 0.1, 0.1]
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        values = self.values
        if not isinstance(values, list | tuple) or not values:
            fail("values", "a list of at least one number", values, error=TypeError)
        numbers = tuple(number("values", value) for value in values)
        self._derive(values=numbers, length=len(numbers), resolved=True)

    def at(self, t: Any, xp: Any) -> Any:
        last = len(self.values) - 1
        return scalar.pick(self.values, xp.where(t < last, t, last), xp)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        return self

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        return start - len(self.values) if backward else start + len(self.values)

    def _next_joint(self, t: int) -> int | None:
        return max(0, t + 1) if t < len(self.values) else None

    def _previous_joint(self, t: int) -> int | None:
        return min(t - 1, len(self.values)) if t > 0 else None

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        end = len(self.values) - 1
        return ordered_pair(*self.values[min(first, end) : last + 1])

    def _code(self) -> Code:
        return call("table", list(self.values))


def join_pieces(pieces: Iterable[tuple[Schedule, int]]) -> list[Schedule]:
    """Merge the pieces of a curve along a batch-size ramp; single-step pieces become tables."""
    parts: list[Schedule] = []
    for single, group in itertools.groupby(pieces, key=lambda piece: piece[1] == 1):
        found = [piece for piece, _ in group]
        parts += [Table(tuple(piece(0) for piece in found))] if single else found
    tabled = sum(len(part.values) for part in parts if isinstance(part, Table))
    if len(parts) > MOST_PIECES or tabled > _MOST_VALUES:
        often = f"{MOST_PIECES} times, or {_MOST_VALUES} times in single steps,"
        rule = f"a schedule that changes at most {often} during a curve in samples or tokens"
        fix = "change the batch size less often, for instance with .every(n)"
        fail("batch-size ramp", rule, max(len(parts), tabled), fix)
    return parts


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {}


@dataclass(frozen=True, repr=False)
class Function(Schedule, kind="function"):
    """A user-defined function of the step; endless. `lehr.from_function` constructs it.

    Args:
        name: name of the function in JSON; None: it cannot be saved.
        f: the function; None: the function registered under the name.

    Raises:
        ValueError: if no function, or another one, is registered under the name.
        TypeError: if ``f`` is not callable.

    >>> from lehr.schedule import Function
    >>> Function(None, lambda step: 0.1 / (1 + step))(4)
    0.02
    """

    name: str | None = None
    f: Callable[[Any], Any] | None = field(default=None, metadata={"json": False})

    def __post_init__(self) -> None:
        f = self.f
        if self.name is not None:
            if not isinstance(self.name, str) or not self.name:
                fail("name", "a text", self.name, error=TypeError)
            f = f or _FUNCTIONS.get(self.name)
            if f is None:
                fix = "register it with from_function(f, name=...)"
                fail("name", "the name of a registered function", self.name, fix)
            known = _FUNCTIONS.setdefault(self.name, f)
            if known is not f and not _same_source(known, f):
                fail("name", f"unused; it is the name of {known!r}", self.name)
            _FUNCTIONS[self.name] = f
        if not callable(f):
            fail("f", "a function of the step", f, error=TypeError)
        self._derive(f=f, length=ENDLESS, resolved=True)

    def at(self, t: Any, xp: Any) -> Any:
        value = self.f(t)  # type: ignore[misc]
        return float(value) if xp is scalar else value

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        return ordered_pair(self.at(first, scalar))  # the values at other steps are unknown

    def check_writable(self) -> None:
        if self.name is None:
            fail("name", "given to save a function", None, "use from_function(f, name=...)")

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        return self

    def _code(self) -> Code:
        if self.name is not None:
            return call("Function", self.name)
        return call("from_function", self.f)


def _same_source(a: Callable[[Any], Any], b: Callable[[Any], Any]) -> bool:
    """Return whether two functions come from one definition that was executed twice."""

    def same(name: str) -> bool:
        return bool(getattr(a, name, a) == getattr(b, name, b))

    files = [getattr(getattr(f, "__code__", None), "co_filename", f) for f in (a, b)]
    return same("__qualname__") and (same("__module__") or bool(files[0] == files[1]))


# imports the classes above, and their methods use it
from lehr.schedule import chain  # noqa: E402
