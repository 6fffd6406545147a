"""Oracles of lehr.compat for libraries that cannot be installed with Keras 3."""

import numpy as np

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


TENSORFLOW_ADDONS = {
    "TriangularCyclicalLearningRate": Float32Rates,
    "ExponentialCyclicalLearningRate": Float32Rates,
}


def rates(schedule, *steps):
    """Return the rates at the steps, rounded to four significant digits."""
    return [float(f"{float(schedule(step)):.4g}") for step in steps]


def result(example, names):
    """Return the result of an example, as in the table of differences."""
    try:
        return repr(eval(example, {**names, "rates": rates, "nan": float("nan")}))
    except Exception as error:
        return type(error).__name__


def results(module, theirs, ours):
    """Return the results of all rows of a module, and those in the table."""
    rows = differences(module)
    found = [(result(row.example, theirs), result(row.example, ours)) for row in rows]
    return found, [(row.theirs, row.ours) for row in rows]
