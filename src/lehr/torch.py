"""PyTorch: a scheduler that drives an optimizer, and a learner that can be driven itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NoReturn

from lehr import learner as port
from lehr.control import State
from lehr.learner import Batches, Snapshot, Trace, scheduled
from lehr.policy import Policy, Target, resolved_policy
from lehr.schedule.base import Constant, Schedule
from lehr.schedule.check import fail, whole
from lehr.schedule.codec import loads

try:
    import numpy as np
    import torch
    from torch import Tensor
    from torch.optim import Optimizer, RMSprop
except ImportError as error:
    raise ImportError("lehr.torch needs PyTorch and NumPy: pip install 'lehr[torch]'") from error


class Scheduler(torch.optim.lr_scheduler.LRScheduler):
    """Drives an optimizer by a policy: the value for step n is the one used in update n.

    Making it writes the values of step 0; each `step()`, called after ``optimizer.step()``, goes
    on to the next. Momentum means ``momentum`` where the optimizer has it, else the first of its
    ``betas``. Every parameter group that exists at a step is driven; nothing is patched.

    Args:
        optimizer: any of torch's kind.
        policy: a policy, a schedule or a number.
        steps: updates in the whole run, for lengths that are a share or the rest of it.
        steps_per_epoch: updates in an epoch, for lengths in epochs.

    Raises:
        TypeError: if the optimizer is none of torch's kind.
        ValueError: if a length is not known, the optimizer lacks what the policy moves, or the
            policy's groups are not the optimizer's.

    >>> import lehr, torch
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(0.5, 0.0), steps=2)
    >>> for _ in range(2):
    ...     weight.grad = torch.ones(1)
    ...     optimizer.step()
    ...     scheduler.step()
    >>> weight.item(), scheduler.get_last_lr()
    (-0.75, [0.0])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        policy: Policy | Schedule | float,
        steps: int | None = None,
        *,
        steps_per_epoch: int | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            fail("optimizer", "a torch.optim.Optimizer", optimizer, error=TypeError)
        self.optimizer = optimizer
        self.policy = resolved_policy(policy, steps, steps_per_epoch=steps_per_epoch)
        _check(optimizer, self.policy.targets)
        self.control = self.policy.control.init() if self.policy.control else None
        self._targets = self.policy.targets
        for group in optimizer.param_groups:  # torch's SequentialLR starts from it
            group.setdefault("initial_lr", _copy(group["lr"]))
        self.base_lrs = [_copy(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = 0  # the clock: torch's composed schedulers set it
        self._step_count = 1
        self._write()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step, or to step ``epoch``, and write its values."""
        self._step_count += 1
        self._update_lr(epoch)

    def observe(self, metric: float) -> None:
        """Show the policy's controller a metric; the next update uses its factor.

        Raises:
            ValueError: if the policy has no controller.
        """
        if self.policy.control is None or self.control is None:
            way_out = "Policy(..., control=lehr.Plateau()) has"
            fail("control", "a controller to observe a metric", None, way_out)
        self.control = self.policy.control.update(self.control, metric)
        self._write()

    def get_last_lr(self) -> list[float | Tensor]:
        """Return copies of the rates that the next update uses, one per parameter group."""
        return [_copy(group["lr"]) for group in self.optimizer.param_groups]

    _last_lr = property(get_last_lr)  # read by code that looks inside torch schedulers

    def state_dict(self) -> dict[str, Any]:
        """Return the step, the controller's state and the policy's definition, as plain JSON."""
        control = None if self.control is None else asdict(self.control)
        policy = json.loads(self.policy.dumps())
        return {"step": self.last_epoch, "control": control, "policy": policy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a saved scheduler of the same policy stood.

        Raises:
            ValueError: if the state is not a lehr scheduler's, or its policy is another one.
        """
        if state_dict.keys() != {"step", "control", "policy"}:
            keys = list(state_dict)
            fail("state_dict", "a lehr scheduler's, with step, control and policy", keys)
        step, control = state_dict["step"], state_dict["control"]
        state = None if control is None else State(**control)
        if (saved := loads(json.dumps(state_dict["policy"]))) != self.policy:
            _refuse(saved, self.policy, max(step, 0), state)
        self.last_epoch, self.control = step, state
        self._write()

    def _update_lr(self, epoch: int | None = None) -> None:  # SequentialLR calls it at a milestone
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write()

    def _write(self) -> None:
        if self.last_epoch < 0:  # a part of a SequentialLR that has not begun
            return
        factor = 1.0 if self.control is None else self.control.factor
        _write(self.optimizer, _values(self._targets, self.last_epoch, factor))


class Learner(port.Learner):
    """A training run in plain PyTorch: one model, its optimizer, data held in memory.

    A snapshot holds what ``model.state_dict()`` and ``optimizer.state_dict()`` do, torch's random
    generators and the position in the data.

    Args:
        model: any module.
        optimizer: over the model's parameters.
        loss: ``loss(output, y)``, a scalar averaged over the rows.
        train: ``(x, y)``, two tensors or arrays with equally many rows.
        validation: likewise, for ``evaluate()``.
        test: likewise, for ``evaluate("test")``.
        batch_size: rows in one update.
        seed: of the order of the data.
        metrics: more to evaluate, by name: ``f(output, y)``, averaged over the rows.
        device: where to train; where the model is if left out.

    Raises:
        ValueError: if a split is no pair of equally many rows, or smaller than one batch.

    >>> import lehr, torch
    >>> x = torch.arange(8.0)[:, None]
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.0)
    >>> mse = torch.nn.functional.mse_loss
    >>> learner = lehr.torch.Learner(model, sgd, mse, (x, 2 * x), test=(x, 2 * x), batch_size=4)
    >>> trace = learner.train(lehr.Policy(lr=lehr.linear(0.02, 0.0, 100)), 100)
    >>> trace.rates["lr"][50], learner.evaluate("test")["loss"] < trace.losses[0]
    (0.01, True)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Tensor],
        train: tuple[Any, Any],
        *,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        metrics: dict[str, Callable[[Any, Any], Any]] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.metrics = {"loss": loss} | (metrics or {})
        own = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.device = own if device is None else torch.device(device)
        model.to(self.device)
        splits = {"train": train, "validation": validation, "test": test}
        self._splits = {name: _pair(name, xy) for name, xy in splits.items() if xy is not None}
        size, seed = whole("batch_size", batch_size), whole("seed", seed, at_least=0)
        self._batches = Batches(len(self._splits["train"][1]), size, seed)
        self.steps_per_epoch = self._batches.per_epoch
        self._step = 0

    def train(
        self,
        policy: Policy,
        steps: int,
        *,
        first: int = 0,
        factor: float = 1.0,
        until: Callable[[Trace], bool] | None = None,
    ) -> Trace:
        policy = resolved_policy(policy)
        targets, trace, last = policy.targets, Trace(), first + steps
        _check(self.optimizer, targets)
        with _mode(self.model, training=True):
            for begin in range(first, last, 16):  # blocks: one transfer and one `until` for each
                losses, rates = [], []
                for values in scheduled(policy, begin, min(16, last - begin), factor):
                    _write(self.optimizer, values)
                    losses.append(self._update())
                    rates.append(_read(self.optimizer, targets))
                read = {name: [float(rate[name]) for rate in rates] for name in rates[0]}
                trace.extend(torch.stack(losses).tolist(), read)
                if until is not None and until(trace):
                    break
        self.model.zero_grad()
        return trace

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        if split not in self._splits:
            fail("split", f"one of {list(self._splits)}", split, f"pass {split}=(x, y)")
        rows, size = len(self._splits[split][1]), self._batches.size
        totals = dict.fromkeys(self.metrics, 0.0)
        draws = torch.random.fork_rng(range(torch.cuda.device_count()))  # a loss may draw
        with _mode(self.model, training=False), torch.no_grad(), draws:
            for begin in range(0, rows, size):
                x, y = self._rows(split, slice(begin, begin + size))
                output = self.model(x)
                for name, metric in self.metrics.items():
                    totals[name] += float(metric(output, y)) * len(y)
        return {name: total / rows for name, total in totals.items()}

    def snapshot(self) -> Snapshot:
        arrays: dict[str, Any] = {}
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
        }
        return Snapshot(arrays, {"step": self._step, "state": _pack(state, "state", arrays)})

    def restore(self, snapshot: Snapshot) -> None:
        state = _unpack(snapshot.facts["state"], snapshot.arrays, self.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        for i, slots in state["optimizer"]["state"].items():
            self.optimizer.state[params[i]] = slots  # torch casts some to the parameter's dtype
        cpu, *cuda = state["generators"]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
        self._step = snapshot.facts["step"]

    def rows(self, step: int) -> Any:
        return self._batches[step]

    def _update(self) -> Tensor:
        x, y = self._rows("train", torch.from_numpy(self._batches[self._step]))
        self.model.zero_grad()
        loss = self.loss(self.model(x), y)
        if loss.ndim != 0:
            fail("loss", "a scalar", f"shape {tuple(loss.shape)}", "return its mean over the rows")
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._step += 1
        return loss.detach()

    def _rows(self, split: str, rows: Any) -> tuple[Tensor, Tensor]:
        x, y = self._splits[split]
        return x[rows].to(self.device), y[rows].to(self.device)


def _values(targets: dict[str, Target], step: int, factor: float) -> dict[str, Any]:
    """Return what a policy asks for at a step; `scheduled` for one step, in half its time."""
    values: dict[str, Any] = {}
    for name, target in targets.items():
        scale = factor if name == "lr" else 1.0
        if isinstance(target, dict):
            values[name] = {group: s(step) * scale for group, s in target.items()}
        else:
            values[name] = target(step) * scale
    return values


def _write(optimizer: Optimizer, values: dict[str, Any]) -> None:
    """Write the values of one step: into the tensor that stands there, else as a number."""
    for name, value in values.items():
        named = isinstance(value, dict)
        if named:
            _check(optimizer, {name: value})  # a group may have come since
            _part(optimizer, name)
        for group in optimizer.param_groups:
            new = value[group["name"]] if named else value
            if name not in group:
                betas = group["betas"]
                beta1 = torch.full_like(betas[0], new) if isinstance(betas[0], Tensor) else new
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


def _read(optimizer: Optimizer, targets: dict[str, Target]) -> dict[str, Any]:
    """Return what stands in the optimizer now, by name and group; tensors as copies."""
    found = {}
    for name, target in targets.items():
        for group in optimizer.param_groups:
            key = f"{name}/{group['name']}" if isinstance(target, dict) else name
            found[key] = _copy(group[name] if name in group else group["betas"][0])
    return found


def _check(optimizer: Optimizer, targets: dict[str, Any]) -> None:
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


def _refuse(saved: Policy, policy: Policy, step: int, state: State | None) -> NoReturn:
    """Raise the error that says how two policies differ, and the jump between them."""
    old, new = (_flat(json.loads(p.dumps()), "policy") for p in (saved, policy))
    path = next(key for key in old | new if old.get(key) != new.get(key))
    factor = 1.0 if state is None else state.factor
    before = _flat(_values(saved.targets, step, factor), "")
    after = _flat(_values(policy.targets, step, factor if policy.control else 1.0), "")
    jumps = [
        f"{key[1:]} at step {step} would jump from {before[key]:g} to {after[key]:g}"
        for key in before.keys() & after.keys()
        if before[key] != after[key]
    ]
    raise ValueError(
        f"{path} must be the saved {old.get(path)!r}, got {new.get(path)!r}: "
        f"{', '.join(sorted(jumps)) or 'no value jumps'}; "
        f"to go on under the new policy call step({step}) instead"
    )


def _flat(value: Any, path: str) -> dict[str, Any]:
    """Return the leaves of nested dicts and lists by their paths."""
    if not isinstance(value, dict | list):
        return {path: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in parts for k, v in _flat(part, f"{path}.{key}").items()}


def _pack(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """Return a nested state as JSON; its tensors are copied into ``arrays``."""
    if isinstance(value, Tensor):
        host = value.detach().cpu()
        host = host.view(torch.int16) if host.dtype == torch.bfloat16 else host
        arrays[name] = np.array(host.numpy())
        return {
            "tensor": name,
            "dtype": str(value.dtype).removeprefix("torch."),
            "device": value.device.type,
            "stride": list(torch.empty_like(value, device="meta").stride()),
        }
    if isinstance(value, dict):
        return {"dict": [[k, _pack(v, f"{name}/{k}", arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        parts = [_pack(part, f"{name}/{i}", arrays) for i, part in enumerate(value)]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    if not isinstance(value, str | int | float | None):
        fail(name, "a tensor, number or text to be saved", value, error=TypeError)
    return value


def _unpack(packed: Any, arrays: dict[str, Any], device: torch.device) -> Any:
    """Return what `_pack` was given, in fresh tensors, so that training leaves the arrays alone."""
    if isinstance(packed, list):
        return [_unpack(part, arrays, device) for part in packed]
    if not isinstance(packed, dict):
        return packed
    if "tuple" in packed:
        return tuple(_unpack(packed["tuple"], arrays, device))
    if "dict" in packed:
        return {key: _unpack(value, arrays, device) for key, value in packed["dict"]}
    array, dtype = arrays[packed["tensor"]], getattr(torch, packed["dtype"])
    where = "cpu" if packed["device"] == "cpu" else device
    fresh = torch.empty_strided(array.shape, packed["stride"], dtype=dtype, device=where)
    return fresh.copy_(torch.from_numpy(array).view(dtype))


def _pair(name: str, split: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(split, tuple | list) or len(split) != 2:
        fail(name, "a pair (x, y) of tensors or arrays", split, error=TypeError)
    x, y = (
        # torch takes writable arrays only: np.require copies one that is not
        part if isinstance(part, Tensor) else torch.from_numpy(np.require(part, None, ["C", "W"]))
        for part in split
    )
    if len(x) != len(y) or len(x) == 0:
        fail(name, "x and y of equally many rows", (len(x), len(y)))
    return x, y


@contextmanager
def _mode(model: torch.nn.Module, training: bool) -> Iterator[None]:
    """Train or evaluate; every part of the model is put back as it was."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
