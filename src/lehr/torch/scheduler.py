"""The Scheduler: drives an optimizer in the user's own training loop."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, NoReturn

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lehr.control import State
from lehr.policy import Policy, loads, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail
from lehr.torch.groups import check_values, copied, write_values


class Scheduler(LRScheduler):
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
        check_values(optimizer, self.policy.targets)
        self.control = self.policy.control.init() if self.policy.control else None
        for group in optimizer.param_groups:  # torch's SequentialLR starts from it
            group.setdefault("initial_lr", copied(group["lr"]))
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
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
        return [copied(group["lr"]) for group in self.optimizer.param_groups]

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
        write_values(self.optimizer, self.policy.values(self.last_epoch, factor))


def _refuse(saved: Policy, policy: Policy, step: int, state: State | None) -> NoReturn:
    """Raise the error that says how two policies differ, and the jump between them."""
    old, new = (_flat(json.loads(p.dumps()), "policy") for p in (saved, policy))
    path = next(key for key in old | new if old.get(key) != new.get(key))
    factor = 1.0 if state is None else state.factor
    before = _flat(saved.values(step, factor), "")
    after = _flat(policy.values(step, factor if policy.control else 1.0), "")
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
