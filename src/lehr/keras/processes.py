"""All-reduce of values over several training processes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


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
