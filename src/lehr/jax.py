"""JAX: a schedule is an optax schedule already; `drive` injects whole policies."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from lehr.policy import Policy, resolved_policy
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail

try:
    import jax
    import jax.numpy as jnp
    import optax
except ImportError as error:
    raise ImportError("lehr.jax needs JAX and optax: pip install 'lehr[jax]'") from error

_NAMES = {  # by optax's name: ours
    "learning_rate": "lr",
    "momentum": "momentum",
    "b1": "momentum",
    "weight_decay": "weight_decay",
}


class Driven(NamedTuple):
    """The state of a driven optimizer: a pytree.

    Attributes:
        step: updates made so far, int32.
        factor: a controller's factor on the learning rate, float32; see `scaled`.
        inner: optax's state, which holds the values of the last update.
    """

    step: jax.Array
    factor: jax.Array
    inner: Any


def drive(
    make: Callable[..., optax.GradientTransformation],
    policy: Policy | Schedule | float,
    *,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    **constants: Any,
) -> optax.GradientTransformation:
    """Return ``make(...)`` driven by a policy: the value for step n is the one used in update n.

    The values are written inside the update, so it works under ``jit`` and ``lax.scan``; a step
    is an update, not a micro-batch, under ``optax.MultiSteps``.

    Args:
        make: an optax optimizer such as ``optax.sgd``, or any function that returns one and takes
            ``learning_rate`` and what else moves: ``momentum`` or ``b1``, ``weight_decay``.
        policy: a policy, a schedule or a number.
        steps: updates in the whole run, for lengths that are a share or the rest of it.
        steps_per_epoch: updates in an epoch, for lengths in epochs.
        **constants: everything else that ``make`` takes.

    Raises:
        ValueError: if a length is not known, ``make`` cannot take what the policy moves, or the
            policy has a controller, which runs outside the graph: see `scaled`.

    >>> import lehr, jax, optax
    >>> tx = lehr.jax.drive(optax.sgd, lehr.one_cycle(1.0, steps=10), nesterov=True)
    >>> state = tx.init(0.0)
    >>> for _ in range(4):
    ...     updates, state = jax.jit(tx.update)(1.0, state)
    >>> {name: round(float(v), 2) for name, v in lehr.jax.hyperparams(state).items()}
    {'lr': 1.0, 'momentum': 0.85}
    """
    policy = resolved_policy(policy, steps, steps_per_epoch=steps_per_epoch)
    taken = inspect.signature(make).parameters
    if policy.control is not None:
        way_out = "let it run outside and write its factor with lehr.jax.scaled(state, factor)"
        fail("control", "None in the policy", policy.control, way_out)
    driven: dict[str, Schedule] = {}
    for name, target in policy.targets.items():
        if isinstance(target, dict):
            way_out = "drive each group by its own policy and join them with optax.multi_transform"
            fail(name, "one schedule, for optax has no parameter groups", target, way_out)
        driven[_argument(make, taken, name)] = target
    # static, or optax would take a mask for a schedule
    inject = optax.inject_hyperparams(make, static_args=taken.keys() - driven.keys())
    injected = inject(**{argument: s(0) for argument, s in driven.items()}, **constants)

    def init(params: Any) -> Driven:
        return Driven(jnp.zeros([], jnp.int32), jnp.ones([], jnp.float32), injected.init(params))

    def update(updates: Any, state: Driven, params: Any = None, **extra: Any) -> tuple[Any, Driven]:
        values = {}
        for argument, now in state.inner.hyperparams.items():
            factor = state.factor if argument == "learning_rate" else 1.0
            # cast, so that the state keeps its types in a scan
            values[argument] = jnp.asarray(driven[argument](state.step) * factor, now.dtype)
        inner = state.inner._replace(hyperparams=values)
        updates, inner = injected.update(updates, inner, params, **extra)
        return updates, Driven(optax.safe_increment(state.step), state.factor, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def hyperparams(state: Any) -> dict[str, jax.Array]:
    """Return the values used in the last update, from an optimizer state with one driven part.

    >>> import lehr, optax
    >>> float(hyperparams(drive(optax.sgd, 0.5).init(0.0))["lr"])
    0.5
    """
    parts = [p for p in jax.tree.leaves(state, is_leaf=_is_driven) if _is_driven(p)]
    if len(parts) != 1:
        fail("state", "one with one driven part", f"{len(parts)} of them", "pass the part's own")
    return {_NAMES[argument]: v for argument, v in parts[0].inner.hyperparams.items()}


def scaled(state: Any, factor: float) -> Any:
    """Return an optimizer state whose driven parts multiply the learning rate by ``factor``.

    The controller itself runs outside the graph, between updates.

    >>> import lehr, optax
    >>> plateau = lehr.Plateau(patience=1, factor=0.5)
    >>> tx, control = drive(optax.sgd, 0.1), plateau.init()
    >>> state = tx.init(0.0)
    >>> for loss in (1.0, 1.0):
    ...     control = plateau.update(control, loss)
    ...     state = scaled(state, control.factor)
    >>> float(tx.update(1.0, state)[0])
    -0.05...
    """

    new = jnp.asarray(factor, jnp.float32)
    return jax.tree.map(
        lambda p: p._replace(factor=new) if _is_driven(p) else p, state, is_leaf=_is_driven
    )


def _is_driven(part: Any) -> bool:
    return isinstance(part, Driven)


def _argument(make: Any, taken: Any, name: str) -> str:
    """Return what an optax optimizer calls a hyperparameter, or raise."""
    arguments = [argument for argument, ours in _NAMES.items() if ours == name]
    for argument in arguments:
        if argument in taken:
            return argument
    wanted = " or ".join(arguments)
    way_out = f"leave {name} out of the policy, or wrap it in a function that takes {wanted}"
    fail("make", f"an optimizer that takes {wanted}", getattr(make, "__name__", make), way_out)
