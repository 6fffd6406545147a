"""The private functions of ``transformers.optimization`` and the shapes that replace them."""

from __future__ import annotations

import functools
from typing import Any

from lehr.compat.transformers import shapes
from lehr.schedule.base import Schedule
from lehr.schedule.errors import one_of

_SHAPES: dict[str, Any] = {
    "_get_constant_schedule_with_warmup_lr_lambda": shapes.constant_with_warmup,
    "_get_linear_schedule_with_warmup_lr_lambda": shapes.linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": shapes.cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": (
        shapes.cosine_with_hard_restarts
    ),
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": shapes.cosine_from_first_step,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": shapes.polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": shapes.inverse_sqrt,
    "_get_wsd_scheduler_lambda": shapes.wsd,
}


def shape_of(function: functools.partial[Any]) -> Schedule:
    """Return the shape of a function of transformers' schedules; their arguments are the same.

    Raises:
        ValueError: if the function is not known.
    """
    name = one_of("lr_lambda", function.func.__name__, _SHAPES)
    found: Schedule = _SHAPES[name](**function.keywords)
    return found
