"""Unit curves: the fraction that is left, from the fraction of the time elapsed and remaining.

A new curve is two lines: its name and its formula, with ``left(0, 1) = 1`` and ``left(1, 0) = 0``.
It should avoid cancellation, as float32 has seven digits: write ``1 - sqrt(u)`` as
``v / (1 + sqrt(u))``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.errors import fail, one_of

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Curve:
    """A unit curve.

    Args:
        left: ``left(u, v, xp)``: the fraction left, given ``u`` (fraction of the time elapsed),
            ``v = 1 - u`` and the module with ``where sin cos exp expm1 log1p sqrt floor tanh``.
        symmetric: whether ``1 - left(u, v)`` is ``left(v, u)``.
        scaled: whether ``left`` takes the length in steps as a fourth argument.
    """

    left: Formula
    symmetric: bool = False
    scaled: bool = False


CURVES: dict[str, Curve] = {}


def curve(
    name: str, *, symmetric: bool = False, scaled: bool = False
) -> Callable[[Formula], Formula]:
    """Register a formula as a curve under a name; see `Curve`.

    >>> import lehr
    >>> @lehr.schedule.curve("square")
    ... def square(u, v, xp):
    ...     return v * v
    >>> lehr.wsd(1.0, 2, 4, steps=8, curve="square")(6)
    0.25
    """
    if not isinstance(name, str) or not name:
        fail("name", "the curve's name: @curve('square')", name, error=TypeError)

    def register(formula: Formula) -> Formula:
        CURVES[name] = Curve(formula, symmetric, scaled)
        return formula

    return register


def find_curve(name: Any) -> Curve:
    """Return a curve by its name, or raise."""
    return CURVES[one_of("curve", name, CURVES)]


def fraction(part: Any, whole: Any, xp: Any) -> Any:
    """Return ``part / whole``, 1 at the end and never above it however a graph divides.

    XLA multiplies by ``1 / whole``, and 1000 * (1 / 1000) is above 1 in float32.
    """
    u = part / whole
    if xp is scalar or xp.__name__ == "numpy":
        return u
    return xp.where((part < whole) & (u < 1.0), u, 1.0)


def bend(u: Any, v: Any, k: float, xp: Any) -> tuple[Any, Any]:
    """Return ``u**k`` and ``1 - u**k`` from u and v = 1 - u, both to full precision."""
    late = k * xp.log1p(-xp.where(v < 0.5, v, 0.5))
    early = u**k
    return xp.where(v < 0.5, xp.exp(late), early), xp.where(v < 0.5, -xp.expm1(late), 1.0 - early)


@curve("linear", symmetric=True)
def _linear(u: Any, v: Any, xp: Any) -> Any:
    return v


@curve("cosine", symmetric=True)
def _cosine(u: Any, v: Any, xp: Any) -> Any:
    """``(1 + cos(pi u)) / 2``."""
    return xp.sin(0.5 * math.pi * v) ** 2


@curve("sine")
def _sine(u: Any, v: Any, xp: Any) -> Any:
    """``1 - sin(pi u / 2)``, the second half of a cosine."""
    early, late = 1.0 - xp.sin(0.5 * math.pi * u), 2.0 * xp.sin(0.25 * math.pi * v) ** 2
    return xp.where(u < 0.5, early, late)


@curve("1-sqrt")
def _one_minus_sqrt(u: Any, v: Any, xp: Any) -> Any:
    return v / (1.0 + xp.sqrt(u))


@curve("rex")
def _rex(u: Any, v: Any, xp: Any) -> Any:
    """``(1 - u) / (1 - u / 2)``. Source: Chen et al., arXiv 2107.04197."""
    return xp.where(u < 0.5, 1.0 - u / (1.0 + v), 2.0 * v / (1.0 + v))


@curve("tanh")
def _tanh(u: Any, v: Any, xp: Any) -> Any:
    """``tanh`` from -7 to 3, scaled to end at 1 and 0. Source: Hsueh, arXiv 1806.01593."""
    height = math.tanh(7.0) + math.tanh(3.0)
    early = 1.0 - (math.tanh(7.0) + xp.tanh(10.0 * u - 7.0)) / height
    late = (math.tanh(3.0) - xp.tanh(3.0 - 10.0 * v)) / height
    # the same without cancellation
    last = -2.0 * xp.expm1(-20.0 * v) / (1.0 + math.exp(-6.0)) / (xp.exp(6.0 - 20.0 * v) + 1.0)
    left = xp.where(v < 0.2, last / height, xp.where(u < 0.5, early, late))
    return xp.where(u > 0.0, left, 1.0)


@curve("log", scaled=True)
def _log(u: Any, v: Any, xp: Any, steps: Any) -> Any:
    """``1 - log(t + 1) / log(steps)``, 0 from the last step on. Source: DeepSpeed's WarmupLR."""
    # log(steps / (t + 1)) without cancellation; what float32 leaves of one step is none
    more = v * steps - 1.0
    left = xp.log1p(xp.where(more > 1e-6, more, 0.0) / (u * steps + 1.0))
    return xp.where(u > 0.0, left / math.log(max(steps, 2.0)), 1.0)
