"""The function that returns a scheduler by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from transformers.optimization import get_constant_schedule
from transformers.trainer_pt_utils import LayerWiseDummyOptimizer, LayerWiseDummyScheduler
from transformers.trainer_utils import SchedulerType

from lehr.compat.transformers import schedules

TYPE_TO_SCHEDULER_FUNCTION: dict[SchedulerType, Callable[..., Any]] = {
    SchedulerType.LINEAR: schedules.get_linear_schedule_with_warmup,
    SchedulerType.COSINE: schedules.get_cosine_schedule_with_warmup,
    SchedulerType.COSINE_WITH_RESTARTS: (
        schedules.get_cosine_with_hard_restarts_schedule_with_warmup
    ),
    SchedulerType.POLYNOMIAL: schedules.get_polynomial_decay_schedule_with_warmup,
    SchedulerType.CONSTANT: get_constant_schedule,
    SchedulerType.CONSTANT_WITH_WARMUP: schedules.get_constant_schedule_with_warmup,
    SchedulerType.INVERSE_SQRT: schedules.get_inverse_sqrt_schedule,
    SchedulerType.REDUCE_ON_PLATEAU: schedules.get_reduce_on_plateau_schedule,
    SchedulerType.COSINE_WITH_MIN_LR: schedules.get_cosine_with_min_lr_schedule_with_warmup,
    SchedulerType.COSINE_WARMUP_WITH_MIN_LR: (
        schedules.get_cosine_with_min_lr_schedule_with_warmup_lr_rate
    ),
    SchedulerType.WARMUP_STABLE_DECAY: schedules.get_wsd_schedule,
    SchedulerType.GREEDY: schedules.get_greedy_schedule,
}
# the lengths that a schedule takes; the others take both
_LENGTHS: dict[SchedulerType, tuple[str, ...]] = {
    SchedulerType.CONSTANT: (),
    SchedulerType.REDUCE_ON_PLATEAU: (),
    SchedulerType.GREEDY: (),
    SchedulerType.CONSTANT_WITH_WARMUP: ("num_warmup_steps",),
    SchedulerType.INVERSE_SQRT: ("num_warmup_steps",),
}
_WITHOUT_OPTIONS = (SchedulerType.CONSTANT, SchedulerType.CONSTANT_WITH_WARMUP)


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Return a scheduler by its name.

    Args:
        name: a name of ``SchedulerType``: "linear", "cosine", "warmup_stable_decay" ...
        optimizer: the optimizer.
        num_warmup_steps: length of the warm-up, for the schedules that have one.
        num_training_steps: length of the run, for the schedules that end.
        scheduler_specific_kwargs: further arguments of the function of this schedule.

    Raises:
        ValueError: if the name is unknown, or a required length is missing.
        TypeError: if the function does not have one of the further arguments.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> options = {"num_decay_steps": 4, "decay_type": "linear"}
    >>> scheduler = get_scheduler("warmup_stable_decay", optimizer, 2, 10, options)
    >>> [scheduler.lr_lambdas[0](t) for t in (1, 2, 6, 8, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    name = SchedulerType(name)
    if isinstance(optimizer, LayerWiseDummyOptimizer):
        rest = (num_warmup_steps, num_training_steps, scheduler_specific_kwargs)
        return layer_wise(name, optimizer, *rest)
    lengths = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    lengths = {length: lengths[length] for length in _LENGTHS.get(name, lengths)}
    for length, value in lengths.items():
        by_phases = (name, length) == (SchedulerType.WARMUP_STABLE_DECAY, "num_training_steps")
        if value is None and not by_phases:
            raise ValueError(f"{name} requires `{length}`, please provide that argument.")
    options = {} if name in _WITHOUT_OPTIONS else scheduler_specific_kwargs or {}
    return TYPE_TO_SCHEDULER_FUNCTION[name](optimizer, **lengths, **options)


def layer_wise(
    name: SchedulerType, optimizer: LayerWiseDummyOptimizer, *arguments: Any
) -> LayerWiseDummyScheduler:
    """Return a scheduler for optimizers that update one parameter each, in the backward pass."""
    optimizers = optimizer.optimizer_dict
    schedulers = {p: get_scheduler(name, optimizers[p], *arguments) for p in optimizers}
    for parameter in optimizers:
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda p: schedulers[p].step())
    rate = optimizer.defaults["lr"]
    return LayerWiseDummyScheduler(optimizer_dict=optimizers, lr=rate)  # type: ignore[no-untyped-call]
