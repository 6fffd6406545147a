"""The weights of the best metric, for a controller with ``restore_best``."""

from __future__ import annotations

import copy
from typing import Any

import torch

from lehr.controllers import State, is_best, reduced


class BestWeights:
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
