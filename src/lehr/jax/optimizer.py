"""Which arguments of an optax optimizer a policy moves, and the type of their values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lehr.schedule.check import fail

Make = Callable[..., optax.GradientTransformation]

_ARGUMENTS = {  # what optax calls a hyperparameter; others go by optax's own name
    "lr": ("learning_rate",),
    "momentum": ("momentum", "b1"),
    "beta1": ("b1",),
    "beta2": ("b2",),
}


def arguments(make: Make, names: Iterable[str]) -> dict[str, str]:
    """Return the argument of ``make`` for each hyperparameter, or raise."""
    taken, found = inspect.signature(make).parameters, dict[str, str]()
    for name in names:
        spellings = _ARGUMENTS.get(name, (name,))
        argument = next((spelling for spelling in spellings if spelling in taken), None)
        if argument is None:
            wanted = " or ".join(spellings)
            rule = f"an optimizer that takes {wanted}"
            way_out = f"leave {name} out, or wrap it in a function that takes {wanted}"
            fail("make", rule, getattr(make, "__name__", make), way_out)
        if argument in found.values():
            fail("policy", f"one that moves {argument} under one name", [*found, name])
        found[name] = argument
    return found


def dtype_of(params: Any) -> Any:
    """Return the type that hyperparameters have beside these parameters, as in optax: the widest.

    A wider one would change the types of the optimizer's state.
    """
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(params)]
    floating = [t for t in types if jnp.issubdtype(t, jnp.inexact)]
    widest = jnp.result_type(*floating) if floating else jnp.float32
    return jnp.finfo(widest).dtype  # type: ignore[no-untyped-call]  # a complex one's real type
