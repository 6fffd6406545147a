"""What a range test keeps for the next one of the same compiled model: its graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras

from lehr.keras.blocks import BLOCKS
from lehr.keras.hyperparameters import plain_variable


class CompiledCache:
    """What one call of ``model.compile`` has led to.

    Attributes:
        rate: a variable to lend to an optimizer whose rate is none, a schedule's place.
    """

    def __init__(self, settings: list[Any]) -> None:
        self.settings = settings
        self.rate = plain_variable(0.0, "rate")
        self._block: Callable[..., Any] | None = None

    def block(self, model: keras.Model, rate: Any) -> Callable[..., Any]:
        """Return the function that makes a block of updates, compiled by an earlier test or not."""
        make = BLOCKS[keras.backend.backend()]
        if keras.backend.backend() == "torch":  # which compiles nothing, or keeps it itself
            return make(model, [rate])
        if self._block is None:
            # by a proxy: what is kept must not keep the model
            self._block = make(weakref.proxy(model), [rate])
        return self._block


def compiled_cache(model: keras.Model) -> CompiledCache:
    """Return what an earlier test left, unless something that its graph holds has changed.

    Keras makes an object for each call of ``compile``; what is kept lives as long as that does.
    """
    compilation, settings = model._compile_config, _settings(model)
    found = _CACHE.get(compilation)
    if found is None or found.settings != settings:
        found = _CACHE[compilation] = CompiledCache(settings)
    return found


_CACHE: weakref.WeakKeyDictionary[Any, CompiledCache] = weakref.WeakKeyDictionary()


def _settings(model: keras.Model) -> list[Any]:
    """Return what can change without ``compile`` and is written into a graph."""
    optimizer = model.optimizer
    config = dict(getattr(optimizer, "inner_optimizer", optimizer).get_config())
    config.pop("learning_rate", None)  # a variable of the graph
    trained = [id(variable) for variable in model.trainable_variables]
    return [optimizer, repr(config), trained, model.jit_compile, model.run_eagerly]
