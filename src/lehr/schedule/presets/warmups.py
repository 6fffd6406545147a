"""Warm-ups whose length follows from Adam's beta2."""

import math

from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential, RAdam
from lehr.schedule.errors import number, one_of
from lehr.schedule.length import typed
from lehr.schedule.shapes import Ramp, Window


def warmup_untuned(peak: float, *, beta2: float = 0.999, curve: str = "linear") -> Schedule:
    """Construct the untuned warm-up for Adam, linear or exponential.

    Linear: ``peak * min(1, (t + 1) * (1 - beta2) / 2)``. It reaches the peak in
    ``2 / (1 - beta2)`` updates; append the decay with ``.then(...)``. Exponential:
    ``peak * (1 - exp(-(t + 1) * (1 - beta2)))``. It is endless; multiply it by another schedule.
    As in the paper, the first update is number 1, so its rate is above 0.

    Source: Ma and Yarats, arXiv 1910.04209.

    Args:
        peak: value at the end of the warm-up, above 0.
        beta2: beta2 of the optimizer, at least 0 and below 1.
        curve: "linear" or "exponential".

    Raises:
        ValueError: if a value is out of range, or the curve is unknown.

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
        steps, span = math.ceil(2 * updates) - 1, 2 * updates
        return Window(Ramp(0.0, peak), steps, 1.0, float(span))
    gap = peak * math.exp(-1 / updates)
    return peak + Exponential(-gap, math.exp(-1), float(updates))


def warmup_radam(peak: float, *, beta2: float = 0.999) -> RAdam:
    """Construct RAdam's variance rectification as a warm-up, ``peak * r(n)`` at update ``n``.

    ``r(n) = sqrt((rho - 4) (rho - 2) longest / ((longest - 4) (longest - 2) rho))`` with
    ``longest = 2 / (1 - beta2) - 1`` and ``rho = longest - 2 n beta2**n / (1 - beta2**n)``.
    Step 0 is the first update with ``rho > 4``, so every rate is above 0. The schedule is
    endless; multiply it by another schedule.

    Source: Liu et al., arXiv 1908.03265.

    Args:
        peak: limit of the value as the step grows.
        beta2: beta2 of the optimizer, above 0.6 (r is undefined below it) and below 1.

    Raises:
        ValueError: if a value is out of range.

    >>> [round(warmup_radam(1.0)(t), 4) for t in (0, 10, 100, 1000, 10000)]
    [0.0173, 0.069, 0.2209, 0.6466, 0.9998]
    """
    return RAdam(peak, beta2)
