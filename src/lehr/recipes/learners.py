"""The tasks of the recipes: functions from a seed and options to a Learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lehr.policy import Policy
from lehr.recipes import networks
from lehr.recipes.networks import Named
from lehr.tasks.images import splits

if TYPE_CHECKING:
    from lehr.keras import Learner

_TRANSFER = {"hidden": (300, 100, 50, 50, 50), "initializer": "glorot_uniform"}


def dense(
    seed: int,
    *,
    data: str = "fashion-mnist",
    pixels: str = "scaled",
    hidden: tuple[int, ...] = (300, 100),
    optimizer: Named = "SGD",
    batch_size: int = 32,
    rows: int | None = None,
    monte_carlo: Mapping[str, int] | None = None,
    **network: Any,
) -> Learner:
    """Return a Learner of a dense network on images.

    Args:
        seed: of the weights, the dropout and the order of the data.
        data: set of images, as of `lehr.tasks.images.splits`.
        pixels: scaling of the pixels, as of `lehr.tasks.images.splits`.
        hidden: units of the hidden layers.
        optimizer: name or configuration of the Keras optimizer.
        batch_size: rows per update.
        rows: number of rows of each split; None: all.
        monte_carlo: passes of Monte Carlo dropout by split; `evaluate` adds
            "monte_carlo_accuracy" on these splits.
        network: further options of `lehr.recipes.networks.dense`.

    Raises:
        ValueError: if the set of images or the scaling is unknown.
        OSError: if the images are missing.
    """
    arrays = splits(data, pixels, rows)
    model = networks.dense(arrays["train"][0].shape[1:], hidden, seed=seed, **network)
    model = networks.compiled(model, optimizer)
    return _learner(model, arrays, batch_size, seed, monte_carlo=monte_carlo)


def convolutional(
    seed: int, *, optimizer: Named = "SGD", batch_size: int = 64, rows: int | None = None
) -> Learner:
    """Return a Learner of the tutorial's convolutional network on Fashion-MNIST.

    Args:
        seed: of the weights, the dropout and the order of the data.
        optimizer: name or configuration of the Keras optimizer.
        batch_size: rows per update.
        rows: number of rows of each split; None: all.
    """
    arrays = splits("fashion-mnist", "raw", rows)
    model = networks.convolutional(arrays["train"][0].shape[1:], seed=seed)
    return _learner(networks.compiled(model, optimizer), arrays, batch_size, seed)


def transfer(
    seed: int,
    *,
    part: str,
    epochs: int = 20,
    frozen: int = 4,
    batch_size: int = 32,
    rows: int | None = None,
) -> Learner:
    """Return a Learner of the chapter's transfer-learning experiment.

    Task A has eight classes of Fashion-MNIST; task B has two classes and 200 training images.

    Args:
        seed: of the weights and the order of the data.
        part: "a", "b" or "b on a". For "b on a", A is trained for ``epochs``, all its layers but
            the last are copied to B, and the last layer of B is trained for ``frozen`` epochs
            with the copied layers frozen.
        epochs: of training on A; only for "b on a".
        frozen: epochs of training with frozen layers; only for "b on a".
        batch_size: rows per update.
        rows: number of rows of each split before the selection of classes; None: all.
    """
    arrays = {name: _part(split, part == "a") for name, split in splits(*_IMAGES, rows).items()}
    if part != "a":
        arrays["train"] = tuple(array[:200] for array in arrays["train"])
    shape, classes = arrays["train"][0].shape[1:], 8 if part == "a" else 1
    model = networks.dense(shape, seed=seed, classes=classes, **_TRANSFER)  # type: ignore[arg-type]
    if part != "b on a":
        return _learner(networks.compiled(model), arrays, batch_size, seed)
    first = transfer(seed, part="a", batch_size=batch_size, rows=rows)
    first.train(Policy(1e-3), epochs * first.steps_per_epoch)
    for layer, trained in zip(model.layers[:-1], first.model.layers[:-1], strict=True):
        layer.set_weights(trained.get_weights())  # a copy: training on B does not change A
        layer.trainable = False
    head = _learner(networks.compiled(model), arrays, batch_size, seed)
    head.train(Policy(1e-3), frozen * head.steps_per_epoch)
    for layer in model.layers:
        layer.trainable = True
    learner = _learner(networks.compiled(model), arrays, batch_size, seed)
    learner.step = head.step  # continues the order of the data
    return learner


_IMAGES = ("fashion-mnist", "unit")
_SANDAL, _SHIRT = 5, 6


def _part(split: Any, first: bool) -> Any:
    """Select the rows of task A (labels 0 to 7) or of task B (1: shirt, 0: sandal)."""
    import numpy as np

    x, y = split
    of_b = np.isin(y, (_SANDAL, _SHIRT))
    if first:
        y = y[~of_b]
        return x[~of_b], np.where(y > _SHIRT, y - 2, y).astype("int32")
    return x[of_b], (y[of_b] == _SHIRT).astype("float32")[:, None]


def _learner(model: Any, arrays: Any, batch_size: int, seed: int, **options: Any) -> Learner:
    from lehr.recipes.monte_carlo import MonteCarloLearner

    size = min(batch_size, len(arrays["train"][0]))
    return MonteCarloLearner(model, **arrays, batch_size=size, seed=seed, **options)
