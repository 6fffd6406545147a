"""The tasks of the recipes: a seed and options in, a Learner out."""

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
    """Return a dense network on images.

    The seed is that of weights, dropout and the order of the data. ``data``, ``pixels`` and
    ``rows`` are those of `lehr.tasks.images.splits`, ``network`` are options of
    `lehr.recipes.networks.dense`; `evaluate` adds "monte_carlo_accuracy" on the splits of
    ``monte_carlo``, with as many passes.
    """
    given = splits(data, pixels, rows)
    model = networks.dense(given["train"][0].shape[1:], hidden, seed=seed, **network)
    model = networks.compiled(model, optimizer)
    return _learner(model, given, batch_size, seed, monte_carlo=monte_carlo)


def convolutional(
    seed: int, *, optimizer: Named = "SGD", batch_size: int = 64, rows: int | None = None
) -> Learner:
    """Return the tutorial's convolutional network on Fashion-MNIST."""
    given = splits("fashion-mnist", "raw", rows)
    model = networks.convolutional(given["train"][0].shape[1:], seed=seed)
    return _learner(networks.compiled(model, optimizer), given, batch_size, seed)


def transfer(
    seed: int,
    *,
    part: str,
    epochs: int = 20,
    frozen: int = 4,
    batch_size: int = 32,
    rows: int | None = None,
) -> Learner:
    """Return the chapter's task A (eight classes), or B (two, 200 images), alone or on A.

    The part is "a", "b" or "b on a": B's first layers are then copied from A after ``epochs``, and
    its last layer is trained for ``frozen`` epochs with the others frozen.
    """
    given = {name: _part(split, part == "a") for name, split in splits(*_IMAGES, rows).items()}
    if part != "a":
        given["train"] = tuple(array[:200] for array in given["train"])
    shape, classes = given["train"][0].shape[1:], 8 if part == "a" else 1
    model = networks.dense(shape, seed=seed, classes=classes, **_TRANSFER)  # type: ignore[arg-type]
    if part != "b on a":
        return _learner(networks.compiled(model), given, batch_size, seed)
    first = transfer(seed, part="a", batch_size=batch_size, rows=rows)
    first.train(Policy(1e-3), epochs * first.steps_per_epoch)
    for ours, theirs in zip(model.layers[:-1], first.model.layers[:-1], strict=True):
        ours.set_weights(theirs.get_weights())  # a copy: A is not trained on B
        ours.trainable = False
    head = _learner(networks.compiled(model), given, batch_size, seed)
    head.train(Policy(1e-3), frozen * head.steps_per_epoch)
    for layer in model.layers:
        layer.trainable = True
    learner = _learner(networks.compiled(model), given, batch_size, seed)
    learner.step = head.step  # the next epochs of the data
    return learner


_IMAGES = ("fashion-mnist", "unit")
_SANDAL, _SHIRT = 5, 6


def _part(split: Any, first: bool) -> Any:
    """Return the rows of task A with labels 0 to 7, or of B with 1 for a shirt."""
    import numpy as np

    x, y = split
    of_b = np.isin(y, (_SANDAL, _SHIRT))
    if first:
        y = y[~of_b]
        return x[~of_b], np.where(y > _SHIRT, y - 2, y).astype("int32")
    return x[of_b], (y[of_b] == _SHIRT).astype("float32")[:, None]


def _learner(model: Any, given: Any, batch_size: int, seed: int, **options: Any) -> Learner:
    from lehr.recipes.monte_carlo import MonteCarloLearner

    size = min(batch_size, len(given["train"][0]))
    return MonteCarloLearner(model, **given, batch_size=size, seed=seed, **options)
