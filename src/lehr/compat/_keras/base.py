"""Base of the Keras schedules of ``lehr.compat``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from lehr.schedule import scalar


class Shaped(keras.optimizers.schedules.LearningRateSchedule, ABC):  # type: ignore[misc]
    """A ``LearningRateSchedule`` whose values come from lehr's algebra.

    The step is a number, an array, or a variable or tensor of the backend, traced or not. Integer
    steps are compared and divided as integers.
    """

    initial_learning_rate: Any

    @abstractmethod
    def value(self, t: Any, xp: Any) -> Any:
        """Return the rate at step ``t``; ``xp`` is the module with ``where, exp ...`` for it."""

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step, or at an array of steps, as a tensor of the backend."""
        t = ops.convert_to_tensor(step)
        return ops.cast(self.value(t, scalar.namespace(t)), self.dtype())

    def dtype(self) -> str:
        """Return the dtype of the rates: that of the initial rate; the default one if integer."""
        initial = ops.convert_to_tensor(self.initial_learning_rate)
        dtype: str = keras.backend.standardize_dtype(initial.dtype)
        return dtype if "float" in dtype else str(keras.backend.floatx())
