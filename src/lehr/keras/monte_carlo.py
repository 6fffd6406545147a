"""Monte Carlo dropout: mean and standard deviation of predictions with active dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from lehr.keras import _private
from lehr.keras.batches import host_array, taken
from lehr.keras.calls import Call, patch_calls, training_argument
from lehr.keras.generators import seeded
from lehr.schedule.errors import fail, integer

DROPOUT_LAYERS = (
    *(keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout),
    *(keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D),
    # recurrent layers: the training flag affects only their dropout
    *(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM, keras.layers.ConvLSTM2D),
)


@dataclass(frozen=True)
class Prediction:
    """Mean and standard deviation of the predictions over many passes.

    Attributes:
        mean: mean over the passes, in the shape of the output.
        std: standard deviation over the passes, in the shape of the output.

    >>> import numpy as np
    >>> prediction = Prediction(np.array([[0.25, 0.75], [0.5, 0.25]]), np.zeros((2, 2)))
    >>> prediction.classes.tolist()
    [1, 0]
    """

    mean: Any
    std: Any

    @property
    def classes(self) -> Any:
        """Class of each row: argmax of the mean; with one unit, 1 if the mean is above 0.5."""
        if self.mean.shape[-1] == 1:
            return (self.mean[..., 0] > 0.5).astype("int64")
        return self.mean.argmax(axis=-1)


class MonteCarlo:
    """Monte Carlo dropout: predictions of a trained model with active dropout.

    Dropout is active in all nested layers, including attention and recurrent layers; other layers
    run in inference mode. The model, its seeds and torch's generators do not change. The masks
    depend only on ``seed``, so repeated calls return the same result.

    Source: Gal and Ghahramani, arXiv 1506.02142.

    Args:
        model: a built Keras model with one output and dropout.
        seed: seed of the dropout masks, at least 0.
        activation: applied to the output of each pass, for example "softmax" for a model that
            returns logits.
        layers: classes of the layers that run in training mode; pass them to use custom dropout
            layers.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if the model is not built, or has no such layer.

    >>> import keras, lehr, numpy as np
    >>> layers = [keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    >>> monte_carlo = lehr.keras.MonteCarlo(keras.Sequential(layers), activation="softmax")
    >>> prediction = monte_carlo.predict(np.ones((2, 4)), samples=20)
    >>> prediction.mean.shape, prediction.classes.shape, bool((prediction.std > 0).all())
    ((2, 3), (2,), True)
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        seed: int = 0,
        activation: str | Callable[[Any], Any] | None = None,
        layers: tuple[type, ...] = DROPOUT_LAYERS,
    ) -> None:
        if not isinstance(model, keras.Model):
            fail("model", "a Keras model", model, error=TypeError)
        if not model.built:
            fail("model", "built", model, "call it on a batch first")
        self.model, self.seed = model, integer("seed", seed, at_least=0)
        self._activation = keras.activations.get(activation)
        self._active = [
            layer for layer in _private.flatten_layers(model) if isinstance(layer, layers)
        ]
        if not self._active:
            fix = "pass the classes of custom dropout layers with layers="
            fail("model", "one with a dropout layer", model.name, fix)
        self._pass = _compiled(self._one_pass)

    def predict(self, x: Any, samples: int = 100, *, batch_size: int = 256) -> Prediction:
        """Compute mean and standard deviation of the predictions over ``samples`` passes.

        The variance is computed with Welford's algorithm in float64: the mean squared deviation
        ``sum((y - mean) ** 2) / samples``.

        Args:
            x: inputs: an array, or a list or dict of arrays, with rows along the first axis.
            samples: number of passes over each row, at least 1.
            batch_size: number of rows per batch, at least 1; the masks depend on it.

        Raises:
            TypeError: if ``samples`` or ``batch_size`` is not an integer.
            ValueError: if a number is below 1, there are no rows, or the model has several outputs.
        """
        samples, size = integer("samples", samples), integer("batch_size", batch_size)
        rows = len(keras.tree.flatten(x)[0])
        if rows == 0:
            fail("x", "at least one row", rows)
        moments = []
        with seeded(self.seed), patch_calls(self._active, _in_training_mode):
            trainable = [keras.ops.copy(v) for v in self.model.trainable_variables]
            other = self._seeds()
            for batch in _batches(x, rows, min(size, rows)):
                mean, squares = np.zeros(()), np.zeros(())
                for n in range(1, samples + 1):
                    output, other = self._pass(trainable, other, batch)
                    new = keras.ops.convert_to_numpy(output).astype("float64") - mean
                    mean = mean + new / n
                    squares = squares + new * new * (n - 1) / n  # Welford's algorithm
                moments.append((mean, squares))
        mean, squares = (np.concatenate(parts)[:rows] for parts in zip(*moments, strict=True))
        return Prediction(mean, np.sqrt(squares / samples))

    def _one_pass(self, trainable: Any, other: Any, x: Any) -> Any:
        keyword = training_argument(self.model, False)
        output, other = self.model.stateless_call(trainable, other, x, **keyword)
        if keras.tree.is_nested(output):
            fail("model", "one with one output", self.model.name)
        return self._activation(output), other

    def _seeds(self) -> list[Any]:
        """Return the non-trainable variables, with dropout seeds derived from ``seed``."""
        variables, values = list(self.model.non_trainable_variables), []
        words = np.random.SeedSequence(self.seed).generate_state(len(variables)) >> 1
        for variable, word in zip(variables, words, strict=True):
            if variable.name == "seed_generator_state":
                values.append(keras.ops.convert_to_tensor([int(word), 0], dtype=variable.dtype))
            else:
                values.append(keras.ops.copy(variable))
        return values


def _in_training_mode(layer: Any, call: Call) -> Call:
    # a custom layer whose dropout is always active has no such argument
    training = training_argument(layer, True)

    def call_in_training_mode(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs | training)

    return call_in_training_mode


def _batches(x: Any, rows: int, size: int) -> Iterator[Any]:
    """Yield batches of one size; the last one is padded with its last row, removed later."""
    for begin in range(0, rows, size):
        chosen = np.arange(begin, begin + size).clip(max=rows - 1)
        part = taken(keras.tree.map_structure(host_array, x), chosen)
        yield keras.tree.map_structure(keras.ops.convert_to_tensor, part)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with the backend's compiler; on PyTorch, disable gradients."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)  # type: ignore[no-any-return]
    import torch

    return torch.no_grad()(function)
