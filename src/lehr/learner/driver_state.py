"""Saving and loading of a driver's state, ``{"step", "control", "policy"}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, NoReturn

from lehr.controllers import Controller, State
from lehr.policy import Policy, flat, loads
from lehr.schedule.errors import LAST, fail, integer, number, one_of

OnChange = Literal["refuse", "continue"]
ON_CHANGE = ("refuse", "continue")
_LONGEST = 150  # characters of a schedule in an error
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
        integer("step", step, at_least=0, unit="steps")
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
    for name, value in saved.items():
        if name == "factor":
            number("factor of control", value, at_least=0)
        elif name in ("best", "total"):  # NaN and infinity are metrics too
            if not isinstance(value, float | int) or isinstance(value, bool):
                fail(f"{name} of control", "a number", value, error=TypeError)
            if isinstance(value, int):
                number(f"{name} of control", value)
            if name == "best" and value != value:
                fail("best of control", "a number other than NaN, which is never the best", value)
        elif integer(f"{name} of control", value, at_least=0) > LAST:
            fail(f"{name} of control", "below 2**31", value)
    return State(**saved)


def _continued(saved: Policy, policy: Policy, control: State) -> State:
    """Return the controller state to resume from under a policy that may have changed."""
    if saved.control == policy.control:
        return control
    if policy.control is None:
        return State()  # the factor was set by the saved policy's controller
    return State(factor=control.factor)  # the other fields belong to the previous controller


def _refuse(saved: Policy, policy: Policy, step: int, control: State) -> NoReturn:
    """Raise an error with the differences of two policies and the resulting jumps."""
    old, new = (
        flat(p.targets | (p.values or {})) | {"control": p.control} for p in (saved, policy)
    )
    changes = [
        f"{name} was {_short(old.get(name))} and is {_short(new.get(name))}"
        for name in old | new
        if old.get(name) != new.get(name)
    ]
    before = flat(saved(step, control.factor))
    after = flat(policy(step, _continued(saved, policy, control).factor))
    jumps = [
        f"{name} at step {step} would jump from {before[name]:g} to {after[name]:g}"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    jumps += [f"{name} would be set to {after[name]:g}" for name in after if name not in before]
    jumps += [f"{name} would not be set any more" for name in before if name not in after]
    effect = ", ".join(jumps) or "no value would jump"
    fix = "pass on_change='continue' to continue with the new policy"
    raise ValueError(f"policy must be the saved policy: {', '.join(changes)}; {effect}; {fix}")


def _short(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
