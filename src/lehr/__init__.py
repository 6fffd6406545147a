"""lehr: describe, find and compare learning-rate policies.

Every public name loads what it needs on first use, so that importing lehr is quick and loads no
framework, whichever of them is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr.control import Plateau as Plateau
    from lehr.finder import Sweep as Sweep
    from lehr.finder import range_test as range_test
    from lehr.policy import Policy as Policy
    from lehr.policy import loads as loads
    from lehr.policy import one_cycle as one_cycle
    from lehr.schedule import Schedule as Schedule
    from lehr.schedule.presets import constant as constant
    from lehr.schedule.presets import cosine as cosine
    from lehr.schedule.presets import exp_range as exp_range
    from lehr.schedule.presets import exponential as exponential
    from lehr.schedule.presets import linear as linear
    from lehr.schedule.presets import triangular as triangular
    from lehr.schedule.presets import triangular2 as triangular2
    from lehr.schedule.presets import warmup as warmup
    from lehr.study import Arm as Arm
    from lehr.study import Study as Study

__version__ = "0.1.0"

_NAMES = {
    "lehr.control": ("Plateau",),
    "lehr.finder": ("Sweep", "range_test"),
    "lehr.policy": ("Policy", "loads", "one_cycle"),
    "lehr.schedule": ("Schedule",),
    "lehr.schedule.presets": (
        "constant",
        "cosine",
        "exp_range",
        "exponential",
        "linear",
        "triangular",
        "triangular2",
        "warmup",
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
