"""What many layers do to a signal before any training."""

from __future__ import annotations

from typing import Any

_ROWS, _UNITS, _LAYERS = 500, 100, 50
_BOOKS_SEED = 42


def initialised(seed: int, *, initializer: Any, activation: str) -> dict[str, Any]:
    """Return mean and std of a standard normal signal through 50 layers of 100 units."""
    import keras
    import numpy as np

    from lehr.recipes.networks import dense

    model = dense(
        (_UNITS,),
        (_UNITS,) * _LAYERS,
        seed=seed,
        activation=activation,
        initializer=initializer,
    )
    signal = np.random.default_rng(seed).normal(size=(_ROWS, _UNITS)).astype("float32")
    stds, kernels = [float(signal.std())], []
    for layer in model.layers[:-1]:
        signal = keras.ops.convert_to_numpy(layer(signal))
        if layer.weights:
            kernels.append(keras.ops.convert_to_numpy(layer.kernel).std())
        elif "activation" in layer.name:
            stds.append(float(signal.std()))
    numbers = {
        "std of the weights": float(np.mean(kernels)),
        "std after 1 layer": stds[1],
        "std after 50 layers": stds[-1],
    }
    return {"numbers": numbers, "figure": _figure({"std": stds})}


def deep_selu(seed: int) -> dict[str, Any]:
    """Return mean and std through 1,000 layers of SELU with LeCun's weights, as the book."""
    import numpy as np

    from lehr.recipes.activations import selu_constants

    alpha, scale = selu_constants()
    random = np.random.RandomState(_BOOKS_SEED + seed)  # the book's generator: seed 0 is its own
    signal = random.normal(size=(_ROWS, _UNITS))
    means, stds = [], []
    for _ in range(1000):
        weights = random.normal(scale=_UNITS**-0.5, size=(_UNITS, _UNITS))
        z = signal @ weights
        signal = scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))
        # the book's numbers: means over rows of each unit, then over units
        means.append(float(signal.mean(axis=0).mean()))
        stds.append(float(signal.std(axis=0).mean()))
    numbers = {}
    for layer in range(0, 1000, 100):
        numbers[f"mean of layer {layer}"] = means[layer]
        numbers[f"std of layer {layer}"] = stds[layer]
    return {"numbers": numbers, "figure": _figure({"mean": means, "std": stds})}


def _figure(lines: dict[str, list[float]]) -> dict[str, Any]:
    drawn = {name: [list(range(len(ys))), ys] for name, ys in lines.items()}
    return {"lines": drawn, "x": "layer", "y": "activation (no unit)"}
