"""Access to the private names of Keras that lehr uses.

A missing name raises RuntimeError, or has a fallback.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any, NoReturn

import keras

from lehr.schedule.errors import fail

SUPPORTED = ("3.12.0", "3.15.1")  # Keras: the oldest and the newest tested version

_EXCLUSIONS = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")


def _missing(name: str, purpose: str) -> NoReturn:
    rule = f"a version with {name}, which lehr uses to {purpose}"
    oldest, newest = SUPPORTED
    fix = f"install keras>={oldest},<={newest}, which lehr supports"
    fail("Keras", rule, keras.__version__, fix, RuntimeError)


def _read(owner: Any, name: str, purpose: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        # __class__, not type(): the owner may be a weak proxy
        _missing(f"{owner.__class__.__name__}.{name}", purpose)


def flatten_layers(model: Any) -> list[Any]:
    """Return a model and all its layers, including nested ones; ``layers`` omits nested ones."""
    return list(_read(model, "_flatten_layers", "find all layers of a model")())


def sublayers(layer: Any) -> list[Any]:
    """Return the direct sublayers of any layer; the layer need not be a model."""
    return list(_read(layer, "_layers", "find the layers inside a layer"))


def takes_training(model: Any) -> bool:
    """Return whether a model's ``call`` accepts ``training``, explicitly or by ``**kwargs``."""
    return bool(_read(model, "_call_has_training_arg", "call a model with or without `training`"))


def symbolic_build(model: Any, batch: Any) -> None:
    """Build a model and its metrics from a batch, as ``fit`` does before the first step."""
    _read(model, "_symbolic_build", "build a model as fit does")(data_batch=batch)


def compile_config(model: Any) -> Any:
    """Return an object that ``compile`` replaces, used as a cache key; None if there is none."""
    return getattr(model, "_compile_config", None)


def learning_rate(optimizer: Any) -> Any:
    """Return the variable, schedule or function of the rate; the public name returns its value."""
    return _read(optimizer, "_learning_rate", "find the source of an optimizer's rate")


def batches_applied(optimizer: Any) -> Any:
    """Return the count of batches; with gradient accumulation, ``iterations`` is another one."""
    return _read(optimizer, "_iterations", "count the batches of an optimizer")


def stale_count(optimizer: Any) -> bool:
    """Return whether the code is traced on JAX without the update count as a traced value.

    In a traced step of Keras on JAX, the values of variables are available only in a
    ``keras.StatelessScope`` that contains them; ``fit`` removes them from the variables.
    """
    if keras.backend.backend() != "jax":
        return False
    import jax

    variable = _read(optimizer, "_iterations", "read the update count in a traced step")
    try:
        count = variable.value
    except TypeError:  # the variable has neither a value nor an initializer
        return True
    traced = isinstance(keras.ops.add(count, 0), jax.core.Tracer)
    return traced and not isinstance(count, jax.core.Tracer)


def track_variable(optimizer: Any, variable: Any) -> None:
    """Add a variable to ``optimizer.variables``; on JAX a traced step includes only these."""
    _read(optimizer, "_track_variable", "add a variable to an optimizer")(variable)


def untrack_variable(optimizer: Any, variable: Any) -> None:
    """Remove a variable added by `track_variable` from ``optimizer.variables``."""
    _read(optimizer, "_untrack_variable", "remove a variable from an optimizer")(variable)


def reset_accumulation(optimizer: Any) -> None:
    """Discard the accumulated gradients, so that the next micro-batch is the first of an update.

    ``_iterations`` counts micro-batches; the public ``iterations`` counts updates.
    """
    purpose = "discard accumulated gradients"
    count = _read(optimizer, "_iterations", purpose)
    accumulated: Iterable[Any] = _read(optimizer, "_accumulated_gradients", purpose)
    count.assign(optimizer.iterations * optimizer.gradient_accumulation_steps)
    for gradients in accumulated:
        gradients.assign(keras.ops.zeros(gradients.shape, gradients.dtype))


def copy_weight_decay_exclusions(source: Any, target: Any) -> None:
    """Copy the exclusions of ``exclude_from_weight_decay``; ``get_config`` omits them."""
    _check_exclusions()
    for name in _EXCLUSIONS:
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))


@functools.cache
def _check_exclusions() -> None:
    """Raise unless ``exclude_from_weight_decay`` sets the attributes that are copied."""
    optimizer = keras.optimizers.SGD(weight_decay=0.1, name="check_exclusions")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    for name in _EXCLUSIONS:
        if name not in vars(optimizer):
            _missing(f"Optimizer.{name}", "copy the weights that do not decay")


def unpickled(buffer: Any) -> Any:
    """Return an optimizer that was serialized by ``Optimizer.__reduce__``."""
    return _read(keras.optimizers.Optimizer, "_unpickle_model", "copy an optimizer")(buffer)


def epochs_of_fit() -> int:
    """Return the number of epochs of the ``fit`` that called the optimizer; 1 if unknown."""
    frame = inspect.currentframe()
    while frame is not None:
        arguments = frame.f_locals
        if frame.f_code.co_name == "fit" and isinstance(arguments.get("epochs"), int):
            return int(arguments["epochs"]) - int(arguments.get("initial_epoch") or 0)
        frame = frame.f_back
    return 1


def global_seed_generator() -> Any:
    """Return the global generator of ``keras.random``; None before its first use."""
    return _global_state().get_global_attribute("global_seed_generator")


def set_global_seed_generator(generator: Any) -> None:
    """Set the global generator of ``keras.random``, or remove it (None)."""
    _global_state().set_global_attribute("global_seed_generator", generator)


def _global_state() -> Any:
    try:
        from keras.src.backend.common import global_state
    except ImportError:
        _missing("keras.src.backend.common.global_state", "restore the generator of keras.random")
    return global_state
