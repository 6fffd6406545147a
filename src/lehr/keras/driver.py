"""`attach`: apply a policy to a Keras optimizer, inside the compiled graph."""

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
    converted,
    plain_variable,
)
from lehr.keras.processes import all_reduce_mean
from lehr.keras.saved import Saved, stock_class
from lehr.keras.state import optimizers_of
from lehr.learner.driver_state import ON_CHANGE, OnChange, first_state, observing_controller
from lehr.policy import Policy, loads, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.length import Length


def _float32(value: Any) -> Any:
    return ops.cast(value, "float32")


def _integer(value: Any) -> int:
    return int(ops.convert_to_numpy(value))  # int() rejects the variables of tf.distribute


class Driven(Saved, WritableHyperparameters):
    """Mixin for optimizer classes: sets the policy's values inside the compiled graph.

    `attach` returns an instance; `driven` returns the instance of a compiled model.

    Attributes:
        policy: the policy, with all lengths in integer steps.
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
        super().__init__(*args, writable=tuple(definition.targets), **kwargs)
        self.policy = definition
        self.record = record
        self.on_change = on_change
        self.observed = False  # whether the controller receives metrics
        self.best_weights: list[Any] | None = None  # used by a controller with restore_best
        self.best_metric: float | None = None  # the metric of these weights
        self._fitted = False  # whether fit has ended without a metric
        self._first = start_step, factor
        with keras.name_scope(self.name):  # the paths of two optimizers differ in get_state_tree
            self._start_step = plain_variable(start_step, "start_step", "int32")
            self._factor = plain_variable(factor, "factor")
            self._control = plain_variable(np.zeros(7), "control")
            if record:
                empty = ops.full((record, len(self.writable)), float("nan"))
                self.ledger = plain_variable(empty, "ledger")

    def __repr__(self) -> str:
        """Return the optimizer's class, the current step and the policy."""
        try:
            step = str(self.step)
        except Exception:  # the step is traced, or its buffer is donated
            step = "unknown"
        return f"<driven {type(self).__name__[6:]} at step {step}: {self.policy!r}>"

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Set the hyperparameters of update n, then make update n."""
        if not self.paused:
            self._write()
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Finish a ``fit``, as in Keras; warn if the policy's controller received no metric.

        After the first ``fit`` of a single epoch there is no warning: the metric may follow.
        """
        super().finalize_variable_values(var_list)  # type: ignore[misc]
        if self.policy.control is None or self.observed:
            return
        if self._fitted or _private.epochs_of_fit() > 1:
            self.observed = True  # warn once
            warnings.warn(
                "the policy's controller receives no metric: add lehr.keras.Control() to the "
                "callbacks of fit, or call lehr.keras.driven(model).observe(metric) in your loop",
                stacklevel=2,
            )
        self._fitted = True

    def _write(self) -> None:
        n = self._step()
        for name, value in self._scheduled(n).items():
            self.variable_of(name).assign(value)
        if self.record:
            written = [_float32(self.variable_of(name)) for name in self.writable]
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
        return _integer(self._start_step) + _integer(self.iterations)  # type: ignore[attr-defined]

    def _scheduled(self, n: Any) -> dict[str, Any]:
        """Compute the hyperparameters of step n as tensors."""
        values = {name: _float32(s(n)) for name, s in self.policy.targets.items()}  # type: ignore[operator]
        values["lr"] = self.policy.rate(values["lr"], ops.convert_to_tensor(self._factor))
        return values

    def values(self) -> dict[str, Any]:
        """Return the values of the next update by name, as float32 tensors of the backend.

        They include ``Policy.values``; the learning rate is multiplied by the factor. Call this
        method between updates, or in a custom ``train_step`` before the gradients are applied. In
        a ``train_step`` on JAX, Keras separates variables from their values, so call it inside
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
                "values() requires the state of the optimizer in a traced step on JAX; in "
                "train_step(self, state, data) call it within "
                "keras.StatelessScope(zip(self.optimizer.variables, state[2]))"
            )
        n = self._step()
        read = {name: _float32(s(n)) for name, s in (self.policy.values or {}).items()}
        return self._scheduled(n) | read

    def observe(self, metric: Any, model: keras.Model | None = None) -> None:
        """Update the policy's controller with a metric; the next update uses its factor.

        The callback `Control` calls this method in ``fit``. Under ``torch.distributed`` every
        process must call it; the metric is averaged over all processes (all-reduce). On JAX and
        TensorFlow all processes must pass the same metric.

        Args:
            metric: value of the metric that the controller monitors.
            model: required by ``restore_best``: its weights are copied at the best metric and
                restored at a reduction.

        Raises:
            ValueError: if the policy has no controller, or ``restore_best`` has no model.

        >>> import keras, lehr
        >>> policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1, factor=0.5))
        >>> optimizer = attach(keras.optimizers.SGD(), policy)
        >>> for loss in (1.0, 1.0):
        ...     optimizer.observe(loss)
        >>> float(optimizer.factor)
        0.5
        """
        control, restores = observing_controller(self.policy, model)
        self.observed = True
        before = self.control_state
        self.control_state = after = control.update(before, all_reduce_mean(metric))
        if restores and model is not None:
            if is_best(before, after):
                self.best_metric = after.best
                self.best_weights = [np.array(array) for array in model.get_weights()]
                return
            if before.seen and self.best_metric != before.best:
                self.best_metric, self.best_weights = before.best, None  # warn once
                warnings.warn(
                    "the weights of the best metric were not restored with the optimizer's "
                    "variables, so the controller cannot restore them until the metric improves: "
                    "use model.save or save_weights, which save these weights; "
                    "get_state_tree and tf.train.Checkpoint do not",
                    stacklevel=2,
                )
            if reduced(before, after) and self.best_weights is not None:
                model.set_weights(self.best_weights)

    def own_variables(self) -> dict[str, Any]:
        """Return lehr's variables by name, except the controller state."""
        moved = {attribute_of(self, name): self.variable_of(name) for name in self.writable[1:]}
        ledger = {"ledger": self.ledger} if self.record else {}
        return moved | {"start_step": self._start_step, "factor": self._factor} | ledger

    @property
    def factor(self) -> Any:
        """Factor on the scheduled learning rate: a variable, which may be set to a number >= 0."""
        return self._factor

    @factor.setter
    def factor(self, value: float) -> None:
        self._factor.assign(number("factor", value, at_least=0))

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the last update; it cannot be set."""
        return _private.learning_rate(self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        fix = "set lehr.keras.driven(model).factor to scale it"
        fail("learning_rate", "set by the policy only", value, fix)

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
        """Return the applied values of the last ``record`` updates by name, oldest first.

        Raises:
            ValueError: if ``record`` is 0.

        >>> import keras, lehr
        >>> sgd = attach(keras.optimizers.SGD(), lehr.linear(0.5, 0.0), steps=2, record=2)
        >>> weight = keras.Variable(0.0)
        >>> for _ in range(2):
        ...     sgd.apply([keras.ops.ones(())], [weight])
        >>> sgd.recorded()
        {'lr': [0.5, 0.25]}
        """
        if not self.record:
            fail("record", "above 0 to record values", 0, "attach(..., record=number of updates)")
        done = _integer(self.iterations)  # type: ignore[attr-defined]
        ledger = ops.convert_to_numpy(self.ledger)
        rows = [ledger[n % self.record] for n in range(max(0, done - self.record), done)]
        return {name: [float(row[i]) for row in rows] for i, name in enumerate(self.writable)}

    def get_config(self) -> dict[str, Any]:
        """Return the optimizer's config with the arguments of `attach`; Keras saves it."""
        start_step, factor = self._first
        options = {"start_step": start_step, "factor": factor, "record": self.record}
        return super().get_config() | {"policy": self.policy.dumps()} | options

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what ``copy`` and ``pickle`` need: Keras's saved optimizer and its stock class."""
        keras_optimizer: Any = super()
        _, saved = keras_optimizer.__reduce__()
        options = {"on_change": self.on_change, "observed": self.observed}
        return _unpickled, (stock_class(type(self)), *saved), options


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
    """Return an equivalent optimizer whose hyperparameters follow a policy.

    Update n uses the policy's values at step n, on every backend, including with
    ``steps_per_execution``, gradient accumulation and loss scaling. The values are set inside the
    compiled graph. The policy is saved with the model. ``driven(model).factor`` scales the
    learning rate during training; with a controller, the callback `Control` sets it.

    Args:
        optimizer: a Keras optimizer that has not trained yet.
        policy: a policy, a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens". Required for percentages and
            for schedules without a length.
        steps_per_epoch: number of updates per epoch, a real number. Required for lengths in epochs.
        samples_per_step: number of samples per update, or a schedule (a batch-size ramp). Required
            for lengths in samples.
        tokens_per_step: number of tokens per update, or a schedule. Required for lengths in tokens.
        start_step: step of the policy at the first update.
        factor: initial value of ``driven(model).factor``, at least 0.
        on_change: "refuse" rejects a saved state of a different policy; "continue" accepts it.
        record: number of updates whose values are recorded for ``recorded()``: the last ones.

    Raises:
        TypeError: if ``optimizer`` is not a Keras optimizer.
        ValueError: if the optimizer has trained, is driven, has a schedule or does not have one of
            the policy's hyperparameters; if a length is unknown or a function has no name.

    >>> import keras, lehr
    >>> sgd = keras.optimizers.SGD(momentum=0.9, name="mine")
    >>> attach(sgd, lehr.one_cycle(0.1), steps=100).name
    'mine'
    """
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    resolved = resolved_policy(policy, steps, *sizes)
    check_fresh(optimizer)
    check_groups(resolved)
    resolved.dumps()  # raises for a function without a name now, not when the model is saved
    start_step, state = first_state(start_step, factor)
    for name in resolved.targets:
        attribute_of(optimizer, name)
    record = integer("record", record, at_least=0)
    one_of("on_change", on_change, ON_CHANGE)
    options = {
        "start_step": start_step,
        "factor": state.factor,
        "record": record,
        "on_change": on_change,
    }
    rate = resolved.written(start_step, state.factor)["lr"]
    return converted(_driven_class(type(optimizer)), optimizer, rate, policy=resolved, **options)


def driven(model: keras.Model) -> Driven:
    """Return the driven optimizer of a compiled model, unwrapped from a ``LossScaleOptimizer``.

    If the compiled optimizer is not driven, this is the only driven one that the model contains: a
    part of a ``MultiOptimizer``, or an attribute of the model.

    Raises:
        ValueError: if the model has no driven optimizer, or several.

    >>> import keras, lehr
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.LossScaleOptimizer(attach(keras.optimizers.SGD(), 0.1)))
    >>> driven(model).factor = 0.5
    """
    parts = driven_parts(model)
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(optimizer, Driven):
        return optimizer
    if not parts:
        fail("optimizer", "driven", optimizer, "compile with lehr.keras.attach(...)")
    if len(parts) > 1:
        fix = "use the part itself: an element of MultiOptimizer.optimizers, or the attribute"
        fail("model", "one with a single driven optimizer", [part.name for part in parts], fix)
    return parts[0]


def driven_parts(model: keras.Model) -> list[Driven]:
    """Return all driven optimizers of a model; the compiled one is first."""
    # the property model.optimizer copies the traced state to the variables on JAX
    compiled = getattr(model, "optimizer", None)
    return [part for part in optimizers_of(model, compiled) if isinstance(part, Driven)]


def _driven_class(base: Any) -> Any:
    """Return the driven subclass of an optimizer class, registered with Keras by a fixed name."""
    if base not in _DRIVEN:
        cls = type(f"Driven{base.__name__}", (Driven, base), {"__module__": __name__})
        # the module is included for user classes, which must not replace Keras's
        prefix = "" if base.__module__.startswith("keras.") else f"{base.__module__}."
        register = keras.saving.register_keras_serializable("lehr", f"{prefix}{cls.__name__}")
        _DRIVEN[base] = register(cls)
    return _DRIVEN[base]


def _unpickled(base: Any, buffer: Any) -> Any:
    """Return a copied or unpickled optimizer; the class is registered first."""
    _driven_class(base)
    return _private.unpickled(buffer)


_DRIVEN: dict[Any, Any] = {}
for _stock in list(vars(keras.optimizers).values()):
    if (
        isinstance(_stock, type)
        and issubclass(_stock, keras.optimizers.Optimizer)
        and _stock.__name__ not in ("Optimizer", *WRAPPERS)
    ):
        # on PyTorch, __new__ returns a hidden subclass with grouped updates
        _driven_class(type(_stock.__new__(_stock)))  # type: ignore[call-overload]
