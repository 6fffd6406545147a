"""The learning-rate range test for JAX training steps."""

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

    Update n of N uses the rate ``low * (high / low) ** (n / (N - 1))``, or with linear spacing
    ``low + (high - low) * n / (N - 1)``.

    ``state`` is not modified. The random generators of Python, NumPy, ``data`` and (if it is
    loaded) torch are restored.

    Source: Smith, arXiv 1506.01186.

    Args:
        train_step: ``train_step(state, batch, rate)``, which returns the next state and the loss
            of the batch. ``rate`` is a float32 scalar, so a jitted step is compiled only once. The
            step may donate the state.
        state: any pytree, for example parameters, optimizer state and random keys.
        data: training batches; the iterable is restarted at its end.
        low: learning rate of the first update, above 0.
        high: learning rate of the last update, above ``low``.
        steps: number of updates, at least 20.
        spacing: spacing of the rates: "geometric" (a constant ratio) or "linear" (a constant
            difference).
        divergence: early-stopping threshold, above 1. The test ends when a loss is not finite, or
            when the running mean of the loss has increased from its minimum by ``divergence - 1``
            times the larger of the minimum and the decrease before it.
        evaluate: ``evaluate(state)``, which returns the validation loss; it is recorded after each
            update instead of the training loss.

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
    """Training run of a range test on the user's training step."""

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
            yield  # updates are made on a copy of the state
        finally:
            self._state = None
