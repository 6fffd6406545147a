"""lehr: describe, find and compare learning-rate policies. Importing it loads no framework."""

import importlib
from typing import TYPE_CHECKING, Any

from lehr.control import Plateau as Plateau
from lehr.policy import Policy as Policy
from lehr.policy import one_cycle as one_cycle
from lehr.schedule.base import Schedule as Schedule
from lehr.schedule.codec import loads as loads
from lehr.schedule.presets import constant as constant
from lehr.schedule.presets import cosine as cosine
from lehr.schedule.presets import exp_range as exp_range
from lehr.schedule.presets import exponential as exponential
from lehr.schedule.presets import linear as linear
from lehr.schedule.presets import triangular as triangular
from lehr.schedule.presets import triangular2 as triangular2
from lehr.schedule.presets import warmup as warmup

if TYPE_CHECKING:
    from lehr.finder import range_test as range_test
    from lehr.study import Arm as Arm
    from lehr.study import Study as Study

__version__ = "0.1.0"

_ON_FIRST_USE = {
    "range_test": "lehr.finder",
    "Sweep": "lehr.finder",
    "Study": "lehr.study",
    "Arm": "lehr.study",
}
_MODULES = {"torch", "keras", "jax", "figures", "finder", "study"}


def __getattr__(name: str) -> Any:
    """Load a framework's adapter, the finder or the study when it is first used."""
    if name in _MODULES:
        return importlib.import_module(f"lehr.{name}")
    if name in _ON_FIRST_USE:
        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module 'lehr' has no attribute {name!r}")
