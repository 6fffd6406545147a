"""Models and data for the cases of the range test."""

import common
import keras

import lehr
import lehr.keras

X, Y = common.data()
PAIRS = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 96, 8)]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(optimizer, dtype="float32", **compiled):
    """Batch norm, noise, dropout with and without a seed."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(8, activation="relu", dtype=dtype),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.GaussianNoise(0.1, dtype=dtype),
        keras.layers.Dropout(0.3, dtype=dtype),
        keras.layers.Dropout(0.3, seed=7, dtype=dtype),
        keras.layers.Dense(3, dtype=dtype),
    ]
    model = keras.Sequential([keras.layers.Input((5,)), *layers])
    model.compile(optimizer, loss=LOSS, metrics=["accuracy"], **compiled)
    return model


def fit(model, **settings):
    callbacks = [lehr.keras.Control()] if hasattr(model.optimizer, "observe") else []
    return model.fit(X, Y, batch_size=8, verbose=0, callbacks=callbacks, **settings).history


def everything(model):
    return common.arrays(model) + [keras.ops.convert_to_numpy(v) for v in model.metrics_variables]
