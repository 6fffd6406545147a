"""Warm-ups that need no length: they follow from Adam's beta2."""

import math

from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential, RAdam
from lehr.schedule.errors import number, one_of
from lehr.schedule.length import typed
from lehr.schedule.shapes import Ramp, Window


def warmup_untuned(peak: float, *, beta2: float = 0.999, curve: str = "linear") -> Schedule:
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
        steps, span = math.ceil(2 * updates) - 1, 2 * updates
        return Window(Ramp(0.0, peak), steps, 1.0, float(span))
    missing = peak * math.exp(-1 / updates)
    return peak + Exponential(-missing, math.exp(-1), float(updates))


def warmup_radam(peak: float, *, beta2: float = 0.999) -> RAdam:
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
