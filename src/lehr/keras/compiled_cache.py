"""A cache of compiled blocks of updates, so that a second range test compiles nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras

from lehr.keras import _private
from lehr.keras.blocks import BLOCKS
from lehr.keras.hyperparameters import plain_variable


class CompiledCache:
    """The compiled block of one model; ``rate`` is lent to an optimizer that has a schedule."""

    def __init__(self, settings: list[Any]) -> None:
        self.settings = settings
        self.rate = plain_variable(0.0, "rate")
        self._block: Callable[..., Any] | None = None

    def block(self, model: keras.Model, rate: Any) -> Callable[..., Any]:
        """Return the function that makes a block of updates, the cached one if there is one."""
        make = BLOCKS[keras.backend.backend()]
        if keras.backend.backend() == "torch":  # compiles nothing, or has its own cache
            return make(model, [rate])
        if self._block is None:
            # a proxy: the cache must not keep the model alive
            self._block = make(weakref.proxy(model), [rate])
        return self._block


def compiled_cache(model: keras.Model) -> CompiledCache:
    """Return the model's cache: a new one after ``compile`` or a change of what is compiled in."""
    compilation, settings = _private.compile_config(model), _settings(model)
    if compilation is None:
        return CompiledCache(settings)
    found = _CACHE.get(compilation)
    if found is None or found.settings != settings:
        found = _CACHE[compilation] = CompiledCache(settings)
    return found


_CACHE: weakref.WeakKeyDictionary[Any, CompiledCache] = weakref.WeakKeyDictionary()


def _settings(model: keras.Model) -> list[Any]:
    """Return what is compiled into a block and can change without ``model.compile``."""
    optimizer = model.optimizer
    config = dict(getattr(optimizer, "inner_optimizer", optimizer).get_config())
    config.pop("learning_rate", None)  # a variable: not compiled in
    trained = [id(variable) for variable in model.trainable_variables]
    return [optimizer, repr(config), trained, model.jit_compile, model.run_eagerly]
