"""Hyperparameters in torch's parameter groups: checked, written, read."""

from __future__ import annotations

from typing import Any

from torch import Tensor, full_like
from torch.optim import Optimizer, RMSprop

from lehr.policy import Target
from lehr.schedule import Constant, Schedule
from lehr.schedule.check import fail


def write_values(optimizer: Optimizer, values: dict[str, Any]) -> None:
    """Write the values of one step: into the tensor that stands there, else as a number."""
    for name, value in values.items():
        named = isinstance(value, dict)
        if named:
            check_values(optimizer, {name: value})  # a group may have come since
            _part(optimizer, name)
        for group in optimizer.param_groups:
            new = value[group["name"]] if named else value
            if name not in group:
                betas = group["betas"]
                beta1 = full_like(betas[0], new) if isinstance(betas[0], Tensor) else new
                group["betas"] = (beta1, *betas[1:])
            elif isinstance(group[name], Tensor):
                group[name].fill_(new)
            else:
                group[name] = new


def _part(optimizer: Optimizer, name: str) -> None:
    """Give each group a tensor of its own: groups made from one default share it."""
    seen = set()
    for group in optimizer.param_groups:
        if isinstance(group.get(name), Tensor) and id(group[name]) in seen:
            group[name] = group[name].clone()
        seen.add(id(group.get(name)))


def read_values(optimizer: Optimizer, targets: dict[str, Target]) -> dict[str, Any]:
    """Return what stands in the optimizer now, by name and group; tensors as copies."""
    found = {}
    for name, target in targets.items():
        for group in optimizer.param_groups:
            key = f"{name}/{group['name']}" if isinstance(target, dict) else name
            found[key] = copied(group[name] if name in group else group["betas"][0])
    return found


def check_values(optimizer: Optimizer, targets: dict[str, Any]) -> None:
    """Raise unless the optimizer has what the targets move, and the groups they name."""
    groups = optimizer.param_groups
    for name, target in targets.items():
        if not all(name in g or (name == "momentum" and "betas" in g) for g in groups):
            rule = f"None for {type(optimizer).__name__}, which has no {name}"
            fail(name, rule, target, f"leave {name} out of the policy")
        moves = isinstance(target, Schedule) and not isinstance(target, Constant)
        if name == "momentum" and moves and isinstance(optimizer, RMSprop) and target(0) == 0:
            fail(name, "above 0 at step 0 for RMSprop, which makes its buffers there", target)
        names = [group.get("name") for group in groups]
        if isinstance(target, dict) and set(target) != set(names):
            way_out = "give every parameter group a 'name' and an entry"
            fail(f"groups of {name}", f"the optimizer's {names}", list(target), way_out)


def copied(value: Any) -> Any:
    """Return a number, or a copy of a tensor."""
    return value.clone() if isinstance(value, Tensor) else value
