"""Presets: functions that construct schedules from the classes of ``lehr.schedule``."""

from lehr.schedule.presets.basic import (
    constant,
    cosine,
    exponential,
    from_function,
    inverse_time,
    linear,
    multi_step,
    piecewise,
    polynomial,
    rex,
    step_decay,
    table,
    tanh,
    warmup,
)
from lehr.schedule.presets.cycles import cyclical, exp_range, triangular, triangular2
from lehr.schedule.presets.plans import flat_cosine, inverse_sqrt, noam, slanted_triangular, wsd
from lehr.schedule.presets.restarts import cosine_restarts, polynomial_cycles
from lehr.schedule.presets.warmups import warmup_radam, warmup_untuned

__all__ = [
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclical",
    "exp_range",
    "exponential",
    "flat_cosine",
    "from_function",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "multi_step",
    "noam",
    "piecewise",
    "polynomial",
    "polynomial_cycles",
    "rex",
    "slanted_triangular",
    "step_decay",
    "table",
    "tanh",
    "triangular",
    "triangular2",
    "warmup",
    "warmup_radam",
    "warmup_untuned",
    "wsd",
]
