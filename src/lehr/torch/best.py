"""What controllers need of a torch run: one metric for all processes, the best weights."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import torch
from lehr.controllers import State, is_best, reduced
from lehr.schedule.errors import fail
from torch import Tensor, distributed


class Best:
    """The weights of the best metric, for a controller that goes back to them."""

    def __init__(self, weights: dict[str, Any] | None = None) -> None:
        self._weights = weights

    def follow(self, before: State, after: State, model: torch.nn.Module) -> None:
        """Keep the model's weights if the metric is the best; bring them back at a reduction."""
        if is_best(before, after):
            self._weights = copy.deepcopy(model.state_dict())
        elif reduced(before, after) and self._weights is not None:
            model.load_state_dict(self._weights)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs: nothing, if there is nothing to go back to."""
        return {} if self._weights is None else {"best": self._weights}


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
