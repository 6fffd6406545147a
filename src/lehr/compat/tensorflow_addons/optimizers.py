"""The cyclical learning rates of ``tensorflow_addons.optimizers``."""

from __future__ import annotations

import numbers
from typing import Any

import keras
from keras import ops

from lehr.compat._keras.base import Shaped
from lehr.compat._keras.cycles import (
    Scale,
    constant_scale,
    exponential_scale,
    halved_scale,
    wave,
)
from lehr.schedule.errors import fail, number

__all__ = [
    "CyclicalLearningRate",
    "ExponentialCyclicalLearningRate",
    "Triangular2CyclicalLearningRate",
    "TriangularCyclicalLearningRate",
]

Number = Any  # a number, or a tensor or variable of the backend without dimensions


@keras.saving.register_keras_serializable("Addons")
class CyclicalLearningRate(Shaped):
    """A cyclical learning rate whose height is scaled by a function.

    The rate is ``initial + (maximal - initial) * height * scale``. The height rises linearly from 0
    to 1 in ``step_size`` steps and falls back in as many.

    Source: Smith, arXiv 1506.01186.

    Args:
        initial_learning_rate: rate at the start of each cycle.
        maximal_learning_rate: rate at the peak of a cycle, for a scale of 1.
        step_size: number of steps of half a cycle, a real number above 0.
        scale_fn: the scale, a function of a tensor of floats.
        scale_mode: argument of ``scale_fn``: "cycle" (starting from 1); otherwise the step (from
            0).
        name: an attribute; unused.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if ``step_size`` is not above 0.

    >>> schedule = CyclicalLearningRate(0.0, 1.0, 2, scale_fn=lambda cycle: 0.5 * cycle)
    >>> [float(schedule(step)) for step in range(7)]
    [0.0, 0.25, 0.5, 0.25, 0.0, 0.5, 1.0]
    """

    def __init__(
        self,
        initial_learning_rate: Number,
        maximal_learning_rate: Number,
        step_size: Number,
        scale_fn: Scale,
        scale_mode: str = "cycle",
        name: str = "CyclicalLearningRate",
    ) -> None:
        super().__init__()
        self.initial_learning_rate = _number("initial_learning_rate", initial_learning_rate)
        self.maximal_learning_rate = _number("maximal_learning_rate", maximal_learning_rate)
        self.step_size = _number("step_size", step_size)
        number("step_size", _float(step_size), above=0)
        if not callable(scale_fn):
            fail("scale_fn", "a function", scale_fn, error=TypeError)
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.name = name

    def value(self, t: Any, xp: Any) -> Any:
        """Return the rate at step ``t``."""
        dtype = self.dtype()
        low, high = (
            ops.cast(rate, dtype)
            for rate in (self.initial_learning_rate, self.maximal_learning_rate)
        )
        cycle, height = wave(t, _float(self.step_size), xp)
        scale = self.scale_fn(ops.cast(cycle + 1 if self.scale_mode == "cycle" else t, dtype))
        return low + (high - low) * ops.cast(height, dtype) * ops.cast(scale, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor without the name, as in TensorFlow Addons."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "maximal_learning_rate": self.maximal_learning_rate,
            "scale_fn": self.scale_fn,
            "step_size": self.step_size,
            "scale_mode": self.scale_mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the schedule of a config; a saved ``scale_fn`` is loaded as Keras loads it."""
        scale = config.get("scale_fn")
        if isinstance(scale, dict):
            config = config | {"scale_fn": keras.saving.deserialize_keras_object(scale)}
        return cls(**config)


class _BuiltIn(CyclicalLearningRate):
    """A cyclical learning rate with a built-in scale."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor without the name, as in TensorFlow Addons."""
        config = super().get_config()
        del config["scale_fn"]
        return config


@keras.saving.register_keras_serializable("Addons")
class TriangularCyclicalLearningRate(_BuiltIn):
    """A cyclical learning rate with equal peaks.

    The rate is ``initial + (maximal - initial) * height``; see `CyclicalLearningRate`.

    Args:
        initial_learning_rate: rate at the start of each cycle.
        maximal_learning_rate: rate at the peaks.
        step_size: number of steps of half a cycle, a real number above 0.
        scale_mode: unused.
        name: an attribute; unused.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if ``step_size`` is not above 0.

    >>> schedule = TriangularCyclicalLearningRate(0.0, 1.0, step_size=2)
    >>> [float(schedule(step)) for step in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def __init__(
        self,
        initial_learning_rate: Number,
        maximal_learning_rate: Number,
        step_size: Number,
        scale_mode: str = "cycle",
        name: str = "TriangularCyclicalLearningRate",
    ) -> None:
        rates = initial_learning_rate, maximal_learning_rate
        super().__init__(*rates, step_size, constant_scale, scale_mode, name)


@keras.saving.register_keras_serializable("Addons")
class Triangular2CyclicalLearningRate(_BuiltIn):
    """A cyclical learning rate whose height is halved after each cycle.

    The rate is ``initial + (maximal - initial) * height / 2**(cycle - 1)``, with cycles counted
    from 1; see `CyclicalLearningRate`.

    Args:
        initial_learning_rate: rate at the start of each cycle.
        maximal_learning_rate: rate at the first peak.
        step_size: number of steps of half a cycle, a real number above 0.
        scale_mode: "cycle"; otherwise the exponent is the step minus 1.
        name: an attribute; unused.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if ``step_size`` is not above 0.

    >>> schedule = Triangular2CyclicalLearningRate(0.0, 1.0, step_size=1)
    >>> [float(schedule(step)) for step in range(6)]
    [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: Number,
        maximal_learning_rate: Number,
        step_size: Number,
        scale_mode: str = "cycle",
        name: str = "Triangular2CyclicalLearningRate",
    ) -> None:
        rates = initial_learning_rate, maximal_learning_rate
        super().__init__(*rates, step_size, halved_scale, scale_mode, name)


@keras.saving.register_keras_serializable("Addons")
class ExponentialCyclicalLearningRate(_BuiltIn):
    """A cyclical learning rate whose height changes by a factor in each step.

    The rate is ``initial + (maximal - initial) * height * gamma**step``; see
    `CyclicalLearningRate`.

    Args:
        initial_learning_rate: rate at the start of each cycle.
        maximal_learning_rate: upper bound of the rate, for a ``gamma`` of at most 1.
        step_size: number of steps of half a cycle, a real number above 0.
        scale_mode: exponent of ``gamma``: "cycle" (starting from 1); otherwise the step.
        gamma: the factor, above 0.
        name: an attribute; unused.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if ``step_size`` or ``gamma`` is not above 0.

    >>> schedule = ExponentialCyclicalLearningRate(0.0, 1.0, step_size=1, gamma=0.5)
    >>> [float(schedule(step)) for step in range(4)]
    [0.0, 0.5, 0.0, 0.125]
    """

    def __init__(
        self,
        initial_learning_rate: Number,
        maximal_learning_rate: Number,
        step_size: Number,
        scale_mode: str = "iterations",
        gamma: Number = 1.0,
        name: str = "ExponentialCyclicalLearningRate",
    ) -> None:
        self.gamma = _number("gamma", gamma)
        scale = exponential_scale(_float(gamma))
        rates = initial_learning_rate, maximal_learning_rate
        super().__init__(*rates, step_size, scale, scale_mode, name)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor without the name, as in TensorFlow Addons."""
        return super().get_config() | {"gamma": self.gamma}


def _number(field: str, value: Any) -> Any:
    """Return a number, tensor or variable; raise TypeError for other types."""
    if isinstance(value, bool) or not (isinstance(value, numbers.Real) or hasattr(value, "dtype")):
        fail(field, "a number or a tensor", value, error=TypeError)
    return value


def _float(value: Any) -> float:
    """Return a number, or the value of a tensor or variable, as a float."""
    return float(value if isinstance(value, numbers.Real) else ops.convert_to_numpy(value))
