"""Read a scheduler of another library into a policy."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lehr.policy import Policy
from lehr.schedule.errors import fail

_READERS = {"torch": "lehr.compat.torch.reading"}  # by the package of the scheduler's class


def read(scheduler: Any) -> Policy:
    """Convert a live scheduler of another library to a policy: plot, lint, save or resume it.

    Accepted are the schedulers of ``torch.optim.lr_scheduler`` (nested ones too, and those of
    ``lehr.compat``), with the base rates of their optimizer, and Transformers' schedules.

    Args:
        scheduler: the scheduler; it does not change.

    Raises:
        TypeError: if the type of the scheduler is not known.
        ValueError: if it has no equivalent, or calls a function without a name.

    >>> import lehr, torch
    >>> sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
    >>> lehr.read(torch.optim.lr_scheduler.StepLR(sgd, step_size=30))
    Policy(step_decay(0.5, 0.1, 30))
    """
    for kind in type(scheduler).__mro__:
        module = _READERS.get(kind.__module__.partition(".")[0])
        if module is not None:
            policy: Policy = import_module(module).read(scheduler)
            return policy
    fail("scheduler", "one of torch.optim.lr_scheduler", type(scheduler).__name__, error=TypeError)
