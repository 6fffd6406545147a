"""Saving and loading of a driver's state, ``{"step", "control", "policy"}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, NoReturn

from lehr.controllers import Controller, State
from lehr.policy import Policy, loads
from lehr.schedule.errors import fail, integer, number, one_of

OnChange = Literal["refuse", "continue"]
ON_CHANGE = ("refuse", "continue")
_RULE = "the state of a lehr driver, with step, control and policy"


def observing_controller(policy: Policy, model: Any) -> tuple[Controller, bool]:
    """Return the policy's controller, and whether it restores the best weights.

    Raises:
        ValueError: if the policy has no controller, or the controller needs a missing model.
    """
    control = policy.control
    if control is None:
        fix = "add one: Policy(..., control=lehr.Plateau())"
        fail("control", "a controller to observe a metric", None, fix)
    restores = bool(getattr(control, "restore_best", False))
    if restores and model is None:
        fix = "call observe(metric, model)"
        fail("model", "given for a controller with restore_best", None, fix)
    return control, restores


def first_state(start_step: int, factor: float) -> tuple[int, State]:
    """Return the initial step and controller state of a driver, after validating both."""
    factor = number("factor", factor, at_least=0)
    return integer("start_step", start_step, at_least=0, unit="steps"), State(factor=factor)


def saved_state(step: int, control: State, policy: Policy) -> dict[str, Any]:
    """Return the state of a driver as JSON-compatible data; the policy is a JSON string."""
    return {"step": step, "control": asdict(control), "policy": policy.dumps()}


def check_mapping(state: Any) -> None:
    """Raise TypeError unless a saved state is a dict."""
    if not isinstance(state, Mapping):
        fail("state", _RULE, state, error=TypeError)


def read_state(
    state: dict[str, Any], policy: Policy, on_change: str = "refuse"
) -> tuple[int, State]:
    """Return the step and the controller state from which ``policy`` resumes.

    Args:
        state: the result of `saved_state`.
        policy: the policy of the new driver.
        on_change: "refuse" rejects a saved policy that differs from ``policy``; "continue"
            accepts it.

    Raises:
        TypeError: if ``state`` is not a dict.
        ValueError: if ``state`` is not the state of a driver, or its policy differs and
            ``on_change`` is "refuse".
    """
    one_of("on_change", on_change, ON_CHANGE)
    check_mapping(state)
    if state.keys() != {"step", "control", "policy"}:
        fail("state", _RULE, list(state))
    control = _state(state["control"])
    step = state["step"]
    if step != -1:  # -1: part of a torch SequentialLR before its first step
        integer("step", step, at_least=0)
    saved = loads(state["policy"])
    if not isinstance(saved, Policy):
        fail("policy", "the JSON of a policy", state["policy"])
    if saved != policy and on_change == "refuse":
        _refuse(saved, policy, max(step, 0), control)
    return step, _continued(saved, policy, control)


def _state(saved: Any) -> State:
    known = [field.name for field in fields(State)]
    if not isinstance(saved, dict) or set(saved) != set(known):
        fail("control", f"the state of a controller, with {', '.join(known)}", saved)
    return State(**saved)


def _continued(saved: Policy, policy: Policy, control: State) -> State:
    """Return the controller state to resume from under a policy that may have changed."""
    if saved.control == policy.control:
        return control
    if policy.control is None:
        return State()  # the factor was set by the saved policy's controller
    return State(factor=control.factor)  # the other fields belong to the previous controller


def _refuse(saved: Policy, policy: Policy, step: int, control: State) -> NoReturn:
    """Raise an error with the first difference of two policies and the resulting jumps."""
    old, new = (_flat(p.to_dict(), "policy") for p in (saved, policy))
    path = next(key for key in old | new if old.get(key) != new.get(key))
    before = _flat(saved(step, control.factor), "")
    after = _flat(policy(step, _continued(saved, policy, control).factor), "")
    jumps = [
        f"{key[1:]} at step {step} would jump from {before[key]:g} to {after[key]:g}"
        for key in before.keys() & after.keys()
        if before[key] != after[key]
    ]
    raise ValueError(
        f"{path} must be the saved {old.get(path)!r}, got {new.get(path)!r}: "
        f"{', '.join(sorted(jumps)) or 'no value jumps'}; "
        "pass on_change='continue' to continue with the new policy"
    )


def _flat(value: Any, path: str) -> dict[str, Any]:
    """Return the leaves of nested dicts and lists, keyed by path."""
    if not isinstance(value, dict | list):
        return {path: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in parts for k, v in _flat(part, f"{path}.{key}").items()}
