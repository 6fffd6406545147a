"""Warm-ups that need no length: they follow from Adam's beta2."""

import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number, one_of
from lehr.schedule.decays import Exponential
from lehr.schedule.length import ENDLESS, Run, typed
from lehr.schedule.shapes import Ramp


def warmup_untuned(peak: float, beta2: float = 0.999, curve: str = "linear") -> Schedule:
    """Return Adam's warm-up that needs no tuning, linear or exponential.

    Linear: ``peak * min(1, (t + 1) * (1 - beta2) / 2)``, which reaches the peak in
    ``2 / (1 - beta2)`` updates; follow it with ``.then(...)``. Exponential:
    ``peak * (1 - exp(-(t + 1) * (1 - beta2)))``, which is endless; multiply it into a schedule.
    The first update is number 1, as in the paper, so it moves.

    Source: Ma and Yarats, arXiv 1910.04209.

    Args:
        peak: value at the end of the rise, above 0.
        beta2: of the optimizer, at least 0 and below 1.
        curve: "linear" or "exponential".

    >>> [warmup_untuned(1.0, beta2=0.5)(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    >>> warmup_untuned(1.0).length
    1999
    >>> import lehr
    >>> s = lehr.cosine(0.1, steps=9000) * warmup_untuned(1.0, curve="exponential")
    >>> round(s(1000), 4)
    0.0613
    """
    peak = number("peak", peak, above=0)
    beta2 = number("beta2", beta2, at_least=0, below=1)
    updates = 1 / (1 - typed(beta2))  # 1000 for 0.999, not 999.999...
    if one_of("curve", curve, ("linear", "exponential")) == "linear":
        return Ramp(0.0, peak, math.ceil(2 * updates) - 1, offset=1.0, span=float(2 * updates))
    missing = peak * math.exp(-1 / updates)
    return peak + Exponential(-missing, math.exp(-1), float(updates))


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


def warmup_radam(peak: float, beta2: float = 0.999) -> RAdam:
    """Return the warm-up that RAdam gives Adam: ``peak * r(n)``, the factor on update n.

    ``r(n) = sqrt((rho - 4) (rho - 2) longest / ((longest - 4) (longest - 2) rho))`` with
    ``longest = 2 / (1 - beta2) - 1`` and ``rho = longest - 2 n beta2**n / (1 - beta2**n)``.
    It begins at the first update with ``rho > 4``, so every update moves, and is endless:
    multiply it into a schedule.

    Source: Liu et al., arXiv 1908.03265.

    Args:
        peak: value that it rises to.
        beta2: of the optimizer, above 0.6 (below, no r is defined) and below 1.

    >>> [round(warmup_radam(1.0)(t), 4) for t in (0, 10, 100, 1000, 10000)]
    [0.0173, 0.069, 0.2209, 0.6466, 0.9998]
    """
    return RAdam(peak, beta2)
