"""Endless decays: they fall for ever and have no last value; ``take(steps)`` gives them an end."""

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, number
from lehr.schedule.length import ENDLESS, Run, check_time_constant, typed


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


@dataclass(frozen=True)
class RAdam(Schedule, kind="radam"):
    """RAdam's rectification as a warm-up: ``peak * r(n)``; endless. Made by `lehr.warmup_radam`.

    Args:
        peak: value that it rises to.
        beta2: of the optimizer, above 0.6 (below, the variance is never tractable) and below 1.
    """

    peak: float
    beta2: float
    _longest: float = field(init=False, repr=False, compare=False)
    _rate: float = field(init=False, repr=False, compare=False)
    _first: int = field(init=False, repr=False, compare=False)
    _begin: float = field(init=False, repr=False, compare=False)
    _grown: float = field(init=False, repr=False, compare=False)
    _slope: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        peak, beta2 = number("peak", self.peak), number("beta2", self.beta2, above=0.6, below=1)
        exact = typed(beta2)
        longest, rate = 2 / (1 - exact) - 1, -math.log1p(-float(1 - exact))
        # rho of update n is below n
        first = next(n for n in itertools.count(5) if _rho(n, exact) > 4)
        x = first * rate
        grown = math.expm1(x)
        # x exp(x) - expm1(x), by its series where that is a difference of near-equal numbers
        rest = (
            x * math.exp(x) - grown
            if x > 1
            else sum(x**k * (k - 1) / math.factorial(k) for k in range(2, 25))
        )
        self._derive(
            peak=peak,
            beta2=beta2,
            length=ENDLESS,
            resolved=True,
            _longest=float(longest),
            _rate=rate,
            _first=first,
            _begin=float(_rho(first, exact) - 4),
            _grown=grown,
            _slope=rest / rate / (grown + 1.0),
        )

    def at(self, t: Any, xp: Any) -> Any:
        """Return ``peak * r``, from rho - 4 at the first update and what it has grown since.

        With ``y = -t log(beta2)``, ``x`` the same of the first update's number, and ``E =
        expm1(x)``, it has grown by ``2 (first (expm1(y) - y) + slope y) / (E (E / (E + 1) +
        expm1(y)))``: sums of positive numbers, so that float32 keeps them.
        """
        y = t / 1 * self._rate
        y = xp.where(y < 40.0, y, 40.0)  # then nothing is missing
        small = xp.where(y < 0.35, y, 0.35)
        series = 1.0
        for k in range(13, 2, -1):
            series = 1.0 + series * small / k
        power = xp.expm1(y)
        curved = xp.where(y < 0.35, 0.5 * small * small * series, power - y)
        since = (self._first * curved + self._slope * y) / (
            self._grown / (self._grown + 1.0) + power
        )
        beyond = self._begin + 2.0 / self._grown * since
        whole = (self._longest - 4.0) * (self._longest - 2.0) / self._longest
        share = beyond * ((beyond + 2.0) / (beyond + 4.0)) / whole
        return self.peak * xp.sqrt(xp.where(share < 1.0, share, 1.0))

    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        if run.stretch != 1:
            fail("schedule", "one whose time can be scaled", self, "beta2 fixes its time")
        return self, math.inf


def _rho(n: int, beta2: Fraction) -> Fraction:
    """Return how many gradients the average of squares is worth at update n."""
    power = beta2**n
    return 2 / (1 - beta2) - 1 - 2 * n * power / (1 - power)
