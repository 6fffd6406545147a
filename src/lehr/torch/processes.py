"""Several processes that train together: how many, and means over all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, distributed

from lehr.schedule.errors import fail


def processes() -> int:
    """Return how many processes train together."""
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if running else 1


def metric_mean(metric: float) -> float:
    """Return the mean of a metric over all processes, so that they decide alike."""
    return float(all_reduce_mean(torch.tensor(_number(metric), dtype=torch.float64)))


def _number(metric: Any) -> float:
    """Return a number, or the one in a tensor or an array, or raise."""
    with suppress(TypeError, ValueError, RuntimeError, OverflowError):
        if not isinstance(metric, str | bytes):
            return float(metric)
    fail("metric", "one number", metric, error=TypeError)


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the means of some values over all processes."""
    if processes() == 1:
        return values
    cpu = "gloo" in str(distributed.get_backend())
    device = torch.device("cpu") if cpu else torch.device("cuda", torch.cuda.current_device())
    total = values.detach().to(device, copy=True)
    distributed.all_reduce(total)
    return total / processes()
