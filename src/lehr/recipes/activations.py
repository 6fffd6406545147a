"""Curves of activation functions, and the derivation of SELU's two constants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lehr.recipes.networks import activation_layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lehr.recipes.recipe import Recipe, Trial

_ENDS = (-5.0, 5.0)


def curve(seed: int, *, name: str) -> dict[str, Any]:
    """Compute an activation function and its slope on [-5, 5]; for SELU also its two constants.

    Args:
        seed: not used; every recipe function takes one.
        name: of the activation function, as in `lehr.recipes.networks.activation_layer`.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    figure = _lines(name)
    (_, ys), (_, slopes) = figure["lines"].values()
    numbers = {
        f"value at {_ENDS[0]:g}": ys[0],
        f"value at {_ENDS[1]:g}": ys[-1],
        "largest slope": max(slopes),
    }
    if name == "selu":
        numbers["alpha"], numbers["scale"] = selu_constants()
    return {"numbers": numbers, "figure": figure}


def selu_constants() -> tuple[float, float]:
    """Compute SELU's alpha and scale by numerical integration.

    With these constants a standard normal input z has an output of mean 0 and variance 1.
    alpha solves ``scale * (E[z; z > 0] + alpha * E[exp(z) - 1; z < 0]) = 0``, and scale solves
    ``scale**2 * (E[z**2; z > 0] + alpha**2 * E[(exp(z) - 1)**2; z < 0]) = 1``.
    Source: Klambauer et al., arXiv 1706.02515.

    >>> [round(constant, 6) for constant in selu_constants()]
    [1.673263, 1.050701]
    """
    from scipy.integrate import quad

    def expectation(f: Any, low: float, high: float) -> float:
        def integrand(z: float) -> float:
            return float(f(z)) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        return float(quad(integrand, low, high, epsabs=1e-14)[0])

    above = expectation(lambda z: z, 0, 40)
    below = expectation(math.expm1, -40, 0)
    alpha = -above / below
    second = expectation(lambda z: z * z, 0, 40)
    second += alpha**2 * expectation(lambda z: math.expm1(z) ** 2, -40, 0)
    return alpha, 1 / math.sqrt(second)


def draw_trained(recipe: Recipe, trials: list[Trial]) -> Figure:
    """Draw the activation function of a recipe that trains a network with it."""
    from lehr.figures import draw_lines

    return draw_lines(**_lines(recipe.definition()["options"]["activation"]))


def _lines(name: str) -> dict[str, Any]:
    import keras
    import numpy as np

    layer, xs, small = activation_layer(name), np.linspace(*_ENDS, 401), 1e-2
    ends = [np.asarray(keras.ops.convert_to_numpy(layer(xs[None] + s)))[0] for s in (small, -small)]
    ys = keras.ops.convert_to_numpy(layer(xs[None]))[0]
    slopes = (ends[0] - ends[1]) / (2 * small)
    # the slope of a PReLU is 0 at initialization; each unit learns a different slope
    shown = "prelu, untrained" if name == "prelu" else name
    lines = {shown: [xs.tolist(), ys.tolist()], "slope": [xs.tolist(), slopes.tolist()]}
    return {"lines": lines, "x": "input (no unit)", "y": "output (no unit)"}
