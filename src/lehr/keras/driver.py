"""The driver for Keras optimizers: `attach`."""

from __future__ import annotations

import warnings
from dataclasses import astuple, fields
from typing import Any

import keras
import numpy as np
from keras import ops

from lehr.controllers import State, is_best, reduced
from lehr.keras import _private
from lehr.keras.hyperparameters import (
    WRAPPERS,
    WritableHyperparameters,
    attribute_of,
    check_fresh,
    check_groups,
    plain_variable,
    remade,
)
from lehr.keras.processes import all_reduce_mean
from lehr.keras.saved import Saved
from lehr.learner.driver_state import ON_CHANGE, OnChange, first_state, observing_controller
from lehr.policy import Policy, loads, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.length import Length


def _float32(value: Any) -> Any:
    return ops.cast(value, "float32")


class Driven(Saved, WritableHyperparameters):
    """Mixin for an optimizer's own class: writes the policy's values in the graph.

    Attributes:
        policy: the policy in integer steps.
    """

    def __init__(
        self,
        *args: Any,
        policy: Policy | str,
        start_step: int = 0,
        factor: float = 1.0,
        record: int = 0,
        on_change: str = "refuse",
        **kwargs: Any,
    ) -> None:
        definition: Policy = loads(policy) if isinstance(policy, str) else policy
        super().__init__(*args, moves=tuple(definition.targets), **kwargs)
        self.policy = definition
        self.record = record
        self.on_change = on_change
        self.observed = False  # whether anything feeds the controller
        self.best_weights: list[Any] | None = None  # kept for a controller that restores them
        self._first = start_step, factor
        self._start_step = plain_variable(start_step, "start_step", "int32")
        self._factor = plain_variable(factor, "factor")
        self._control = plain_variable(np.zeros(7), "control")
        if record:
            nothing_yet = ops.full((record, len(self.moves)), float("nan"))
            self.ledger = plain_variable(nothing_yet, "ledger")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Write the values of update n, then make update n."""
        if not self.held:
            self._write()
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def _write(self) -> None:
        if self.policy.control is not None and not self.observed:
            self.observed = True  # warn once
            warnings.warn(
                "the policy's controller receives no metric: add lehr.keras.Control() to the "
                "callbacks of fit, or call lehr.keras.driven(model).observe(metric) in your loop",
                stacklevel=2,
            )
        n = self._step()
        for name, value in self._scheduled(n).items():
            self.variable_of(name).assign(value)
        if self.record:
            written = [_float32(self.variable_of(name)) for name in self.moves]
            row = ops.reshape(ops.stack(written), (1, -1))
            updates = ops.convert_to_tensor(self.iterations)  # type: ignore[attr-defined]
            place = ops.cast(ops.mod(updates, self.record), "int32")
            start = ops.stack([place, ops.zeros_like(place)])
            ledger = ops.convert_to_tensor(self.ledger)
            self.ledger.assign(ops.slice_update(ledger, start, row))

    def _step(self) -> Any:
        """Return the current step of the policy as a tensor."""
        updates = ops.convert_to_tensor(self.iterations)  # type: ignore[attr-defined]
        return updates + ops.cast(self._start_step, updates.dtype)

    @property
    def step(self) -> int:
        """The current step of the policy: ``start_step`` plus the number of updates."""
        return int(self._start_step) + int(self.iterations)  # type: ignore[attr-defined]

    def _scheduled(self, n: Any) -> dict[str, Any]:
        """Return the hyperparameters of step n as tensors."""
        values = {name: _float32(s(n)) for name, s in self.policy.targets.items()}  # type: ignore[operator]
        values["lr"] = self.policy.rate(values["lr"], ops.convert_to_tensor(self._factor))
        return values

    def values(self) -> dict[str, Any]:
        """Return the values for the next update by name, as float32 tensors of the backend.

        They include ``Policy.values``; the factor is applied to the learning rate. Call it between
        updates, or in the graph of your own ``train_step`` before it applies the gradients. In a
        ``train_step`` on JAX, Keras stores variables apart from their values: call it in
        ``keras.StatelessScope(zip(self.optimizer.variables, state[2]))``.

        Raises:
            RuntimeError: in a traced step on JAX outside of this scope.

        >>> import keras, lehr
        >>> policy = lehr.Policy(lr=0.1, values={"ema_decay": lehr.linear(0.75, 1.0)})
        >>> optimizer = attach(keras.optimizers.SGD(), policy, steps=2)
        >>> {name: round(float(value), 6) for name, value in optimizer.values().items()}
        {'lr': 0.1, 'ema_decay': 0.75}
        """
        if _private.stale_count(self):
            raise RuntimeError(
                "values() needs the state of the optimizer in a traced step on JAX; in "
                "train_step(self, state, data) call it within "
                "keras.StatelessScope(zip(self.optimizer.variables, state[2]))"
            )
        n = self._step()
        read = {name: _float32(s(n)) for name, s in (self.policy.values or {}).items()}
        return self._scheduled(n) | read

    def observe(self, metric: Any, model: keras.Model | None = None) -> None:
        """Update the policy's controller with a metric; the next update uses its factor.

        `Control` calls this in ``fit``. Under ``torch.distributed`` every process must call it:
        the metric is averaged. On JAX and TensorFlow all processes must pass the same metric.

        Args:
            metric: value of the metric that the controller monitors.
            model: required by ``restore_best``: its weights are copied at the best metric and
                restored at a reduction.

        Raises:
            ValueError: if the policy has no controller, or ``restore_best`` has no model.
        """
        control, restores = observing_controller(self.policy, model)
        self.observed = True
        before = self.control_state
        self.control_state = after = control.update(before, all_reduce_mean(metric))
        if restores and model is not None:
            if is_best(before, after):
                self.best_weights = [np.array(array) for array in model.get_weights()]
            elif reduced(before, after) and self.best_weights is not None:
                model.set_weights(self.best_weights)

    def own_variables(self) -> dict[str, Any]:
        """Return lehr's variables by name, without the state of the controller."""
        moved = {attribute_of(self, name): self.variable_of(name) for name in self.moves[1:]}
        ledger = {"ledger": self.ledger} if self.record else {}
        return moved | {"start_step": self._start_step, "factor": self._factor} | ledger

    @property
    def factor(self) -> Any:
        """Factor on the scheduled learning rate, a variable; set it to a number at any time."""
        return self._factor

    @factor.setter
    def factor(self, value: float) -> None:
        self._factor.assign(number("factor", value, at_least=0))

    @property
    def learning_rate(self) -> Any:
        """The rate of the last update."""
        return _private.learning_rate(self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        fix = "set lehr.keras.driven(model).factor to scale it"
        fail("learning_rate", "left to the policy", value, fix)

    @property
    def control_state(self) -> State:
        """State of the policy's controller; saved with the optimizer."""
        factor = float(ops.convert_to_numpy(self._factor))
        numbers = [factor, *ops.convert_to_numpy(self._control).tolist()]
        kinds = [type(getattr(State, f.name)) for f in fields(State)]
        return State(*(kind(n) for kind, n in zip(kinds, numbers, strict=True)))

    @control_state.setter
    def control_state(self, state: State) -> None:
        factor, *numbers = astuple(state)  # controllers round all values to float32
        self._control.assign(np.array(numbers, "float32"))
        self.factor = factor

    def recorded(self) -> dict[str, list[float]]:
        """Return the values of the last ``record`` updates, oldest first, read in the graph."""
        if not self.record:
            fail("record", "above 0 to record values", 0, "attach(..., record=number of updates)")
        done = int(self.iterations)  # type: ignore[attr-defined]
        ledger = ops.convert_to_numpy(self.ledger)
        rows = [ledger[n % self.record] for n in range(max(0, done - self.record), done)]
        return {name: [float(row[i]) for row in rows] for i, name in enumerate(self.moves)}

    def get_config(self) -> dict[str, Any]:
        """Return the config that Keras saves: the optimizer's own and the arguments of `attach`."""
        start_step, factor = self._first
        own = {"start_step": start_step, "factor": factor, "record": self.record}
        return super().get_config() | {"policy": self.policy.dumps()} | own


def attach(
    optimizer: keras.optimizers.Optimizer,
    policy: Policy | Schedule | float,
    steps: Length = None,
    *,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
    start_step: int = 0,
    factor: float = 1.0,
    on_change: OnChange = "refuse",
    record: int = 0,
) -> keras.optimizers.Optimizer:
    """Return an equivalent optimizer that applies a policy in its graph.

    The value for step n is the one used in update n, on every backend, under
    ``steps_per_execution``, gradient accumulation and loss scaling. The policy is saved with the
    model. ``driven(model).factor`` scales the rate while training; the callback `Control` sets it
    for a policy with a controller.

    Args:
        optimizer: a Keras optimizer that has not trained yet.
        policy: a policy, a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens"; for percentages and the
            rest of the run.
        steps_per_epoch: updates in an epoch, a real number; for lengths in epochs.
        samples_per_step: samples in one update, or a schedule (a batch-size ramp); for lengths in
            samples.
        tokens_per_step: tokens in one update, or a schedule; for lengths in tokens.
        start_step: step of the policy at the first update.
        factor: factor on the learning rate, at least 0; later ``driven(model).factor``.
        on_change: "refuse" rejects a saved state of a different policy; "continue" accepts it.
        record: number of the last updates whose values ``recorded()`` returns.

    Raises:
        TypeError: if ``optimizer`` is not a Keras optimizer.
        ValueError: if the optimizer has trained, is driven, has a schedule or lacks one of the
            policy's hyperparameters; if a length is unknown or a function has no name.

    >>> import keras, lehr
    >>> sgd = keras.optimizers.SGD(momentum=0.9, name="mine")
    >>> attach(sgd, lehr.one_cycle(0.1), steps=100).name
    'mine'
    """
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    resolved = resolved_policy(policy, steps, *sizes)
    check_fresh(optimizer)
    check_groups(resolved)
    resolved.dumps()  # raises now for a function without a name, not when the model is saved
    start_step, state = first_state(start_step, factor)
    for name in resolved.targets:
        attribute_of(optimizer, name)
    record = integer("record", record, at_least=0)
    one_of("on_change", on_change, ON_CHANGE)
    own = {
        "start_step": start_step,
        "factor": state.factor,
        "record": record,
        "on_change": on_change,
    }
    rate = resolved.written(start_step, state.factor)["lr"]
    return remade(_driven_class(type(optimizer)), optimizer, rate, policy=resolved, **own)


def driven(model: keras.Model) -> Driven:
    """Return the driven optimizer of a compiled model, unwrapped from a ``LossScaleOptimizer``.

    Raises:
        ValueError: if the model's optimizer is not driven.

    >>> import keras, lehr
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.LossScaleOptimizer(attach(keras.optimizers.SGD(), 0.1)))
    >>> driven(model).factor = 0.5
    """
    # through the property: on JAX it brings the traced state back into the variables
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, Driven):
        fail("optimizer", "driven", optimizer, "compile with lehr.keras.attach(...)")
    return optimizer


def _driven_class(base: Any) -> Any:
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
        _driven_class(type(_stock.__new__(_stock)))  # type: ignore[call-overload]
