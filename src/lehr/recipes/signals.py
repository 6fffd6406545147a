"""Mean and standard deviation of a signal in deep untrained networks."""

from __future__ import annotations

from typing import Any

_ROWS, _UNITS, _LAYERS = 500, 100, 50
_BOOKS_SEED = 42


def initialised(seed: int, *, initializer: Any, activation: str) -> dict[str, Any]:
    """Compute the std of a standard normal signal in 50 dense layers of 100 units.

    Args:
        seed: of the signal and the weights.
        initializer: name or configuration of the Keras initialiser.
        activation: name of the activation function.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
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
    """Compute mean and std of a signal in 1,000 SELU layers with LeCun weights, as in the book.

    Args:
        seed: of the signal and the weights; 0 for the random numbers of the book.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    import numpy as np

    from lehr.recipes.activations import selu_constants

    alpha, scale = selu_constants()
    random = np.random.RandomState(_BOOKS_SEED + seed)  # seed 0 is that of the book
    signal = random.normal(size=(_ROWS, _UNITS))
    means, stds = [], []
    for _ in range(1000):
        weights = random.normal(scale=_UNITS**-0.5, size=(_UNITS, _UNITS))
        z = signal @ weights
        signal = scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))
        # as in the book: mean or std over the rows of each unit, then the mean over units
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
