"""`drive`: an optax optimizer that follows a whole policy, controller included, in the graph."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from lehr.controllers import State
from lehr.jax.optimizer import Make, arguments, check_constants, dtype_of
from lehr.jax.state import Driven, arrays, driven_part
from lehr.learner import flat
from lehr.policy import Policy, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail
from lehr.schedule.length import Length


class Driver(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """An optax optimizer that follows a policy; made by `drive`.

    Attributes:
        policy: the policy in integer steps.
    """

    policy: Policy

    def values(self, state: Any) -> dict[str, Any]:
        """Return the values in use for the next update: hyperparameters and values of the loop.

        A pure function, also for ``jit`` and ``lax.scan``. The values are by name, as
        ``policy(step)`` returns them; the controller's factor is in the rate.

        Args:
            state: an optimizer state with one driven part, also inside ``optax.chain`` and the
                like; before the update that is to use the values.

        >>> import lehr, optax
        >>> policy = lehr.Policy(lr=0.5, values={"ema_decay": lehr.linear(0.75, 1.0)})
        >>> tx = lehr.jax.drive(optax.sgd, policy, steps=2)
        >>> state = tx.init(0.0)
        >>> float(tx.values(state)["ema_decay"])
        0.75
        >>> _, state = tx.update(1.0, state)
        >>> {name: float(value) for name, value in tx.values(state).items()}
        {'lr': 0.5, 'ema_decay': 0.875}
        """
        part = driven_part(state)
        return self.policy(part.step, part.control.factor)


def drive(
    make: Make,
    policy: Policy | Schedule | float,
    steps: Length = None,
    *,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
    groups: Any = None,
    **constants: Any,
) -> Driver:
    """Return ``make(...)`` driven by a policy: the value for step n is the one used in update n.

    It works under ``jit`` and ``lax.scan``. Micro-batches of ``optax.MultiSteps`` and updates that
    ``optax.apply_if_finite`` skips do not count as steps. `observe` gives a controller its metrics.

    Args:
        make: an optax optimizer such as ``optax.sgd``, or a function that returns one and takes
            ``learning_rate`` and the policy's other hyperparameters: ``momentum`` or ``b1``,
            ``weight_decay``, and ``others`` by optax's own names; "beta2" means ``b2``.
        policy: a policy, a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens"; for percentages and the
            rest of the run.
        steps_per_epoch: updates in an epoch, a real number; for lengths in epochs.
        samples_per_step: samples in one update, or a schedule (a batch-size ramp); for lengths in
            samples.
        tokens_per_step: tokens in one update, or a schedule; for lengths in tokens.
        groups: the group names of a policy with parameter groups: a tree like the parameters, or
            like its upper part, or a function from parameters to it.
        **constants: other arguments of ``make``.

    Raises:
        TypeError: if ``make`` does not take the constants.
        ValueError: if a length is unknown, ``make`` does not take the policy's hyperparameters,
            ``groups`` does not fit the policy, or the controller restores weights.

    >>> import lehr, jax, optax
    >>> tx = lehr.jax.drive(optax.sgd, lehr.one_cycle(1.0), steps=10, nesterov=True)
    >>> state = tx.init(0.0)
    >>> for _ in range(4):
    ...     updates, state = jax.jit(tx.update)(1.0, state)
    >>> {name: round(float(v), 2) for name, v in lehr.jax.hyperparams(state).items()}
    {'lr': 1.0, 'momentum': 0.85}
    """
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    policy = resolved_policy(policy, steps, *sizes)
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

    driver = Driver(init, update)
    driver.policy = policy
    return driver


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
