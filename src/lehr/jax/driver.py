"""`drive`: apply a policy and its controller to an optax optimizer, inside the compiled graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lehr.controllers import Controller, State
from lehr.jax.optimizer import Make, arguments, check_constants, dtype_of
from lehr.jax.state import Driven, arrays, cast_like, driven_part, with_part
from lehr.learner import flat
from lehr.learner.driver_state import ON_CHANGE, OnChange, first_state, read_state, saved_state
from lehr.policy import Policy, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, number, one_of
from lehr.schedule.length import Length

_update_controller = jax.jit(Controller.update, static_argnums=0)


class Driver(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """An optax optimizer whose hyperparameters follow a policy; returned by `drive`.

    The methods are pure functions of an optimizer state. The state must contain one `Driven` part;
    the part may be nested inside ``optax.chain`` and similar wrappers.

    Attributes:
        policy: the policy, with all lengths in integer steps.
        on_change: "refuse" or "continue"; see `load_state_dict`.
    """

    policy: Policy
    on_change: str

    def __repr__(self) -> str:
        """Return the policy."""
        return f"<Driver: {self.policy!r}>"

    def values(self, state: Any) -> dict[str, Any]:
        """Return the values of the next update by name, in the format of ``policy(step)``.

        They include ``Policy.values``; the learning rate is multiplied by the factor. The method
        works under ``jit`` and ``lax.scan``.

        Args:
            state: the optimizer state.

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

    def observe(self, state: Any, metric: Any) -> Any:
        """Update the controller with a metric and return the new optimizer state.

        The next update uses the controller's factor. The method works under ``jit``, ``lax.scan``
        and ``lax.cond``. All processes must pass the same metric, for example a
        ``jax.lax.pmean``.

        Args:
            state: the optimizer state.
            metric: value of the metric that the controller monitors, a scalar.

        Raises:
            TypeError: if the metric is not a number.
            ValueError: if the policy has no controller, ``state`` has no `Driven` part, or the
                metric is not a scalar.

        >>> import lehr, optax
        >>> policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1, factor=0.5))
        >>> tx = lehr.jax.drive(optax.sgd, policy)
        >>> state = tx.init(0.0)
        >>> for loss in (1.0, 1.0):
        ...     state = tx.observe(state, loss)
        >>> float(tx.update(1.0, state)[0])
        -0.05...
        """
        if self.policy.control is None:
            fix = "add one: Policy(..., control=lehr.Plateau())"
            fail("control", "a controller to observe a metric", None, fix)
        before = driven_part(state).control
        try:
            shape = None if metric is None else jnp.asarray(metric).shape
        except (TypeError, ValueError):
            shape = None
        if shape is None:
            fail("metric", "a scalar", metric, error=TypeError)
        if shape != ():
            fail("metric", "a scalar", f"shape {shape}", "pass its mean")
        control = _update_controller(self.policy.control, before, metric)
        return with_part(state, control=control)

    def factor(self, state: Any) -> jax.Array:
        """Return the factor on the scheduled learning rate, a float32 scalar.

        Args:
            state: the optimizer state.

        >>> import lehr, optax
        >>> tx = lehr.jax.drive(optax.sgd, 0.1, factor=0.5)
        >>> float(tx.factor(tx.init(0.0)))
        0.5
        """
        factor: jax.Array = driven_part(state).control.factor
        return factor

    def with_factor(self, state: Any, factor: float | jax.Array) -> Any:
        """Set the factor on the scheduled learning rate and return the new optimizer state.

        Args:
            state: the optimizer state.
            factor: the new factor, at least 0: a number, or a scalar array under ``jit``, which
                is not validated.

        Raises:
            TypeError: if ``factor`` is not a number.
            ValueError: if ``factor`` is negative or not a scalar.

        >>> import lehr, optax
        >>> tx = lehr.jax.drive(optax.sgd, 0.1)
        >>> float(tx.update(1.0, tx.with_factor(tx.init(0.0), 0.5))[0])
        -0.05...
        """
        control = driven_part(state).control
        if not isinstance(factor, jax.Array):
            factor = number("factor", factor, at_least=0)
        elif factor.shape != ():
            fail("factor", "a scalar", f"shape {factor.shape}")
        new: Any = jnp.full_like(control.factor, factor)
        return with_part(state, control=replace(control, factor=new))

    def state_dict(self, state: Any) -> dict[str, Any]:
        """Return step, controller state and policy as JSON-compatible data.

        Args:
            state: the optimizer state.
        """
        part = driven_part(state)
        control: State = jax.tree.map(lambda v: v.item(), part.control)
        return saved_state(int(part.step), control, self.policy)

    def load_state_dict(self, state: Any, saved: dict[str, Any]) -> Any:
        """Load a saved driver state into an optimizer state and return the result.

        The step and the controller state are replaced; the state of the optax optimizer is not.

        Args:
            state: the optimizer state, new or loaded from a checkpoint.
            saved: the result of `state_dict`.

        Raises:
            ValueError: if ``saved`` is not the state of a driver, or its policy differs and
                ``on_change`` is "refuse".

        >>> import lehr, optax
        >>> trunk = lehr.Policy(lr=0.1)
        >>> tx = lehr.jax.drive(optax.sgd, trunk)
        >>> saved = tx.state_dict(tx.update(1.0, tx.init(0.0))[1])
        >>> cooled = trunk.decay_from(1, steps=2, curve="linear")
        >>> tx = lehr.jax.drive(optax.sgd, cooled, on_change="continue")
        >>> state = tx.load_state_dict(tx.init(0.0), saved)
        >>> updates, state = tx.update(1.0, state)
        >>> float(tx.update(1.0, state)[0])
        -0.05...
        """
        driven_part(state)  # raises if the arguments are swapped
        step, control = read_state(saved, self.policy, self.on_change)
        return with_part(state, step=jnp.asarray(step, jnp.int32), control=arrays(control))


def drive(
    make_optimizer: Make,
    policy: Policy | Schedule | float,
    steps: Length = None,
    *,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
    start_step: int = 0,
    factor: float = 1.0,
    on_change: OnChange = "refuse",
    groups: Any = None,
) -> Driver:
    """Return an optax optimizer whose hyperparameters follow a policy.

    Update n uses the policy's values at step n. The optimizer works under ``jit`` and
    ``lax.scan``. Micro-batches of ``optax.MultiSteps`` and updates that ``optax.apply_if_finite``
    skips do not count as steps. A metric passed as ``update(..., value=metric)``, optax's argument
    for it, updates the controller before the update, as `Driver.observe` does.

    Hyperparameters are float32, or float64 with parameters of float64; changes of the weights and
    the state of the optimizer keep the dtypes of the gradients and of the first state.

    Args:
        make_optimizer: an optax optimizer such as ``optax.sgd``, or a function that returns one.
            It must accept ``learning_rate`` and the policy's other hyperparameters under optax's
            names: ``momentum`` or ``b1``, ``b2`` for "beta2", ``weight_decay``, ``eps``, ... Fix
            its other arguments with ``functools.partial``.
        policy: a policy, a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens". Required for percentages and
            for schedules without a length.
        steps_per_epoch: number of updates per epoch, a real number. Required for lengths in epochs.
        samples_per_step: number of samples per update, or a schedule (a batch-size ramp). Required
            for lengths in samples.
        tokens_per_step: number of tokens per update, or a schedule. Required for lengths in tokens.
        start_step: step of the policy at the first update.
        factor: factor on the learning rate, at least 0; see `Driver.with_factor`.
        on_change: "refuse" rejects a saved state of a different policy; "continue" accepts it.
        groups: group name of each parameter, for a policy with parameter groups: a tree with the
            structure of the parameters or a prefix of it, or a function that maps the parameters
            to this tree.

    Raises:
        TypeError: if ``make_optimizer`` is not a function, or requires other arguments.
        ValueError: if a length is unknown, ``make_optimizer`` does not accept one of the policy's
            hyperparameters, ``groups`` does not fit the policy, or the controller restores
            weights.

    >>> import functools, lehr, jax, optax
    >>> nesterov = functools.partial(optax.sgd, nesterov=True)
    >>> tx = lehr.jax.drive(nesterov, lehr.one_cycle(1.0), steps=10)
    >>> state = tx.init(0.0)
    >>> for _ in range(4):
    ...     updates, state = jax.jit(tx.update)(1.0, state)
    >>> {name: round(float(v), 2) for name, v in lehr.jax.hyperparams(state).items()}
    {'lr': 1.0, 'momentum': 0.85}
    """
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    policy = resolved_policy(policy, steps, *sizes)
    if getattr(policy.control, "restore_best", False):
        fix = "omit it and call lehr.jax.restored(before, after, params, best)"
        fail("restore_best", "False in JAX, where the driver cannot change the weights", True, fix)
    step, control = first_state(start_step, factor)
    one_of("on_change", on_change, ON_CHANGE)
    moved = arguments(make_optimizer, policy.targets)
    check_constants(make_optimizer, moved)
    named = _groups(policy, groups)
    # a tree may be callable too, such as an Equinox module
    is_tree = all(isinstance(leaf, str) for leaf in jax.tree.leaves(groups))
    if not is_tree and not callable(groups):
        rule = "a tree of group names, or a function that returns one"
        fail("groups", rule, groups, error=TypeError)
    labels = (lambda _: groups) if is_tree else groups

    def optimizer(values: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
        def part(group: str) -> optax.GradientTransformation:
            chosen = {
                argument: values.get(f"{name}/{group}", values.get(name))
                for name, argument in moved.items()
            }
            return make_optimizer(**chosen)

        parts = {group: part(group) for group in named}
        made = optax.multi_transform(parts, labels) if parts else part("")
        return optax.with_extra_args_support(made)

    def init(params: Any) -> Driven:
        used = jax.tree.leaves(labels(params))
        if unknown := [group for group in used if group not in named]:
            fail("groups", f"groups that the policy names, {named}", unknown[0])
        dtype = dtype_of(params)
        values = flat(policy.written(step, control.factor))
        values = {name: jnp.asarray(value, dtype) for name, value in values.items()}
        first = jnp.asarray(step, jnp.int32)
        return Driven(first, arrays(control), values, optimizer(values).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Driven]:
        if policy.control is not None and extra.get("value") is not None:
            state = driver.observe(state, extra["value"])  # optax's argument for a metric
        wanted = flat(policy.written(state.step, state.control.factor))
        # a state of constant dtypes, as lax.scan requires
        values = cast_like(wanted, state.hyperparams)
        changes, inner = optimizer(values).update(updates, state.inner, params, **extra)
        step, inner = optax.safe_increment(state.step), cast_like(inner, state.inner)
        return cast_like(changes, updates), Driven(step, state.control, values, inner)

    driver = Driver(init, update)
    driver.policy, driver.on_change = policy, on_change
    return driver


def _groups(policy: Policy, groups: Any) -> list[str]:
    """Return the names of the policy's parameter groups; raise ValueError if ``groups`` differs."""
    named = {name: list(t) for name, t in policy.targets.items() if isinstance(t, dict)}
    if bool(named) == (groups is None):
        name = next(iter(named), "lr")
        if named:
            rule, fix = "one schedule", "pass groups= to assign parameters to groups"
        else:
            rule, fix = "a dict of schedules if groups= is given", "omit groups="
        fail(name, rule, policy.targets[name], fix)
    for name, keys in named.items():
        first = next(iter(named.values()))
        if set(keys) != set(first):
            fail(f"groups of {name}", f"the groups of the other hyperparameters, {first}", keys)
    return next(iter(named.values()), [])
