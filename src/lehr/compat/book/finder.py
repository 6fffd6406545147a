"""The range test of the chapter, and its figure."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from lehr.compat.book.callbacks import ExponentialLearningRate
from lehr.keras import _private
from lehr.keras.batches import taken
from lehr.keras.generators import preserve_rng
from lehr.keras.state import ModelState, optimizer_of
from lehr.schedule.shapes import Geometric


def find_learning_rate(
    model: keras.Model,
    X: Any,
    y: Any,
    epochs: int = 1,
    batch_size: int = 32,
    min_rate: float = 10**-5,
    max_rate: float = 10,
) -> tuple[list[float], list[float]]:
    """Train with an increasing rate, and return the rates and the losses of the batches.

    Batch n of N uses the rate ``min_rate * (max_rate / min_rate)**(n / N)``. The model, its
    optimizer and the random generators are restored as by `lehr.keras.range_test`.

    Args:
        model: a compiled model.
        X: inputs, an array.
        y: targets, an array.
        epochs: number of epochs.
        batch_size: number of samples per batch.
        min_rate: rate of the first batch, above 0.
        max_rate: rate after the last batch, above 0.

    Raises:
        TypeError: if the optimizer has a schedule.
        ValueError: if a rate is not above 0, or the model is not compiled.

    >>> import contextlib, io
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.25), loss="mse")
    >>> x = np.ones((100, 1))
    >>> with contextlib.redirect_stdout(io.StringIO()):
    ...     rates, losses = find_learning_rate(model, x, x, epochs=2, batch_size=25)
    >>> len(rates), len(losses), float(model.optimizer.learning_rate)
    (8, 8, 0.25)
    """
    iterations = math.ceil(len(X) / batch_size) * epochs
    ratio = Geometric(1.0, max_rate / min_rate, iterations)
    exp_lr = ExponentialLearningRate(ratio(1))
    exp_lr.last_size = (len(X) % batch_size or batch_size) / batch_size
    optimizer = optimizer_of(model)
    with preserve_rng():
        first = keras.tree.map_structure(np.asarray, taken((X, y), slice(batch_size)))
        _private.symbolic_build(model, first)
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        with ModelState(model, metrics=True).preserved(None):
            optimizer.learning_rate = min_rate
            model.fit(X, y, epochs=epochs, batch_size=batch_size, callbacks=[exp_lr])
    return exp_lr.rates, exp_lr.losses


def plot_lr_vs_loss(rates: Any, losses: Any) -> None:
    """Plot losses over rates on the current axes of matplotlib.

    The axis of losses ends halfway between the first and the lowest loss; losses that are not
    finite are ignored.

    Args:
        rates: the rates.
        losses: the loss at each rate.

    >>> plot_lr_vs_loss([0.1, 0.2, 0.4], [2.0, 1.0, float("nan")])
    """
    import matplotlib.pyplot as plt

    lowest = min(loss for loss in losses if math.isfinite(loss))
    plt.plot(rates, losses)
    plt.gca().set_xscale("log")
    plt.hlines(lowest, min(rates), max(rates))
    plt.axis((min(rates), max(rates), lowest, (losses[0] + lowest) / 2))
    plt.xlabel("Learning rate")
    plt.ylabel("Loss")
