"""The elementary shapes: constant, ramp along a curve, piecewise constant."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.curves import CURVES, LEFT, Curve, bend, find_curve, share
from lehr.schedule.errors import fail, number
from lehr.schedule.length import ENDLESS, LAST, REST, UNKNOWN, Length, Run, check_length, nearest


@dataclass(frozen=True)
class Constant(Schedule, kind="constant"):
    """The same value at every step; endless."""

    value: float

    def __post_init__(self) -> None:
        self._derive(value=number("value", self.value), length=ENDLESS, resolved=True)

    def at(self, t: Any, xp: Any) -> Any:
        return xp.where(t >= 0, self.value, self.value)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        return self, math.inf


@dataclass(frozen=True)
class Ramp(Schedule, kind="ramp"):
    """From ``start`` to ``end`` in ``steps`` steps along a curve; then ``end`` holds.

    ``(1 - w) * start + w * end`` with ``w = 1 - (1 - curve(t / steps))**power``: ``start`` at
    step 0, ``end`` at step ``steps``, the first step of the next part. The curve "exponential"
    goes the way between the logarithms instead, so the ratio of neighbours is constant.

    Args:
        start: value at step 0.
        end: value at step ``steps`` and after.
        steps: a length: whole steps, "3 epochs", "5%", or None, the rest of the run.
        curve: name of a unit curve.
        power: exponent of what is left, above 0; always 1 with "exponential" and "tanh".
        offset: steps, whole or not, that are gone already at step 0.
        span: whole length, real: the share gone at step t is ``(t + offset) / span``, at most 1.
            It is ``steps`` if left out; where it is larger, the ramp is cut off after ``steps``.

    >>> from lehr.schedule import Ramp
    >>> [Ramp(1.0, 0.0, steps=4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    >>> Ramp(0.1, 0.0, steps=4, curve="cosine", power=2.0)(2)
    0.025
    >>> [Ramp(1.0, 0.0, steps=3, offset=0.5, span=2.5)(t) for t in range(4)]
    [0.8, 0.4, 0.0, 0.0]
    """

    start: float
    end: float
    steps: Length = None
    curve: str = "linear"
    power: float = 1.0
    offset: float = 0.0
    span: float | None = None
    _curve: Curve = field(init=False, repr=False, compare=False)
    _bend: float = field(init=False, repr=False, compare=False)
    _log_ratio: float | None = field(init=False, repr=False, compare=False)
    _simple: bool = field(init=False, repr=False, compare=False)
    _span: float = field(init=False, repr=False, compare=False)
    _rest: tuple[int, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name, bent = find_curve(self.curve)
        geometric = name == "exponential"
        lowest = 0.0 if geometric else None
        start = number("start", self.start, above=lowest)
        end = number("end", self.end, above=lowest)
        steps = check_length("steps", self.steps)
        known = isinstance(steps, int)
        power = number("power", self.power, above=0)
        if power != 1.0 and name not in LEFT:
            fail("power", f"1 with the curve {name!r}", self.power)
        offset = number("offset", self.offset, at_least=0) + 0.0
        span = self.span
        if span is not None:
            if not isinstance(steps, int):
                fail("steps", "whole steps where there is a span", steps)
            span = number("span", span, above=offset)
        elif offset:
            fail("span", "given with an offset", None)
        self._derive(
            start=start,
            end=end,
            steps=steps,
            power=power,
            offset=offset,
            span=span,
            length=steps if known else REST if steps is None else UNKNOWN,
            resolved=known,
            _curve=CURVES[name],
            _bend=bent,
            # anchored at the larger end, so that float32 stays within 4e-7 of it
            _log_ratio=-abs(math.log(start) - math.log(end)) if geometric else None,
            _simple=power >= 1.0 and not geometric and bent == 1.0,
            _span=span or (steps if not isinstance(steps, int) or steps <= LAST else float(steps)),
            # steps left at step 0, the whole ones apart, so that graphs subtract integers
            _rest=_split(span - offset if span is not None else steps if known else 0),
        )

    def at(self, t: Any, xp: Any) -> Any:
        steps: Any = self.steps
        if steps > LAST and scalar.narrow(t):
            gone = t  # never at the end
        else:
            gone = (t if t < steps else steps) if xp is scalar else xp.where(t < steps, t, steps)
        if self.span is None:
            if xp is scalar:
                u = gone / steps
            else:  # TensorFlow divides no integers by floats
                u = share(gone if steps <= LAST else gone / 1, self._span, xp)
        else:
            reached = gone / 1 + self.offset  # nor adds them
            u = share(xp.where(reached < self.span, reached, self.span), self.span, xp)
        if not self._simple:
            return self._precise(u, gone, xp)
        w = self._curve(u, xp)
        if self.power != 1.0:
            w = 1.0 - (1.0 - w) ** self.power
        return (1.0 - w) * self.start + w * self.end

    def _precise(self, u: Any, gone: Any, xp: Any) -> Any:
        """Return the value from the share gone and the share left, each to full precision."""
        late = self.power >= 1.0 and self._log_ratio is None
        if late and (xp is scalar or xp.__name__ == "numpy"):  # where doubles are precise enough
            w = self._curve(u**self._bend, xp)
            remains = (1.0 - w) ** self.power
            return remains * self.start + (1.0 - remains) * self.end
        whole_steps, fraction = self._rest
        left = whole_steps - gone
        if self.span is not None or fraction:
            left = left / 1 + fraction
            left = xp.where(left > 0, left, 0.0)
        v = share(left, self._span, xp)
        if self._bend != 1.0:
            u, v = bend(u, v, self._bend, xp)
        if self._log_ratio is None:
            if late:  # the share gone is the precise one
                remains = (1.0 - self._curve(u, xp)) ** self.power
            else:
                remains = LEFT[find_curve(self.curve)[0]](u, v, xp) ** self.power
            return remains * self.start + (1.0 - remains) * self.end
        value = max(self.start, self.end) * xp.exp(
            (v if self.end >= self.start else u) * self._log_ratio
        )
        return xp.where(u >= 1.0, self.end, xp.where(u <= 0.0, self.start, value))

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        steps, end = run.place("steps", self.steps, first)
        if self.span is None or run.stretch == 1:
            return replace(self, steps=steps), end
        offset = max(0.0, float(Fraction(self.offset) * run.stretch + nearest(first) - first))
        span = float(Fraction(self.span) * run.stretch)
        return replace(self, steps=steps, offset=offset, span=max(span, offset + 2.0**-20)), end


def _split(rest: Any) -> tuple[int, float]:
    """Return whole steps, few enough for graphs, and what is beyond them."""
    whole_steps = min(math.floor(rest), LAST)
    return whole_steps, float(rest - whole_steps)


@dataclass(frozen=True)
class Piecewise(Schedule, kind="piecewise"):
    """Constant between boundaries: ``values[i]`` from step ``boundaries[i - 1]`` on; endless.

    Args:
        boundaries: increasing lengths from step 0; a new value begins exactly at its boundary.
        values: one value more than there are boundaries.

    >>> from lehr.schedule import Piecewise
    >>> [Piecewise((2, 4), (1.0, 0.1, 0.01))(t) for t in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    boundaries: tuple[Length, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), list | tuple):
                fail(name, "a list", getattr(self, name), error=TypeError)
        boundaries = tuple(check_length("boundaries", length) for length in self.boundaries)
        values = tuple(number("values", value) for value in self.values)
        if None in boundaries:
            fail("boundaries", "lengths from step 0", boundaries)
        if len(values) != len(boundaries) + 1:
            fail("values", f"one more than the {len(boundaries)} boundaries", values)
        known = [length for length in boundaries if isinstance(length, int)]
        if any(a >= b for a, b in itertools.pairwise(known)):
            fail("boundaries", "increasing", boundaries)
        self._derive(
            boundaries=boundaries,
            values=values,
            length=ENDLESS,
            resolved=len(known) == len(boundaries),
        )

    def at(self, t: Any, xp: Any) -> Any:
        if xp is scalar:
            return self.values[bisect.bisect_right(self.boundaries, t)]
        value = xp.where(t >= 0, self.values[0], self.values[0])
        for boundary, later in zip(self.boundaries, self.values[1:], strict=True):
            value = xp.where(t >= boundary, later, value)
        return value

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        whole_steps = tuple(run.place("boundaries", b, first)[0] for b in self.boundaries)
        return Piecewise(whole_steps, self.values), math.inf


@dataclass(frozen=True)
class Table(Schedule, kind="table"):
    """The value of each step, written down; after the last it holds.

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

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        steps, end = run.place("values", len(self.values), first)
        kept = tuple(self.values[i * len(self.values) // steps] for i in range(steps))
        return Table(kept), end


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {}


@dataclass(frozen=True)
class Function(Schedule, kind="function"):
    """A user's own function of the step; endless. Made by `lehr.from_function`.

    Args:
        name: what stands for it in JSON.
        f: the function; left out, the one that was registered under the name.
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
                way_out = "first call from_function(f, name=...) with it"
                fail("name", "that of a registered function", self.name, way_out)
            known = _FUNCTIONS.setdefault(self.name, f)
            if known is not f and not _written_alike(known, f):
                fail("name", f"one that no other function has, as {known!r}", self.name)
            _FUNCTIONS[self.name] = f
        if not callable(f):
            fail("f", "a function of the step", f, error=TypeError)
        self._derive(f=f, length=ENDLESS, resolved=True)

    def at(self, t: Any, xp: Any) -> Any:
        value = self.f(t)  # type: ignore[misc]
        return float(value) if xp is scalar else value

    def check_writable(self) -> None:
        if self.name is None:
            fail("name", "given to write a function down", None, "from_function(f, name=...)")

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        if run.stretch != 1:
            fail("schedule", "one whose time can be scaled", self, "scale it inside the function")
        return self, math.inf


def _written_alike(a: Callable[[Any], Any], b: Callable[[Any], Any]) -> bool:
    """Return whether two functions are one text: a cell, or a file, that ran again."""

    def same(name: str) -> bool:
        return bool(getattr(a, name, a) == getattr(b, name, b))

    files = [getattr(getattr(f, "__code__", None), "co_filename", f) for f in (a, b)]
    return same("__qualname__") and (same("__module__") or bool(files[0] == files[1]))
