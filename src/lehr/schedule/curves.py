"""Unit curves: from u, the share of the time gone, to w, the share of the way gone (both 0 to 1).

A new curve is two lines: its name and its formula, with w(0) = 0 and w(1) = 1 exactly.
For powers below 1 a curve may also say in `LEFT` what is left of the way.
"""

import math
from collections.abc import Callable
from typing import Any

from lehr.schedule import scalar

Curve = Callable[[Any, Any], Any]
CURVES: dict[str, Curve] = {}

# 1 - w from u and v = 1 - u, to full relative precision where little is left: a power below 1 of
# a difference taken in float32 would be wrong in its third digit
LEFT: dict[str, Callable[[Any, Any, Any], Any]] = {
    "linear": lambda u, v, xp: v,
    "cosine": lambda u, v, xp: xp.sin(0.5 * math.pi * v) ** 2,
    "sqrt": lambda u, v, xp: v / (1.0 + xp.sqrt(u)),
}


def share(part: Any, whole: Any, xp: Any) -> Any:
    """Return ``part / whole``, 1 at the end and never above it however a graph divides.

    XLA multiplies by ``1 / whole``, and 1000 * (1 / 1000) is above 1 in float32.
    """
    u = part / whole
    if xp is scalar or xp.__name__ == "numpy":
        return u
    return xp.where((part < whole) & (u < 1.0), u, 1.0)


def curve(formula: Curve) -> Curve:
    """Register a curve under its function's name."""
    CURVES[formula.__name__] = formula
    return formula


@curve
def linear(u: Any, xp: Any) -> Any:
    """``w = u``."""
    return u


@curve
def cosine(u: Any, xp: Any) -> Any:
    """``w = (1 - cos(pi u)) / 2``."""
    return 0.5 - 0.5 * xp.cos(math.pi * u)


@curve
def sqrt(u: Any, xp: Any) -> Any:
    """``w = sqrt(u)``: a fall along it is the "1-sqrt" cooldown."""
    return xp.sqrt(u)


@curve
def exponential(u: Any, xp: Any) -> Any:
    """``w = u``, of the way between the logarithms: `Ramp` keeps a constant ratio per step."""
    return u
