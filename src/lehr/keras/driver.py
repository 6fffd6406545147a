"""Drivers for Keras optimizers: `attach` for whole policies, `schedule` for a fixed rate."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any

import keras
import numpy as np
from keras import ops

from lehr.control import State
from lehr.keras.movable import (
    WRAPPERS,
    Movable,
    attribute_of,
    check_fresh,
    check_groups,
    plain_variable,
    remade,
)
from lehr.policy import Policy, loads, resolved_policy
from lehr.schedule.base import Schedule as LehrSchedule
from lehr.schedule.base import as_schedule
from lehr.schedule.check import fail, number, whole


def _float32(value: Any) -> Any:
    return ops.cast(value, "float32")


@keras.saving.register_keras_serializable("lehr")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A lehr schedule as a Keras ``LearningRateSchedule``; made by `schedule`."""

    def __init__(self, definition: str, accumulation: int = 1) -> None:
        self.definition = definition
        self.accumulation = whole("accumulation", accumulation)
        self._schedule: LehrSchedule = loads(definition)

    def __call__(self, step: Any) -> Any:
        """Return the rate for a step that Keras counts in micro-batches."""
        step = ops.convert_to_tensor(step)
        if self.accumulation > 1:
            step = ops.floor_divide(step, self.accumulation)
        return _float32(self._schedule(step))

    def get_config(self) -> dict[str, Any]:
        """Return what Keras saves."""
        return {"definition": self.definition, "accumulation": self.accumulation}


def schedule(
    value: LehrSchedule | float, steps: int | None = None, *, accumulation: int = 1
) -> Schedule:
    """Return a schedule in the plain, fixed form that every Keras optimizer takes.

    Use `attach` instead for momentum, weight decay, controllers, or a rate that can be set.

    Args:
        value: a schedule or a number.
        steps: updates in the run, if a length needs it.
        accumulation: the optimizer's ``gradient_accumulation_steps``: Keras calls a schedule
            with the count of micro-batches, not of updates.

    Raises:
        ValueError: if a length is not known in whole steps.

    >>> import keras, lehr
    >>> optimizer = keras.optimizers.SGD(schedule(lehr.cosine(0.1), steps=100))
    >>> round(float(optimizer.learning_rate), 6)
    0.1
    """
    rate = as_schedule("schedule", value)
    resolved = resolved_policy(rate, steps).lr
    assert isinstance(resolved, LehrSchedule)  # a schedule in is a schedule out
    return Schedule(resolved.dumps(), accumulation)


class Driven(Movable):
    """Mixed into an optimizer's own class: writes the policy's values in the graph."""

    def __init__(self, *args: Any, policy: Policy | str, record: int = 0, **kwargs: Any) -> None:
        definition: Policy = loads(policy) if isinstance(policy, str) else policy
        super().__init__(*args, moves=tuple(definition.targets), **kwargs)
        self.policy = definition
        self.record = record
        self._factor = plain_variable(1.0, "factor")
        self._control = plain_variable(np.zeros(7), "control")
        self.control_state = State()
        if record:
            nothing_yet = ops.full((record, len(self.moves)), float("nan"))
            self.ledger = plain_variable(nothing_yet, "ledger")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Write the values of update n, then make update n."""
        n = ops.convert_to_tensor(self.iterations)  # type: ignore[attr-defined]
        values = {name: _float32(s(n)) for name, s in self.policy.targets.items()}  # type: ignore[operator]
        values["lr"] = values["lr"] * self._factor
        for name, value in values.items():
            self.variable_of(name).assign(value)
        if self.record:
            written = [_float32(self.variable_of(name)) for name in self.moves]
            row = ops.reshape(ops.stack(written), (1, -1))
            place = ops.cast(ops.mod(n, self.record), "int32")
            start = ops.stack([place, ops.zeros_like(place)])
            ledger = ops.convert_to_tensor(self.ledger)
            self.ledger.assign(ops.slice_update(ledger, start, row))
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    @property
    def factor(self) -> Any:
        """The variable that multiplies the scheduled rate; takes a number at any time."""
        return self._factor

    @factor.setter
    def factor(self, value: float) -> None:
        self._factor.assign(number("factor", value, at_least=0))

    @property
    def learning_rate(self) -> Any:
        """The rate of the last update."""
        return self._learning_rate  # type: ignore[attr-defined]

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        way_out = "set model.optimizer.factor to scale it"
        fail("learning_rate", "left to the policy", value, way_out)

    @property
    def control_state(self) -> State:
        """What the policy's controller remembers; saved with the optimizer."""
        factor = float(ops.convert_to_numpy(self._factor))
        memory = [factor, *ops.convert_to_numpy(self._control).tolist()]
        kinds = [type(getattr(State, f.name)) for f in fields(State)]
        return State(*(kind(m) for kind, m in zip(kinds, memory, strict=True)))

    @control_state.setter
    def control_state(self, state: State) -> None:
        factor, *memory = astuple(state)  # float32 all of it, as controllers round
        self._control.assign(np.array(memory, "float32"))
        self.factor = factor

    def recorded(self) -> dict[str, list[float]]:
        """Return the values of the last ``record`` updates, oldest first, from in the graph."""
        if not self.record:
            fail("record", "above 0 to keep values", 0, "attach(..., record=number of updates)")
        done = int(self.iterations)  # type: ignore[attr-defined]
        ledger = ops.convert_to_numpy(self.ledger)
        rows = [ledger[n % self.record] for n in range(max(0, done - self.record), done)]
        return {name: [float(row[i]) for row in rows] for i, name in enumerate(self.moves)}

    def get_config(self) -> dict[str, Any]:
        """Return what Keras saves: the optimizer's own config and the policy."""
        return super().get_config() | {"policy": self.policy.dumps(), "record": self.record}


def attach(
    optimizer: keras.optimizers.Optimizer,
    policy: Policy | LehrSchedule | float,
    steps: int | None = None,
    *,
    steps_per_epoch: int | None = None,
    record: int = 0,
) -> keras.optimizers.Optimizer:
    """Return an optimizer like the given one that follows a policy in its graph.

    The value for step n is the one used in update n, on every backend, under
    ``steps_per_execution``, gradient accumulation and loss scaling. The optimizer saves and
    loads with its model. Set ``optimizer.factor`` (through ``model.optimizer``) to scale the
    rate while training, or let the callback `Control` do so for a policy with a controller.

    Args:
        optimizer: a Keras optimizer that has not trained yet.
        policy: a policy, a schedule or a number.
        steps: updates in the run, if a length needs it.
        steps_per_epoch: updates in an epoch, if a length needs it.
        record: how many of the last updates' values to keep; read them with ``recorded()``
            between epochs.

    Raises:
        TypeError: if it is no Keras optimizer.
        ValueError: if the optimizer has trained, is driven already, lacks a hyperparameter that
            the policy moves, or a length is not known in whole steps.

    >>> import keras, lehr
    >>> attach(keras.optimizers.SGD(momentum=0.9), lehr.one_cycle(0.1), steps=100).name
    'sgd'
    """
    resolved = resolved_policy(policy, steps, steps_per_epoch=steps_per_epoch)
    check_fresh(optimizer)
    check_groups(resolved)
    for name in resolved.targets:
        attribute_of(optimizer, name)
    record = whole("record", record, at_least=0)
    return remade(_driven(type(optimizer)), optimizer, policy=resolved, record=record)


class Control(keras.callbacks.Callback):  # type: ignore[misc]
    """Show the rate in Keras's logs; feed the policy's controller after each epoch.

    Put it before callbacks that save the model or read the logs.

    Raises:
        ValueError: if the model's optimizer is not driven, or the monitored metric is missing.
    """

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Refuse an optimizer that is not driven."""
        self._optimizer()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Give the epoch's metric to the controller and its factor to the optimizer."""
        optimizer = self._optimizer()
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(ops.convert_to_numpy(optimizer.learning_rate))
        control = optimizer.policy.control
        if control is None:
            return
        if control.monitor not in logs:
            fail("monitor", "one of " + ", ".join(sorted(logs)), control.monitor)
        optimizer.control_state = control.update(optimizer.control_state, logs[control.monitor])

    def _optimizer(self) -> Any:
        # through the property: on JAX it brings the traced state back into the variables
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not isinstance(optimizer, Driven):
            fail("optimizer", "driven", optimizer, "compile with lehr.keras.attach(...)")
        return optimizer


def _driven(base: Any) -> Any:
    """Return the driven form of an optimizer class, known to Keras's loader by a fixed name."""
    if base not in _DRIVEN:
        cls = type(f"Driven{base.__name__}", (Driven, base), {"__module__": __name__})
        # a user's own SGD must not take the place of Keras's
        own = "" if base.__module__.startswith("keras.") else f"{base.__module__}."
        register = keras.saving.register_keras_serializable("lehr", f"{own}{cls.__name__}")
        _DRIVEN[base] = register(cls)
    return _DRIVEN[base]


_DRIVEN: dict[Any, Any] = {}
for _stock in list(vars(keras.optimizers).values()):
    if (
        isinstance(_stock, type)
        and issubclass(_stock, keras.optimizers.Optimizer)
        and _stock.__name__ not in ("Optimizer", *WRAPPERS)
    ):
        # on PyTorch an optimizer is made as a hidden subclass with grouped updates
        _driven(type(_stock.__new__(_stock)))  # type: ignore[call-overload]
