"""Recipes of regularisation on Fashion-MNIST, and of the exercise on CIFAR-10."""

from __future__ import annotations

from typing import Any

from lehr.recipes.lists.common import BATCHES, LOGITS, fashion, published, sgd, training
from lehr.recipes.lists.optimizing import ONE_CYCLE
from lehr.recipes.recipe import Rate, Recipe

_ELU = {"activation": "elu", "initializer": "he_normal", "optimizer": "Nadam"}
_ALPHA = {
    "dropout": 0.2,
    "drop": "AlphaDropout",
    "optimizer": sgd(momentum=0.9, nesterov=True),
}
_REGULARISATION = [
    fashion(
        f"regularisation/{name}",
        title,
        "Avoiding Overfitting Through Regularization",
        1e-3,
        2,
        options=options,
        published=published,
        notes=notes,
    )
    for name, title, options, published, notes in (
        (
            "l1",
            "l1 of 0.01 on all kernels",
            {**_ELU, "regularizer": {"l1": 0.01}, "output_regularizer": True},
            (),
            ("the source only builds the layer and publishes no figure",),
        ),
        (
            "l2",
            "l2 of 0.01 on all kernels",
            {**_ELU, "regularizer": {"l2": 0.01}, "output_regularizer": True},
            published("[102]", loss=0.7280, val_loss=0.6850, val_accuracy=0.8376),
            (),
        ),
        (
            "l1-l2",
            "l1 of 0.1 and l2 of 0.01 on all kernels",
            {**_ELU, "regularizer": {"l1": 0.1, "l2": 0.01}, "output_regularizer": True},
            (),
            (
                "the source only mentions it and publishes no figure; with the factors of the "
                "source the network does not learn: the penalty drives all kernels to zero",
            ),
        ),
        (
            "dropout",
            "dropout of 0.2 before each layer",
            {**_ELU, "dropout": 0.2},
            published("[104]", loss=0.4306, val_loss=0.3395, val_accuracy=0.8722),
            (),
        ),
        (
            "max-norm",
            "weights into each hidden unit limited to norm 1",
            {"optimizer": "Nadam", "max_norm": 1.0},
            published("[126]", loss=0.3545, val_loss=0.3714, val_accuracy=0.8662),
            (),
        ),
    )
]
_REGULARISATION += [
    fashion(
        "regularisation/alpha-dropout",
        "alpha dropout of 0.2 before each layer, which preserves SELU's mean and std",
        "Avoiding Overfitting Through Regularization",
        0.01,
        20,
        options=_ALPHA,
        published=published(
            "[106] and [107]",
            loss=0.4189,
            val_loss=0.4388,
            val_accuracy=0.8760,
            test_loss=0.4723,
            test_accuracy=0.8639,
        ),
    ),
    fashion(
        "regularisation/mc-dropout",
        "the same network, evaluated with 100 passes of Monte Carlo dropout",
        "Avoiding Overfitting Through Regularization",
        0.01,
        20,
        options={**_ALPHA, "monte_carlo": {"test": 100}},
        published=published("[117]", test_monte_carlo_accuracy=0.8661),
        notes=(
            "the source trains for one more epoch first; it averages model(x, training=True), "
            "which would also run batch norm in training mode if the network had any",
        ),
    ),
]
_JPEG = (
    "measured on a JPEG copy of CIFAR-10, shuffled once: accuracies differ slightly",
    BATCHES,
)


def _cifar(
    name: str, title: str, rate: Rate, epochs: int, *, notes: tuple[str, ...] = (), **more: Any
) -> Recipe:
    more["options"] = {"hidden": (100,) * 20, "data": "cifar10", **more["options"]}
    more["notes"] = (*notes, LOGITS, *_JPEG)
    return training(f"cifar10/{name}", title, "exercise 8", rate, epochs, data="cifar10", **more)


_HE = {"activation": "elu", "initializer": "he_normal", "pixels": "raw"}
_LAST = {"dropout": 0.1, "drop": "AlphaDropout", "drop_all": False}
_BEST = "weights and figures are those of the epoch with the lowest validation loss"


def _early_stopping(
    name: str, title: str, rate: Rate, *, notes: tuple[str, ...] = (), **more: Any
) -> Recipe:
    return _cifar(name, title, rate, 100, patience=20, notes=(_BEST, *notes), **more)


_CIFAR = [
    _early_stopping(
        "baseline",
        "8b: 20 layers of 100, ELU, He, Nadam 5e-5, early stopping",
        5e-5,
        long=True,
        options={**_HE, "optimizer": "Nadam"},
        published=published("[133] and [134]", best_val_loss=1.4960, best_val_accuracy=0.4762),
        notes=(
            "the printed code, with softmax and pixels from 0 to 255, does not train on JAX and "
            "PyTorch (loss 14.5, accuracy 0.1)",
        ),
    ),
    _early_stopping(
        "batch-norm",
        "8c: with batch norm, Nadam 5e-4, early stopping",
        5e-4,
        long=True,
        options={**_HE, "optimizer": "Nadam", "normalize": "before"},
        published=published("[135]", best_val_loss=1.3344, best_val_accuracy=0.5398),
    ),
    _early_stopping(
        "selu",
        "8d: SELU, LeCun, standardised pixels, Nadam 7e-4, early stopping",
        7e-4,
        options={"optimizer": "Nadam"},
        published=published("[136]", best_val_loss=1.4633, best_val_accuracy=0.4792),
        notes=(
            "the source compares the accuracy of the best epoch with final accuracies; the network "
            "of the source reaches 0.517 after 24 epochs",
            "the Korean edition prints 0.514",
            "the published lowest validation loss occurs at epoch 8, those of the five seeds at "
            "epochs 11 to 14, where the accuracy is higher; their accuracies at epoch 8 are 0.474 "
            "to 0.490",
        ),
    ),
    _early_stopping(
        "alpha-dropout",
        "8e: with alpha dropout of 0.1 before the last layer, Nadam 5e-4, early stopping",
        5e-4,
        options={"optimizer": "Nadam", **_LAST},
        published=published("[138]", best_val_loss=1.4805, best_val_accuracy=0.4890),
    ),
    _early_stopping(
        "mc-dropout",
        "8e: the same, evaluated with 10 passes of Monte Carlo dropout",
        5e-4,
        options={"optimizer": "Nadam", **_LAST, "monte_carlo": {"validation": 10}},
        published=published("[142]", best_val_monte_carlo_accuracy=0.4892),
    ),
    _cifar(
        "one-cycle",
        "8f: one cycle up to 0.05, batches of 128, 15 epochs",
        ONE_CYCLE,
        epochs=15,
        options={**_LAST, "batch_size": 128},
        published=published("[146]", loss=0.8936, val_loss=1.5912, val_accuracy=0.5198),
        notes=(
            "the book's cycle is 15 steps short: 15 of 5,280 updates have a rate of 5e-6 and "
            "almost no effect",
            "the Korean edition prints 0.508 to 0.528",
            "the source compares this final accuracy with best-epoch accuracies of the others",
        ),
    ),
]
RECIPES: list[Recipe] = [*_REGULARISATION, *_CIFAR]
