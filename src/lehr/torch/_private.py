"""The private names of PyTorch and Accelerate that lehr uses: all of them, and nothing else."""

from __future__ import annotations

import functools
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
    """Return whether one of torch's own schedulers is attached to an optimizer.

    torch's schedulers mark the method ``optimizer.step`` that they wrap.
    """
    return hasattr(optimizer.step, _PATCHED)


def has_own_hooks(optimizer: Optimizer) -> bool:
    """Return whether an optimizer holds the hooks that ``register_step_pre_hook`` adds to.

    A wrapper that is an Optimizer without its ``__init__``, such as Accelerate's, holds none.
    """
    return _HOOKS in vars(optimizer)


@functools.cache
def check_names() -> None:
    """Raise unless an optimizer of torch, with a scheduler of torch, has the two names above.

    Without the first, two schedulers would overwrite each other's rates; without the second,
    every optimizer would be taken for a wrapper.
    """
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1, device="cpu"))], lr=0.1)
    LambdaLR(optimizer, lambda _: 1.0)
    if not hasattr(optimizer.step, _PATCHED):
        _missing(f"Optimizer.step.{_PATCHED}", "see that another scheduler drives an optimizer")
    if _HOOKS not in vars(optimizer):
        _missing(f"Optimizer.{_HOOKS}", "see that an optimizer is the wrapper of another")


def _missing(name: str, purpose: str) -> NoReturn:
    rule = f"a version with {name}, which lehr needs to {purpose}"
    oldest, newest = SUPPORTED
    way_out = f"install torch>={oldest},<={newest}, which lehr supports"
    fail("PyTorch", rule, torch.__version__, way_out, RuntimeError)


class _Prepared:
    """What Accelerate finds when it asks whether a scheduler is prepared: no, or a refusal.

    ``Accelerator.prepare`` tests its truth before it wraps the scheduler, and nothing else does:
    reading it (``hasattr``, ``inspect.getmembers``) raises nothing.
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


class PrivateNames:
    """The private attributes that torch and Accelerate read, set or call on a scheduler.

    Where a version no longer calls `_update_lr`, it calls ``step``, or a method of its own that
    takes the rates from ``get_lr`` and sets `_last_lr`; the other hyperparameters then follow
    one step later.
    """

    # Accelerator.prepare tests its truth, and sets it on the wrapper that it returns
    _is_accelerate_prepared: Any = _Prepared()

    # how often step() was called, counted from 1 as in torch; read and raised by Accelerate
    _step_count: int = 1

    last_epoch: int

    @property
    def _last_lr(self) -> list[Any]:
        """The rates now in the optimizer; read by code that looks inside torch's schedulers."""
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: list[Any]) -> None:
        """Ignore what torch's own methods set: the rates are those in the optimizer."""

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go on to the next step, or to ``epoch``; torch's SequentialLR calls it."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write()

    def _advance(self, epoch: int | None) -> None:
        self._step_count += 1
        self._update_lr(epoch)

    def get_last_lr(self) -> list[Any]:
        raise NotImplementedError

    def _write(self) -> None:
        raise NotImplementedError
