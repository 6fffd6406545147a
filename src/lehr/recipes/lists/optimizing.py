"""Recipes of optimizers, schedules and the range test."""

from __future__ import annotations

from typing import Any

from lehr.controllers import Plateau
from lehr.policy import Policy, one_cycle
from lehr.recipes.lists.common import (
    CHAPTER,
    NOTEBOOK,
    fashion,
    figures,
    measurement,
    published,
    sgd,
)
from lehr.recipes.recipe import Rate, Recipe
from lehr.schedule.presets.basic import exponential, inverse_time, piecewise

ONE_CYCLE = one_cycle(
    0.05, start=0.005, end=5e-6, rise=0.45, tail=0.1, curve="linear", momentum=None
)
_OPTIMIZERS = [
    fashion(
        f"optimizers/{name}",
        title,
        "Faster Optimizers",
        1e-3,
        10,
        options={"optimizer": {"class_name": kind, "config": config}},
        notes=("the source only builds the optimizer and publishes no figure",),
    )
    for name, title, kind, config in (
        ("sgd", "plain gradient descent", "SGD", {}),
        ("momentum", "momentum 0.9", "SGD", {"momentum": 0.9}),
        ("nesterov", "Nesterov's momentum", "SGD", {"momentum": 0.9, "nesterov": True}),
        ("adagrad", "AdaGrad: rates that never rise", "Adagrad", {}),
        ("rmsprop", "RMSProp: moving average of squared gradients", "RMSprop", {"rho": 0.9}),
        ("adam", "Adam: momentum and RMSProp", "Adam", {"beta_1": 0.9, "beta_2": 0.999}),
        ("adamax", "AdaMax: maximum of recent gradients", "Adamax", {}),
        ("nadam", "Nadam: Adam and Nesterov", "Nadam", {}),
    )
]
_FINDER = [
    measurement(
        f"finder/{data}",
        f"range test on {title}, 1e-5 to 10 over one epoch in batches of 128",
        f"{CHAPTER}, {section}",
        "finding:book",
        options={"data": data, "network": network},
        random=True,
        data=(data,),
        published=figures(
            f"{NOTEBOOK}, In {cell}, the plot",
            {"rate of least running mean": rate, "least running mean": loss},
        ),
        notes=(
            "the book uses the running mean of the loss since the start of the epoch, which has "
            "its minimum at a rate about ten times too high; the recipe uses the loss of each "
            "batch and shows both",
            "the published rate was read from a plot by eye",
        ),
    )
    for data, title, section, network, cell, rate, loss in (
        (
            "fashion-mnist",
            "the dense network of Fashion-MNIST",
            "Learning Rate Scheduling",
            {},
            *("[98]", 0.3, 1.6),
        ),
        (
            "cifar10",
            "the 20 layers for CIFAR-10",
            "exercise 8f",
            {"hidden": [100] * 20, "dropout": 0.1, "drop": "AlphaDropout", "drop_all": False},
            *("[144]", 0.15, 2.617),
        ),
    )
]
_STEPS_IN_20_EPOCHS = 34375  # 20 * 55000 // 32, as in the notebook
_DECAY_IGNORED = (
    "Keras 3 accepts SGD(decay=1e-4) and ignores it without a warning: the rate would stay at 0.01"
)
_NADAM = {"optimizer": "Nadam"}


def _schedule(
    name: str, title: str, policy: Rate, options: dict[str, Any] | None = None, **more: Any
) -> Recipe:
    section = "Learning Rate Scheduling"
    return fashion(f"schedules/{name}", title, section, policy, 25, options=options or {}, **more)


_SCHEDULES = [
    _schedule(
        "power",
        "power: 0.01 / (1 + step / 10,000)",
        inverse_time(0.01, 10_000),
        published=published("[76]", loss=0.2104, val_loss=0.3225, val_accuracy=0.8924),
        notes=(_DECAY_IGNORED,),
    ),
    _schedule(
        "exponential-epoch",
        "exponential by epoch: 0.01 * 0.1**(epoch / 20), Nadam",
        exponential(0.01, 0.1, every=20).every("1 epoch"),
        _NADAM,
        published=published("[81]", loss=0.1308, val_loss=0.5699, val_accuracy=0.8928),
    ),
    _schedule(
        "exponential-epoch-lr",
        "exponential from the current rate: lr * 0.1**(1 / 20) at the start of each epoch, Nadam",
        exponential(0.01 * 0.1 ** (1 / 20), 0.1, every=20).every("1 epoch"),
        _NADAM,
        notes=(
            "the factor multiplies the current rate, also before the first epoch: the rate is one "
            "epoch ahead of exponential-epoch; a resumed run starts from the optimizer's rate",
        ),
    ),
    _schedule(
        "exponential-step",
        "exponential by step: 0.1**(1 / s) in each update, Nadam",
        exponential(0.01, 0.1, every=_STEPS_IN_20_EPOCHS),
        _NADAM,
        published=published("[84]", loss=0.1447, val_loss=0.5833, val_accuracy=0.8880),
        notes=(
            "the book's callback reads a global variable s instead of its attribute: the figure is "
            "the same if a global variable of that name has the correct value",
            "the printed code does not reach the published training loss either: with Keras 3's "
            "fit on TensorFlow it ends at 0.104 in three runs (benchmarks/recipes/printed.json)",
        ),
    ),
    _schedule(
        "piecewise",
        "piecewise: 0.01, 0.005 from epoch 5, 0.001 from 15, Nadam",
        piecewise((5, 15), (0.01, 0.005, 0.001)).every("1 epoch"),
        _NADAM,
        published=published("[89]", loss=0.2005, val_loss=0.5533, val_accuracy=0.8868),
        notes=(
            "the printed code, with softmax, ends at 0.75 on JAX; Nadam at 0.01 in the first "
            "epochs makes the final figures vary strongly between runs",
        ),
    ),
    _schedule(
        "performance",
        "performance: halved after 5 epochs without a lower validation loss, momentum",
        Policy(0.02, control=Plateau(factor=0.5, patience=5)),
        options={"optimizer": sgd(momentum=0.9)},
        published=published("[92]", loss=0.0683, val_loss=0.5241, val_accuracy=0.8936),
        notes=(
            "the training loss depends on the epochs at which the rate is halved: with Keras 3's "
            "fit on TensorFlow the printed code ends at 0.050, 0.054 and 0.065 in three runs "
            "(benchmarks/recipes/printed.json)",
        ),
    ),
    _schedule(
        "in-graph-exponential",
        "exponential in the graph, as with keras.optimizers.schedules.ExponentialDecay",
        exponential(0.01, 0.1, every=_STEPS_IN_20_EPOCHS),
        published=published("[94]", loss=0.2224, val_loss=0.3164, val_accuracy=0.8904),
    ),
    _schedule(
        "one-cycle",
        "one cycle up to 0.05 in three phases, batches of 128",
        ONE_CYCLE,
        options={"batch_size": 128},
        published=published("[100]", loss=0.1610, val_loss=0.3170, val_accuracy=0.8934),
        notes=(
            "the book's cycle is 25 steps short because it does not count the last batch of an "
            "epoch: 25 of 10,750 updates have a rate of 5e-6 and almost no effect",
        ),
    ),
]
RECIPES: list[Recipe] = [*_OPTIMIZERS, *_SCHEDULES, *_FINDER]
