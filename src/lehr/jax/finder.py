"""The learning-rate range test for JAX training steps."""

from __future__ import annotations

import contextlib
import inspect
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
    _check_step(train_step)
    with preserve_rng(data):
        return test(_Run(train_step, state, data, evaluate))


def _check_step(train_step: Any) -> None:
    """Raise TypeError unless ``train_step`` accepts a state, a batch and a rate."""
    rule = "a function train_step(state, batch, rate)"
    if not callable(train_step):
        fail("train_step", rule, train_step, error=TypeError)
    try:
        signature = inspect.signature(train_step)
    except (TypeError, ValueError):  # a function without a signature
        return
    try:
        signature.bind(None, None, None)
    except TypeError:
        name = getattr(train_step, "__name__", type(train_step).__name__)
        fail("train_step", rule, f"{name}{signature}", error=TypeError)


def _checked(result: Any, state: Any) -> tuple[Any, Any]:
    """Return the next state and the loss; raise unless ``result`` is these in this order."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        fail("result of train_step", "(state, loss)", type(result).__name__, error=TypeError)
    new, loss = result
    if not jax.tree_util.all_leaves([loss]):
        kinds = f"({type(new).__name__}, {type(loss).__name__})"
        fail("result of train_step", "(state, loss)", kinds, error=TypeError)
    if jnp.shape(loss) != ():
        swapped = _shapes(new) != _shapes(state) == _shapes(loss)
        fix = "return (state, loss), in this order" if swapped else "return its mean"
        fail("loss", "a scalar", f"shape {jnp.shape(loss)}", fix)
    return new, loss


def _shapes(tree: Any) -> list[Any]:
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]


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
            result = self.train_step(self._state, next(self._batches), rate)
            self._state, loss = _checked(result, self.state)
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
