"""The range test: train with an increasing learning rate, record the loss, restore the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypedDict, get_args

from lehr.finder.sweep import Objective, Spacing, Sweep
from lehr.learner import Trace, TrainingRun, real
from lehr.policy import Policy
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.shapes import segment

_SMOOTHING = 0.9  # of the running mean that is checked for divergence


class RangeTestOptions(TypedDict, total=False):
    """The keyword arguments of `range_test`."""

    low: float
    high: float
    steps: int
    spacing: Spacing
    divergence: float
    objective: Objective


class RangeTest:
    """A range test with checked arguments (those of `range_test`); call it with a training run."""

    def __init__(
        self,
        *,
        low: float = 1e-5,
        high: float = 10.0,
        steps: int = 100,
        spacing: Spacing = "geometric",
        divergence: float = 4.0,
        objective: Objective = "training",
    ) -> None:
        low = number("low", low, above=0)
        high = number("high", high, above=0)
        if high <= low:
            fail("high", f"above low ({low:g})", high)
        self.steps = integer("steps", steps, at_least=20)
        one_of("spacing", spacing, get_args(Spacing))
        self.spacing = spacing
        self.divergence = number("divergence", divergence, above=1)
        one_of("objective", objective, get_args(Objective))
        self.objective = objective
        # the last update, number steps - 1, uses `high`
        self.policy = Policy(lr=segment(low, high, self.steps - 1, spacing))

    def __call__(self, run: TrainingRun) -> Sweep:
        """Run the test on a training run, restore the run, and return the sweep."""
        given: Any = run
        if not isinstance(given, TrainingRun):
            fix = "pass a Learner, such as lehr.torch.Learner(...)"
            fail("run", "a TrainingRun", given, fix, TypeError)

        def until(trace: Trace) -> bool:
            return _stopping_point(trace.losses, self.divergence) is not None

        with run.preserved():
            if self.objective == "validation":
                trace = _validated(run, self.policy, self.steps, until)
            else:
                trace = run.train(self.policy, self.steps, until=until)
        stop = _stopping_point(trace.losses, self.divergence)
        count, stopped = stop if stop is not None else (len(trace.losses), "end")
        rates, losses = tuple(trace.rates["lr"][:count]), tuple(trace.losses[:count])
        return Sweep(rates, losses, self.spacing, self.steps, stopped, self.objective)


def range_test(
    run: TrainingRun,
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    spacing: Spacing = "geometric",
    divergence: float = 4.0,
    objective: Objective = "training",
) -> Sweep:
    """Train with an increasing rate, record the loss of each update, and restore the run exactly.

    Source: Smith, arXiv 1506.01186; the geometric spacing is fastai's.

    Args:
        run: the training run; its state is restored bit for bit at the end, also after an error.
        low: learning rate of the first update, above 0.
        high: learning rate of the last update, above ``low``.
        steps: number of updates, at least 20.
        spacing: "geometric" (constant ratio of the rates) or "linear" (constant difference).
        divergence: above 1. The test ends when a loss is not finite, or when the running mean
            has risen from its best value by ``divergence - 1`` times the larger of that value
            and the fall before it.
        objective: "training", the loss of each batch before its update, or "validation", the
            validation loss after each update (Smith's form; slower).

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range.

    >>> import lehr, torch
    >>> x = torch.arange(8.0)[:, None] / 8
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> learner = lehr.torch.Learner(model, sgd, torch.nn.functional.mse_loss, (x, x), batch_size=4)
    >>> lehr.range_test(learner, high=1e-2, steps=20)
    <Sweep: training loss of 20 of 20 updates at 1e-05 to 0.01, geometric; ended: end>
    """
    test = RangeTest(
        low=low,
        high=high,
        steps=steps,
        spacing=spacing,
        divergence=divergence,
        objective=objective,
    )
    return test(run)


def _validated(
    run: TrainingRun, policy: Policy, steps: int, until: Callable[[Trace], bool]
) -> Trace:
    """Train one update at a time and record the validation loss after each."""
    trace = Trace()
    for step in range(steps):
        one = run.train(policy, 1, first=step)
        trace.extend([real("validation loss", run.evaluate()["loss"])], one.rates)
        if until(trace):
            break
    return trace


def _stopping_point(losses: list[float], divergence: float) -> tuple[int, str] | None:
    """Return the number of losses and the reason if the test must stop, otherwise None."""
    mean, best, highest = 0.0, math.inf, -math.inf
    for i, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            return i, "not finite"
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        level = mean / (1 - _SMOOTHING**i)
        if i == 1:
            highest = level
        best = min(best, level)
        # relative to the fall as well, so that losses below zero have a scale
        if level > best + (divergence - 1) * max(abs(best), highest - best):
            return i, "diverged"
    return None
