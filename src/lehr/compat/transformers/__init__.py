"""Drop-in replacements of the schedules of ``transformers.optimization``.

Each function returns torch's ``LambdaLR`` with a function from lehr's algebra, so code that sets or
calls ``scheduler.lr_lambdas`` works, and the state dicts are those of the library. `GreedyLR` and
`ReduceLROnPlateau` are subclasses. ``SchedulerType``, ``get_constant_schedule`` and
``get_adafactor_schedule`` have no shape and are the library's own.

>>> import torch
>>> from lehr.compat.transformers import get_scheduler  # instead of: from transformers
>>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
>>> scheduler = get_scheduler("linear", optimizer, num_warmup_steps=2, num_training_steps=6)
>>> scheduler.lr_lambdas[0].args
(warmup(1.0, 2).then(linear(1.0, 0.0, 4)),)
"""

from transformers.optimization import (
    AdafactorSchedule,
    StreamingAverage,
    get_adafactor_schedule,
    get_constant_schedule,
)
from transformers.trainer_utils import SchedulerType

from lehr.compat.transformers.greedy import GreedyLR
from lehr.compat.transformers.schedules import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    get_greedy_schedule,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_reduce_on_plateau_schedule,
    get_wsd_schedule,
)
from lehr.compat.transformers.unified import TYPE_TO_SCHEDULER_FUNCTION, get_scheduler

__all__ = [
    "TYPE_TO_SCHEDULER_FUNCTION",
    "AdafactorSchedule",
    "GreedyLR",
    "SchedulerType",
    "StreamingAverage",
    "get_adafactor_schedule",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "get_greedy_schedule",
    "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup",
    "get_polynomial_decay_schedule_with_warmup",
    "get_reduce_on_plateau_schedule",
    "get_scheduler",
    "get_wsd_schedule",
]
