"""The range test on a user's own training step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lehr.finder import Sweep
from lehr.finder.rng import preserve_rng
from lehr.finder.run import RangeTest
from lehr.finder.sweep import Spacing
from lehr.learner import TrainingRun, cycled
from lehr.policy import Policy
from lehr.schedule.errors import fail


def range_test(
    train_step: Callable[[Any, Any, Any], tuple[Any, Any]],
    state: Any,
    data: Iterable[Any],
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    spacing: Spacing = "geometric",
    divergence: float = 4.0,
    evaluate: Callable[[Any], Any] | None = None,
) -> Sweep:
    """Train a copy of a state with an increasing rate and record the loss of each update.

    The state that is passed in is not modified. The random generators of Python, NumPy, ``data``
    and, if it is loaded, torch are restored. Source: Smith, arXiv 1506.01186.

    Args:
        train_step: ``train_step(state, batch, rate)`` returns the next state and the loss of the
            batch; ``rate`` is a float32 scalar, so a jitted step compiles once. It may donate the
            state.
        state: any pytree: parameters, optimizer state, random keys.
        data: training batches; restarted if the test is longer.
        low: learning rate of the first update, above 0.
        high: learning rate of the last update, above ``low``.
        steps: number of updates, at least 20.
        spacing: of the rates: "geometric" (a constant ratio) or "linear" (a constant difference).
        divergence: above 1. The test ends when a loss is not finite, or when the running mean
            has risen from its best value by ``divergence - 1`` times the larger of that value
            and the fall before it.
        evaluate: ``evaluate(state)``, a loss that is recorded after each update instead of the
            training loss.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, the loss is not a scalar, or there are too few
            batches.

    >>> import jax, lehr
    >>> @jax.jit
    ... def train_step(weight, x, rate):
    ...     loss, slope = jax.value_and_grad(lambda w: ((w * x - 2 * x) ** 2).mean())(weight)
    ...     return weight - rate * slope, loss
    >>> sweep = lehr.jax.range_test(train_step, 0.0, [jax.numpy.ones(4)], high=1.0)
    >>> sweep.losses[0], round(sweep.rates[-1], 6)
    (4.0, 1.0)
    """
    test = RangeTest(
        low=low,
        high=high,
        steps=steps,
        spacing=spacing,
        divergence=divergence,
        objective="training" if evaluate is None else "validation",
    )
    with preserve_rng(data):
        return test(_Run(train_step, state, data, evaluate))


@dataclass
class _Run(TrainingRun):
    """The user's training step during a range test."""

    train_step: Callable[[Any, Any, Any], tuple[Any, Any]]
    state: Any
    data: Iterable[Any]
    loss: Callable[[Any], Any] | None

    def __post_init__(self) -> None:
        self._state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self.state)
        self._batches = cycled("data", self.data)

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        losses, rates = [], []
        for wanted in values:
            rate = jnp.float32(wanted["lr"])
            self._state, loss = self.train_step(self._state, next(self._batches), rate)
            if jnp.shape(loss) != ():
                fail("loss", "a scalar", f"shape {jnp.shape(loss)}", "return its mean")
            losses.append(loss)
            rates.append(rate)
        return jnp.stack(losses).tolist(), {"lr": jnp.stack(rates).tolist()}

    def evaluate(self) -> dict[str, float]:
        assert self.loss is not None  # called for the objective "validation" only
        return {"loss": float(self.loss(self._state))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        try:
            yield  # the caller's own state is never modified
        finally:
            self._state = None
