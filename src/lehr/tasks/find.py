"""Lookup of tasks by name. A task is a function that takes a seed and returns a Learner."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lehr.learner import Learner
from lehr.schedule.errors import fail, one_of

Task = Callable[..., Learner]

BUILT_IN = {
    "fashion-mnist-mlp": "lehr.tasks.mlp:fashion_mnist_mlp",
    "digits-mlp": "lehr.tasks.mlp:digits_mlp",
}
_RULE = "a built-in name, or module:function, which takes a seed and returns a Learner"
_added: set[str] = set()  # folders added to sys.path
_IMPORTABLE = "a function of a module that worker processes can import"


def task_name(task: str | Task) -> str:
    """Return the name of a task; the name of a function is ``module:function``.

    Args:
        task: a name, which is returned unchanged, or a function at the top level of a module.

    Raises:
        ValueError: if worker processes cannot import the function: it is defined in a script or a
            notebook, inside another function, or as a lambda.
        TypeError: if ``task`` is neither a name nor a function.

    >>> from lehr.tasks.mlp import digits_mlp
    >>> task_name(digits_mlp)
    'lehr.tasks.mlp:digits_mlp'
    """
    if isinstance(task, str):
        return task
    if not callable(task):
        fail("task", f"{_RULE}, or the function", task, error=TypeError)
    module_name = getattr(task, "__module__", None) or ""
    name = getattr(task, "__qualname__", "")
    module = sys.modules.get(module_name)
    importable = getattr(module, "__spec__", None) is not None and module_name != "__main__"
    if not importable or getattr(module, name, None) is not task:
        fail("task", _IMPORTABLE, task, _file_fix(name))
    return f"{module_name}:{name}"


def find_task(name: str) -> Task:
    """Import the function of a task.

    For ``module:function``, the current folder is added at the end of ``sys.path``, so that its
    files do not replace modules of libraries. ``KERAS_BACKEND`` is set to "jax" if it is not set.

    Args:
        name: a built-in name, or ``module:function``.

    Raises:
        ValueError: if the name is unknown; the message suggests the nearest names.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it at its first import
    if ":" not in name:
        name = BUILT_IN[one_of("task", name, BUILT_IN, f"it must be {_RULE}")]
    module, function_name = module_of("task", _RULE, name)
    task = getattr(module, function_name, None)
    if not callable(task):
        public = {n: v for n, v in vars(module).items() if callable(v) and n[0] != "_"}
        known = [n for n, v in public.items() if getattr(v, "__module__", "") == module.__name__]
        one_of(f"function of {module.__name__}", function_name, known, _hidden_fix(module))
    return task  # type: ignore[return-value]


def module_of(field: str, rule: str, name: str) -> tuple[types.ModuleType, str]:
    """Import the module of ``module:object``; return it and the name of the object.

    The current folder is added at the end of ``sys.path``, except for a built-in task.

    Raises:
        ValueError: if the name has another form, or the module does not exist.
    """
    module_name, _, object_name = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), object_name]):
        fail(field, rule, name)
    if module_name == "__main__":
        fail(field, _IMPORTABLE, name, _file_fix(object_name))
    if name not in BUILT_IN.values():
        _add_current_folder()
    try:
        return importlib.import_module(module_name), object_name
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, but one of its imports is missing
        fix = "run it from the module's folder, or add this folder to PYTHONPATH"
        kind = "function" if field == "task" else "object"
        fail(field, f"module:{kind} with a module that can be imported", name, fix)


def check_options(name: str, options: dict[str, Any]) -> None:
    """Check that a task accepts options as keyword arguments.

    Args:
        name: name of the task.
        options: values by argument name.

    Raises:
        ValueError: if the signature of the task does not accept the options.
    """
    try:
        signature = inspect.signature(find_task(name))
    except ValueError:  # a callable without a signature
        return
    try:
        signature.bind(0, **options)
    except TypeError as error:
        fail(f"options of {name}", f"arguments of the function {signature}", options, str(error))


def make_learner(name: str, seed: int, options: dict[str, Any] | None = None) -> Learner:
    """Seed the global generators of Python, NumPy and torch, call a task and return its Learner.

    Args:
        name: name of the task.
        seed: first argument of the task.
        options: keyword arguments of the task.

    Raises:
        TypeError: if the return value is not a Learner.
        ImportError: if a package that a built-in task requires is not installed.
    """
    task = find_task(name)
    try:
        loaded = _seed_generators(seed)
        learner = task(seed, **(options or {}))
        if _seed_generators(seed) != loaded:  # the import drew numbers, or torch was not seeded
            learner = task(seed, **(options or {}))
    except ImportError as error:
        if name not in BUILT_IN:
            raise
        message = f"{name} requires more packages ({error}); pip install 'lehr[keras,study]'"
        raise ImportError(message) from error
    if not isinstance(learner, Learner):
        fail(f"return value of {name}", "a Learner", learner, error=TypeError)
    return learner


def _seed_generators(seed: int) -> list[bool]:
    """Seed the global generators, which unseeded layers use; return which frameworks are loaded."""
    random.seed(seed)  # Keras seeds its layers with it
    np.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
    return [name in sys.modules for name in ("keras", "torch", "tensorflow", "jax")]


def source_digest(name: str) -> str:
    """Return the SHA-256 hex digest of a task's source file, excluding the modules it imports.

    The result is an empty string if the file does not exist.
    """
    if name not in BUILT_IN:
        _add_current_folder()
    try:
        spec = importlib.util.find_spec(BUILT_IN.get(name, name).partition(":")[0])
    except ModuleNotFoundError:  # the parent package does not exist
        return ""
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _file_fix(name: str) -> str:
    """Return the fix for a function that worker processes cannot import."""
    name = name if name.isidentifier() else "make"
    return (
        f"write the function to a file my_task.py (in a notebook, begin the cell with "
        f'%%writefile my_task.py) and pass task="my_task:{name}"'
    )


def _hidden_fix(module: Any) -> str:
    """Return the fix if the current folder has a file with the name of an installed module."""
    file = Path.cwd() / f"{module.__name__}.py"
    if not file.is_file() or file == Path(getattr(module, "__file__", None) or ""):
        return ""
    return f"{module.__name__} is an installed module: rename the file {file.name}"


def _add_current_folder() -> None:
    """Add the current folder at the end of ``sys.path``, before earlier current folders."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        earlier = (place for place, added in enumerate(sys.path) if added in _added)
        sys.path.insert(next(earlier, len(sys.path)), folder)
        _added.add(folder)
