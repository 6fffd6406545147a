"""The training-run interface, implemented once per framework and used by range tests."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

from lehr.learner.trace import Trace, real, scheduled
from lehr.policy import Policy, as_policy
from lehr.schedule.errors import fail, integer

_UNTIL_BLOCK = 16  # maximum number of updates between two calls of `until`


class TrainingRun(ABC):
    """A training run under a policy; an adapter implements one block of updates."""

    block: int = _UNTIL_BLOCK
    """Maximum number of updates in one call of `make_updates`."""

    @final
    def train(
        self,
        policy: Policy,
        steps: int,
        *,
        first: int = 0,
        factor: float = 1.0,
        until: Callable[[Trace], bool] | None = None,
    ) -> Trace:
        """Train for ``steps`` updates under a policy and return the losses and rates.

        Args:
            policy: a policy with all lengths in integer steps; see ``Policy.resolve``.
            steps: number of updates, at least 0.
            first: step of the policy at the first update.
            factor: factor on the learning rate, set by a controller.
            until: called with the trace after each block of at most 16 updates; training stops
                when it returns True.

        Raises:
            TypeError: if ``steps`` is not an integer, or a loss or a rate is not a number.
            ValueError: if ``steps`` is negative, the policy has unresolved lengths, or
                `make_updates` returns the wrong number of losses or values.
        """
        policy, steps = as_policy(policy), integer("steps", steps, at_least=0)
        if not policy.resolved:
            fix = "call .resolve(steps, ...) with the sizes of the run"
            fail("policy", "in integer steps before training", policy, fix)
        block = self.block if until is None else min(self.block, _UNTIL_BLOCK)
        trace = Trace()
        with self.training(policy):
            while (done := len(trace.losses)) < steps:
                size = min(block, steps - done)
                values = scheduled(policy, first + done, size, factor)
                losses, applied = self.make_updates(policy, values)
                if any(len(column) != size for column in (losses, *applied.values())):
                    rule = f"a loss and a value of each hyperparameter for {size} updates"
                    counts = {"losses": len(losses)} | {k: len(v) for k, v in applied.items()}
                    fail("result of make_updates", rule, counts)
                losses = [real("loss", loss) for loss in losses]
                applied = {k: [real(k, value) for value in column] for k, column in applied.items()}
                trace.extend(losses, applied)
                if until is not None and until(trace):
                    break
        return trace

    @abstractmethod
    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        """Make one update for each entry of ``values``.

        Args:
            policy: the policy that the values are computed from; ``policy.targets`` names them.
            values: hyperparameters of each update by name, as `Policy.values` returns them.

        Returns:
            The loss of each update, computed before the update, and the applied values of each
            hyperparameter, read from the optimizer ("lr/head" for a parameter group).
        """

    def training(self, policy: Policy) -> contextlib.AbstractContextManager[None]:
        """Return the context manager around all updates; an adapter validates the policy here."""
        return contextlib.nullcontext()

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Return the metrics on the validation data, "loss" among them."""

    @abstractmethod
    def preserved(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that restores the state of the run on exit."""
