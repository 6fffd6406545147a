"""The private names of PyTorch and Accelerate that lehr uses."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any, NoReturn

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lehr.schedule.errors import fail
from lehr.torch.processes import processes

SUPPORTED = ("2.6.0", "2.13.0")  # PyTorch: the oldest version, and the newest one tested

_PATCHED = "_wrapped_by_lr_sched"
_HOOKS = "_optimizer_step_pre_hooks"


def has_torch_scheduler(optimizer: Optimizer) -> bool:
    """Return whether a scheduler of torch is attached: it marks ``optimizer.step``."""
    return hasattr(optimizer.step, _PATCHED)


def has_own_hooks(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has step hooks; wrappers such as Accelerate's have none."""
    return _HOOKS in vars(optimizer)


@functools.cache
def check_names() -> None:
    """Raise unless torch has the two names above, which tell other schedulers and wrappers."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1, device="cpu"))], lr=0.1)
    LambdaLR(optimizer, lambda _: 1.0)
    if not hasattr(optimizer.step, _PATCHED):
        _missing(f"Optimizer.step.{_PATCHED}", "see that another scheduler drives an optimizer")
    if _HOOKS not in vars(optimizer):
        _missing(f"Optimizer.{_HOOKS}", "see that an optimizer is the wrapper of another")


def _missing(name: str, purpose: str) -> NoReturn:
    rule = f"a version with {name}, which lehr needs to {purpose}"
    oldest, newest = SUPPORTED
    fix = f"install torch>={oldest},<={newest}, which lehr supports"
    fail("PyTorch", rule, torch.__version__, fix, RuntimeError)


class _Prepared:
    """Value of ``_is_accelerate_prepared``: False, or an error if there are several processes.

    Only ``Accelerator.prepare`` tests its truth, before it wraps the scheduler.
    """

    def __bool__(self) -> bool:
        if (count := processes()) > 1:
            fail(
                "processes",
                "1 for a scheduler in Accelerator.prepare, which steps it once for each",
                count,
                "leave it out of prepare, call accelerator.register_for_checkpointing(scheduler) "
                "and step it yourself if accelerator.sync_gradients",
            )
        return False

    def __repr__(self) -> str:
        return "<not prepared by Accelerate>"


class PrivateNames(ABC):
    """The private attributes that torch and Accelerate read, set or call on a scheduler.

    A version that does not call `_update_lr` calls ``step``, or takes the rates from ``get_lr`` and
    sets `_last_lr`; the other hyperparameters then follow one step later.
    """

    # Accelerator.prepare tests its truth, and sets it on the wrapper that it returns
    _is_accelerate_prepared: Any = _Prepared()

    # how often step() was called, counted from 1 as in torch; read and raised by Accelerate
    _step_count: int = 1

    last_epoch: int

    @abstractmethod
    def get_last_lr(self) -> list[Any]: ...

    @abstractmethod
    def _write(self) -> None:
        """Write the values of step ``last_epoch`` into the optimizer."""

    @property
    def _last_lr(self) -> list[Any]:
        """The rates now in the optimizer; read by code that looks inside torch's schedulers."""
        return self.get_last_lr()

    @_last_lr.setter  # noqa: B027
    def _last_lr(self, rates: list[Any]) -> None:
        """Ignore what torch's own methods set: the rates are those in the optimizer."""

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go on to the next step, or to ``epoch``; torch's SequentialLR calls it."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write()

    def _advance(self, epoch: int | None) -> None:
        self._step_count += 1
        self._update_lr(epoch)
