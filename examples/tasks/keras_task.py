"""A Keras model as a task: `lehr find keras_task:digits`, `lehr compare keras_task:digits`."""

import keras
import numpy as np
from sklearn.datasets import load_digits

import lehr


def digits(seed: int, units: int = 32) -> lehr.keras.Learner:
    """Return a Learner of a compiled model with dropout on scikit-learn's digits."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dropout(0.2, seed=seed),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order]
    return lehr.keras.Learner(
        model,
        (x[600:], y[600:]),
        validation=(x[300:600], y[300:600]),
        test=(x[:300], y[:300]),
        batch_size=32,
        seed=seed,
    )
