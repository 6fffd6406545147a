"""The record of a training run: losses and applied values, update by update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lehr.policy import Policy
from lehr.policy import flat as flat


@dataclass
class Trace:
    """Record of a training run.

    Attributes:
        losses: training loss of each batch, before its update.
        rates: values of each hyperparameter of the policy, read from the optimizer in each update;
            "lr/head" for a parameter group.
    """

    losses: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def extend(self, losses: list[float], rates: dict[str, list[float]]) -> None:
        """Add some more updates."""
        self.losses.extend(losses)
        for name, values in rates.items():
            self.rates.setdefault(name, []).extend(values)


def scheduled(policy: Policy, first: int, steps: int, factor: float) -> list[dict[str, Any]]:
    """Return the values a policy asks for in each of some updates, the controller's factor in."""
    return [policy.written(step, factor) for step in range(first, first + steps)]
