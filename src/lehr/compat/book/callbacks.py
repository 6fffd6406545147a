"""Callbacks that set the learning rate of each batch.

With ``steps_per_execution``, Keras calls them once per block of batches: every batch of a block has
the rate of its first one.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from lehr.schedule.decays import Exponential
from lehr.schedule.shapes import Ramp


class _PerBatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Base of the callbacks: the number of batches in a block."""

    def _last(self, batch: int) -> int:
        """Return the last batch of a block; Keras counts batches beyond the end of the epoch."""
        steps = (self.params or {}).get("steps")
        return min(batch, steps - 1) if steps else batch


class _Multiplier(_PerBatch):
    """Base of the callbacks that multiply the rate, also one that was set by others."""

    _exact = _written = 0.0

    def _multiply(self, factor: float) -> float:
        """Multiply the rate, without accumulating float32 errors; return the previous one."""
        optimizer = self.model.optimizer
        rate = _rate(optimizer)
        self._exact = (self._exact if rate == self._written else rate) * factor
        optimizer.learning_rate = self._exact
        self._written = _rate(optimizer)
        return rate


class ExponentialLearningRate(_Multiplier):
    """Multiply the rate by ``factor`` after each batch, and record rates and losses.

    The losses are those of the batches, not the running means that Keras passes to callbacks. With
    ``steps_per_execution``, they are the means over the blocks.

    Args:
        factor: the factor per batch.

    Attributes:
        rates: the rate of each batch.
        losses: the loss of each batch.

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.125), loss="mse")
    >>> exp_lr = ExponentialLearningRate(factor=2.0)
    >>> _ = model.fit(np.ones((8, 1)), np.ones((8, 1)), batch_size=2, callbacks=[exp_lr], verbose=0)
    >>> exp_lr.rates, len(exp_lr.losses)
    ([0.125, 0.25, 0.5, 1.0], 4)
    """

    last_size = 1.0  # size of the last batch of an epoch, as a share of the others

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._batches, self._size, self._total = 0, 0.0, 0.0  # of the epoch so far

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record the rate and the loss, and multiply the rate."""
        if batch < self._batches:  # a new epoch
            self._batches, self._size, self._total = 0, 0.0, 0.0
        is_last = batch + 1 >= ((self.params or {}).get("steps") or math.inf)
        batch = self._last(batch)
        count = batch + 1 - self._batches
        size = self._size + count - (1.0 - self.last_size if is_last else 0.0)
        total = float(logs["loss"]) * size
        self.losses.append((total - self._total) / (size - self._size))
        self.rates.append(self._multiply(self.factor**count))
        self._batches, self._size, self._total = batch + 1, size, total


class ExponentialDecay(_Multiplier):
    """Multiply the rate by ``0.1**(1 / s)`` before each batch.

    The rate of batch n is ``rate * 0.1**((n + 1) / s)``. It is recorded as "lr" at the end of each
    epoch.

    Args:
        s: number of batches in which the rate falls to a tenth, a real number.

    Raises:
        ValueError: if ``s`` is not above 0.

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5), loss="mse")
    >>> x = np.ones((8, 1))
    >>> history = model.fit(x, x, batch_size=2, callbacks=[ExponentialDecay(s=4)], verbose=0)
    >>> round(history.history["lr"][0], 6)
    0.05
    """

    def __init__(self, s: float = 40000) -> None:
        super().__init__()
        self.s = s
        self._decay = Exponential(1.0, 0.1, s)
        self._first = self._more = 0

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Multiply the rate."""
        self._multiply(self._decay(1 + self._more))
        self._first, self._more = batch, 0

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the further batches of a block."""
        self._more = self._last(batch) - self._first

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the rate."""
        if logs is not None:
            logs["lr"] = _rate(self.model.optimizer)


class OneCycleScheduler(_PerBatch):
    """One cycle: up to ``max_rate``, down to ``start_rate``, then down to ``last_rate``, linearly.

    After the last iteration the rate remains ``last_rate``.

    Args:
        iterations: number of batches in the run.
        max_rate: the highest rate.
        start_rate: the first rate; None: ``max_rate / 10``.
        last_iterations: number of batches of the third phase; None: ``iterations // 10 + 1``.
        last_rate: the rate after the last batch; None: ``start_rate / 1000``.

    Attributes:
        half_iteration: number of batches in each of the first two phases.
        iteration: number of batches so far.

    Raises:
        ValueError: if a phase has a negative length.

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(), loss="mse")
    >>> one_cycle, x = OneCycleScheduler(4, max_rate=1.0, last_iterations=2), np.ones((2, 1))
    >>> _ = model.fit(x, x, batch_size=1, callbacks=[one_cycle], verbose=0)
    >>> one_cycle.iteration, float(model.optimizer.learning_rate)
    (2, 1.0)
    """

    def __init__(
        self,
        iterations: int,
        max_rate: float,
        start_rate: float | None = None,
        last_iterations: int | None = None,
        last_rate: float | None = None,
    ) -> None:
        super().__init__()
        self.iterations, self.max_rate = iterations, max_rate
        self.start_rate = start_rate or max_rate / 10
        self.last_iterations = last_iterations or iterations // 10 + 1
        self.half_iteration = (iterations - self.last_iterations) // 2
        self.last_rate = last_rate or self.start_rate / 1000
        self.iteration = 0
        half = int(self.half_iteration)
        rise = Ramp(self.start_rate, max_rate, half)
        fall = Ramp(max_rate, self.start_rate, half)
        last = Ramp(self.start_rate, self.last_rate, int(iterations) - 2 * half)
        self._cycle = rise.then(fall).then(last)
        self._first = 0

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate."""
        self.model.optimizer.learning_rate = self._cycle(self.iteration)
        self.iteration += 1
        self._first = batch

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the further batches of a block."""
        self.iteration += self._last(batch) - self._first


def _rate(optimizer: Any) -> float:
    return float(ops.convert_to_numpy(optimizer.learning_rate))
