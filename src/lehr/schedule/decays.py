"""Endless decays: they fall for ever and have no last value; ``take(steps)`` gives them an end."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number
from lehr.schedule.length import ENDLESS, Run, check_time_constant


class Decay(Schedule):
    """A decay measured by a time constant, at every step or in stairs."""

    start: float
    steps: float | str
    staircase: bool

    def __post_init__(self) -> None:
        steps = check_time_constant("steps", self.steps)
        if not isinstance(self.staircase, bool):
            fail("staircase", "True or False", self.staircase, error=TypeError)
        if self.staircase and isinstance(steps, float):
            fail("steps", "whole steps for a staircase", steps)
        known = not isinstance(steps, str)
        self._derive(start=number("start", self.start), steps=steps, length=ENDLESS, resolved=known)

    def at(self, t: Any, xp: Any) -> Any:
        u = (t // self.steps) / 1 if self.staircase else t / 1 / self.steps
        return self.start * self.share(u, xp)

    @abstractmethod
    def share(self, u: Any, xp: Any) -> Any:
        """Return the share of the start that is there after ``u`` time constants."""

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        # a time constant is counted from step 0 wherever the decay begins
        if run.stretch == 1:
            if isinstance(self.steps, float):
                return self, math.inf
            steps, _ = run.place("steps", self.steps, Fraction(0))
            return replace(self, steps=steps), math.inf  # type: ignore[type-var]
        exact = run.exact("steps", self.steps, Fraction(0))
        if self.staircase:
            smooth = replace(self, steps=1, staircase=False)  # type: ignore[type-var]
            return smooth.every(exact.numerator, exact.denominator), math.inf
        whole_steps = exact.denominator == 1
        steps = exact.numerator if whole_steps else float(exact)  # type: ignore[assignment]
        return replace(self, steps=steps), math.inf  # type: ignore[type-var]


@dataclass(frozen=True)
class Exponential(Decay, kind="exponential"):
    """``start * rate**(t / steps)``; with ``staircase``, ``start * rate**(t // steps)``.

    Args:
        start: value at step 0.
        rate: factor per ``steps`` steps, above 0 and at most 1.
        steps: a length ("1 epoch", "10%", 300), or a number of steps that is not whole.
        staircase: fall once every ``steps`` steps instead of a little at every step.

    >>> from lehr.schedule import Exponential
    >>> [Exponential(0.8, 0.5, steps=2, staircase=True)(t) for t in range(5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    start: float
    rate: float
    steps: float | str
    staircase: bool = False
    _log_rate: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        way_out = "to grow, use a ramp with curve='exponential'"
        rate = number("rate", self.rate, above=0, at_most=1, way_out=way_out)
        self._derive(rate=rate, _log_rate=math.log(rate))

    def share(self, u: Any, xp: Any) -> Any:
        return xp.exp(u * self._log_rate)


@dataclass(frozen=True)
class InverseTime(Decay, kind="inverse_time"):
    """``start / (1 + t / steps)**power``; with ``staircase``, ``t // steps``.

    Args:
        start: value at step 0.
        steps: a length, or a number of steps that is not whole: after it, with power 1, half is
            left.
        power: above 0.
        staircase: fall once every ``steps`` steps instead of a little at every step.

    >>> from lehr.schedule import InverseTime
    >>> [InverseTime(1.0, steps=2)(t) for t in (0, 2, 4, 6)]
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    start: float
    steps: float | str
    power: float = 1.0
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._derive(power=number("power", self.power, above=0))

    def share(self, u: Any, xp: Any) -> Any:
        return (1.0 + u) ** -self.power
