"""The state of a driven optimizer, a pytree, and pure functions on it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lehr.controllers import State, is_best, reduced
from lehr.schedule.errors import fail

jax.tree_util.register_dataclass(State, [field.name for field in fields(State)], [])


class Driven(NamedTuple):
    """The state of a driven optimizer: a pytree.

    Attributes:
        step: the policy's step at the next update, int32.
        control: the controller's state; its factor multiplies the rate, also without a controller.
        hyperparams: the values of the last update; "lr/head" for a parameter group.
        inner: the state of the optax optimizer.
    """

    step: jax.Array
    control: State
    hyperparams: dict[str, jax.Array]
    inner: Any


def hyperparams(state: Any) -> dict[str, jax.Array]:
    """Return the values used in the last update.

    Args:
        state: an optimizer state with one driven part, also inside ``optax.chain``.

    >>> import lehr, optax
    >>> float(lehr.jax.hyperparams(lehr.jax.drive(optax.sgd, 0.5).init(0.0))["lr"])
    0.5
    """
    return driven_part(state).hyperparams


def restored(before: Any, after: Any, params: Any, best: Any) -> tuple[Any, Any]:
    """Return ``params`` and ``best`` after a metric: a pure function, like `Driver.observe`.

    The best metric so far sets ``best`` to ``params``; a reduction sets ``params`` to ``best``.

    Args:
        before: the optimizer state passed to `Driver.observe`.
        after: the state that it returned.
        params: the weights that the metric was measured with, any pytree.
        best: the weights of the best metric; ``params`` at first.

    >>> import lehr, optax
    >>> tx = lehr.jax.drive(optax.sgd, lehr.Policy(0.1, control=lehr.Plateau(patience=1)))
    >>> before = tx.init(0.0)
    >>> best = 0.0
    >>> for weight, loss in ((1.0, 0.5), (2.0, 0.7)):
    ...     after = tx.observe(before, loss)
    ...     weight, best = lehr.jax.restored(before, after, weight, best)
    ...     before = after
    >>> float(weight)
    1.0
    """
    old, new = driven_part(before).control, driven_part(after).control
    improved, lowered = is_best(old, new), reduced(old, new)
    best = jax.tree.map(lambda p, b: jnp.where(improved, p, b), params, best)
    return jax.tree.map(lambda p, b: jnp.where(lowered, b, p), params, best), best


def arrays(control: State) -> State:
    """Convert a controller's state from numbers to scalar arrays."""

    def array(like: float, value: float) -> jax.Array:
        return jnp.asarray(value, jnp.float32 if isinstance(like, float) else jnp.int32)

    arrays: State = jax.tree.map(array, State(), control)
    return arrays


def _is_driven(part: Any) -> bool:
    return isinstance(part, Driven)


def driven_part(state: Any) -> Driven:
    """Return the one driven part of an optimizer state, or raise."""
    parts = [p for p in jax.tree.leaves(state, is_leaf=_is_driven) if _is_driven(p)]
    if len(parts) != 1:
        found, fix = f"{len(parts)} such parts", "pass the state of one part"
        fail("state", "an optimizer state with one driven part", found, fix)
    step, control, values, inner = parts[0]
    # Flax NNX wraps each array in a node
    (step,), values = jax.tree.leaves(step), {k: jax.tree.leaves(values[k])[0] for k in values}
    return Driven(step, State(*jax.tree.leaves(control)), values, inner)


def with_part(state: Any, **new: Any) -> Any:
    """Return a state of the same structure with other arrays in its driven part."""

    def put(part: Any) -> Any:
        if not _is_driven(part):
            return part
        return jax.tree.unflatten(jax.tree.structure(part), jax.tree.leaves(part._replace(**new)))

    return jax.tree.map(put, state, is_leaf=_is_driven)
