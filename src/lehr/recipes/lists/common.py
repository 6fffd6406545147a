"""Functions and notes shared by the lists of recipes."""

from __future__ import annotations

from typing import Any

from lehr.recipes.recipe import Measurement, Published, Rate, Recipe, Training

CHAPTER = "Géron, Hands-On Machine Learning, 2nd edition, chapter 11"
NOTEBOOK = "ageron/handson-ml2@1e21152, 11_training_deep_neural_networks.ipynb"

LOGITS = (
    "sparse cross-entropy of softmax probabilities loses the gradient of saturated rows on "
    "Keras 3's JAX and PyTorch backends; the network of the recipe outputs logits"
)
BATCHES = (
    "the last, smaller batch of an epoch is omitted, so that every update averages the same "
    "number of rows: one update fewer per epoch"
)


def published(cells: str, **values: float) -> tuple[Published, ...]:
    """Return figures printed by cells of the chapter's notebook, for example "[14]"."""
    return figures(f"{NOTEBOOK}, In {cells}", values)


def figures(source: str, values: dict[str, float]) -> tuple[Published, ...]:
    """Return the published figures of one source.

    >>> figures("output of epoch 10", {"loss": 0.76})
    (Published(metric='loss', value=0.76, source='output of epoch 10'),)
    """
    return tuple(Published(metric, value, source) for metric, value in values.items())


def measurement(name: str, title: str, source: str, function: str, **more: Any) -> Recipe:
    """Define a recipe that calls a function of ``lehr.recipes``, named ``module:function``."""
    path = f"lehr.recipes.{function}"
    return Measurement(name=name, title=title, source=source, function=path, **more)


def training(
    name: str,
    title: str,
    section: str,
    policy: Rate,
    epochs: int,
    *,
    task: str = "lehr.recipes.learners:dense",
    data: str = "fashion-mnist",
    **more: Any,
) -> Recipe:
    """Define a recipe of the chapter that trains a network, by default a dense one."""
    return Training(
        name=name,
        title=title,
        source=f"{CHAPTER}, {section}",
        task=task,
        policy=policy,  # type: ignore[arg-type]  # converted to a policy
        epochs=epochs,
        data=(data,),
        **more,
    )


def fashion(*args: Any, notes: tuple[str, ...] = (), **more: Any) -> Recipe:
    """Define a recipe of the chapter that trains a dense network on Fashion-MNIST."""
    return training(*args, notes=(*notes, LOGITS, BATCHES), **more)


def unit(activation: str, initializer: str, **more: Any) -> dict[str, Any]:
    """Return task options for pixels from 0 to 1.

    >>> unit("relu", "he_normal", bias=False)
    {'pixels': 'unit', 'activation': 'relu', 'initializer': 'he_normal', 'bias': False}
    """
    return {"pixels": "unit", "activation": activation, "initializer": initializer, **more}


def sgd(**config: Any) -> dict[str, Any]:
    """Return the configuration of Keras's SGD with these settings.

    >>> sgd(momentum=0.9)
    {'class_name': 'SGD', 'config': {'momentum': 0.9}}
    """
    return {"class_name": "SGD", "config": config}
