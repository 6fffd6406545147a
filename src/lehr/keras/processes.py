"""Several training processes or devices: all-reduce of values, creation of variables."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which variables of a model are created (``tf.distribute``)."""
    strategy = getattr(model, "distribute_strategy", None)
    scope: contextlib.AbstractContextManager[Any]
    scope = contextlib.nullcontext() if strategy is None else strategy.scope()
    return scope


def all_reduce_mean(value: Any) -> Any:
    """Average a value over all processes of ``torch.distributed`` (all-reduce)."""
    if keras.backend.backend() != "torch":
        return value
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    values: list[Any] = [None] * distributed.get_world_size()
    # gathering objects works on CPU and GPU process groups
    distributed.all_gather_object(values, keras.ops.convert_to_numpy(value))
    return np.mean(values, axis=0)
