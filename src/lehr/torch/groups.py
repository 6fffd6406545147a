"""Hyperparameters in torch's parameter groups, which have a ``"name"`` or else an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor
from torch.optim import Optimizer, RMSprop

from lehr.policy import Target
from lehr.schedule import Constant, Schedule
from lehr.schedule.errors import fail

Group = dict[str, Any]
_BETAS = {"momentum": 0, "beta1": 0, "beta2": 1}  # where the group has no such name of its own


def optimizer_list(optimizer: Optimizer | Sequence[Optimizer]) -> list[Optimizer]:
    """Return the optimizers of an argument that accepts one or a list of them, or raise."""
    found: list[Any] = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
    if not found or not all(isinstance(each, Optimizer) for each in found):
        rule = "a torch.optim.Optimizer or a list of them"
        fail("optimizer", rule, optimizer, error=TypeError)
    return found


def check_distinct(optimizers: Sequence[Optimizer]) -> None:
    """Raise if an optimizer occurs twice."""
    if len(set(map(id, optimizers))) < len(optimizers):
        kinds = [type(optimizer).__name__ for optimizer in optimizers]
        fail("optimizer", "a list without the same one twice", kinds)


def all_groups(optimizers: Sequence[Optimizer]) -> list[Group]:
    """Return the current parameter groups of several optimizers."""
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of all groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def write_values(groups: Sequence[Group], values: dict[str, Any], relative: bool = False) -> None:
    """Set the hyperparameters of one step; ``relative``: as multiples of the initial ones."""
    for name, value in values.items():
        if not isinstance(value, dict):
            for group in groups:
                write_value(group, name, value, relative)
            continue
        _part(groups, name)
        for i, group in enumerate(groups):
            if (key := group_name(i, group)) in value:
                write_value(group, name, value[key], relative)


def write_value(group: Group, name: str, new: Any, relative: bool = False) -> None:
    """Set a hyperparameter; an existing tensor is filled in place."""
    if relative:
        new = new * group[f"initial_{name}"]
    if name in group and type(group[name]) is float:  # the usual case, by the quick way
        group[name] = new
    elif isinstance(old := _get(group, name), Tensor):
        old.fill_(new)
    else:
        _put(group, name, new)


def multiplied(groups: Sequence[Group], name: str, factor: Any) -> dict[str, Any]:
    """Return the groups' initial values of a hyperparameter times a factor, or one per group."""
    found = {}
    for i, group in enumerate(groups):
        key = group_name(i, group)
        if _has(group, name) and (not isinstance(factor, dict) or key in factor):
            own = factor[key] if isinstance(factor, dict) else factor
            found[key] = own * group[f"initial_{name}"]
    return found


def group_name(i: int, group: Group) -> str:
    """Return the name of a group in policies."""
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
    """Return the names of the hyperparameters that are numbers."""
    return [
        name
        for name, value in group.items()
        if isinstance(value, int | float | Tensor)
        and not isinstance(value, bool)
        and not name.startswith("initial_")
    ]


def _part(groups: Sequence[Group], name: str) -> None:
    """Give each group a tensor of its own: groups made from one default share it."""
    seen = set()
    for group in groups:
        if not _has(group, name):
            continue
        if isinstance(value := _get(group, name), Tensor) and id(value) in seen:
            _put(group, name, value := value.clone())
        seen.add(id(value))


def read_value(group: Group, name: str) -> Any:
    """Return a group's current hyperparameter; a tensor is copied."""
    value = _get(group, name)
    return value.clone() if isinstance(value, Tensor) else value


def read_values(groups: Sequence[Group], targets: dict[str, Target]) -> dict[str, Any]:
    """Return the current hyperparameters by name and group; tensors are copied."""
    found = {}
    for name, target in targets.items():
        for i, group in enumerate(groups):
            key = group_name(i, group)
            if not isinstance(target, dict):
                found[name] = read_value(group, name)
            elif key in target:
                found[f"{name}/{key}"] = read_value(group, name)
    return found


def keep_bases(groups: Sequence[Group], targets: dict[str, Target]) -> None:
    """Store each group's initial values in the group, under torch's names (``initial_lr``).

    A group added later may share a tensor that the policy has written already: it then has the
    base of the group that it shares it with.
    """
    for name in {"lr", *targets}:
        bases: dict[int, Any] = {}  # by the tensor that they were read from
        for group in groups:
            if not _has(group, name):
                continue
            base = bases.get(id(_get(group, name)), read_value(group, name))
            group.setdefault(f"initial_{name}", base)
            if isinstance(_get(group, name), Tensor):
                bases[id(_get(group, name))] = group[f"initial_{name}"]


def check_values(
    optimizers: Sequence[Optimizer], targets: dict[str, Target], later: Sequence[str] = ()
) -> None:
    """Raise unless the optimizers have the groups and hyperparameters of the targets."""
    members = [(optimizer, group) for optimizer in optimizers for group in optimizer.param_groups]
    names = [group_name(i, group) for i, (_, group) in enumerate(members)]
    for name, target in targets.items():
        schedules = target if isinstance(target, dict) else dict.fromkeys(names, target)
        having = [key for key, (_, g) in zip(names, members, strict=True) if _has(g, name)]
        if set(having) - set(schedules) or set(schedules) - set(names) - set(later):
            _refuse_groups(name, having, list(schedules), [*names, *later])
        for key, (optimizer, group) in zip(names, members, strict=True):
            if key in schedules:
                _check_group(optimizer, group, name, schedules[key])
    for key, (optimizer, group) in zip(names, members, strict=True):
        given = [n for n, t in targets.items() if not isinstance(t, dict) or key in t]
        _check_places(optimizer, group, given)


def _refuse_groups(name: str, having: list[str], given: list[str], known: list[str]) -> NoReturn:
    wrong = {
        "missing": [key for key in having if key not in given],
        "extra": [key for key in given if key not in known],
    }
    told = [f"{what}: {', '.join(keys)}" for what, keys in wrong.items() if keys]
    way_out = "a group goes by its 'name' or its index; name those to come in later="
    fail(f"groups of {name}", f"the optimizer's {having}", given, "; ".join([*told, way_out]))


def _check_places(optimizer: Optimizer, group: Group, names: list[str]) -> None:
    """Raise if two names mean one hyperparameter of a group, as momentum and beta1 do in Adam."""
    taken: dict[str | int, str] = {}
    for name in names:
        place = name if name in group else _BETAS[name]
        if place in taken:
            rule = f"of one name for each hyperparameter of {type(optimizer).__name__}"
            way_out = "they are the same there: leave one out"
            fail("policy", rule, [taken[place], name], way_out)
        taken[place] = name


def check_bases(groups: Sequence[Group], targets: dict[str, Target]) -> None:
    """Raise if a relative policy finds a rate of 0, or 0 in all groups of a hyperparameter."""
    for name, target in targets.items():
        moved = {
            group_name(i, group): group.get(f"initial_{name}", _get(group, name))
            for i, group in enumerate(groups)
            if not isinstance(target, dict) or group_name(i, group) in target
        }
        zero = [key for key, base in moved.items() if base == 0]
        if zero and (name == "lr" or len(zero) == len(moved)):
            way_out = "make the optimizer with a value to multiply, or leave relative out"
            fail(f"{name} of group {zero[0]!r}", "other than 0 for relative=True", 0.0, way_out)


def _check_group(optimizer: Optimizer, group: Group, name: str, schedule: Schedule) -> None:
    if not _has(group, name):
        has = [*_numbers(group), *(["momentum", "beta2"] if "betas" in group else [])]
        rule = f"None for {type(optimizer).__name__}, which has no {name}"
        fail(name, rule, schedule, f"leave it out; it has {', '.join(has)}")
    if name == "momentum" and isinstance(optimizer, RMSprop):
        _check_buffers(optimizer, group, schedule)


def _check_buffers(optimizer: RMSprop, group: Group, momentum: Schedule) -> None:
    """RMSprop makes its momentum buffers in its first update, if momentum is above 0 there."""
    if momentum == Constant(0.0):
        return
    if momentum(0) == 0:
        fail("momentum", "above 0 at step 0 for RMSprop, which makes its buffers there", momentum)
    states = [state for p in group["params"] if (state := optimizer.state.get(p))]
    if not all("momentum_buffer" in state for state in states):
        rule = "None for an RMSprop that has trained without momentum: it has no buffers"
        fail("momentum", rule, momentum, "make a new one")
