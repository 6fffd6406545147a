"""The range test: raise the learning rate step by step, watch the loss, put everything back."""

from __future__ import annotations

import math
from collections.abc import Callable

from lehr.finder.sweep import OBJECTIVES, SPACINGS, Sweep
from lehr.learner import Trace, TrainingRun
from lehr.policy import Policy
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.shapes import segment

_SMOOTHING = 0.9  # of the running mean that is watched for divergence


def range_test(
    run: TrainingRun,
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    spacing: str = "exponential",
    divergence: float = 4.0,
    objective: str = "training",
) -> Sweep:
    """Train with a rising rate, record the loss at each, and restore the run exactly.

    Source: Smith, arXiv 1506.01186; the exponential spacing is fastai's.

    Args:
        run: the training run; restored bit for bit at the end, also after an error.
        low: first rate, above 0.
        high: last rate, above ``low``.
        steps: updates, at least 20.
        spacing: "exponential" (a constant ratio) or "linear" (a constant difference).
        divergence: above 1. The test stops when a loss is not finite, or when the running mean
            has risen from its best value by ``divergence - 1`` times the larger of that value
            and the fall before it.
        objective: "training", the loss of each batch before its update, or "validation", the
            validation loss after each update (Smith's form; slower).

    Raises:
        ValueError: if an argument is out of range.
    """
    low = number("low", low, above=0)
    high = number("high", high, above=0)
    if high <= low:
        fail("high", f"above low ({low:g})", high)
    steps = integer("steps", steps, at_least=20)
    divergence = number("divergence", divergence, above=1)
    curve = "geometric" if one_of("spacing", spacing, SPACINGS) == "exponential" else "linear"
    # the last update, number steps - 1, is made at `high`
    policy = Policy(lr=segment(low, high, steps - 1, curve))

    def until(trace: Trace) -> bool:
        return _stopping_point(trace.losses, divergence) is not None

    validated = one_of("objective", objective, OBJECTIVES) == "validation"
    with run.preserved():
        if validated:
            trace = _validated(run, policy, steps, until)
        else:
            trace = run.train(policy, steps, until=until)
    stop = _stopping_point(trace.losses, divergence)
    kept, stopped = stop if stop is not None else (len(trace.losses), "end")
    rates, losses = tuple(trace.rates["lr"][:kept]), tuple(trace.losses[:kept])
    return Sweep(rates, losses, spacing, steps, stopped, objective)


def _validated(
    run: TrainingRun, policy: Policy, steps: int, until: Callable[[Trace], bool]
) -> Trace:
    """Train one update at a time; the trace's losses are those of the validation split."""
    trace = Trace()
    for step in range(steps):
        one = run.train(policy, 1, first=step)
        trace.extend([run.evaluate()["loss"]], one.rates)
        if until(trace):
            break
    return trace


def _stopping_point(losses: list[float], divergence: float) -> tuple[int, str] | None:
    """Return how many losses count and why the test ends there, or None to go on."""
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
