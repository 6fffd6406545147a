"""Monte Carlo dropout: many predictions with dropout on, their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from lehr.keras import _private
from lehr.keras.batches import taken
from lehr.keras.calls import Call, patch_calls, training_argument
from lehr.keras.generators import seeded
from lehr.schedule.errors import fail, integer

DROPPING = (
    *(keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout),
    *(keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D),
    # the dropout of these is inside them, and training changes nothing else
    *(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM, keras.layers.ConvLSTM2D),
)


@dataclass(frozen=True)
class Prediction:
    """The mean of many passes and their standard deviation, ``std``, in the output's shape."""

    mean: Any
    std: Any

    @property
    def classes(self) -> Any:
        """The class of each row: of the largest mean, or with one output whether it is over 0.5."""
        if self.mean.shape[-1] == 1:
            return (self.mean[..., 0] > 0.5).astype("int64")
        return self.mean.argmax(axis=-1)


class MonteCarlo:
    """Predictions of a trained model with only its dropout active.

    Dropout is active at every depth, also inside attention and recurrent layers; all else runs in
    inference mode. The model, its seeds and torch's generators do not change. The masks depend on
    ``seed`` only, so the same call gives the same result.

    Source: Gal and Ghahramani, arXiv 1506.02142.

    Args:
        model: a built Keras model with one output and dropout.
        seed: of the masks.
        activation: applied to the output of each pass: "softmax" for a model that returns logits.
        layers: classes of the active layers; name your own dropout layers.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if it is not built, or has no such layer.

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
        layers: tuple[type, ...] = DROPPING,
    ) -> None:
        if not isinstance(model, keras.Model):
            fail("model", "a Keras model", model, error=TypeError)
        if not model.built:
            fail("model", "built", model, "call it on some data first")
        self.model, self.seed = model, integer("seed", seed, at_least=0)
        self._activation = keras.activations.get(activation)
        self._active = [
            layer for layer in _private.flatten_layers(model) if isinstance(layer, layers)
        ]
        if not self._active:
            fix = "name the classes of your own with layers="
            fail("model", "one with a layer that drops", model.name, fix)
        self._pass = _compiled(self._one_pass)

    def predict(self, x: Any, samples: int = 100, *, batch_size: int = 256) -> Prediction:
        """Return the mean and the standard deviation of ``samples`` passes over the rows.

        Args:
            x: inputs: an array, or a list or dict of arrays.
            samples: passes over each row.
            batch_size: rows at a time; the masks depend on it.

        Raises:
            ValueError: if a number is below 1, there are no rows, or the model has several outputs.
        """
        samples, size = integer("samples", samples), integer("batch_size", batch_size)
        rows = len(keras.tree.flatten(x)[0])
        if rows == 0:
            fail("x", "at least one row", rows)
        moments = []
        with seeded(self.seed), patch_calls(self._active, _switched_on):
            trainable = [keras.ops.copy(v) for v in self.model.trainable_variables]
            other = self._seeds()
            for batch in _batches(x, rows, min(size, rows)):
                mean, squares = np.zeros(()), np.zeros(())
                for n in range(1, samples + 1):
                    output, other = self._pass(trainable, other, batch)
                    new = keras.ops.convert_to_numpy(output).astype("float64") - mean
                    mean = mean + new / n
                    squares = squares + new * new * (n - 1) / n  # Welford's
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
        """Return the values of the model's other variables, seeds of dropout made from ours."""
        variables, values = list(self.model.non_trainable_variables), []
        words = np.random.SeedSequence(self.seed).generate_state(len(variables)) >> 1
        for variable, word in zip(variables, words, strict=True):
            if variable.name == "seed_generator_state":
                values.append(keras.ops.convert_to_tensor([int(word), 0], dtype=variable.dtype))
            else:
                values.append(keras.ops.copy(variable))
        return values


def _switched_on(layer: Any, call: Call) -> Call:
    def switched_on(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs | {"training": True})

    return switched_on


def _batches(x: Any, rows: int, size: int) -> Iterator[Any]:
    """Yield batches of one size; the last is filled with rows that are cut off later."""
    for begin in range(0, rows, size):
        chosen = np.arange(begin, begin + size).clip(max=rows - 1)
        part = taken(keras.tree.map_structure(np.asarray, x), chosen)
        yield keras.tree.map_structure(keras.ops.convert_to_tensor, part)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as each backend runs it fastest."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)  # type: ignore[no-any-return]
    import torch

    return torch.no_grad()(function)
