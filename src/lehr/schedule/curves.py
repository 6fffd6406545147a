"""Unit curves: from u, the share of the time gone, to w, the share of the way gone (both 0 to 1).

A new curve is two lines: its name and its formula, with w(0) = 0 and w(1) = 1 exactly.
"""

import math
from collections.abc import Callable
from typing import Any

Curve = Callable[[Any, Any], Any]
CURVES: dict[str, Curve] = {}


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
