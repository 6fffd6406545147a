"""A Keras Learner that also evaluates Monte Carlo dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lehr.keras import Learner, MonteCarlo


class MonteCarloLearner(Learner):
    """A Learner whose `evaluate` adds "monte_carlo_accuracy" on chosen splits.

    Args:
        args: positional arguments of `lehr.keras.Learner`.
        monte_carlo: number of passes by split, for example ``{"test": 100}``.
        kwargs: keyword arguments of `lehr.keras.Learner`.
    """

    def __init__(
        self, *args: Any, monte_carlo: Mapping[str, int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._passes = dict(monte_carlo or {})
        if self._passes:
            self._monte_carlo = MonteCarlo(self.model, activation="softmax")

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        metrics = super().evaluate(split)
        if split in self._passes:
            x, y = self._splits[split]  # type: ignore[misc]  # super().evaluate checks it
            found = self._monte_carlo.predict(x, self._passes[split], batch_size=1000)
            metrics["monte_carlo_accuracy"] = float(np.mean(found.classes == y))
        return metrics
