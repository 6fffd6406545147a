"""Endless decays: they fall for ever and have no last value; ``take(steps)`` gives them an end."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number
from lehr.schedule.length import ENDLESS, Length, Run, check_length


@dataclass(frozen=True)
class Exponential(Schedule, kind="exponential"):
    """``start * rate**(t / steps)``; with ``staircase``, ``start * rate**(t // steps)``.

    Args:
        start: value at step 0.
        rate: factor per ``steps`` steps, above 0 and at most 1.
        steps: a length: whole steps, "1 epoch", "10%".
        staircase: fall once every ``steps`` steps instead of a little at every step.

    >>> from lehr.schedule import Exponential
    >>> [Exponential(0.8, 0.5, steps=2, staircase=True)(t) for t in range(5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    start: float
    rate: float
    steps: Length
    staircase: bool = False
    _log_rate: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = check_length("steps", self.steps)
        if steps is None:
            fail("steps", "a length", None)
        if not isinstance(self.staircase, bool):
            fail("staircase", "True or False", self.staircase, error=TypeError)
        way_out = "to grow, use a ramp with curve='exponential'"
        rate = number("rate", self.rate, above=0, at_most=1, way_out=way_out)
        known = isinstance(steps, int)
        self._derive(
            start=number("start", self.start),
            rate=rate,
            steps=steps,
            length=ENDLESS,
            resolved=known,
            _log_rate=math.log(rate),
        )

    def at(self, t: Any, xp: Any) -> Any:
        u = (t // self.steps) / 1 if self.staircase else t / self.steps
        return self.start * xp.exp(u * self._log_rate)

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        # a time constant is counted from step 0 wherever the decay begins
        steps, _ = run.place("steps", self.steps, Fraction(0))
        return Exponential(self.start, self.rate, steps, self.staircase), math.inf
