"""lehr: describe, find and compare learning-rate policies.

Every public name loads what it needs on first use, so that importing lehr is quick and loads no
framework, whichever of them is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
_PARTS = ("figures", "finder", "jax", "keras", "schedule", "study", "torch")


def __getattr__(name: str) -> Any:
    """Return a public name, or a part of lehr, when it is first asked for."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _PARTS:
        value = import_module(f"lehr.{name}")
    else:
        raise AttributeError(f"module 'lehr' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_PARTS])
