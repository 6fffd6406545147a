"""Saving and loading of a driven optimizer: Keras's variables plus lehr's driver state."""

from __future__ import annotations

import json
import weakref
from typing import Any, NoReturn

import keras
import numpy as np

from lehr.controllers import State
from lehr.learner.driver_state import read_state, saved_state
from lehr.policy import Policy
from lehr.schedule import Constant
from lehr.schedule.errors import fail

_FIX = "call load_weights(..., skip_mismatch=True) to load the model's weights only"


class Saved:
    """Mixin of driven optimizers: saves the policy with the model, and compares it on loading."""

    _deserialized = False  # an optimizer of a file or a copy, which is built after loading
    _unbuilt_state: dict[str, Any] | None = None
    _rejected: tuple[Any, str] | None = None  # a file and its error

    @classmethod
    def from_config(cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Create an optimizer from its config; a state that is loaded first is set by `build`."""
        new = super().from_config(*args, **kwargs)  # type: ignore[misc]
        new._deserialized = True
        return new

    def build(self: Any, variables: Any) -> None:
        """Create the slot variables, and set the state that was loaded before."""
        super().build(variables)  # type: ignore[misc]
        if self._unbuilt_state is not None:
            state, self._unbuilt_state = self._unbuilt_state, None
            self._load(state)

    def save_own_variables(self: Any, store: Any) -> None:
        """Save Keras's variables by index, as Keras does, and lehr's variables by name."""
        for i, variable in enumerate(self._stock_variables()):
            store[str(i)] = variable.numpy()
        for name, variable in self.own_variables().items():
            store[name] = variable.numpy()
        for i, array in enumerate(self.best_weights or []):
            store[f"best {i}"] = array
        state = saved_state(self.step, self.control_state, self.policy)
        store["lehr"] = _encoded(state)
        store["kind"] = _encoded(_kinds(type(self)))

    def load_own_variables(self: Any, store: Any) -> None:
        """Load the state of a saved optimizer.

        Keras reads an optimizer that a model contains at several places until one of them raises no
        error; only one has the state. An error is therefore raised again at places without a state.

        Raises:
            ValueError: if this optimizer is not built, the saved optimizer is of another kind or
                has different variables, or its policy differs and ``on_change`` is "refuse".
        """
        if set(store.keys()):
            self._rejected = None
            try:
                self._load(store)
            except Exception as error:
                self._rejected = _reference(store), str(error)
                raise
        elif self._rejected is not None and self._rejected[0]() is store:
            raise ValueError(self._rejected[1])
        else:  # a file without optimizer variables: Keras warns
            super().load_own_variables(store)  # type: ignore[misc]

    def _load(self: Any, store: Any) -> None:
        keys = set(store.keys())
        arrays = [np.asarray(store[str(i)]) for i in range(sum(key.isdigit() for key in keys))]
        variables = self._saved_variables(arrays)
        if variables is None and not self.built:
            if self._deserialized:
                self._unbuilt_state = {key: np.asarray(store[key]) for key in keys}
                return
            build = f"call model.optimizer.build(model.trainable_variables) first, or {_FIX}"
            fail("optimizer", "built before its state is loaded", self, build)
        if variables is None:
            self._reject_variables(arrays)
        if "kind" in keys:
            ours, saved = _kinds(type(self)), _decoded(store["kind"])
            if ours[0] not in saved and saved[0] not in ours:
                fix = f"construct the optimizer as saved, or {_FIX}"
                fail("optimizer", f"{saved[0]}, as saved", ours[0], fix)
        step, control = self._saved_state(store, keys, variables, arrays)
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        for name, variable in self.own_variables().items():
            if name in keys and variable.shape == store[name].shape:
                variable.assign(store[name])
        self._start_step.assign(step - arrays[0] // (self.gradient_accumulation_steps or 1))
        self.control_state = control
        best = [f"best {i}" for i in range(len(keys)) if f"best {i}" in keys]
        self.best_weights = [np.asarray(store[name]) for name in best] or None
        self.best_metric = control.best if best else None

    def _saved_variables(self: Any, arrays: list[Any]) -> list[Any] | None:
        """Return this optimizer's variables in the order of the saved ones; None: they differ."""
        stock = self._stock_variables()
        without_rate = [v for v in stock if v is not self.learning_rate]  # it has a schedule
        orders = [stock, without_rate]
        if (
            arrays and arrays[0].shape == () and arrays[0] == 0
        ):  # never built, so without slot variables
            orders[1:1] = [stock[:2], stock[:1]]
        shapes = [array.shape for array in arrays]
        return next((o for o in orders if [tuple(v.shape) for v in o] == shapes), None)

    def _reject_variables(self: Any, arrays: list[Any]) -> NoReturn:
        """Raise ValueError for a saved optimizer with other variables."""
        stock = self._stock_variables()
        kind, names = _kinds(type(self))[0], [v.path.rpartition("/")[2] for v in stock]
        shapes = [array.shape for array in arrays]
        described = [f"{n} {tuple(v.shape)}" for n, v in zip(names, stock, strict=True)]
        fix = (
            f"the saved ones have the shapes {_listed(shapes)}, {kind} has {_listed(described)}; "
            f"construct the optimizer as saved (momentum, amsgrad, use_ema ...), or {_FIX}"
        )
        if len(arrays) != len(stock):
            fail("optimizer", f"one with {len(arrays)} variables, as saved", len(stock), fix)
        fail("optimizer", "one with variables of the saved shapes", kind, fix)

    def _saved_state(
        self: Any, store: Any, keys: set[str], variables: list[Any], arrays: list[Any]
    ) -> tuple[int, State]:
        """Return the step and the controller state; raise ValueError for another policy."""
        accumulation = self.gradient_accumulation_steps or 1
        updates = int(arrays[0]) // accumulation
        if "lehr" in keys:
            state: dict[str, Any] = _decoded(store["lehr"])
            if updates + int(np.asarray(store["start_step"])) != state["step"]:
                field, rule = "gradient_accumulation_steps", "the value of the saved optimizer"
                fail(field, rule, self.gradient_accumulation_steps, _FIX)
            return read_state(state, self.policy, self.on_change)
        if len(variables) == 1 or variables[1] is not self.learning_rate:
            if self.on_change == "refuse":
                rule = "the saved policy, which is unknown: the file is of an optimizer with a"
                fix = "pass on_change='continue' to continue with this policy"
                fail("policy", f"{rule} Keras schedule", self.policy, fix)
            return updates, State()
        policy = Policy(lr=float(arrays[1]))  # a Keras optimizer without a driver: a constant rate
        if _same_constant(policy, self.policy):
            policy = self.policy
        return read_state(saved_state(updates, State(), policy), self.policy, self.on_change)

    def _stock_variables(self: Any) -> list[Any]:
        added = {id(variable) for variable in [*self.own_variables().values(), self._control]}
        return [variable for variable in self.variables if id(variable) not in added]


def stock_class(cls: Any) -> Any:
    """Return the Keras class from which a driven optimizer class is derived."""
    optimizers = [c for c in cls.__mro__ if issubclass(c, keras.optimizers.Optimizer)]
    return next(c for c in optimizers if not issubclass(c, Saved))


def _kinds(cls: Any) -> list[str]:
    """Return the names of the stock class and of its base classes, which define its variables."""
    parents = stock_class(cls).__mro__
    return [c.__name__ for c in parents[: parents.index(keras.optimizers.Optimizer)]]


def _encoded(value: Any) -> Any:
    return np.frombuffer(json.dumps(value).encode(), "uint8")


def _decoded(array: Any) -> Any:
    return json.loads(bytes(np.asarray(array)))


def _reference(store: Any) -> Any:
    """Return a weak reference to a file; a dict of arrays has none."""
    return (lambda: None) if isinstance(store, dict) else weakref.ref(store)


def _listed(items: list[Any]) -> str:
    return ", ".join(map(str, items[:6])) + (" ..." if len(items) > 6 else "")


def _same_constant(saved: Policy, policy: Policy) -> bool:
    """Return whether two policies are constant rates that are equal in float32, as Keras saves."""
    if policy != Policy(policy.lr) or not isinstance(policy.lr, Constant):
        return False
    return bool(np.float32(saved.written(0)["lr"]) == np.float32(policy.written(0)["lr"]))
