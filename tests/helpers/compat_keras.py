"""Oracles of lehr.compat for libraries that cannot be installed with Keras 3."""

import keras
import numpy as np
from keras_models import Weights, fit_one_weight, one_weight

from lehr.compat.differences import differences


def smith(t, low, high, step_size, scale, per_cycle):
    """Compute Smith's formula in float64; the scale is a function of the cycle or the step."""
    t = np.asarray(t, "float64")
    cycle = np.floor(1 + t / (2 * step_size))
    height = np.maximum(0, 1 - np.abs(t / step_size - 2 * cycle + 1))
    return low + (high - low) * height * scale(cycle if per_cycle else t)


class Float32Rates:
    """The rates of TensorFlow Addons: Smith's formula in float32, without checks."""

    def __init__(self, low, high, step_size, gamma=1.0):
        if not (isinstance(low, float) and isinstance(high, float)):
            raise TypeError  # TensorFlow rejects the product of integers and floats
        self.arguments = [np.float32(x) for x in (low, high, step_size, gamma)]

    def __call__(self, step):
        low, high, size, gamma = self.arguments
        t, one = np.float32(step), np.float32(1)
        with np.errstate(all="ignore"):
            cycle = np.floor(one + t / (2 * size))
            height = np.maximum(np.float32(0), one - np.abs(t / size - 2 * cycle + one))
            return low + (high - low) * height * gamma**t


class PerExecution(keras.callbacks.Callback):
    """The callback of clr_callback without checks: it sets the rate once per execution."""

    def __init__(self, base_lr=0.001, max_lr=0.006, step_size=2000.0, mode="triangular"):
        super().__init__()
        self.arguments = base_lr, max_lr, step_size
        self.done = 0

    def on_train_begin(self, logs=None):
        rate = smith(self.done, *self.arguments, lambda x: 1.0, True)
        self.model.optimizer.learning_rate = float(rate)

    def on_batch_end(self, batch, logs=None):
        self.done += 1
        self.on_train_begin()


CLR_CALLBACK = {"CyclicLR": PerExecution}
TENSORFLOW_ADDONS = {
    "TriangularCyclicalLearningRate": Float32Rates,
    "ExponentialCyclicalLearningRate": Float32Rates,
}


def rates(schedule, *steps):
    """Return the rates at the steps, rounded to four significant digits."""
    return [float(f"{float(schedule(step)):.4g}") for step in steps]


def sums(callback, batches, block):
    """Return the sum of the rates of each execution of ``block`` batches."""
    model = one_weight(keras.optimizers.SGD(0.5), steps_per_execution=block)
    weights = Weights()
    fit_one_weight(model, batches, callbacks=[callback, weights])
    return [float(f"{moved:.4g}") for moved in np.diff([0.0, *weights.seen]) * -1 + 0.0]


NAMES = {"nan": float("nan"), "rates": rates, "sums": sums}


def result(example, names):
    """Return the result of an example, as in the table of differences."""
    try:
        return repr(eval(example, {**names, **NAMES}))
    except Exception as error:
        return type(error).__name__


def results(module, theirs, ours):
    """Return the results of the rows of a module, and those in the table."""
    rows = differences(module)
    if keras.backend.backend() == "torch":  # Keras has no executions of several batches for it
        rows = [row for row in rows if not row.example.startswith("sums")]
    found = [(result(row.example, theirs), result(row.example, ours)) for row in rows]
    return found, [(row.theirs, row.ours) for row in rows]
