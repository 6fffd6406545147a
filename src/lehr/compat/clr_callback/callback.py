"""The callback ``CyclicLR``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from lehr.compat._keras.cycles import (
    Scale,
    constant_scale,
    exponential_scale,
    halved_scale,
    wave,
)
from lehr.compat.clr_callback.execution import Following, following
from lehr.schedule import scalar
from lehr.schedule.errors import fail, number, one_of


class CyclicLR(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that sets a cyclical learning rate after each batch.

    The rate is ``base_lr + (max_lr - base_lr) * height * scale``. The height rises linearly from 0
    to 1 in ``step_size`` batches and falls back in as many. Before the first batch, the rate of the
    optimizer is set to ``base_lr``, or to the current rate if the cycle goes on. A rate that
    another callback sets is used for one batch.

    With ``steps_per_execution`` above 1 (JAX and TensorFlow), the model has an optimizer with the
    same variables during ``fit``, which sets the rate of each batch inside the execution.

    Source: Smith, arXiv 1506.01186.

    Args:
        base_lr: rate at the start of each cycle.
        max_lr: rate at the peak of a cycle, for a scale of 1.
        step_size: number of batches of half a cycle, a real number above 0.
        mode: "triangular", "triangular2" (the height is halved after each cycle) or "exp_range"
            (the height is multiplied by ``gamma`` after each batch).
        gamma: the factor of "exp_range", above 0.
        scale_fn: a function that replaces ``mode``.
        scale_mode: argument of ``scale_fn``: "cycle" (starting from 1); otherwise the number of
            batches since the start or `_reset` (from 0).

    Raises:
        ValueError: if ``mode`` is unknown, or ``step_size`` or ``gamma`` is not above 0; in
            ``fit``, with a ``LossScaleOptimizer`` or ``MultiOptimizer`` and
            ``steps_per_execution`` above 1.
        TypeError: by Keras in ``fit``, if the optimizer has a schedule.

    Attributes:
        history: lists by name, with one item per batch: "lr" (the rate of this batch),
            "iterations" (the number of batches so far) and the logs of Keras; the batches of one
            execution have the same logs.
        clr_iterations: number of batches since the start or `_reset`.
        trn_iterations: number of batches since the start.

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> clr, x = CyclicLR(base_lr=0.0, max_lr=1.0, step_size=2.0), np.ones((6, 1))
    >>> _ = model.fit(x, x, batch_size=1, callbacks=[clr], verbose=0)
    >>> clr.history["lr"]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def __init__(
        self,
        base_lr: float = 0.001,
        max_lr: float = 0.006,
        step_size: float = 2000.0,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Scale | None = None,
        scale_mode: str = "cycle",
    ) -> None:
        super().__init__()
        self.base_lr = base_lr
        self.max_lr = max_lr
        self.step_size = number("step_size", step_size, above=0)
        self.mode = mode
        self.gamma = gamma
        if scale_fn is None:
            one_of("mode", mode, ("triangular", "triangular2", "exp_range"))
            built_in = {"triangular": constant_scale, "triangular2": halved_scale}
            self.scale_fn = built_in.get(mode) or exponential_scale(gamma)
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        else:
            self.scale_fn = scale_fn
            self.scale_mode = scale_mode
        self.trn_iterations = 0.0
        self.history: dict[str, list[Any]] = {}
        self._train_function: Any = None  # that of the model, before `fit`
        self._reset()

    def _reset(
        self,
        new_base_lr: float | None = None,
        new_max_lr: float | None = None,
        new_step_size: float | None = None,
    ) -> None:
        """Start a new cycle with the next ``fit`` or batch; change bounds or step size if given."""
        if new_base_lr is not None:
            self.base_lr = new_base_lr
        if new_max_lr is not None:
            self.max_lr = new_max_lr
        if new_step_size is not None:
            self.step_size = number("new_step_size", new_step_size, above=0)
        self.clr_iterations = 0.0

    def clr(self) -> float:
        """Return the rate after ``clr_iterations`` batches."""
        return self._rate(self.clr_iterations)

    def _rate(self, t: float) -> float:
        cycle, height = wave(int(t) if float(t).is_integer() else t, float(self.step_size), scalar)
        scale = self.scale_fn(float(cycle + 1 if self.scale_mode == "cycle" else t))
        return float(self.base_lr + (self.max_lr - self.base_lr) * height * scale)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Set the rate of the first batch."""
        model = self.model
        optimizer, block = model.optimizer, model.steps_per_execution
        if block > 1 and (
            hasattr(optimizer, "inner_optimizer") or hasattr(optimizer, "optimizers")
        ):
            fail("steps_per_execution", f"1 for CyclicLR with a {type(optimizer).__name__}", block)
        self._set(self._first())  # raises before the optimizer is replaced
        if block > 1:
            interrupted = isinstance(optimizer, Following)  # in an earlier fit
            self._train_function = None if interrupted else model.train_function
            model.optimizer = following(optimizer.original if interrupted else optimizer, block)
            model.make_train_function(force=True)

    def _first(self) -> float:
        return float(self.base_lr) if self.clr_iterations == 0 else self.clr()

    def _set(self, rate: float) -> None:
        """Set the rate of the next batch."""
        optimizer = self.model.optimizer  # on JAX, this property restores the variables
        for part in getattr(optimizer, "optimizers", [optimizer]):
            part.learning_rate = rate

    def on_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rates of the batches of an execution after its first one."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, Following):
            t = self.clr_iterations
            optimizer.follow([self._rate(t + i) for i in range(optimizer.block)])

    def on_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the rate of the batch, and set that of the next one."""
        for rate in self._used():
            self.trn_iterations += 1
            self.clr_iterations += 1
            row = {"lr": rate, "iterations": self.trn_iterations} | (logs or {})
            for name, value in row.items():
                self.history.setdefault(name, []).append(value)
        self._set(self.clr())

    def _used(self) -> list[float]:
        """Return the rates of the batches since the last call."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, Following):
            return optimizer.finish()
        first = getattr(optimizer, "optimizers", [optimizer])[0]
        return [float(ops.convert_to_numpy(first.learning_rate))]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the optimizer of the model, which has the same variables."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, Following):
            self.model.optimizer = optimizer.original
            self.model.train_function = self._train_function
