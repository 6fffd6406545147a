"""Which arguments of an optax optimizer a policy moves, and the type of their values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lehr.schedule.errors import fail, one_of

Make = Callable[..., optax.GradientTransformation]

_ARGUMENTS = {  # what optax calls a hyperparameter; others go by optax's own name
    "lr": ("learning_rate",),
    "momentum": ("momentum", "b1"),
    "beta1": ("b1",),
    "beta2": ("b2",),
}


def arguments(make: Any, names: Iterable[str]) -> dict[str, str]:
    """Return the argument of ``make`` for each hyperparameter, or raise."""
    if not callable(make):
        way_out = "pass optax.sgd itself, and what it takes as arguments of drive"
        fail("make", "a function that returns an optimizer", make, way_out, error=TypeError)
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


def check_constants(make: Make, constants: dict[str, Any], moved: dict[str, str]) -> None:
    """Raise unless ``make`` takes the constants, and the policy moves none of them."""
    for name, argument in moved.items():
        if argument in constants:
            way_out = "leave it out here, or in the policy"
            fail(argument, f"left to the policy, which moves {name}", constants[argument], way_out)
    taken = inspect.signature(make).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        for name in constants:
            one_of(f"argument of {getattr(make, '__name__', make)}", name, taken)
    try:
        inspect.signature(make).bind(**constants, **dict.fromkeys(moved.values()))
    except TypeError as error:
        raise TypeError(f"arguments must be those of make: {error}") from None


def dtype_of(params: Any) -> Any:
    """Return the widest type of the parameters: a wider one would change the optimizer's state."""
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(params)]
    floating = [t for t in types if jnp.issubdtype(t, jnp.inexact)]
    widest = jnp.result_type(*floating) if floating else jnp.float32
    return jnp.finfo(widest).dtype  # type: ignore[no-untyped-call]  # a complex one's real type
