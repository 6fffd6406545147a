"""Unit curves: the remaining fraction as a function of elapsed and remaining time.

A new curve needs a name and a formula with ``left(0, 1) = 1`` and ``left(1, 0) = 0``. The formula
should avoid cancellation because float32 has seven digits: write ``1 - sqrt(u)`` as
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
        left: ``left(u, v, xp)``: the remaining fraction, given ``u`` (elapsed fraction of the
            time), ``v = 1 - u`` and the module with ``where sin cos exp expm1 log1p sqrt floor
            tanh``.
        gone: the elapsed fraction, from the same arguments, for float32 at the start of a long
            curve, where ``1 - left`` cancels; None uses ``1 - left``.
        scaled: whether both formulas take the length in steps as a fourth argument.
        uses_u: whether ``left`` uses ``u``; if False, ``u`` is not computed for arrays.
    """

    left: Formula
    gone: Formula | None = None
    scaled: bool = False
    uses_u: bool = True


CURVES: dict[str, Curve] = {}


def curve(
    name: str, *, gone: Formula | None = None, scaled: bool = False, uses_u: bool = True
) -> Callable[[Formula], Formula]:
    """Register a formula as a curve; a decorator.

    Args:
        name: name of the curve, for ``curve=`` in presets and for JSON.
        gone: formula of the elapsed fraction; see `Curve`.
        scaled: whether the formulas take the length in steps as a fourth argument.
        uses_u: whether the formula uses ``u``.

    Raises:
        TypeError: if the name is not a text.

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
        CURVES[name] = Curve(formula, gone, scaled, uses_u)
        return formula

    return register


def find_curve(name: Any) -> Curve:
    """Return the curve of a name, or raise."""
    geometric = isinstance(name, str) and name == "geometric"
    return CURVES[one_of("curve", name, CURVES, "use Geometric" if geometric else "")]


def double(xp: Any) -> bool:
    """Return whether a module computes in float64: plain Python and NumPy."""
    return xp is scalar or xp.__name__ == "numpy"


def fraction(part: Any, total: Any, xp: Any) -> Any:
    """Return ``part / total``, at most 1 and exactly 1 at the end, also in compiled graphs.

    XLA replaces the division by a product with ``1 / total``; 1000 * (1 / 1000) is above 1 in
    float32.
    """
    u = part / total
    if double(xp):
        return u
    return xp.where((part < total) & (u < 1.0), u, 1.0)


def bend(u: Any, v: Any, k: float, xp: Any, *, precise: bool) -> tuple[Any, Any]:
    """Return ``u**k`` and ``1 - u**k``; ``precise`` avoids cancellation near the end."""
    if double(xp):
        if not precise:
            early = u**k
            return early, 1.0 - early
        left = -xp.expm1(k * xp.log1p(-xp.where(v < 1.0, v, 0.5)))
        return u if u is None else u**k, xp.where(v < 1.0, left, 1.0)
    late = k * xp.log1p(-xp.where(v < 0.5, v, 0.5))
    early = u**k
    return xp.where(v < 0.5, xp.exp(late), early), xp.where(v < 0.5, -xp.expm1(late), 1.0 - early)


@curve("linear", gone=lambda u, v, xp: u, uses_u=False)
def _linear(u: Any, v: Any, xp: Any) -> Any:
    return v


@curve("cosine", gone=lambda u, v, xp: _cosine(v, u, xp), uses_u=False)
def _cosine(u: Any, v: Any, xp: Any) -> Any:
    """``(1 + cos(pi u)) / 2``."""
    return xp.sin(0.5 * math.pi * v) ** 2


@curve("sine", gone=lambda u, v, xp: xp.sin(0.5 * math.pi * u))
def _sine(u: Any, v: Any, xp: Any) -> Any:
    """``1 - sin(pi u / 2)``, the second half of a cosine curve."""
    return xp.where(u > 0.0, 2.0 * xp.sin(0.25 * math.pi * v) ** 2, 1.0)


@curve("1-sqrt", gone=lambda u, v, xp: xp.sqrt(u))
def _one_minus_sqrt(u: Any, v: Any, xp: Any) -> Any:
    return v / (1.0 + xp.sqrt(u))


@curve("rex", gone=lambda u, v, xp: u / (1.0 + v), uses_u=False)
def _rex(u: Any, v: Any, xp: Any) -> Any:
    """``(1 - u) / (1 - u / 2)``. Source: Chen et al., arXiv 2107.04197."""
    return 2.0 * v / (1.0 + v)


_HEIGHT = math.tanh(7.0) + math.tanh(3.0)


def _tanh_gone(u: Any, v: Any, xp: Any) -> Any:
    return (math.tanh(7.0) + xp.tanh(10.0 * u - 7.0)) / _HEIGHT


@curve("tanh", gone=_tanh_gone)
def _tanh(u: Any, v: Any, xp: Any) -> Any:
    """``tanh`` from -7 to 3, scaled to end at 1 and 0. Source: Hsueh, arXiv 1806.01593."""
    left = (math.tanh(3.0) - xp.tanh(3.0 - 10.0 * v)) / _HEIGHT
    if not double(xp):  # avoid cancellation at the end
        scale = 2.0 / (1.0 + math.exp(-6.0)) / _HEIGHT
        late = -scale * xp.expm1(-20.0 * v) / (xp.exp(6.0 - 20.0 * v) + 1.0)
        left = xp.where(u < 0.5, 1.0 - _tanh_gone(u, v, xp), xp.where(v < 0.2, late, left))
    return xp.where(u > 0.0, left, 1.0)


def _log_gone(u: Any, v: Any, xp: Any, steps: Any) -> Any:
    gone = xp.log1p(u * steps) / math.log(max(steps, 2.0))
    return xp.where((v > 0.0) & (gone < 1.0), gone, 1.0)


@curve("log", gone=_log_gone, scaled=True)
def _log(u: Any, v: Any, xp: Any, steps: Any) -> Any:
    """``1 - log(t + 1) / log(steps)``; 0 from the last step on. Source: DeepSpeed's WarmupLR."""
    # log(steps / (t + 1)) without cancellation; float32 rounding errors of ``more`` count as 0
    more = v * steps - 1.0
    left = xp.log1p(xp.where(more > 1e-6, more, 0.0) / (u * steps + 1.0))
    return xp.where(u > 0.0, left / math.log(max(steps, 2.0)), 1.0)


MONOTONE = frozenset(CURVES.values())  # the built-in curves; a user's curve may have any shape
