"""Activations, initialisers, signals, batch norm, clipping, transfer."""

from __future__ import annotations

from lehr.recipes.lists.common import (
    BATCHES,
    CHAPTER,
    LOGITS,
    NOTEBOOK,
    fashion,
    figures,
    measurement,
    published,
    sgd,
    training,
    unit,
)
from lehr.recipes.recipe import Recipe

_CURVES = [
    measurement(
        f"activations/{name}",
        title,
        f"{CHAPTER}, The Vanishing/Exploding Gradients Problems",
        "activations:curve",
        options={"name": name},
        published=published,
    )
    for name, title, published in (
        ("sigmoid", "the logistic function: flat at both ends, slope at most 1/4", ()),
        ("elu", "ELU: smooth, below zero it ends at -1", ()),
        (
            "selu",
            "SELU: alpha and scale derived, so that mean 0 and std 1 stay",
            figures(
                f"{NOTEBOOK}, In [21]", {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}
            ),
        ),
    )
]
_TRAINED_CURVES = [
    fashion(
        f"activations/{name}",
        f"{title}, He initialisation",
        "Nonsaturating Activation Functions",
        1e-3,
        10,
        options=unit(name.replace("-", "_"), "he_normal"),
        published=published,
        figure="lehr.recipes.activations:draw_trained",
    )
    for name, title, published in (
        (
            "leaky-relu",
            "leaky ReLU of slope 0.3",
            published("[14]", loss=0.4918, val_loss=0.4817, val_accuracy=0.8396),
        ),
        (
            "prelu",
            "PReLU: the slope below zero is learnt",
            published("[17]", loss=0.4941, val_loss=0.4826, val_accuracy=0.8398),
        ),
    )
]
_INITIALISERS = [
    measurement(
        f"initialisers/{name}",
        title,
        f"{CHAPTER}, Glorot and He Initialization",
        "signals:initialised",
        options={"initializer": initializer, "activation": activation},
        random=True,
    )
    for name, title, initializer, activation in (
        ("glorot", "Glorot for tanh: what 50 layers leave of the signal", "glorot_uniform", "tanh"),
        ("he", "He for ReLU: what 50 layers leave of the signal", "he_normal", "relu"),
        ("lecun", "LeCun for SELU: 50 layers and the signal stays", "lecun_normal", "selu"),
        (
            "variance-scaling",
            "He on the mean of inputs and outputs, by VarianceScaling",
            {
                "class_name": "VarianceScaling",
                "config": {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"},
            },
            "relu",
        ),
    )
]
_DEEP = (300, *[100] * 99)
_SIGNALS = [
    measurement(
        "signals/selu-1000-layers",
        "1,000 layers of SELU, nothing trained: mean 0 and std 1 stay",
        f"{CHAPTER}, Nonsaturating Activation Functions",
        "signals:deep_selu",
        notes=("the book's own draws, NumPy's generator at seed 42; other seeds wander by 0.1",),
        published=figures(
            f"{NOTEBOOK}, In [24]",
            {
                "mean of layer 0": 0.0,
                "std of layer 0": 1.0,
                "mean of layer 900": 0.02,
                "std of layer 900": 1.0,
            },
        ),
    ),
    fashion(
        "signals/selu-100-layers",
        "100 hidden layers of SELU train",
        "Nonsaturating Activation Functions",
        1e-3,
        5,
        options={"hidden": _DEEP},
        published=published("[30]", loss=0.5569, val_loss=0.4907, val_accuracy=0.8218),
        notes=("differs from run to run by more than a point: the published figures are one draw",),
    ),
    fashion(
        "signals/relu-100-layers",
        "100 hidden layers of ReLU hardly do",
        "Nonsaturating Activation Functions",
        1e-3,
        5,
        options={"hidden": _DEEP, "activation": "relu", "initializer": "he_normal"},
        published=published("[34]", loss=0.7288, val_loss=0.6638, val_accuracy=0.7380),
        notes=(
            "differs much from run to run: the published validation loss, 0.66, is one draw, five "
            "seeds here end at 0.71 to 0.75, one run of the notebook's code in Keras 3 at 0.89",
        ),
    ),
]
_BATCH_NORM = [
    fashion(
        f"batch-norm/{where}-activation",
        f"batch norm of the inputs and {where} each activation",
        "Batch Normalization",
        1e-3,
        10,
        options=unit("relu", "glorot_uniform", normalize=where, bias=where == "after"),
        published=published,
    )
    for where, published in (
        ("after", published("[40]", loss=0.3903, val_loss=0.3573, val_accuracy=0.8750)),
        ("before", published("[43]", loss=0.4333, val_loss=0.3875, val_accuracy=0.8660)),
    )
]
_CLIPPING = [
    fashion(
        f"clipping/{name}",
        f"gradients clipped by {name}: {what}",
        "Gradient Clipping",
        1e-3,
        5,
        options={"optimizer": sgd(**{f"clip{name}": 1.0})},
        notes=("the source only builds the optimizer and publishes no figure",),
    )
    for name, what in (
        ("value", "each component to [-1, 1], which turns them"),
        ("norm", "each tensor's to length 1, which does not"),
    )
]
_TRANSFER = [
    training(
        f"transfer/{part.replace(' ', '-')}" + ("-alone" if part == "b" else ""),
        title,
        "Reusing Pretrained Layers",
        1e-3,
        epochs,
        task="lehr.recipes.learners:transfer",
        options={"part": part},
        published=published,
        notes=(*notes, LOGITS),
    )
    for part, title, epochs, published, notes in (
        (
            "a",
            "task A: eight classes of Fashion-MNIST",
            20,
            published("[54]", loss=0.2112, val_loss=0.2333, val_accuracy=0.9200),
            (BATCHES,),
        ),
        (
            "b",
            "task B alone: sandal or shirt, from 200 images",
            20,
            published(
                "[58] and [64]",
                loss=0.1096,
                val_loss=0.1431,
                val_accuracy=0.9716,
                test_loss=0.1408,
                test_accuracy=0.9705,
            ),
            (
                "the Korean edition prints 0.9695 on test data",
                "6 updates an epoch of 32 rows, the source has 7, the last of 8 rows",
            ),
        ),
        (
            "b on a",
            "task B on A's layers: frozen for 4 epochs, then all for 16",
            16,
            published(
                "[63] and [65]",
                loss=0.0434,
                val_loss=0.0652,
                val_accuracy=0.9878,
                test_loss=0.0562,
                test_accuracy=0.9940,
            ),
            (
                "the Korean edition prints 0.9925 on test data",
                "the source's model_B_on_A shares its layers with model_A and trains them too, so "
                "that model_A is spoilt; here they are copies",
                "6 updates an epoch of 32 rows, the source has 7, the last of 8 rows",
                "the source divides the error by 4.9 in one draw on a test set of 2,000: over "
                "five seeds it is 1.2 to 2.5",
            ),
        ),
    )
]
RECIPES: list[Recipe] = [
    *_CURVES,
    *_TRAINED_CURVES,
    *_INITIALISERS,
    *_SIGNALS,
    *_BATCH_NORM,
    *_CLIPPING,
    *_TRANSFER,
]
