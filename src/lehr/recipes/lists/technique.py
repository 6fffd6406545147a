"""Recipes of activations, initialisers, deep signals, batch norm, clipping and transfer."""

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
        ("elu", "ELU: smooth, tends to -1 below zero", ()),
        (
            "selu",
            "SELU: alpha and scale, derived to preserve mean 0 and std 1",
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
        ("glorot", "Glorot for tanh: std of the signal after 50 layers", "glorot_uniform", "tanh"),
        ("he", "He for ReLU: std of the signal after 50 layers", "he_normal", "relu"),
        ("lecun", "LeCun for SELU: 50 layers preserve the signal", "lecun_normal", "selu"),
        (
            "variance-scaling",
            "He with the mean of inputs and outputs, by VarianceScaling",
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
        "1,000 untrained layers of SELU preserve mean 0 and std 1",
        f"{CHAPTER}, Nonsaturating Activation Functions",
        "signals:deep_selu",
        notes=(
            "the random numbers are those of the book, from NumPy's generator with seed 42; with "
            "other seeds the values vary by 0.1",
        ),
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
        "100 hidden layers of SELU: the network trains",
        "Nonsaturating Activation Functions",
        1e-3,
        5,
        options={"hidden": _DEEP},
        published=published("[30]", loss=0.5569, val_loss=0.4907, val_accuracy=0.8218),
        notes=(
            "results vary by more than a point between runs; the published figures are those of "
            "one run",
        ),
    ),
    fashion(
        "signals/relu-100-layers",
        "100 hidden layers of ReLU: the network hardly trains",
        "Nonsaturating Activation Functions",
        1e-3,
        5,
        options={"hidden": _DEEP, "activation": "relu", "initializer": "he_normal"},
        published=published("[34]", loss=0.7288, val_loss=0.6638, val_accuracy=0.7380),
        notes=(
            "results vary strongly between runs: the published validation loss, 0.66, is that of "
            "one run; five seeds of the recipe end at 0.71 to 0.75, one run of the notebook's code "
            "in Keras 3 at 0.89",
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
        f"gradients clipped by {name}: {rule}",
        "Gradient Clipping",
        1e-3,
        5,
        options={"optimizer": sgd(**{f"clip{name}": 1.0})},
        notes=("the source only builds the optimizer and publishes no figure",),
    )
    for name, rule in (
        ("value", "each component to [-1, 1], which changes the direction"),
        ("norm", "each tensor to norm 1, which preserves the direction"),
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
                "6 updates of 32 rows per epoch; the source makes 7, the last with 8 rows",
            ),
        ),
        (
            "b on a",
            "task B on the layers of A: frozen for 4 epochs, then all trained for 16",
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
                "the source's model_B_on_A shares its layers with model_A, so that training it "
                "also changes model_A; the recipe copies the layers",
                "6 updates of 32 rows per epoch; the source makes 7, the last with 8 rows",
                "the source divides the error by 4.9 in one run on a test set of 2,000 images; "
                "over five seeds of the recipe the factor is 1.2 to 2.5",
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
