"""Hyperparameters in torch's parameter groups: checked, written, read.

A group goes by its ``"name"``, or by its index among all groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, full_like

from lehr.policy import Target
from lehr.schedule import Constant, Schedule
from lehr.schedule.check import fail

Group = dict[str, Any]
_BETAS = {"momentum": 0, "beta1": 0, "beta2": 1}  # where the group has no such name of its own


def write_values(groups: Sequence[Group], values: dict[str, Any], relative: bool = False) -> None:
    """Write the values of one step: into the tensor that stands there, else as a number."""
    for name, value in values.items():
        named = isinstance(value, dict)
        if named:
            _part(groups, name)
        for i, group in enumerate(groups):
            new = value[group.get("name", str(i))] if named else value
            if relative:
                new = new * group[f"initial_{name}"]
            if name not in group:
                _write_beta(group, _BETAS[name], new)
            elif isinstance(group[name], Tensor):
                group[name].fill_(new)
            else:
                group[name] = new


def _write_beta(group: Group, place: int, new: Any) -> None:
    betas = list(group["betas"])
    betas[place] = full_like(betas[place], new) if isinstance(betas[place], Tensor) else new
    group["betas"] = tuple(betas)


def _part(groups: Sequence[Group], name: str) -> None:
    """Give each group a tensor of its own: groups made from one default share it."""
    seen = set()
    for group in groups:
        if isinstance(group.get(name), Tensor) and id(group[name]) in seen:
            group[name] = group[name].clone()
        seen.add(id(group.get(name)))


def read_value(group: Group, name: str) -> Any:
    """Return what stands in a group now; a tensor as a copy."""
    value = group[name] if name in group else group["betas"][_BETAS[name]]
    return value.clone() if isinstance(value, Tensor) else value


def read_values(groups: Sequence[Group], targets: dict[str, Target]) -> dict[str, Any]:
    """Return what stands in the optimizer now, by name and group; tensors as copies."""
    found = {}
    for name, target in targets.items():
        for i, group in enumerate(groups):
            key = f"{name}/{group.get('name', i)}" if isinstance(target, dict) else name
            found[key] = read_value(group, name)
    return found


def keep_bases(groups: Sequence[Group], targets: dict[str, Target]) -> None:
    """Keep the values that each group began with, as torch's schedulers do, and save them."""
    for group in groups:
        for name in {"lr", *targets}:
            group.setdefault(f"initial_{name}", read_value(group, name))


def check_values(
    groups: Sequence[Group], targets: dict[str, Any], later: Sequence[str] = ()
) -> None:
    """Raise unless the groups have what the targets move, and are those that they name."""
    for name, target in targets.items():
        for group in groups:
            if name not in group and not (name in _BETAS and "betas" in group):
                rule = "left alone where the optimizer has no such hyperparameter"
                has = ", ".join(sorted(key for key in group if key not in ("params", "name")))
                fail(name, rule, target, f"leave it out of the policy; the optimizer has {has}")
            if name == "momentum" and _begins_at_zero(target) and group.keys() >= _RMSPROP:
                fail(name, "above 0 at step 0 for RMSprop, which makes its buffers there", target)
        if isinstance(target, dict):
            names = [group.get("name", str(i)) for i, group in enumerate(groups)]
            if set(names) - set(target) or set(target) - set(names) - set(later):
                way_out = "a group goes by its 'name' or its index; name those to come in later="
                fail(f"groups of {name}", f"the optimizer's {names}", list(target), way_out)


_RMSPROP = {"alpha", "centered", "momentum"}


def _begins_at_zero(target: Any) -> bool:
    schedules = target.values() if isinstance(target, dict) else [target]
    moves = (s for s in schedules if isinstance(s, Schedule) and not isinstance(s, Constant))
    return any(s(0) == 0 for s in moves)
