"""lehr: describe, find and compare learning-rate policies.

Public names are imported on first use; ``import lehr`` does not import any framework.
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
    from lehr.compat.read import read as read
    from lehr.controllers import Greedy as Greedy
    from lehr.controllers import Plateau as Plateau
    from lehr.finder import Sweep as Sweep
    from lehr.finder import range_test as range_test
    from lehr.parser import parse as parse
    from lehr.policy import Policy as Policy
    from lehr.policy import loads as loads
    from lehr.policy import one_cycle as one_cycle
    from lehr.published_policies import PublishedPolicy as PublishedPolicy
    from lehr.published_policies import published as published
    from lehr.schedule import Schedule as Schedule
    from lehr.schedule.presets import *  # noqa: F403
    from lehr.study import Arm as Arm
    from lehr.study import Study as Study

__version__ = "0.1.0"

_SUBPACKAGES = ("figures", "finder", "jax", "keras", "schedule", "study", "testing", "torch")
_NAMES = {
    "lehr.compat.read": ("read",),
    "lehr.controllers": ("Greedy", "Plateau"),
    "lehr.finder": ("Sweep", "range_test"),
    "lehr.parser": ("parse",),
    "lehr.policy": ("Policy", "loads", "one_cycle"),
    "lehr.published_policies": ("PublishedPolicy", "published"),
    "lehr.schedule": ("Schedule",),
    "lehr.study": ("Arm", "Study"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}


def _presets() -> Any:
    return import_module("lehr.schedule.presets")


if not TYPE_CHECKING:  # with a module-level __getattr__, type checkers accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name or a subpackage on first use."""
        if name == "__all__":  # for `from lehr import *`
            value: Any = sorted([*_MODULE_OF, *_presets().__all__])
        elif name in _SUBPACKAGES:
            value = import_module(f"lehr.{name}")
        elif name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in _presets().__all__:
            value = getattr(_presets(), name)
        else:
            raise AttributeError(f"module 'lehr' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*__getattr__("__all__"), *_SUBPACKAGES, "__version__"])
