"""The range test on a user's own training step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lehr import finder
from lehr.finder import Sweep
from lehr.finder.rng import preserve_rng
from lehr.finder.sweep import Objective
from lehr.learner import TrainingRun, cycled
from lehr.policy import Policy
from lehr.schedule.errors import fail


def range_test(
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    batches: Iterable[Any],
    *,
    evaluate: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Sweep:
    """Train a copy of a state with a rising rate and record the loss of each update.

    The random generators of Python, NumPy, ``batches`` and, if loaded, torch are restored.

    Args:
        step: ``step(state, batch, rate)`` returns the next state and the batch's loss; ``rate`` is
            a float32 scalar, so a jitted step compiles once. It may donate the state.
        state: any pytree: parameters, the optimizer's state, random keys.
        batches: training batches; restarted if the test is longer.
        evaluate: record ``evaluate(state)`` after each update, not the training loss.
        **options: low, high, steps, spacing, divergence of `lehr.range_test`.

    Raises:
        ValueError: if an argument is out of range, or there are too few batches.

    >>> import jax, lehr
    >>> @jax.jit
    ... def step(weight, x, rate):
    ...     loss, slope = jax.value_and_grad(lambda w: ((w * x - 2 * x) ** 2).mean())(weight)
    ...     return weight - rate * slope, loss
    >>> sweep = lehr.jax.range_test(step, 0.0, [jax.numpy.ones(4)], high=1.0)
    >>> sweep.losses[0], round(sweep.rates[-1], 6)
    (4.0, 1.0)
    """
    objective: Objective = "training" if evaluate is None else "validation"
    with preserve_rng(batches):
        run = _Run(step, state, batches, evaluate)
        return finder.range_test(run, objective=objective, **options)


@dataclass
class _Run(TrainingRun):
    """The user's training step during a range test."""

    step: Callable[[Any, Any, Any], tuple[Any, Any]]
    state: Any
    batches: Iterable[Any]
    loss: Callable[[Any], Any] | None

    def __post_init__(self) -> None:
        self._state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self.state)
        self._batches = cycled("batches", self.batches)

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        losses, rates = [], []
        for wanted in values:
            rate = jnp.float32(wanted["lr"])
            self._state, loss = self.step(self._state, next(self._batches), rate)
            if jnp.shape(loss) != ():
                fail("loss", "a scalar", f"shape {jnp.shape(loss)}", "return its mean")
            losses.append(loss)
            rates.append(rate)
        return jnp.stack(losses).tolist(), {"lr": jnp.stack(rates).tolist()}

    def evaluate(self) -> dict[str, float]:
        assert self.loss is not None  # only a test of the validation loss evaluates
        return {"loss": float(self.loss(self._state))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        try:
            yield  # the caller's own state is never modified
        finally:
            self._state = None
