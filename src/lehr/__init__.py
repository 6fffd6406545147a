"""lehr: describe, find and compare learning-rate policies.

Public names are imported on first use: importing lehr loads no framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr import figures as figures
    from lehr import finder as finder
    from lehr import jax as jax
    from lehr import keras as keras
    from lehr import schedule as schedule
    from lehr import study as study
    from lehr import testing as testing
    from lehr import torch as torch
    from lehr.controllers import Greedy as Greedy
    from lehr.controllers import Plateau as Plateau
    from lehr.diagnosis import diagnose as diagnose
    from lehr.finder import Sweep as Sweep
    from lehr.finder import range_test as range_test
    from lehr.policy import Policy as Policy
    from lehr.policy import loads as loads
    from lehr.policy import one_cycle as one_cycle
    from lehr.schedule import Schedule as Schedule
    from lehr.schedule.presets import constant as constant
    from lehr.schedule.presets import cosine as cosine
    from lehr.schedule.presets import cosine_restarts as cosine_restarts
    from lehr.schedule.presets import cyclical as cyclical
    from lehr.schedule.presets import exp_range as exp_range
    from lehr.schedule.presets import exponential as exponential
    from lehr.schedule.presets import flat_cosine as flat_cosine
    from lehr.schedule.presets import from_function as from_function
    from lehr.schedule.presets import inverse_sqrt as inverse_sqrt
    from lehr.schedule.presets import inverse_time as inverse_time
    from lehr.schedule.presets import k_decay as k_decay
    from lehr.schedule.presets import linear as linear
    from lehr.schedule.presets import multi_step as multi_step
    from lehr.schedule.presets import noam as noam
    from lehr.schedule.presets import piecewise as piecewise
    from lehr.schedule.presets import polynomial as polynomial
    from lehr.schedule.presets import polynomial_cycles as polynomial_cycles
    from lehr.schedule.presets import rex as rex
    from lehr.schedule.presets import slanted_triangular as slanted_triangular
    from lehr.schedule.presets import step_decay as step_decay
    from lehr.schedule.presets import table as table
    from lehr.schedule.presets import tanh as tanh
    from lehr.schedule.presets import triangular as triangular
    from lehr.schedule.presets import triangular2 as triangular2
    from lehr.schedule.presets import warmup as warmup
    from lehr.schedule.presets import warmup_radam as warmup_radam
    from lehr.schedule.presets import warmup_untuned as warmup_untuned
    from lehr.schedule.presets import wsd as wsd
    from lehr.study import Arm as Arm
    from lehr.study import Study as Study

__version__ = "0.1.0"

_NAMES = {
    "lehr.controllers": ("Greedy", "Plateau"),
    "lehr.diagnosis": ("diagnose",),
    "lehr.finder": ("Sweep", "range_test"),
    "lehr.policy": ("Policy", "loads", "one_cycle"),
    "lehr.schedule": ("Schedule",),
    "lehr.schedule.presets": (
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
        "k_decay",
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
    ),
    "lehr.study": ("Arm", "Study"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_SUBPACKAGES = ("figures", "finder", "jax", "keras", "schedule", "study", "testing", "torch")

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name or a subpackage on first use."""
        if name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in _SUBPACKAGES:
            value = import_module(f"lehr.{name}")
        else:
            raise AttributeError(f"module 'lehr' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *_MODULE_OF, *_SUBPACKAGES])
