"""Endless decays; ``take(steps)`` limits their length."""

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Self

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.boundaries import Boundaries
from lehr.schedule.chain import Chain
from lehr.schedule.code import Code, call
from lehr.schedule.errors import fail, number
from lehr.schedule.length import ENDLESS, check_interval, in_steps, nearest, parse, real, typed
from lehr.schedule.piecewise import Piecewise, join_pieces
from lehr.schedule.run import Run, SizeRamp

_SHORTEST = Fraction(1, 10**9)  # steps; the number of time constants in a run stays finite


class Decay(Schedule):
    """Base class of decays with a time constant, continuous or as a staircase."""

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
        if known and steps < _SHORTEST:
            fail("timescale", f"at least {float(_SHORTEST):g} steps", self.timescale)
        # each stair starts at the first step at or after a multiple of the time constant
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
            u = t / 1 / self._timescale  # TensorFlow cannot divide an integer tensor by a float
        elif type(self._timescale) is int:
            u = (t // self._timescale) / 1
        else:
            u = self._boundaries.last_before(t, xp) / 1
        return self.peak * self.left(u, xp)

    @abstractmethod
    def left(self, u: Any, xp: Any) -> Any:
        """Return the remaining fraction of the peak after ``u`` time constants."""

    @abstractmethod
    def after(self, u: Fraction) -> tuple[float, Fraction]:
        """Return the remaining fraction after ``u`` time constants, and the time-constant factor.

        The decay from that point on is the same formula with the time constant multiplied by the
        factor.
        """

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        sizes = run.ramp_of(self.timescale)
        if sizes is None:
            return self._timed(real(run.distance("timescale", self.timescale)))
        amount = parse("timescale", self.timescale).amount
        if self.staircase:
            return self._stairs_along(sizes, amount, Fraction(nearest(first)), run.end(last))
        return self._along(sizes, amount, nearest(first))

    def _along(self, sizes: SizeRamp, amount: Fraction, first: int) -> Schedule:
        """Return the decay as a function of processed samples or tokens, for a batch-size ramp."""
        begun, final = sizes.done(Fraction(first)), max(first, sizes.firsts[-1])
        pieces: list[tuple[Schedule, int]] = []
        for start, end, size in sizes.pieces(first, final + 1):
            left, factor = self.after((sizes.done(Fraction(start)) - begun) / amount)
            timescale = real(amount * factor / size)
            piece = replace(self, peak=self.peak * left, timescale=timescale)  # type: ignore[type-var]
            pieces.append((piece.take(end - start), end - start))
        # the last piece is endless
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

    def _next_joint(self, t: int) -> int | None:
        if self._boundaries is None or t < 0:
            return super()._next_joint(t)
        return self._boundaries.at(self._boundaries.last_before(t, scalar) + 1)

    def _previous_joint(self, t: int) -> int | None:
        if self._boundaries is None or t <= 0:
            return super()._previous_joint(t)
        return self._boundaries.at(self._boundaries.last_before(t - 1, scalar))


@dataclass(frozen=True, repr=False)
class Exponential(Decay, kind="exponential"):
    """Exponential decay, ``peak * factor**(t / timescale)``; endless.

    Args:
        peak: value at step 0.
        factor: factor per ``timescale`` steps, above 0 and at most 1.
        timescale: a length ("1 epoch", "10%", 300) or a real number of steps; never rounded.
        staircase: use ``floor(t / timescale)`` as the exponent: one decrease per ``timescale``
            steps.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

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
    """Inverse-time decay, ``peak / (1 + t / timescale)**power``; endless.

    Args:
        peak: value at step 0.
        timescale: a length or a real number of steps, after which the value is half of the peak
            for power 1; never rounded.
        power: exponent, above 0.
        staircase: use ``floor(t / timescale)``: one decrease per ``timescale`` steps.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

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
    """RAdam's variance rectification as a warm-up, ``peak * r(n)``; endless.

    `lehr.warmup_radam` constructs it and gives the formula of ``r(n)``.

    Source: Liu et al., arXiv 1908.03265.

    Args:
        peak: limit of the value as the step grows.
        beta2: beta2 of the optimizer, above 0.6 (below, the variance is never tractable) and
            below 1.

    Raises:
        ValueError: if a value is out of range.

    >>> from lehr.schedule import RAdam
    >>> [round(RAdam(1.0, 0.999)(t), 4) for t in (0, 100, 10000)]
    [0.0173, 0.2209, 0.9998]
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
        # x exp(x) - expm1(x); for small x its series, to avoid cancellation
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
        """Return ``peak * r``, computed from rho - 4 at the first update plus its growth.

        With ``y = -t log(beta2)``, ``x`` the same expression for the number of the first update,
        and ``E = expm1(x)``, the growth is ``2 (first (expm1(y) - y) + slope y) / (E (E / (E + 1)
        + expm1(y)))``. All terms are positive, which avoids cancellation in float32.
        """
        y = t / 1 * self._rate
        y = xp.where(y < 40.0, y, 40.0)  # the remaining growth is below float64 precision
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
        limit = (self._longest - 4.0) * (self._longest - 2.0) / self._longest
        share = beyond * ((beyond + 2.0) / (beyond + 4.0)) / limit
        return self.peak * xp.sqrt(xp.where(share < 1.0, share, 1.0))

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        return self

    def _code(self) -> Code:
        return call("warmup_radam", self.peak, beta2=(self.beta2, 0.999))


def _curved(y: Any) -> Any:
    """Return ``expm1(y) - y`` from its series, for y at most 0.35."""
    series = 1.0
    for k in range(13, 2, -1):
        series = 1.0 + series * y / k
    return 0.5 * y * y * series


def _rho(n: int, beta2: Fraction) -> Fraction:
    """Return rho at update n: the effective length of the average of squared gradients."""
    power = beta2**n
    return 2 / (1 - beta2) - 1 - 2 * n * power / (1 - power)
