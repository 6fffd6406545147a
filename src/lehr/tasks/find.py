"""Tasks by name: a task is a function from a seed to a Learner."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.learner import Learner
from lehr.schedule.errors import fail, one_of

Task = Callable[..., Learner]

BUILT_IN = {
    "fashion-mnist-mlp": "lehr.tasks.mlp:fashion_mnist_mlp",
    "digits-mlp": "lehr.tasks.mlp:digits_mlp",
}
_RULE = "a built-in name, or module:function, a function from a seed to a Learner"
_IMPORTABLE = "a function of a module that worker processes can import"


def task_name(task: str | Task) -> str:
    """Return the name of a task; that of a function is ``module:function``.

    Raises:
        ValueError: if worker processes cannot import the function: it is defined in a script or a
            notebook, inside another function, or as a lambda.
        TypeError: if the task is neither a name nor a function.
    """
    if isinstance(task, str):
        return task
    if not callable(task):
        fail("task", f"{_RULE}, or that function", task, error=TypeError)
    module_name = getattr(task, "__module__", None) or ""
    name = getattr(task, "__qualname__", "")
    module = sys.modules.get(module_name)
    importable = getattr(module, "__spec__", None) is not None and module_name != "__main__"
    if not importable or getattr(module, name, None) is not task:
        fail("task", _IMPORTABLE, task, _in_a_file(name))
    return f"{module_name}:{name}"


def find_task(name: str) -> Task:
    """Return a task by its built-in name or as ``module:function``.

    Raises:
        ValueError: if there is none of that name; suggests the nearest names.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras chooses when it is first imported
    if ":" not in name:
        name = BUILT_IN[one_of("task", name, BUILT_IN, f"it must be {_RULE}")]
    module_name, _, function_name = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        fail("task", _RULE, name)
    if module_name == "__main__":
        fail("task", _IMPORTABLE, name, _in_a_file(function_name))
    _look_beside_the_user()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        rule = "module:function with a module that can be imported"
        fail("task", rule, name, "run it from the module's folder, or put that on PYTHONPATH")
    task = getattr(module, function_name, None)
    if not callable(task):
        here = {n: v for n, v in vars(module).items() if callable(v) and n[0] != "_"}
        known = [n for n, v in here.items() if getattr(v, "__module__", "") == module_name]
        one_of(f"function of {module_name}", function_name, known)
    return task  # type: ignore[return-value]


def check_options(name: str, options: dict[str, Any]) -> None:
    """Raise unless a task takes these options by name."""
    try:
        signature = inspect.signature(find_task(name))
    except ValueError:  # a callable without a signature
        return
    try:
        signature.bind(0, **options)
    except TypeError as error:
        fail(f"options of {name}", f"those of its function {signature}", options, str(error))


def make_learner(name: str, seed: int, options: dict[str, Any] | None = None) -> Learner:
    """Return a task's Learner for a seed.

    Raises:
        TypeError: if the task returns something else.
        ImportError: if a built-in task needs what is not installed.
    """
    try:
        learner = find_task(name)(seed, **(options or {}))
    except ImportError as error:
        if name not in BUILT_IN:
            raise
        message = f"{name} needs more ({error}); pip install 'lehr[keras,study]'"
        raise ImportError(message) from error
    if not isinstance(learner, Learner):
        fail(f"what {name} returns", "a Learner", learner, error=TypeError)
    return learner


def source_digest(name: str) -> str:
    """Return a hash of a task's source file; its imports do not count."""
    _look_beside_the_user()
    try:
        spec = importlib.util.find_spec(BUILT_IN.get(name, name).partition(":")[0])
    except ModuleNotFoundError:  # the package around it is gone
        return ""
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _in_a_file(name: str) -> str:
    """Return what to do with a function that worker processes cannot import."""
    name = name if name.isidentifier() else "make"
    return (
        f"write the function to a file my_task.py (in a notebook, begin the cell with "
        f'%%writefile my_task.py) and pass task="my_task:{name}"'
    )


def _look_beside_the_user() -> None:
    here = str(Path.cwd())  # a module in the current folder is found, as with python -m
    if here not in sys.path:
        sys.path.insert(0, here)
