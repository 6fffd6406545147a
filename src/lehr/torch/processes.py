"""Process count and all-reduced means under ``torch.distributed``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, distributed

from lehr.schedule.errors import fail


def processes() -> int:
    """Return the world size of ``torch.distributed``, or 1 if it is not initialized."""
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if running else 1


def metric_mean(metric: float) -> float:
    """Average a metric over all processes (all-reduce), so every rank makes the same decision."""
    return float(all_reduce_mean(torch.tensor(_number(metric), dtype=torch.float64)))


def _number(metric: Any) -> float:
    """Convert a number, or a tensor or array with one element, to float, or raise TypeError."""
    with suppress(TypeError, ValueError, RuntimeError, OverflowError):
        if not isinstance(metric, str | bytes):
            return float(metric)
    fail("metric", "one number", metric, error=TypeError)


def all_reduce_mean(values: Tensor) -> Tensor:
    """Average each value over all processes (all-reduce)."""
    if processes() == 1:
        return values
    cpu = "gloo" in str(distributed.get_backend())
    device = torch.device("cpu") if cpu else torch.device("cuda", torch.cuda.current_device())
    total = values.detach().to(device, copy=True)
    distributed.all_reduce(total)
    return total / processes()
