"""Tasks by name: a task is a function from a seed to a Learner."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from lehr.learner import Learner
from lehr.schedule.check import fail, one_of

Task = Callable[[int], Learner]

BUILT_IN = {
    "fashion-mnist-mlp": "lehr.recipes.mlp:fashion_mnist_mlp",
    "digits-mlp": "lehr.recipes.mlp:digits_mlp",
}


def find_task(name: str) -> Task:
    """Return a task by its built-in name or as ``module:function``.

    Raises:
        ValueError: if there is none of that name; the nearest built-in names are offered.
    """
    if ":" not in name:
        way_out = "or module:function, a function from a seed to a Learner"
        name = BUILT_IN[one_of("task", name, BUILT_IN, way_out)]
    module_name, _, function_name = name.partition(":")
    if str(Path.cwd()) not in sys.path:  # a user's module beside them, as with python -m
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        fail("task", "module:function with a module that can be imported", name)
    task = getattr(module, function_name, None)
    if not callable(task):
        here = {n: v for n, v in vars(module).items() if callable(v) and n[0] != "_"}
        known = [n for n, v in here.items() if getattr(v, "__module__", "") == module_name]
        one_of(f"function of {module_name}", function_name, known)
    return task  # type: ignore[return-value]
