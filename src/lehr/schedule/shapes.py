"""The elementary shapes: constant, ramp along a curve, piecewise constant."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number, one_of
from lehr.schedule.curves import CURVES, LEFT, Curve, share
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Length, Run, check_length


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
        power: exponent of what is left, above 0; always 1 with the curve "exponential".

    >>> from lehr.schedule import Ramp
    >>> [Ramp(1.0, 0.0, steps=4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    >>> [round(Ramp(1e-3, 10.0, steps=4, curve="exponential")(t), 4) for t in range(5)]
    [0.001, 0.01, 0.1, 1.0, 10.0]
    """

    start: float
    end: float
    steps: Length = None
    curve: str = "linear"
    power: float = 1.0
    _curve: Curve = field(init=False, repr=False, compare=False)
    _log_ratio: float | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        geometric = one_of("curve", self.curve, CURVES) == "exponential"
        lowest = 0.0 if geometric else None
        start = number("start", self.start, above=lowest)
        end = number("end", self.end, above=lowest)
        steps = check_length("steps", self.steps)
        known = isinstance(steps, int)
        power = number("power", self.power, above=0)
        if power != 1.0 and geometric:
            fail("power", "1 with the curve 'exponential'", self.power)
        self._derive(
            start=start,
            end=end,
            steps=steps,
            power=power,
            length=steps if known else REST if steps is None else UNKNOWN,
            resolved=known,
            _curve=CURVES[self.curve],
            # anchored at the larger end, so that float32 stays within 4e-7 of it
            _log_ratio=-abs(math.log(start) - math.log(end)) if geometric else None,
        )

    def at(self, t: Any, xp: Any) -> Any:
        gone = xp.where(t < self.steps, t, self.steps)
        u = share(gone, self.steps, xp)
        if self.power >= 1.0 and self._log_ratio is None:
            w = self._curve(u, xp)
            if self.power != 1.0:
                w = 1.0 - (1.0 - w) ** self.power
            return (1.0 - w) * self.start + w * self.end
        v = share(self.steps - gone, self.steps, xp)
        if self._log_ratio is None:
            exact = LEFT.get(self.curve)
            left = (exact(u, v, xp) if exact else 1.0 - self._curve(u, xp)) ** self.power
            return left * self.start + (1.0 - left) * self.end
        to_larger = v if self.end >= self.start else u
        value = max(self.start, self.end) * xp.exp(to_larger * self._log_ratio)
        return xp.where(t >= self.steps, self.end, xp.where(t <= 0, self.start, value))

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        steps, end = run.place("steps", self.steps, first)
        return Ramp(self.start, self.end, steps, self.curve, self.power), end


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
