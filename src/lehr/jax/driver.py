"""`drive`: an optax optimizer that follows a whole policy, controller included, in the graph."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from lehr.controllers import State
from lehr.jax.optimizer import Make, arguments, check_constants, dtype_of
from lehr.jax.state import Driven, arrays
from lehr.learner import flat
from lehr.policy import Policy, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail


def drive(
    make: Make,
    policy: Policy | Schedule | float,
    *,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    groups: Any = None,
    **constants: Any,
) -> optax.GradientTransformationExtraArgs:
    """Return ``make(...)`` driven by a policy: the value for step n is the one used in update n.

    It works under ``jit`` and ``lax.scan``. Micro-batches of ``optax.MultiSteps`` and updates that
    ``optax.apply_if_finite`` skips do not count as steps. `observe` gives a controller its metrics.

    Args:
        make: an optax optimizer such as ``optax.sgd``, or a function that returns one and takes
            ``learning_rate`` and the policy's other hyperparameters: ``momentum`` or ``b1``,
            ``weight_decay``, and ``others`` by optax's own names; "beta2" means ``b2``.
        policy: a policy, a schedule or a number.
        steps: updates in the run, for percentages and the rest of the run.
        steps_per_epoch: updates in an epoch, for lengths in epochs.
        groups: the group names of a policy with parameter groups: a tree like the parameters, or
            like its upper part, or a function from parameters to it.
        **constants: other arguments of ``make``.

    Raises:
        TypeError: if ``make`` does not take the constants.
        ValueError: if a length is unknown, ``make`` does not take the policy's hyperparameters,
            ``groups`` does not fit the policy, or the controller restores weights.

    >>> import lehr, jax, optax
    >>> tx = lehr.jax.drive(optax.sgd, lehr.one_cycle(1.0, steps=10), nesterov=True)
    >>> state = tx.init(0.0)
    >>> for _ in range(4):
    ...     updates, state = jax.jit(tx.update)(1.0, state)
    >>> {name: round(float(v), 2) for name, v in lehr.jax.hyperparams(state).items()}
    {'lr': 1.0, 'momentum': 0.85}
    """
    policy = resolved_policy(policy, steps, steps_per_epoch=steps_per_epoch)
    if getattr(policy.control, "restore_best", False):
        way_out = "leave it out and call lehr.jax.restored(before, after, params, best)"
        fail("restore_best", "False in JAX, where the weights are yours", True, way_out)
    moved = arguments(make, policy.targets)
    named = _groups(policy, groups)
    check_constants(make, constants, moved)

    def optimizer(values: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
        def part(group: str) -> optax.GradientTransformation:
            own = {a: values.get(f"{name}/{group}", values.get(name)) for name, a in moved.items()}
            return make(**constants, **own)

        parts = {group: part(group) for group in named}
        made = optax.multi_transform(parts, groups) if parts else part("")
        return optax.with_extra_args_support(made)

    def init(params: Any) -> Driven:
        dtype = dtype_of(params)
        values = {name: jnp.asarray(v, dtype) for name, v in flat(policy.written(0)).items()}
        control = arrays(State())
        return Driven(jnp.zeros([], jnp.int32), control, values, optimizer(values).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Driven]:
        wanted = flat(policy.written(state.step, state.control.factor))
        # cast, so that the state keeps its types in a scan
        values = {k: jnp.asarray(v, state.hyperparams[k].dtype) for k, v in wanted.items()}
        updates, inner = optimizer(values).update(updates, state.inner, params, **extra)
        return updates, Driven(optax.safe_increment(state.step), state.control, values, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _groups(policy: Policy, groups: Any) -> list[str]:
    """Return the names of the policy's parameter groups, or raise."""
    named = {name: list(t) for name, t in policy.targets.items() if isinstance(t, dict)}
    if bool(named) == (groups is None):
        name = next(iter(named), "lr")
        if named:
            rule, way_out = "one schedule", "pass groups= to say which parameters are of which"
        else:
            rule, way_out = "a dict of schedules where groups= is given", "leave groups= out"
        fail(name, rule, policy.targets[name], way_out)
    for name, own in named.items():
        first = next(iter(named.values()))
        if set(own) != set(first):
            fail(f"groups of {name}", f"the same as the others', {first}", own)
    return next(iter(named.values()), [])
