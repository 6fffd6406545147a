"""Dropout layers that are also active in predictions, and the mean of such predictions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from lehr.keras import _private
from lehr.keras.batches import taken
from lehr.keras.monte_carlo import DROPOUT_LAYERS, MonteCarlo, Prediction
from lehr.schedule.errors import fail


@keras.saving.register_keras_serializable("lehr")
class MCDropout(keras.layers.Dropout):  # type: ignore[misc]
    """Dropout that is also active in predictions.

    >>> layer = MCDropout(0.5, seed=1)
    >>> bool(np.any(np.asarray(layer(np.ones((1, 100)))) == 0))
    True
    """

    def call(self, inputs: Any, training: Any = True) -> Any:
        """Apply dropout, also with ``training=False``."""
        return super().call(inputs, training=True)


@keras.saving.register_keras_serializable("lehr")
class MCAlphaDropout(keras.layers.AlphaDropout):  # type: ignore[misc]
    """Alpha dropout that is also active in predictions.

    >>> layer = MCAlphaDropout(0.5, seed=1)
    >>> bool(np.any(np.asarray(layer(np.ones((1, 100)))) != 1))
    True
    """

    def call(self, inputs: Any, training: Any = True) -> Any:
        """Apply alpha dropout, also with ``training=False``."""
        return super().call(inputs, training=True)


def mc_dropout_predict_probas(mc_model: keras.Model, X: Any, n_samples: int = 10) -> Any:
    """Return the mean of ``n_samples`` predictions of a model with Monte Carlo dropout.

    It is the mean of `lehr.keras.MonteCarlo`, with a seed from NumPy's global generator.

    Args:
        mc_model: a model with MCDropout, MCAlphaDropout or custom layers of this kind.
        X: inputs, an array.
        n_samples: number of predictions.

    Raises:
        ValueError: if the model has no such layer, or ``n_samples`` is below 1.

    >>> layers = [keras.layers.Input((4,)), MCDropout(0.5), keras.layers.Dense(3, "softmax")]
    >>> mc_dropout_predict_probas(keras.Sequential(layers), np.ones((2, 4))).shape
    (2, 3)
    """
    return _predicted(mc_model, X, n_samples).mean


def mc_dropout_predict_classes(mc_model: keras.Model, X: Any, n_samples: int = 10) -> Any:
    """Return the class of each row: that of the highest mean of ``n_samples`` predictions.

    With one output unit, the class is 1 if the mean is above 0.5. The arguments are those of
    `mc_dropout_predict_probas`.

    >>> layers = [keras.layers.Input((4,)), MCDropout(0.5), keras.layers.Dense(3, "softmax")]
    >>> mc_dropout_predict_classes(keras.Sequential(layers), np.ones((2, 4))).shape
    (2,)
    """
    return _predicted(mc_model, X, n_samples).classes


def _predicted(model: keras.Model, X: Any, samples: int) -> Prediction:
    if not model.built:
        model.predict(taken(X, slice(1)), verbose=0)
    kinds = {type(one) for one in _private.flatten_layers(model) if isinstance(one, DROPOUT_LAYERS)}
    custom = tuple(kinds - set(DROPOUT_LAYERS))
    if not custom:
        fail("mc_model", "a model with MCDropout or MCAlphaDropout layers", model.name)
    return MonteCarlo(model, seed=int(np.random.randint(2**31 - 1)), layers=custom).predict(
        X, samples
    )
