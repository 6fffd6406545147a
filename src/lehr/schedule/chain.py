"""Sequential composition of schedules."""

import bisect
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule, ordered_pair
from lehr.schedule.clock import Take
from lehr.schedule.code import (
    PRIMARY,
    Code,
    call,
    within,
)
from lehr.schedule.errors import LAST, fail
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent, nearest, parse
from lehr.schedule.run import Run
from lehr.schedule.shapes import Constant, Segment
from lehr.schedule.steps import END


@dataclass(frozen=True, repr=False)
class Chain(Schedule, kind="chain"):
    """Consecutive parts; step 0 of each part is the end of the preceding one.

    The final value of the last part is held. At most one part may have an open length (omitted,
    or endless and followed by another part): it takes the rest of the run. Parts of length 0
    remain in the definition and have no effect.

    Args:
        parts: at least two schedules or numbers; nested chains are flattened.

    Raises:
        ValueError: if two parts have an open length, or the first part has no start.
        TypeError: if the parts are not a list or tuple of schedules and numbers.

    >>> import lehr
    >>> s = lehr.linear(0.0, 1.0, steps=2).then(lehr.linear(1.0, 0.0, steps=4))
    >>> [s(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]
    _firsts: tuple[int, ...] = field(init=False, compare=False)
    _active: tuple[Schedule, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        parts = _continue_each(flatten(Chain, self.parts))
        open_parts = [i for i, part in enumerate(parts) if part.length in (ENDLESS, REST)]
        if len(open_parts) > 1:
            which = " and ".join(f"part {i + 1} ({_why_open(parts[i])})" for i in open_parts)
            fix = "give all but one of them a length, or an end with .take(steps)"
            rule = "at most one part without a length"
            raise ValueError(f"a chain must have {rule}, got {which}; {fix}")
        after = parts[open_parts[0] + 1 :] if open_parts else ()
        for length in (length for part in after for length in part._all_lengths()):
            if isinstance(length, str) and parse("steps", length).until:
                fix = "use 'until ...' for the preceding part, and a plain length for this one"
                fail("a part after the rest of the run", "without 'until'", length, fix)
        resolved = all(part.resolved for part in parts)
        resolved = resolved and open_parts in ([], [len(parts) - 1])
        if open_parts:
            last = open_parts[0] == len(parts) - 1
            extent: Extent = ENDLESS if last and parts[-1].length == ENDLESS else REST
        else:
            extent = _total([part.length for part in parts])
        self._derive(parts=parts, resolved=resolved, length=extent, _firsts=(), _active=())
        if resolved:
            firsts: Any = accumulate((part.length for part in parts[:-1]), initial=0)
            *before, last_part = zip(firsts, parts, strict=True)
            active = [(f, part) for f, part in before if part.length] + [last_part]
            active = [(f, part) for f, part in active if f < END]  # the others are never reached
            self._derive(_firsts=tuple(f for f, _ in active), _active=tuple(p for _, p in active))

    def at(self, t: Any, xp: Any) -> Any:
        firsts = self._firsts
        if xp is scalar:
            i = bisect.bisect_right(firsts, t) - 1
            return self._active[i].at(t - firsts[i], xp)
        if xp.__name__ == "numpy" and getattr(t, "ndim", 0):
            return self._at_numpy(t, xp)
        value = self._active[0].at(t, xp)
        for first, part in zip(firsts[1:], self._active[1:], strict=True):
            if first > LAST and scalar.narrow(t):
                break
            # every part is evaluated; step 0 is used for parts that start after t
            local = xp.where(t < first, 0, t - first)
            value = xp.where(t < first, value, part.at(local, xp))
        return value

    def _at_numpy(self, t: Any, np: Any) -> Any:
        """Return the values at known steps; each part is evaluated only at its own steps."""
        steps, order = t.ravel(), None
        if (steps[1:] < steps[:-1]).any():
            order = np.argsort(steps)
            steps = steps[order]
        edges = [0, *np.searchsorted(steps, self._firsts[1:]).tolist(), len(steps)]
        values = np.empty(len(steps))
        for part, first, (a, b) in zip(self._active, self._firsts, pairwise(edges), strict=True):
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
                raise _with_part(error, i) from None
            parts.append(resolved)
        return Chain(tuple(parts)) if len(parts) > 1 else parts[0]

    def _positions(self, run: Run, first: Fraction, last: Fraction | None) -> list[Any]:
        """Return the exact end positions; those after an open part are computed from the end."""
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
                        needed = float(forward[-1] + run.end(last) - backward[-1])
                        rule = f"at least {needed:g}, the sum of the lengths in the chain"
                        fail("steps", rule, int(run.end(last)))
                else:
                    backward = [last]
                break
            forward.append(_in_part(i + 1, partial(part._move, run, forward[-1])))
        return forward + backward[::-1]

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        for part in reversed(self.parts) if backward else self.parts:
            start = part._move(run, start, backward=backward)
        return start

    def _next_joint(self, t: int) -> int | None:
        if t < 0:
            return 0
        i = bisect.bisect_right(self._firsts, t) - 1
        first, end = self._firsts[i], self._firsts[i + 1 : i + 2]
        joint = self._active[i]._next_joint(t - first)
        return min([*end, *(() if joint is None else (first + joint,))], default=None)

    def _previous_joint(self, t: int) -> int | None:
        i = bisect.bisect_left(self._firsts, t) - 1
        if i < 0:
            return None
        return self._firsts[i] + (self._active[i]._previous_joint(t - self._firsts[i]) or 0)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        firsts = self._firsts
        i, i_last = (bisect.bisect_right(firsts, t) - 1 for t in (first, last))
        found: list[float] = []
        for k in range(i, i_last + 1):
            end = last if k == i_last else firsts[k + 1] - 1
            found += self._active[k]._bounds(max(first, firsts[k]) - firsts[k], end - firsts[k])
        return ordered_pair(*found)

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
    """Set each open start to the final value of the preceding part, if that is known."""
    done = [parts[0]]
    if parts[0]._continued(0.0) != parts[0]:
        fail("part 1 of a chain", "a schedule with a start", parts[0])
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
        raise _with_part(error, i) from None


def _with_part(error: ValueError, i: int) -> ValueError:
    message = str(error)
    return ValueError(message if message.startswith("in ") else f"in Chain part {i}: {message}")


def _why_open(part: Schedule) -> str:
    return "takes the rest of the run" if part.length == REST else "never ends"


def flatten(cls: type[Schedule], parts: Any) -> tuple[Schedule, ...]:
    """Flatten nested combinations of the same class; require at least two parts."""
    if not isinstance(parts, list | tuple):
        fail("parts", "a list of schedules", parts, error=TypeError)
    flat: list[Schedule] = []
    for i, part in enumerate(parts, 1):
        part = as_schedule(f"part {i}", part)
        flat += part._parts() if type(part) is cls else [part]
    if len(flat) < 2:
        fail("parts", "a list of at least 2 schedules", parts)
    return tuple(flat)


def _total(lengths: list[Extent]) -> Extent:
    return sum(lengths) if all(isinstance(n, int) for n in lengths) else UNKNOWN  # type: ignore[arg-type]
