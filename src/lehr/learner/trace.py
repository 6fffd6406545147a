"""The record of a training run: the loss and the applied values of each update."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field
from typing import Any

from lehr.policy import Policy
from lehr.policy import flat as flat
from lehr.schedule.errors import fail


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


def real(field: str, value: Any) -> float:
    """Return a real number or an array of no dimensions as a float; raise for other values.

    >>> import numpy as np
    >>> real("loss", np.float32(0.5)), real("loss", np.array(2)), real("loss", float("nan"))
    (0.5, 2.0, nan)
    """
    if type(value) is float:
        return value
    found = value
    if hasattr(value, "shape") and tuple(value.shape) == ():
        found = value.item() if hasattr(value, "item") else value.numpy().item()
    if isinstance(found, bool) or not isinstance(found, numbers.Real):
        fail(field, "a number", value, error=TypeError)
    try:
        return float(found)
    except OverflowError:
        return math.inf


def scheduled(policy: Policy, first: int, steps: int, factor: float) -> list[dict[str, Any]]:
    """Return the scheduled hyperparameters of consecutive updates.

    Args:
        policy: a policy with all lengths in integer steps.
        first: step of the policy at the first update.
        steps: number of updates.
        factor: factor on the learning rate, set by a controller.
    """
    return [policy.written(step, factor) for step in range(first, first + steps)]
