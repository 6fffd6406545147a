"""The built-in tasks: dense SELU networks on image data sets, in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lehr.tasks import data

if TYPE_CHECKING:
    from lehr.keras import Learner


def fashion_mnist_mlp(seed: int) -> Learner:
    """Build the task "fashion-mnist-mlp": a dense network on Fashion-MNIST.

    Layers 784-300-100-10, SELU activations, LeCun normal initialization, softmax cross-entropy,
    SGD with momentum 0.9, batches of 128.

    Args:
        seed: seed of the initial weights and of the order of the data.
    """
    return _mlp(data.fashion_mnist(), (300, 100), batch_size=128, seed=seed)


def digits_mlp(seed: int) -> Learner:
    """Build the task "digits-mlp": a dense network on scikit-learn's 8 x 8 digits.

    Layers 64-30-20-10, batches of 32; otherwise like `fashion_mnist_mlp`.

    Args:
        seed: seed of the initial weights and of the order of the data.
    """
    return _mlp(data.digits(), (30, 20), batch_size=32, seed=seed)


def _mlp(
    splits: dict[str, data.Split], hidden: Sequence[int], *, batch_size: int, seed: int
) -> Learner:
    import keras
    import numpy as np

    from lehr.keras import Learner

    # one seed per layer: keras.utils.set_random_seed imports TensorFlow if it is installed
    seeds = (int(word >> 1) for word in np.random.SeedSequence(seed).generate_state(8))
    model = keras.Sequential([keras.layers.Input(splits["train"][0].shape[1:])])
    for units in hidden:
        initial = keras.initializers.LecunNormal(next(seeds))
        model.add(keras.layers.Dense(units, "selu", kernel_initializer=initial))
    initial = keras.initializers.GlorotUniform(next(seeds))
    model.add(keras.layers.Dense(10, kernel_initializer=initial))
    model.compile(
        keras.optimizers.SGD(momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Learner(model, **splits, batch_size=batch_size, seed=seed)
