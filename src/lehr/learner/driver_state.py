"""State of a driver, ``{"step", "control", "policy"}``, and the check of a resumed policy."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, NoReturn

from lehr.controllers import Controller, State
from lehr.policy import Policy
from lehr.schedule.errors import fail, one_of, whole

ON_CHANGE = ("refuse", "continue")


def observing_controller(policy: Policy, model: Any) -> tuple[Controller, bool]:
    """Return the policy's controller, and whether it restores the best weights, or raise."""
    control = policy.control
    if control is None:
        way_out = "Policy(..., control=lehr.Plateau()) has"
        fail("control", "a controller to observe a metric", None, way_out)
    restores = bool(getattr(control, "restore_best", False))
    if restores and model is None:
        way_out = "call observe(metric, model)"
        fail("model", "given to a controller with restore_best", None, way_out)
    return control, restores


def saved_state(step: int, control: State | None, policy: Policy) -> dict[str, Any]:
    """Return the state that a driver saves, as plain data."""
    return {
        "step": step,
        "control": None if control is None else asdict(control),
        "policy": policy.to_dict(),
    }


def read_state(
    state: dict[str, Any], policy: Policy, on_change: str = "refuse"
) -> tuple[int, State | None]:
    """Return the step and the controller's state from which ``policy`` resumes.

    Raises:
        ValueError: if it is not a driver's state, or its policy differs and is refused.
    """
    one_of("on_change", on_change, ON_CHANGE)
    if state.keys() != {"step", "control", "policy"}:
        fail("state", "a lehr driver's, with step, control and policy", list(state))
    control = None if state["control"] is None else _state(state["control"])
    step = state["step"]
    if step != -1:  # a part of a SequentialLR that has not begun
        whole("step", step, at_least=0)
    saved = Policy.from_dict(state["policy"])
    if saved != policy and on_change == "refuse":
        _refuse(saved, policy, max(step, 0), control)
    return step, _continued(saved, policy, control)


def _state(saved: Any) -> State:
    known = [field.name for field in fields(State)]
    if not isinstance(saved, dict) or set(saved) - set(known):
        fail("control", f"a controller's state, of {', '.join(known)}", saved)
    return State(**saved)


def _continued(saved: Policy, policy: Policy, control: State | None) -> State | None:
    """Return the controller's state under a policy that may differ from the saved one."""
    if control is None:
        return None if policy.control is None else policy.control.init()
    if saved.control == policy.control:
        return control
    if policy.control is None:
        return None  # the factor was the controller's
    return State(factor=control.factor)  # the rest was measured for another controller


def _refuse(saved: Policy, policy: Policy, step: int, control: State | None) -> NoReturn:
    """Raise the error that shows how two policies differ, and the resulting jump."""
    old, new = (_flat(p.to_dict(), "policy") for p in (saved, policy))
    path = next(key for key in old | new if old.get(key) != new.get(key))
    factor = 1.0 if control is None else control.factor
    before = _flat(saved(step, factor), "")
    going_on = _continued(saved, policy, control)
    after = _flat(policy(step, 1.0 if going_on is None else going_on.factor), "")
    jumps = [
        f"{key[1:]} at step {step} would jump from {before[key]:g} to {after[key]:g}"
        for key in before.keys() & after.keys()
        if before[key] != after[key]
    ]
    raise ValueError(
        f"{path} must be the saved {old.get(path)!r}, got {new.get(path)!r}: "
        f"{', '.join(sorted(jumps)) or 'no value jumps'}; "
        "to go on under the new policy say on_change='continue'"
    )


def _flat(value: Any, path: str) -> dict[str, Any]:
    """Return the leaves of nested dicts and lists by their paths."""
    if not isinstance(value, dict | list):
        return {path: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in parts for k, v in _flat(part, f"{path}.{key}").items()}
