"""Reading and setting of hyperparameters in torch's parameter groups.

A policy refers to a parameter group by its key ``"name"``, or by its index if it has no name.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer, RMSprop

from lehr.policy import Target
from lehr.schedule import Constant, Schedule
from lehr.schedule.errors import fail, number

Group = dict[str, Any]
_BETAS = {"momentum": 0, "beta2": 1}  # index in a group's "betas", if the group has no such key


def optimizer_list(optimizer: Optimizer | Sequence[Optimizer]) -> list[Optimizer]:
    """Convert one optimizer or a list of them to a list; raise TypeError for other values."""
    found: list[Any] = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
    if not found or not all(isinstance(each, Optimizer) for each in found):
        rule = "a torch.optim.Optimizer or a list of them"
        fail("optimizer", rule, optimizer, error=TypeError)
    for each in found:
        if not hasattr(each, "param_groups"):
            kind = type(each).__name__
            fail("optimizer", "one with param_groups", kind, "pass the wrapped one", TypeError)
    return found


def check_distinct(optimizers: Sequence[Optimizer]) -> None:
    """Raise ValueError if an optimizer occurs more than once."""
    if len(set(map(id, optimizers))) < len(optimizers):
        kinds = [type(optimizer).__name__ for optimizer in optimizers]
        fail("optimizer", "a list without duplicates", kinds)


def all_groups(optimizers: Sequence[Optimizer]) -> list[Group]:
    """Return the current parameter groups of all optimizers; do not modify the list."""
    if len(optimizers) == 1:
        return optimizers[0].param_groups
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def check_used(optimizers: Sequence[Optimizer]) -> None:
    """Raise ValueError for an optimizer whose parameters have no gradient after a backward pass.

    It is not the one that trains: its rate would have no effect.
    """
    for optimizer in optimizers:
        if all(parameter.grad is None for parameter in parameters(optimizer)):
            fix = "pass the optimizer of the parameters on which the loss depends"
            kind = type(optimizer).__name__
            fail("optimizer", "one whose parameters receive gradients", kind, fix)


def needs_closure(optimizer: Optimizer) -> bool:
    """Return whether the optimizer's ``step`` requires a closure, as those of LBFGS and SAM."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    required = closure is not None and closure.default is closure.empty
    return required or is_sam(optimizer)


def is_sam(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has the two steps of sharpness-aware minimization."""
    return hasattr(optimizer, "first_step") and hasattr(optimizer, "second_step")


def clear_gradients(model: Module, optimizers: Sequence[Optimizer]) -> None:
    """Set the gradients of a model and of all parameters of its optimizers to None.

    An optimizer may have parameters that the model has not, such as those of the loss.
    """
    for parameter in [*model.parameters(), *(p for o in optimizers for p in parameters(o))]:
        parameter.grad = None


def write_values(groups: Sequence[Group], values: dict[str, Any]) -> None:
    """Set the hyperparameters of all groups; a dict has one value per group name."""
    for name, value in values.items():
        if not isinstance(value, dict):
            for group in groups:
                write_value(group, name, value)
            continue
        _separate(groups, name)
        for i, group in enumerate(groups):
            if (key := group_name(i, group)) in value:
                write_value(group, name, value[key])


def write_rates(groups: Sequence[Group], rates: Sequence[Any]) -> None:
    """Set the learning rate of each group."""
    _separate(groups, "lr")
    for group, rate in zip(groups, rates, strict=True):
        write_value(group, "lr", rate)


def check_scale(i: int, group: Group) -> float:
    """Return the factor "lr_scale" on the rate of a group (timm, MAE, open_clip), 1 by default."""
    return number(
        f"lr_scale of group {group_name(i, group)}", group.get("lr_scale", 1.0), at_least=0
    )


def write_value(group: Group, name: str, new: Any) -> None:
    """Set a hyperparameter of a group; an existing tensor is filled in place."""
    if name in group and type(group[name]) is float:  # the most common case, checked first
        group[name] = new
    elif isinstance(old := _get(group, name), Tensor):
        old.copy_(new) if isinstance(new, Tensor) else old.fill_(new)
    else:
        _put(group, name, new)


def group_name(i: int, group: Group) -> str:
    """Return the name of a group in policies: its key "name", or its index."""
    return str(group.get("name", i))


def _get(group: Group, name: str) -> Any:
    return group[name] if name in group else group["betas"][_BETAS[name]]


def _put(group: Group, name: str, new: Any) -> None:
    if name in group:
        group[name] = new
    else:
        betas = list(group["betas"])
        betas[_BETAS[name]] = new
        group["betas"] = tuple(betas)


def _has(group: Group, name: str) -> bool:
    return name in _numbers(group) or (name in _BETAS and "betas" in group)


def _numbers(group: Group) -> list[str]:
    """Return the names of a group's numeric hyperparameters."""
    return [
        name
        for name, value in group.items()
        if isinstance(value, int | float | Tensor)
        and not isinstance(value, bool)
        and not name.startswith("initial_")
    ]


def _separate(groups: Sequence[Group], name: str) -> None:
    """Clone tensors that groups share: groups created from one default use the same tensor."""
    seen = set()
    for group in groups:
        if not _has(group, name):
            continue
        if isinstance(value := _get(group, name), Tensor) and id(value) in seen:
            _put(group, name, value := value.clone())
        seen.add(id(value))


def read_value(group: Group, name: str) -> Any:
    """Return the current value of a hyperparameter; a tensor is copied."""
    value = _get(group, name)
    return value.clone() if isinstance(value, Tensor) else value


def read_values(groups: Sequence[Group], targets: dict[str, Target]) -> dict[str, Any]:
    """Return the current hyperparameters; tensors are copied, a group's key is "lr/head"."""
    found = {}
    for name, target in targets.items():
        for i, group in enumerate(groups):
            key = group_name(i, group)
            if not isinstance(target, dict):
                found[name] = read_value(group, name)
            elif key in target:
                found[f"{name}/{key}"] = read_value(group, name)
    return found


def store_base_rates(groups: Sequence[Group]) -> None:
    """Store the initial rate of each group under torch's key ``initial_lr``.

    A group added later may share its rate tensor with an older group; the policy has already
    changed this tensor, so the initial rate of the older group is stored.
    """
    bases: dict[int, Any] = {}  # initial rates by id of the tensor that they were read from
    for group in groups:
        base = bases.get(id(group["lr"]), read_value(group, "lr"))
        group.setdefault("initial_lr", base)
        if isinstance(group["lr"], Tensor):
            bases[id(group["lr"])] = group["initial_lr"]


def check_values(
    optimizers: Sequence[Optimizer],
    targets: dict[str, Target],
    later: Sequence[str] = (),
    step: int = 0,
) -> None:
    """Raise ValueError unless the optimizers have the groups and hyperparameters of the targets.

    Args:
        optimizers: the optimizers that the targets drive.
        targets: schedules by name of the hyperparameter.
        later: names of groups that are added later.
        step: step of the targets at the next update.
    """
    members = [(optimizer, group) for optimizer in optimizers for group in optimizer.param_groups]
    names = [group_name(i, group) for i, (_, group) in enumerate(members)]
    for name, target in targets.items():
        schedules = target if isinstance(target, dict) else dict.fromkeys(names, target)
        having = [key for key, (_, g) in zip(names, members, strict=True) if _has(g, name)]
        if set(having) - set(schedules) or set(schedules) - set(names) - set(later):
            _refuse_groups(name, having, list(schedules), [*names, *later])
        for key, (optimizer, group) in zip(names, members, strict=True):
            if key in schedules:
                _check_group(optimizer, group, name, schedules[key], step)


def _refuse_groups(name: str, having: list[str], given: list[str], known: list[str]) -> NoReturn:
    wrong = {
        "missing": [key for key in having if key not in given],
        "extra": [key for key in given if key not in known],
    }
    differences = [f"{kind}: {', '.join(keys)}" for kind, keys in wrong.items() if keys]
    fix = "the name of a group is its 'name' or its index; list groups added later in later="
    fail(f"groups of {name}", f"the optimizer's {having}", given, "; ".join([*differences, fix]))


def check_captured(
    optimizer: Optimizer, optimizers: Sequence[Optimizer], targets: dict[str, Target]
) -> None:
    """Raise ValueError if a CUDA graph of an optimizer's update would not read a scheduled value.

    Args:
        optimizer: the optimizer whose update is captured.
        optimizers: the optimizers that the targets drive, among them this one.
        targets: schedules by name of the hyperparameter.
    """
    captured = {id(group) for group in optimizer.param_groups}
    for i, group in enumerate(all_groups(optimizers)):
        for name, target in targets.items():
            schedule = target.get(group_name(i, group)) if isinstance(target, dict) else target
            driven = id(group) in captured and not isinstance(schedule, Constant | None)
            if driven and _has(group, name) and not isinstance(_get(group, name), Tensor):
                where = f"{name} of group {group_name(i, group)!r}"
                rule = "a tensor during the capture of a CUDA graph, which repeats other values"
                fix = "omit it from the policy, or do not capture optimizer.step()"
                if name == "lr":
                    fix = "construct the optimizer with lr=torch.tensor(...) on the GPU"
                fail(where, rule, _get(group, name), fix)


def check_base_rates(groups: Sequence[Group]) -> None:
    """Raise ValueError if an initial rate is 0: a relative policy multiplies it."""
    for i, group in enumerate(groups):
        if group.get("initial_lr", group["lr"]) == 0:
            fix = "construct the optimizer with a rate above 0, or omit relative"
            fail(f"lr of group {group_name(i, group)!r}", "above 0 for relative=True", 0.0, fix)


def _check_group(
    optimizer: Optimizer, group: Group, name: str, schedule: Schedule, step: int
) -> None:
    if not _has(group, name):
        has = [*_numbers(group), *(["momentum", "beta2"] if "betas" in group else [])]
        rule = f"None for {type(optimizer).__name__}, which has no {name}"
        fail(name, rule, schedule, f"omit it; the optimizer has {', '.join(has)}")
    if name == "momentum" and isinstance(optimizer, RMSprop):
        _check_buffers(optimizer, group, schedule, step)


def _check_buffers(optimizer: RMSprop, group: Group, momentum: Schedule, step: int) -> None:
    """Check RMSprop's momentum buffers, which its first update creates if momentum is above 0."""
    if momentum == Constant(0.0):
        return
    states = [state for p in group["params"] if (state := optimizer.state.get(p))]
    if not all("momentum_buffer" in state for state in states):
        rule = "None for an RMSprop that has trained without momentum: it has no buffers"
        fail("momentum", rule, momentum, "construct a new optimizer")
    if not states and momentum(step) == 0:
        rule = f"above 0 at step {step} for RMSprop, which creates its buffers in its first update"
        fail("momentum", rule, momentum)
