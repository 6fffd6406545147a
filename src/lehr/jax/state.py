"""The state of a driven optimizer: read, shown metrics, saved, taken up again. Pure functions."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lehr.controllers import Controller, State, is_best, reduced
from lehr.learner.driver_state import read_state, saved_state
from lehr.policy import Policy, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail
from lehr.schedule.length import Length

jax.tree_util.register_dataclass(State, [field.name for field in fields(State)], [])


class Driven(NamedTuple):
    """The state of a driven optimizer: a pytree.

    Attributes:
        step: updates made so far, int32.
        control: the controller's state; its factor multiplies the rate even without a controller.
        hyperparams: the values of the last update; "lr/head" for a parameter group.
        inner: the state of the optax optimizer.
    """

    step: jax.Array
    control: State
    hyperparams: dict[str, jax.Array]
    inner: Any


def hyperparams(state: Any) -> dict[str, jax.Array]:
    """Return the values used in the last update, from an optimizer state with one driven part.

    >>> import lehr, optax
    >>> float(lehr.jax.hyperparams(lehr.jax.drive(optax.sgd, 0.5).init(0.0))["lr"])
    0.5
    """
    return driven_part(state).hyperparams


def observe(policy: Policy, state: Any, metric: Any) -> Any:
    """Return the optimizer state after a metric; the next update uses the controller's factor.

    A pure function, also for ``jit``, ``lax.scan`` and ``lax.cond``. All processes must give the
    same metric, for example a ``jax.lax.pmean``.

    Args:
        policy: the policy that drives the optimizer.
        state: an optimizer state with one driven part, also inside ``optax.chain`` and the like.
        metric: value of the metric that the controller monitors, a scalar.

    Raises:
        ValueError: if the policy has no controller, the metric is not a scalar, or the state does
            not have one driven part.

    >>> import lehr, optax
    >>> policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1, factor=0.5))
    >>> tx = lehr.jax.drive(optax.sgd, policy)
    >>> state = tx.init(0.0)
    >>> for loss in (1.0, 1.0):
    ...     state = lehr.jax.observe(policy, state, loss)
    >>> float(tx.update(1.0, state)[0])
    -0.05...
    """
    if not isinstance(policy, Policy) or policy.control is None:
        way_out = "Policy(..., control=lehr.Plateau()) has"
        fail("policy", "one with a controller to observe a metric", policy, way_out)
    if jnp.shape(metric) != ():
        fail("metric", "a scalar", f"shape {jnp.shape(metric)}", "take its mean")
    control = _judged(policy.control, driven_part(state).control, metric)
    return _replaced(state, control=control)


def restored(before: Any, after: Any, params: Any, best: Any) -> tuple[Any, Any]:
    """Return ``params`` and ``best`` after a metric: a pure function, like `observe`.

    The best metric so far sets ``best`` to ``params``; a reduction sets ``params`` to ``best``.

    Args:
        before: the optimizer state given to `observe`.
        after: the state that it returned.
        params: the weights that the metric belongs to: any pytree.
        best: the weights of the best metric; ``params`` at first.

    >>> import lehr, optax
    >>> policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1))
    >>> before = lehr.jax.drive(optax.sgd, policy).init(0.0)
    >>> best = 0.0
    >>> for weight, loss in ((1.0, 0.5), (2.0, 0.7)):
    ...     after = lehr.jax.observe(policy, before, loss)
    ...     weight, best = lehr.jax.restored(before, after, weight, best)
    ...     before = after
    >>> float(weight)
    1.0
    """
    old, new = driven_part(before).control, driven_part(after).control
    keep, back = is_best(old, new), reduced(old, new)
    kept = jax.tree.map(lambda p, b: jnp.where(keep, p, b), params, best)
    return jax.tree.map(lambda p, b: jnp.where(back, b, p), params, kept), kept


def scaled(state: Any, factor: float) -> Any:
    """Return an optimizer state whose rate is the policy's times ``factor``.

    >>> import lehr, optax
    >>> tx = lehr.jax.drive(optax.sgd, 0.1)
    >>> float(tx.update(1.0, lehr.jax.scaled(tx.init(0.0), 0.5))[0])
    -0.05...
    """
    control = driven_part(state).control
    new: Any = jnp.full_like(control.factor, factor)
    return _replaced(state, control=replace(control, factor=new))


def state_dict(
    policy: Policy | Schedule | float,
    state: Any,
    *,
    steps: Length = None,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
) -> dict[str, Any]:
    """Return step, controller state and policy as plain data, for `load_state_dict`.

    Args:
        policy: the policy that drives the optimizer.
        state: an optimizer state with one driven part.
        steps: as given to `drive`; so are the others.
        steps_per_epoch: updates in an epoch.
        samples_per_step: samples in one update, or a schedule.
        tokens_per_step: tokens in one update, or a schedule.
    """
    part = driven_part(state)
    control: State = jax.tree.map(lambda v: v.item(), part.control)
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    whole = resolved_policy(policy, steps, *sizes)
    return saved_state(int(part.step), control, whole)


def load_state_dict(
    policy: Policy | Schedule | float,
    state: Any,
    saved: dict[str, Any],
    on_change: str = "refuse",
    *,
    steps: Length = None,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
) -> Any:
    """Return an optimizer state that resumes from a saved one.

    Args:
        policy: the policy that drives the optimizer now.
        state: an optimizer state with one driven part, new or loaded from a checkpoint.
        saved: what `state_dict` returned.
        on_change: "refuse" to load the state of another policy, or "continue" under this one.
        steps: as given to `drive`; so are the others.
        steps_per_epoch: updates in an epoch.
        samples_per_step: samples in one update, or a schedule.
        tokens_per_step: tokens in one update, or a schedule.

    Raises:
        ValueError: if it is not a driver's state, or its policy differs and is refused.

    >>> import lehr, optax
    >>> trunk = lehr.Policy(lr=0.1)
    >>> tx = lehr.jax.drive(optax.sgd, trunk)
    >>> saved = lehr.jax.state_dict(trunk, tx.update(1.0, tx.init(0.0))[1])
    >>> cooled = trunk.decay_from(1, steps=2, curve="linear")
    >>> tx = lehr.jax.drive(optax.sgd, cooled)
    >>> state = lehr.jax.load_state_dict(cooled, tx.init(0.0), saved, on_change="continue")
    >>> updates, state = tx.update(1.0, state)
    >>> float(tx.update(1.0, state)[0])
    -0.05...
    """
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    whole = resolved_policy(policy, steps, *sizes)
    step, control = read_state(saved, whole, on_change)
    return _replaced(state, step=jnp.asarray(step, jnp.int32), control=arrays(control or State()))


_judged = jax.jit(Controller.update, static_argnums=0)


def arrays(control: State) -> State:
    """Return a controller's state of plain numbers as one of arrays."""

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
        fail("state", "one with one driven part", f"{len(parts)} of them", "pass the part's own")
    step, control, values, inner = parts[0]
    # Flax NNX keeps each array in a node of its own
    (step,), values = jax.tree.leaves(step), {k: jax.tree.leaves(values[k])[0] for k in values}
    return Driven(step, State(*jax.tree.leaves(control)), values, inner)


def _replaced(state: Any, **new: Any) -> Any:
    """Return a state of the same structure whose driven part has other arrays."""

    def put(part: Any) -> Any:
        if not _is_driven(part):
            return part
        return jax.tree.unflatten(jax.tree.structure(part), jax.tree.leaves(part._replace(**new)))

    return jax.tree.map(put, state, is_leaf=_is_driven)
