"""Tiny Keras models, their data, and the comparison of rates and weights."""

import keras
import numpy as np
import pytest
from keras import ops

import lehr
import lehr.keras

BACKEND = keras.backend.backend()
JITS = (
    ["auto", False] if BACKEND == "tensorflow" else ["auto"]
)  # for other backends see case_driver
BLOCKS = [1] if BACKEND == "torch" else [1, 16]  # Keras has no steps_per_execution for torch
ALL_BLOCKS = [1] if BACKEND == "torch" else [1, 4, 16]


def multi_optimizer(default, others=None):
    """Return a MultiOptimizer, which Keras has since 3.15."""
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    mapping = keras.optimizers.OptimizerMap(default, others)
    return keras.optimizers.MultiOptimizer(mapping, name="parts")


def number(variable):
    return np.asarray(ops.convert_to_numpy(variable), "float64").item()


def inner(model):
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


@keras.saving.register_keras_serializable("cases")
def mean_prediction(_, prediction):
    return ops.mean(prediction)


def one_weight(optimizer, **compiled):
    """Return a model with one weight and gradient one: plain SGD subtracts the rate."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    model.compile(optimizer, loss=mean_prediction, **compiled)
    return model


def fit_one_weight(model, updates, accumulation=1, epochs=1, callbacks=()):
    ones = np.ones((updates * accumulation // epochs, 1), "float32")
    return model.fit(ones, ones, batch_size=1, epochs=epochs, verbose=0, callbacks=list(callbacks))


def wanted(policy, name, updates, first=0):
    return np.array([policy(step)[name] for step in range(first, first + updates)])


def moved(rates, momentum=None):
    """Compute the weight after each update in float64, for gradient one."""
    velocity, weight, weights = 0.0, 0.0, []
    for step, rate in enumerate(rates):
        velocity = (0.0 if momentum is None else momentum[step]) * velocity - rate
        weight += velocity
        weights.append(weight)
    return np.array(weights)


def assert_weights(seen, by_hand, block, accumulation):
    """Compare the weights after blocks of micro-batches; the last micro-batch makes the update."""
    size = accumulation or 1
    micro = np.r_[np.zeros(size - 1), np.repeat(by_hand, size)][: len(by_hand) * size]
    np.testing.assert_allclose(seen, micro[block - 1 :: block], rtol=2e-6, atol=1e-7)


def assert_recorded(model, policy, updates, factors=1.0, first=0):
    recorded = inner(model).recorded()
    assert list(recorded) == list(policy.targets)
    for name, values in recorded.items():
        expected = wanted(policy, name, updates, first) * (factors if name == "lr" else 1.0)
        assert len(values) == updates
        np.testing.assert_allclose(values, expected, rtol=0, atol=4e-7 * expected.max())


class Weights(keras.callbacks.Callback):
    """Record the weight after every block of steps."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(number(self.model.weights[0]))


class AtEpochEnd(keras.callbacks.Callback):
    """Call a function of (model, epoch, logs) at the end of every epoch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_epoch_end(self, epoch, logs=None):
        self.function(self.model, epoch, logs)


def data(rows=96, seed=0):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, 5)).astype("float32")
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).astype("int32")


def regression(optimizer, **compiled):
    """Return a small model with fixed initial weights, for tests of the optimizer."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", **compiled)
    # if built in a TensorFlow graph, ScheduleFreeAdamW of Keras starts from zeros
    model.optimizer.build(model.trainable_variables)
    return model


def network(optimizer, seed=1, dtype="float32", **compiled):
    """Return a small classifier with all kinds of state: batch norm, noise, seeded dropout."""
    keras.utils.set_random_seed(seed)
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
    """Train on the rows of `X`; a controller gets the metrics through the callback."""
    callbacks = [lehr.keras.Control()] if hasattr(model.optimizer, "observe") else []
    return model.fit(X, Y, batch_size=8, verbose=0, callbacks=callbacks, **settings).history


def same(left, right):
    return [array.tobytes() for array in left] == [array.tobytes() for array in right]


def arrays(model):
    return [ops.convert_to_numpy(v) for v in [*model.variables, *model.optimizer.variables]]


def everything(model):
    return arrays(model) + [ops.convert_to_numpy(v) for v in model.metrics_variables]


ONE_CYCLE = lehr.one_cycle(0.1, steps=64)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
X, Y = data()
PAIRS = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 96, 8)]
