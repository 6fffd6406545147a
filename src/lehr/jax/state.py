"""The state of a driven optax optimizer (a pytree), and pure functions of it."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lehr.controllers import State, is_best, reduced
from lehr.schedule.errors import fail

_NAMES = [field.name for field in fields(State)]
jax.tree_util.register_dataclass(State, _NAMES, [])
# the state in the pytree: flax's serialization supports named tuples, and no dataclasses
Control = NamedTuple("Control", [(name, Any) for name in _NAMES])  # type: ignore[misc]


class Driven(NamedTuple):
    """The state of a driven optax optimizer, a pytree.

    Attributes:
        step: step of the policy at the next update, int32.
        control: state of the controller, a named tuple with the fields of
            `lehr.controllers.State`; its factor multiplies the learning rate, also without a
            controller.
        hyperparams: values of the last update by name, initially those of the first update;
            "lr/head" for a parameter group.
        inner: the state of the optax optimizer.
    """

    step: jax.Array
    control: Any
    hyperparams: dict[str, jax.Array]
    inner: Any


def hyperparams(state: Any) -> dict[str, jax.Array]:
    """Return the hyperparameters of the last update by name, as scalar arrays.

    Before the first update they are the hyperparameters of the first update.

    Args:
        state: an optimizer state with one `Driven` part, which may be nested inside
            ``optax.chain``.

    Raises:
        ValueError: if the state does not have exactly one `Driven` part.

    >>> import lehr, optax
    >>> float(lehr.jax.hyperparams(lehr.jax.drive(optax.sgd, 0.5).init(0.0))["lr"])
    0.5
    """
    return driven_part(state).hyperparams


def restored(before: Any, after: Any, params: Any, best: Any) -> tuple[Any, Any]:
    """Copy or restore the best weights after a metric; the equivalent of ``restore_best``.

    If the metric improved, the returned ``best`` is ``params``. If the controller reduced the
    learning rate, the returned ``params`` is ``best``. The function is pure, like
    `Driver.observe`.

    Args:
        before: the optimizer state passed to `Driver.observe`.
        after: the optimizer state returned by `Driver.observe`.
        params: the weights for which the metric was computed, any pytree.
        best: the weights of the best metric; initially ``params``.

    Returns:
        The pair ``(params, best)``.

    Raises:
        ValueError: if a state does not have exactly one `Driven` part.

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


def arrays(control: State) -> Any:
    """Convert a controller state from numbers to a named tuple of arrays (float32 and int32)."""

    def array(like: float, value: float) -> jax.Array:
        return jnp.asarray(value, jnp.float32 if isinstance(like, float) else jnp.int32)

    return Control(*map(array, astuple(State()), astuple(control)))


def cast_like(tree: Any, like: Any) -> Any:
    """Cast the arrays of a tree to the dtypes of another tree with the same structure."""

    def cast(array: Any, model: Any) -> Any:
        dtype = jnp.result_type(model)
        return array if jnp.result_type(array) == dtype else jnp.asarray(array, dtype)

    return jax.tree.map(cast, tree, like)


def _is_driven(part: Any) -> bool:
    return isinstance(part, Driven)


def driven_part(state: Any) -> Driven:
    """Return the `Driven` part of an optimizer state; raise ValueError unless there is one."""
    parts = [p for p in jax.tree.leaves(state, is_leaf=_is_driven) if _is_driven(p)]
    if len(parts) != 1:
        found, fix = f"{len(parts)} of them", "pass the state of one driver"
        if not parts:
            found, fix = type(state).__name__, "pass the result of tx.init or tx.update"
        fail("state", "a state created by lehr.jax.drive", found, fix)
    step, control, values, inner = parts[0]
    # Flax NNX wraps each array in a pytree node
    (step,), values = jax.tree.leaves(step), {k: jax.tree.leaves(values[k])[0] for k in values}
    return Driven(step, State(*jax.tree.leaves(control)), values, inner)


def with_part(state: Any, **new: Any) -> Any:
    """Return the state with new arrays in its `Driven` part; the structure does not change."""

    def replace_part(part: Any) -> Any:
        if not _is_driven(part):
            return part
        return jax.tree.unflatten(jax.tree.structure(part), jax.tree.leaves(part._replace(**new)))

    return jax.tree.map(replace_part, state, is_leaf=_is_driven)
