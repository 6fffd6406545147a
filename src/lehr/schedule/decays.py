"""Endless decays: they never end; ``take(steps)`` gives them an end."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Self

from lehr.schedule.base import Schedule
from lehr.schedule.boundaries import Boundaries
from lehr.schedule.chain import Chain
from lehr.schedule.code import Code, call
from lehr.schedule.errors import fail, number
from lehr.schedule.length import ENDLESS, check_interval, in_steps, nearest, parse, real, typed
from lehr.schedule.piecewise import Piecewise, join_pieces
from lehr.schedule.run import Run, SizeRamp

_MOST_JOINTS = 1000


class Decay(Schedule):
    """A decay measured by a time constant, at every step or in stairs."""

    LENGTHS = ("timescale",)

    peak: float
    timescale: float | str
    staircase: bool
    _boundaries: Boundaries | None
    _timescale: float

    def _check(self) -> None:
        timescale = check_interval("timescale", self.timescale, counted=False)
        if not isinstance(self.staircase, bool):
            fail("staircase", "True or False", self.staircase, error=TypeError)
        known, steps = in_steps(timescale), parse("timescale", timescale).amount
        if self.staircase and known and steps < 1:
            fail("timescale", "at least 1 step for a staircase", self.timescale)
        # a stair begins at the first step at or after a multiple: at floor(t / timescale)
        stairs = self.staircase and known
        late = 1 - Fraction(1, steps.denominator)
        self._derive(
            timescale=timescale,
            peak=number("peak", self.peak),
            length=ENDLESS,
            resolved=known,
            _boundaries=Boundaries(steps, late) if stairs else None,
            _timescale=float(steps) if type(timescale) is not int else timescale,
        )

    def at(self, t: Any, xp: Any) -> Any:
        if self._boundaries is None:
            u = t / 1 / self._timescale  # TensorFlow divides no integers by floats
        elif type(self._timescale) is int:
            u = (t // self._timescale) / 1
        else:
            u = self._boundaries.last_before(t, xp) / 1
        return self.peak * self.left(u, xp)

    @abstractmethod
    def left(self, u: Any, xp: Any) -> Any:
        """Return the fraction of the peak that is left after ``u`` time constants."""

    @abstractmethod
    def after(self, u: Fraction) -> tuple[float, Fraction]:
        """Return what is left after ``u`` time constants, and the factor on the time constant."""

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        sizes = run.ramp_of(self.timescale)
        if sizes is None:
            return self._timed(real(run.distance("timescale", self.timescale)))
        amount = parse("timescale", self.timescale).amount
        if self.staircase:
            return self._stairs_along(sizes, amount, Fraction(nearest(first)), run.end(last))
        return self._along(sizes, amount, nearest(first))

    def _along(self, sizes: SizeRamp, amount: Fraction, first: int) -> Schedule:
        """Return the decay over the samples or tokens done, along a batch-size ramp."""
        begun, final = sizes.done(Fraction(first)), max(first, sizes.firsts[-1])
        pieces: list[tuple[Schedule, int]] = []
        for start, end, size in sizes.pieces(first, final + 1):
            left, factor = self.after((sizes.done(Fraction(start)) - begun) / amount)
            timescale = real(amount * factor / size)
            piece = replace(self, peak=self.peak * left, timescale=timescale)  # type: ignore[type-var]
            pieces.append((piece.take(end - start), end - start))
        # the last one is endless
        parts = (*join_pieces(pieces[:-1]), piece)
        return Chain(parts) if len(parts) > 1 else piece

    def _stairs_along(
        self, sizes: SizeRamp, amount: Fraction, first: Fraction, last: Fraction
    ) -> Schedule:
        falls = sizes.multiples("timescale", amount, first, last)
        values = tuple(self.peak * self.left(float(k), math) for k in range(len(falls) + 1))
        return Piecewise(tuple(math.ceil(fall) - int(first) for fall in falls), values)

    def _timed(self, timescale: Any) -> Self:
        return replace(self, timescale=timescale)  # type: ignore[type-var]

    def _joints(self, last: int) -> Iterable[int]:
        if self._boundaries is None:
            return (0,)
        stairs = itertools.takewhile(
            lambda t: t <= last, map(self._boundaries.at, range(_MOST_JOINTS))
        )
        return tuple(stairs)


@dataclass(frozen=True, repr=False)
class Exponential(Decay, kind="exponential"):
    """``peak * factor**(t / timescale)``; with ``staircase``, of ``floor(t / timescale)``.

    Args:
        peak: value at step 0.
        factor: factor per ``timescale`` steps, above 0 and at most 1.
        timescale: a length ("1 epoch", "10%", 300) or a real number of steps; never rounded.
        staircase: fall once every ``timescale`` steps instead of a little at every step.

    >>> from lehr.schedule import Exponential
    >>> [Exponential(0.8, 0.5, timescale=2, staircase=True)(t) for t in range(5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    peak: float
    factor: float
    timescale: float | str
    staircase: bool = False
    _log_factor: float = field(init=False, compare=False)
    _timescale: float = field(init=False, compare=False)
    _boundaries: Boundaries | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        fix = "to grow, use warmup(..., curve='geometric')"
        factor = number("factor", self.factor, above=0, at_most=1, fix=fix)
        self._derive(factor=factor, _log_factor=math.log(factor))

    def left(self, u: Any, xp: Any) -> Any:
        return xp.exp(u * self._log_factor)

    def after(self, u: Fraction) -> tuple[float, Fraction]:
        return math.exp(float(u) * self._log_factor), Fraction(1)

    def _code(self) -> Code:
        if self.peak <= 0.0:
            return super()._code()
        if self.staircase:
            return call("step_decay", self.peak, self.factor, self.timescale)
        return call("exponential", self.peak, self.factor, self.timescale)


@dataclass(frozen=True, repr=False)
class InverseTime(Decay, kind="inverse_time"):
    """``peak / (1 + t / timescale)**power``; with ``staircase``, ``floor(t / timescale)``.

    Args:
        peak: value at step 0.
        timescale: a length or a real number of steps, after which, with power 1, half is left;
            never rounded.
        power: above 0.
        staircase: fall once every ``timescale`` steps instead of a little at every step.

    >>> from lehr.schedule import InverseTime
    >>> [InverseTime(1.0, timescale=2)(t) for t in (0, 2, 4, 6)]
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    peak: float
    timescale: float | str
    power: float = 1.0
    staircase: bool = False
    _timescale: float = field(init=False, compare=False)
    _boundaries: Boundaries | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        self._derive(power=number("power", self.power, above=0))

    def left(self, u: Any, xp: Any) -> Any:
        return (1.0 + u) ** -self.power

    def after(self, u: Fraction) -> tuple[float, Fraction]:
        return float(1 + u) ** -self.power, 1 + u

    def _code(self) -> Code:
        if self.peak <= 0.0:
            return super()._code()
        more = {"power": (self.power, 1.0), "staircase": (self.staircase, False)}
        return call("inverse_time", self.peak, self.timescale, **more)


@dataclass(frozen=True, repr=False)
class RAdam(Schedule, kind="radam"):
    """RAdam's rectification as a warm-up: ``peak * r(n)``; endless. Made by `lehr.warmup_radam`.

    Args:
        peak: value that it rises to.
        beta2: of the optimizer, above 0.6 (below, the variance is never tractable) and below 1.
    """

    peak: float
    beta2: float
    _longest: float = field(init=False, compare=False)
    _rate: float = field(init=False, compare=False)
    _first: int = field(init=False, compare=False)
    _begin: float = field(init=False, compare=False)
    _grown: float = field(init=False, compare=False)
    _slope: float = field(init=False, compare=False)

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
        power = xp.expm1(y)
        if xp.__name__ == "numpy":
            curved = xp.asarray(power - y)
            few = y < 0.35
            curved[few] = _curved(y[few])
        else:
            curved = xp.where(y < 0.35, _curved(xp.where(y < 0.35, y, 0.35)), power - y)
        since = (self._first * curved + self._slope * y) / (
            self._grown / (self._grown + 1.0) + power
        )
        beyond = self._begin + 2.0 / self._grown * since
        whole = (self._longest - 4.0) * (self._longest - 2.0) / self._longest
        share = beyond * ((beyond + 2.0) / (beyond + 4.0)) / whole
        return self.peak * xp.sqrt(xp.where(share < 1.0, share, 1.0))

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        return self

    def _code(self) -> Code:
        return call("warmup_radam", self.peak, beta2=(self.beta2, 0.999))


def _curved(y: Any) -> Any:
    """Return ``expm1(y) - y`` by its series, for y at most 0.35."""
    series = 1.0
    for k in range(13, 2, -1):
        series = 1.0 + series * y / k
    return 0.5 * y * y * series


def _rho(n: int, beta2: Fraction) -> Fraction:
    """Return how many gradients the average of squares is worth at update n."""
    power = beta2**n
    return 2 / (1 - beta2) - 1 - 2 * n * power / (1 - power)
