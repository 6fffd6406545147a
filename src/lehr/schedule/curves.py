"""Unit curves: from u, the share of the time gone, to w, the share of the way gone (both 0 to 1).

A new curve is two lines: its name and its formula, with w(0) = 0 and w(1) = 1 exactly.
A curve that takes powers also says in `LEFT` what is left of the way. Its name may end in a power
of the time: "cosine^1.5" is the cosine of ``u**1.5``.
"""

import math
from collections.abc import Callable
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.errors import fail, number, one_of

Curve = Callable[[Any, Any], Any]
CURVES: dict[str, Curve] = {}

# 1 - w from u and v = 1 - u, to full relative precision where little is left: a power below 1 of
# a difference taken in float32 would be wrong in its third digit
LEFT: dict[str, Callable[[Any, Any, Any], Any]] = {
    "linear": lambda u, v, xp: v,
    "cosine": lambda u, v, xp: xp.sin(0.5 * math.pi * v) ** 2,
    "sqrt": lambda u, v, xp: v / (1.0 + xp.sqrt(u)),
    "rex": lambda u, v, xp: 2.0 * v / (1.0 + v),
}


def share(part: Any, whole: Any, xp: Any) -> Any:
    """Return ``part / whole``, 1 at the end and never above it however a graph divides.

    XLA multiplies by ``1 / whole``, and 1000 * (1 / 1000) is above 1 in float32.
    """
    u = part / whole
    if xp is scalar or xp.__name__ == "numpy":
        return u
    return xp.where((part < whole) & (u < 1.0), u, 1.0)


def find_curve(name: str) -> tuple[str, float]:
    """Return a curve's name and its power of the time, or raise."""
    base, hat, exponent = str(name).partition("^")
    one_of("curve", base if hat else name, CURVES)
    if not hat:
        return base, 1.0
    try:
        return base, number("exponent", float(exponent), above=0)
    except ValueError:
        fail("curve", "a name and a power above 0, such as 'cosine^1.5'", name)


def bend(u: Any, v: Any, k: float, xp: Any) -> tuple[Any, Any]:
    """Return ``u**k`` and ``1 - u**k`` from u and v = 1 - u, both to full precision."""
    late = k * xp.log1p(-xp.where(v < 0.5, v, 0.5))
    early = u**k
    return xp.where(v < 0.5, xp.exp(late), early), xp.where(v < 0.5, -xp.expm1(late), 1.0 - early)


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


@curve
def rex(u: Any, xp: Any) -> Any:
    """``w = 1 - (1 - u) / (1 - u / 2)``. Source: Chen et al., arXiv 2107.04197."""
    return u / (2.0 - u)


@curve
def tanh(u: Any, xp: Any) -> Any:
    """``tanh`` from -7 to 3, its ends brought to 0 and 1. Source: Hsueh, arXiv 1806.01593."""
    w = (math.tanh(7.0) + xp.tanh(10.0 * u - 7.0)) / (math.tanh(7.0) + math.tanh(3.0))
    # exact at both ends and between them, however a graph rounds its tanh
    return xp.where((w > 0.0) & (u > 0.0), xp.where((w < 1.0) & (u < 1.0), w, 1.0), 0.0)
