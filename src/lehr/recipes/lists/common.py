"""What the lists of the chapter's recipes share."""

from __future__ import annotations

from typing import Any

from lehr.recipes.recipe import Measurement, Published, Rate, Recipe, Training

CHAPTER = "Géron, Hands-On Machine Learning, 2nd edition, chapter 11"
NOTEBOOK = "ageron/handson-ml2@1e21152, 11_training_deep_neural_networks.ipynb"

LOGITS = (
    "softmax and sparse cross-entropy of its probabilities lose the gradient of saturated rows on "
    "Keras 3's JAX and PyTorch backends; here the network gives logits"
)
BATCHES = (
    "the last, smaller batch of an epoch is left out, so that all updates average alike: "
    "one update fewer an epoch"
)


def published(cells: str, **values: float) -> tuple[Published, ...]:
    """Return the figures that cells of the chapter's notebook print, for instance "[14]"."""
    return figures(f"{NOTEBOOK}, In {cells}", values)


def figures(source: str, values: dict[str, float]) -> tuple[Published, ...]:
    """Return published figures, by metric, of one source."""
    return tuple(Published(metric, value, source) for metric, value in values.items())


def measurement(name: str, title: str, source: str, function: str, **more: Any) -> Recipe:
    """Return a recipe that calls a function of ``lehr.recipes``, given as ``module:function``."""
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
    """Return a recipe of the chapter that trains a network, by default a dense one."""
    return Training(
        name=name,
        title=title,
        source=f"{CHAPTER}, {section}",
        task=task,
        policy=policy,  # type: ignore[arg-type]  # numbers and schedules become policies
        epochs=epochs,
        data=(data,),
        **more,
    )


def fashion(*args: Any, notes: tuple[str, ...] = (), **more: Any) -> Recipe:
    """Return a recipe that trains a dense network on Fashion-MNIST."""
    return training(*args, notes=(*notes, LOGITS, BATCHES), **more)


def unit(activation: str, initializer: str, **more: Any) -> dict[str, Any]:
    """Return options for pixels from 0 to 1."""
    return {"pixels": "unit", "activation": activation, "initializer": initializer, **more}


def sgd(**config: Any) -> dict[str, Any]:
    """Return SGD with settings."""
    return {"class_name": "SGD", "config": config}
