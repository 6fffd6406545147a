"""A cache of compiled blocks of updates; a second range test reuses the compiled block."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras

from lehr.keras import _private
from lehr.keras.blocks import BLOCKS
from lehr.keras.hyperparameters import plain_variable


class CompiledCache:
    """The compiled block of one model.

    Attributes:
        settings: the settings that are compiled into the block.
        rate: a variable that temporarily replaces the schedule of an optimizer.
    """

    def __init__(self, settings: list[Any]) -> None:
        self.settings = settings
        self.rate = plain_variable(0.0, "rate")
        self._block: Callable[..., Any] | None = None

    def block(self, model: keras.Model, rate: Any) -> Callable[..., Any]:
        """Return the block function of a model, from the cache if possible."""
        make = BLOCKS[keras.backend.backend()]
        if keras.backend.backend() == "torch":  # eager, or cached by torch.compile
            return make(model, [rate])
        if self._block is None:
            # weak proxy: the cache must not extend the lifetime of the model
            self._block = make(weakref.proxy(model), [rate])
        return self._block


def compiled_cache(model: keras.Model) -> CompiledCache:
    """Return the model's cache; ``compile`` or a change of the settings creates a new one."""
    compilation, settings = _private.compile_config(model), _settings(model)
    if compilation is None:
        return CompiledCache(settings)
    found = _CACHE.get(compilation)
    if found is None or found.settings != settings:
        found = _CACHE[compilation] = CompiledCache(settings)
    return found


_CACHE: weakref.WeakKeyDictionary[Any, CompiledCache] = weakref.WeakKeyDictionary()


def _settings(model: keras.Model) -> list[Any]:
    """Return the settings that are compiled into a block and can change without ``compile``."""
    optimizer = model.optimizer
    config = dict(getattr(optimizer, "inner_optimizer", optimizer).get_config())
    config.pop("learning_rate", None)  # a variable, which is not compiled in
    trained = [id(variable) for variable in model.trainable_variables]
    return [optimizer, repr(config), trained, model.jit_compile, model.run_eagerly]
