"""The record of a training run: the loss and the applied values of each update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lehr.policy import Policy
from lehr.policy import flat as flat


@dataclass
class Trace:
    """Record of a training run.

    Attributes:
        losses: training loss of each batch, computed before its update.
        rates: values of each hyperparameter of the policy, read from the optimizer in each update;
            the key of a parameter group is "lr/head".

    >>> trace = Trace()
    >>> trace.extend([2.5, 2.25], {"lr": [0.1, 0.05]})
    >>> trace.losses, trace.rates
    ([2.5, 2.25], {'lr': [0.1, 0.05]})
    """

    losses: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def extend(self, losses: list[float], rates: dict[str, list[float]]) -> None:
        """Append the losses and the values of further updates."""
        self.losses.extend(losses)
        for name, values in rates.items():
            self.rates.setdefault(name, []).extend(values)


def scheduled(policy: Policy, first: int, steps: int, factor: float) -> list[dict[str, Any]]:
    """Return the scheduled hyperparameters of consecutive updates.

    Args:
        policy: a policy with all lengths in integer steps.
        first: step of the policy at the first update.
        steps: number of updates.
        factor: factor on the learning rate, set by a controller.
    """
    return [policy.written(step, factor) for step in range(first, first + steps)]
