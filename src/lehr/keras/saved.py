"""Saving and loading of a driven optimizer: Keras's variables plus lehr's driver state."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lehr.controllers import State
from lehr.learner.driver_state import read_state, saved_state
from lehr.policy import Policy
from lehr.schedule import Constant
from lehr.schedule.errors import fail


class Saved:
    """Mixin of driven optimizers: saves the policy with the model, and compares it on loading."""

    def save_own_variables(self: Any, store: Any) -> None:
        """Save Keras's variables by index, as Keras does, and lehr's variables by name."""
        for i, variable in enumerate(self._stock_variables()):
            store[str(i)] = variable.numpy()
        for name, variable in self.own_variables().items():
            store[name] = variable.numpy()
        for i, array in enumerate(self.best_weights or []):
            store[f"best {i}"] = array
        state = json.dumps(saved_state(self.step, self.control_state, self.policy))
        store["lehr"] = np.frombuffer(state.encode(), "uint8")

    def load_own_variables(self: Any, store: Any) -> None:
        """Load the state of a saved optimizer.

        Raises:
            ValueError: if this optimizer is not built, the saved optimizer has different
                variables, or its policy differs and ``on_change`` is "refuse".
        """
        keys = set(store.keys())
        if not keys:  # a file without optimizer variables: Keras raises the error
            super().load_own_variables(store)  # type: ignore[misc]
            return
        state = self._saved_state(store, keys)
        step, control = read_state(state, self.policy, self.on_change)
        for i, variable in enumerate(self._stock_variables()):
            if str(i) in keys:
                variable.assign(store[str(i)])
        for name, variable in self.own_variables().items():
            if name in keys and variable.shape == store[name].shape:
                variable.assign(store[name])
        self._start_step.assign(step - int(self.iterations))
        self.control_state = control
        best = [f"best {i}" for i in range(len(keys)) if f"best {i}" in keys]
        self.best_weights = [np.asarray(store[name]) for name in best] or None

    def _saved_state(self: Any, store: Any, keys: set[str]) -> dict[str, Any]:
        """Return the saved driver state; raise ValueError if it does not match this optimizer."""
        fix = "call load_weights(..., skip_mismatch=True) to load the model's weights only"
        if not self.built:
            build = f"call model.optimizer.build(model.trainable_variables) first, or {fix}"
            fail("optimizer", "built before its state is loaded", self, build)
        count, saved = len(self._stock_variables()), sum(key.isdigit() for key in keys)
        micro = int(np.asarray(store["0"]))
        never_built = saved == 2 and micro == 0  # only iterations and the rate: no slot variables
        if saved != count and not never_built:
            fail("optimizer", f"one with {saved} variables, as saved", count, fix)
        accumulation = self.gradient_accumulation_steps or 1
        for i, variable in enumerate(self._stock_variables()):
            shape = tuple(variable.shape)
            if str(i) in keys and shape != tuple(store[str(i)].shape):
                fail(f"variable {i}", f"of shape {shape}", tuple(store[str(i)].shape))
        if "lehr" not in keys:  # a Keras optimizer without a driver: a constant rate
            policy = Policy(lr=float(np.asarray(store["1"])))
            if _same_constant(policy, self.policy):
                policy = self.policy
            return saved_state(micro // accumulation, State(), policy)
        state: dict[str, Any] = json.loads(bytes(np.asarray(store["lehr"])))
        if micro // accumulation + int(np.asarray(store["start_step"])) != state["step"]:
            field, rule = "gradient_accumulation_steps", "the value of the saved optimizer"
            fail(field, rule, self.gradient_accumulation_steps, fix)
        return state

    def _stock_variables(self: Any) -> list[Any]:
        added = {id(variable) for variable in [*self.own_variables().values(), self._control]}
        return [variable for variable in self.variables if id(variable) not in added]


def _same_constant(saved: Policy, policy: Policy) -> bool:
    """Return whether two policies are constant rates that are equal in float32, as Keras saves."""
    if policy != Policy(policy.lr) or not isinstance(policy.lr, Constant):
        return False
    return bool(np.float32(saved.written(0)["lr"]) == np.float32(policy.written(0)["lr"]))
