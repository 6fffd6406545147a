"""Elementary schedules: a constant, and curves between two values."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, ordered_pair
from lehr.schedule.code import PRIMARY, Code, call
from lehr.schedule.curves import CURVES, MONOTONE, Curve, bend, double, find_curve, fraction
from lehr.schedule.errors import LAST, fail, integer, number, one_of
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Length, check_length, nearest
from lehr.schedule.run import Run, SizeRamp

_LEAST, _LARGEST = 1e-30, 1e30  # exponents
_SAMPLES = 32  # steps of a user's curve at which its values are checked


@dataclass(frozen=True, repr=False)
class Constant(Schedule, kind="constant"):
    """A constant value; endless.

    Args:
        value: value at every step; None: the final value of the preceding part of a chain.

    >>> from lehr.schedule import Constant
    >>> Constant(0.1)(12345)
    0.1
    """

    value: float | None

    def __post_init__(self) -> None:
        value = None if self.value is None else number("value", self.value)
        self._derive(value=value, length=ENDLESS, resolved=value is not None)

    def at(self, t: Any, xp: Any) -> Any:
        return self.value if xp is scalar else xp.where(t >= 0, self.value, self.value)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        if self.value is None:
            fail("value", "a number, unless another part precedes it in a chain", None)
        return self

    def _continued(self, value: float) -> Schedule:
        return Constant(value) if self.value is None else self

    def _code(self) -> Code:
        return f"constant({self.value!r})", PRIMARY


class Segment(Schedule):
    """Base class of curves from ``start`` to ``end`` in ``steps`` steps; ``end`` is then held."""

    LENGTHS = ("steps",)

    start: float | None
    end: float
    steps: Length
    from_zero: bool

    def _check(self, lowest: float | None = None) -> None:
        if not isinstance(self.from_zero, bool):
            fail("from_zero", "True or False", self.from_zero, error=TypeError)
        start = None if self.start is None else number("start", self.start, above=lowest)
        steps = check_length("steps", self.steps)
        known = isinstance(steps, int)
        self._derive(
            start=start,
            end=number("end", self.end, above=lowest),
            steps=steps,
            length=steps if known else REST if steps is None else UNKNOWN,
            resolved=known and start is not None,
        )

    @abstractmethod
    def value(self, u: Any, v: Any, steps: Any, xp: Any) -> Any:
        """Return the value at ``u`` (fraction of the steps elapsed) and ``v`` (remaining)."""

    def at(self, t: Any, xp: Any) -> Any:
        steps: Any = self.steps
        ahead = 0 if self.from_zero else 1
        if xp is scalar:
            t += ahead
            if t >= steps:
                return self.end
            return self.value(t / steps, (steps - t) / steps, steps, xp)
        if not steps:
            return xp.where(t >= 0, self.end, self.end)
        if xp.__name__ == "numpy":
            gone = xp.minimum(t + ahead if ahead else t, steps)
        else:
            gone = xp.where(t < steps - ahead, t + ahead, steps)
        needs_u, needs_v = self._needs(xp)
        u = fraction(gone, steps, xp) if needs_u else None
        v = fraction(steps - gone, steps, xp) if needs_v else None
        return self.value(u, v, steps, xp)

    def _needs(self, xp: Any) -> tuple[bool, bool]:
        """Return whether `value` uses ``u`` and whether it uses ``v``."""
        return True, True

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        steps = run.place("steps", self.steps, first, last)
        ramp, begin = run.ramp_of(self.steps), nearest(first)
        if ramp is not None and len(ramp.pieces(begin, begin + steps)) > 1:
            return self._along(ramp, begin, steps)
        if nearest(first) + steps > LAST and self.from_zero:  # cut at the largest step
            shape = replace(self, steps=None)  # type: ignore[type-var]
            return Window(shape, LAST - nearest(first), 0.0, float(steps))
        return replace(self, steps=steps)  # type: ignore[type-var]

    def _along(self, sizes: SizeRamp, first: int, steps: int) -> Schedule:
        """Return the curve as a function of processed samples or tokens, for a batch-size ramp.

        Each range of constant batch size becomes a `Window` with a real offset and span; ranges
        of a single step become tables.
        """
        begun, ended = sizes.done(Fraction(first)), sizes.done(Fraction(first + steps))
        shape = replace(self, steps=None, from_zero=True)  # type: ignore[type-var]
        pieces: list[tuple[Schedule, int]] = []
        for start, end, size in sizes.pieces(first, first + steps):
            offset = (sizes.done(Fraction(start)) - begun) / size + (not self.from_zero)
            span, length = (ended - begun) / size, end - start
            piece: Schedule = Constant(self.end).take(length)
            if offset < span:
                piece = Window(shape, length, float(offset), float(span))
            pieces.append((piece, length))
        # a part of length 0 holds the final value after the last step
        return chain.Chain((*piecewise.join_pieces(pieces), replace(self, steps=0)))  # type: ignore[type-var]

    def _continued(self, value: float) -> Schedule:
        return replace(self, start=value) if self.start is None else self  # type: ignore[type-var]


@dataclass(frozen=True, repr=False)
class Ramp(Segment, kind="ramp"):
    """A curve from ``start`` to ``end`` in ``steps`` steps; ``end`` is then held.

    The value is ``left * start + (1 - left) * end`` with ``left = curve(u)**power`` and
    ``u = (t / steps)**time_power``: ``start`` at step 0, ``end`` at step ``steps``, the first step
    of the next part.

    Args:
        start: value at step 0; None: the final value of the preceding part.
        end: value at step ``steps`` and after.
        steps: a length; None takes the rest of the run.
        curve: name of a curve: "linear", "cosine", ...
        power: exponent of the remaining fraction ``left``, above 0.
        time_power: exponent of the elapsed time fraction, above 0.
        from_zero: if False, update n uses the value of step n + 1, so that the first update does
            not use ``start``.

    Raises:
        ValueError: if a value is out of range, or the curve is unknown.
        TypeError: if a value has the wrong type.

    >>> from lehr.schedule import Ramp
    >>> [Ramp(1.0, 0.0, 4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    >>> [Ramp(0.0, 1.0, 4, from_zero=False)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    start: float | None
    end: float
    steps: Length = None
    curve: str = "linear"
    power: float = 1.0
    time_power: float = 1.0
    from_zero: bool = True
    _curve: Curve = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        self._derive(
            power=_exponent("power", self.power),
            time_power=_exponent("time_power", self.time_power),
            _curve=find_curve(self.curve),
        )

    def value(self, u: Any, v: Any, steps: Any, xp: Any) -> Any:
        if self.time_power != 1.0:
            precise = self.power < 1.0
            skip = double(xp) and precise and not self._curve.uses_u
            u, v = bend(None if skip else u, v, self.time_power, xp, precise=precise)
        start, end, curve = self.start, self.end, self._curve
        arguments = (u, v, xp, steps) if curve.scaled else (u, v, xp)
        if self.power != 1.0:
            left = curve.left(*arguments)
            if curve.gone is not None and not double(xp):
                # 1 - gone is more precise in float32 near 1, and the power amplifies errors
                left = xp.where(u < v, 1.0 - curve.gone(*arguments), left)
            left = left**self.power
            return left * start if end == 0.0 else left * start + (1.0 - left) * end
        if curve.gone is not None and start == 0.0:
            return curve.gone(*arguments) * end
        left = curve.left(*arguments)
        if end == 0.0:
            return left * start
        if xp is scalar:
            return left * start + (1.0 - left) * end
        # 1 - left may cancel in float32; gone is used where left + gone is 1 without error
        if double(xp) or curve.gone is None or curve.uses_u:
            return left * start + (1.0 - left) * end
        return left * start + curve.gone(*arguments) * end

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        if self._curve in MONOTONE:
            return super()._bounds(first, last)
        end: Any = self.length
        last = max(first, min(last, end))
        steps = {first + (last - first) * i // _SAMPLES for i in range(_SAMPLES + 1)}
        return ordered_pair(*(self.at(t, scalar) for t in steps))

    def _needs(self, xp: Any) -> tuple[bool, bool]:
        rising = self.start == 0.0 and self._curve.gone is not None
        plain = self.power == self.time_power == 1.0 and (double(xp) or self.end == 0.0)
        return not plain or rising or self._curve.uses_u, True

    def _code(self) -> Code:
        start, end, curve = self.start, self.end, self.curve
        bent = self.power != 1.0 or self.time_power != 1.0
        plain = not bent and curve == "linear" and self.from_zero
        powers = {"power": (self.power, 1.0), "time_power": (self.time_power, 1.0)}
        more = {"curve": (curve, "linear"), **powers, "from_zero": (self.from_zero, True)}
        if start is None:
            return call("Ramp", start, end, self.steps, **more)
        if plain and (start != 0.0 or end <= 0.0 or self.steps is None):
            return call("linear", start, end, self.steps)
        if self.from_zero and start > 0.0 and 0.0 <= end <= start:
            floor = {"floor": (end, 0.0)}
            if curve in ("linear", "cosine"):
                name = "cosine" if curve == "cosine" else "polynomial"
                return call(name, start, self.steps, **floor, **powers)
            if curve in ("rex", "tanh") and not bent:
                return call(curve, start, self.steps, **floor)
        if end > 0.0 and 0.0 <= start <= end and self.steps is not None:
            return call("warmup", end, self.steps, start=(start, 0.0), **more)
        return call("Ramp", start, end, self.steps, **more)


@dataclass(frozen=True, repr=False)
class Geometric(Segment, kind="geometric"):
    """A geometric curve from ``start`` to ``end``; ``end`` is then held.

    The value is ``start * (end / start)**(t / steps)``: the ratio per step is constant.

    Args:
        start: value at step 0, above 0; None: the final value of the preceding part.
        end: value at step ``steps`` and after, above 0.
        steps: a length; None takes the rest of the run.
        from_zero: if False, update n uses the value of step n + 1.

    Raises:
        ValueError: if an end is not above 0.
        TypeError: if a value has the wrong type.

    >>> from lehr.schedule import Geometric
    >>> [round(Geometric(1.0, 0.01, 4)(t), 6) for t in range(6)]
    [1.0, 0.316228, 0.1, 0.031623, 0.01, 0.01]
    """

    start: float | None
    end: float
    steps: Length = None
    from_zero: bool = True
    _log_ratio: float = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self._check(lowest=0.0)
        # anchored at the larger end, so that the float32 error is at most 4e-7 of that end
        start = self.end if self.start is None else self.start
        self._derive(_log_ratio=-abs(math.log(start) - math.log(self.end)))

    def value(self, u: Any, v: Any, steps: Any, xp: Any) -> Any:
        start: Any = self.start
        rising = self.end >= start
        value = max(start, self.end) * xp.exp((v if rising else u) * self._log_ratio)
        return xp.where(v <= 0.0, self.end, xp.where(u <= 0.0, start, value))

    def _code(self) -> Code:
        start, end = self.start, self.end
        if start is not None and start <= end and self.steps is not None:
            more = {"curve": ("geometric", "linear"), "from_zero": (self.from_zero, True)}
            return call("warmup", end, self.steps, start=(start, 0.0), **more)
        return call("Geometric", start, end, self.steps, from_zero=(self.from_zero, True))


def _exponent(field: str, value: Any) -> float:
    """Return an exponent that is neither 0 nor infinite in float32."""
    exponent = number(field, value, above=0)
    if not _LEAST <= exponent <= _LARGEST:
        fail(field, f"from {_LEAST:g} to {_LARGEST:g}", value)
    return exponent


def segment(
    start: float | None,
    end: float,
    steps: Length,
    curve: str,
    power: float = 1.0,
    time_power: float = 1.0,
    from_zero: bool = True,
) -> Segment:
    """Construct a curve by name: a `Geometric` for "geometric", otherwise a `Ramp`."""
    if one_of("curve", curve, (*CURVES, "geometric")) != "geometric":
        return Ramp(start, end, steps, curve, power, time_power, from_zero)
    for name, value in (("power", power), ("time_power", time_power)):
        if value != 1.0:
            fail(name, "1 with the curve 'geometric'", value)
    return Geometric(start, end, steps, from_zero)


@dataclass(frozen=True, repr=False)
class Window(Schedule, kind="window"):
    """A section of a curve, with a real-valued length and offset of the curve.

    At step ``t`` the elapsed fraction of the curve is ``(t + offset) / span``, at most 1.

    Args:
        shape: a `Ramp` or `Geometric` without steps.
        steps: integer number of steps in the section.
        offset: position on the curve at step 0, in real steps, at least 0.
        span: length of the complete curve in real steps, above ``offset``.

    Raises:
        ValueError: if a value is out of range, or the shape has steps.

    >>> import lehr
    >>> [lehr.schedule.Window(lehr.linear(1.0, 0.0), 3, 0.5, 2.5)(t) for t in range(4)]
    [0.8, 0.4, 0.0, 0.0]
    """

    shape: Segment
    steps: int
    offset: float
    span: float
    _rest: tuple[int, float] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        shape = self.shape
        if not isinstance(shape, Segment) or shape.steps is not None or not shape.from_zero:
            fail("shape", "a Ramp or Geometric without steps", shape)
        steps = integer("steps", self.steps, at_least=0, unit="steps")
        offset = number("offset", self.offset, at_least=0) + 0.0
        span = number("span", self.span, above=offset)
        rest = span - offset
        integer_rest = min(math.floor(rest), LAST)
        self._derive(
            steps=steps,
            offset=offset,
            span=span,
            length=steps,
            resolved=shape.start is not None,
            # integer and fractional part, so that graphs subtract integers
            _rest=(integer_rest, float(rest - integer_rest)),
        )

    def at(self, t: Any, xp: Any) -> Any:
        span, (integer_rest, rest) = self.span, self._rest
        if xp.__name__ == "numpy":
            gone = xp.minimum(t, self.steps)
            v = xp.maximum(integer_rest + rest - gone, 0.0) / span
            uses_u = self.shape._needs(xp)[0]
            u = xp.minimum(gone + self.offset, span) / span if uses_u else None
            return self.shape.value(u, v, span, xp)
        gone = xp.where(t < self.steps, t, self.steps)
        reached = gone / 1 + self.offset  # TensorFlow cannot add a float to an integer tensor
        u = fraction(xp.where(reached < span, reached, span), span, xp)
        remaining = (integer_rest - gone) / 1 + rest
        v = fraction(xp.where(remaining > 0.0, remaining, 0.0), span, xp)
        return self.shape.value(u, v, span, xp)

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        if not self.resolved:
            fail("shape", "a curve with a start", self.shape)
        return self

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        return start - self.steps if backward else start + self.steps

    def _continued(self, value: float) -> Schedule:
        shape: Any = self.shape._continued(value)
        return replace(self, shape=shape)


# these modules import the classes above, and their methods use them
from lehr.schedule import chain, piecewise  # noqa: E402
