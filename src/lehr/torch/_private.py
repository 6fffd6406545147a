"""Access to the private names of PyTorch and Accelerate that lehr uses."""

from __future__ import annotations

import collections
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lehr.schedule.errors import fail
from lehr.torch.processes import processes

SUPPORTED = ("2.6.0", "2.13.0")  # PyTorch: the oldest and the newest tested version

_PATCHED = "_wrapped_by_lr_sched"
_HOOKED = "hooked"
_HOOKS = "_optimizer_step_pre_hooks"
_HOOK_DICT = re.compile(r"\._\w*_hooks\w*$")
_LOAD_HOOKS = "_optimizer_load_state_dict_post_hooks"


def has_torch_scheduler(optimizer: Optimizer) -> bool:
    """Return whether a torch scheduler is attached: its constructor replaces and marks ``step``."""
    # the first condition is faster than a missing attribute of a method
    return "step" in vars(optimizer) and hasattr(optimizer.step, _PATCHED)


def runs_hooks(optimizer: Optimizer) -> bool:
    """Return whether ``optimizer.step`` calls hooks; that of some wrappers does not."""
    return hasattr(optimizer.step, _HOOKED)


def versions(parameters: Iterable[Tensor]) -> int:
    """Return the number of in-place changes of parameters since they were created."""
    return sum(parameter._version for parameter in parameters)


def has_own_hooks(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has step hooks; wrappers such as Accelerate's do not."""
    return _HOOKS in vars(optimizer)


def has_load_hooks(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has hooks for loading; wrappers of pytorch_optimizer do not."""
    return _LOAD_HOOKS in vars(optimizer)


def is_hooks(path: str, value: Any) -> bool:
    """Return whether the object at a path is a dict of hooks of a module or optimizer."""
    return isinstance(value, collections.OrderedDict) and _HOOK_DICT.search(path) is not None


@functools.cache
def check_names() -> None:
    """Raise RuntimeError unless torch has the names that detect schedulers and wrappers."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1, device="cpu"))], lr=0.1)
    LambdaLR(optimizer, lambda _: 1.0)
    if not hasattr(optimizer.step, _PATCHED):
        _missing(f"Optimizer.step.{_PATCHED}", "detect another scheduler of an optimizer")
    for name in (_HOOKS, _LOAD_HOOKS):
        if name not in vars(optimizer):
            _missing(f"Optimizer.{name}", "detect a wrapper of an optimizer")


def _missing(name: str, purpose: str) -> NoReturn:
    rule = f"a version with {name}, which lehr uses to {purpose}"
    oldest, newest = SUPPORTED
    fix = f"install torch>={oldest},<={newest}, which lehr supports"
    fail("PyTorch", rule, torch.__version__, fix, RuntimeError)


class _Prepared:
    """Value of ``_is_accelerate_prepared``: False, or an error with more than one process.

    Only ``Accelerator.prepare`` evaluates it as a bool, before it wraps the scheduler.
    """

    def __bool__(self) -> bool:
        if (count := processes()) > 1:
            fail(
                "processes",
                "1 for a scheduler in Accelerator.prepare, which steps it once per process",
                count,
                "omit it from prepare, call accelerator.register_for_checkpointing(scheduler) "
                "and call scheduler.step() if accelerator.sync_gradients",
            )
        return False

    def __repr__(self) -> str:
        return "<not prepared by Accelerate>"


class PrivateNames(ABC):
    """Private attributes of a scheduler that torch and Accelerate read, set or call.

    Versions of torch that do not call `_update_lr` call ``step``, or read the rates from ``get_lr``
    and set `_last_lr`. In the latter case the other hyperparameters are set one step later.
    """

    # Accelerator.prepare evaluates it as a bool, and sets it on the wrapper that it returns
    _is_accelerate_prepared: Any = _Prepared()

    # number of step() calls plus 1, as in torch; read and incremented by Accelerate
    _step_count: int = 1

    last_epoch: int

    @abstractmethod
    def get_last_lr(self) -> list[Any]: ...

    @abstractmethod
    def _write(self) -> None:
        """Set the optimizer's hyperparameters to the values of step ``last_epoch``."""

    @property
    def _last_lr(self) -> list[Any]:
        """The current rates of the optimizer; read by code that uses torch's private names."""
        return self.get_last_lr()

    @_last_lr.setter  # noqa: B027
    def _last_lr(self, rates: list[Any]) -> None:
        """Ignore assignments by torch's methods: the rates are read from the optimizer."""

    def _update_lr(self, epoch: int | None = None) -> None:
        """Advance to the next step, or to ``epoch``; called by torch's SequentialLR."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write()

    def _advance(self, epoch: int | None = None) -> None:
        """Count a call of ``step``, and advance."""
        self._step_count += 1
        self._update_lr(epoch)
