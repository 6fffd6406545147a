"""Arguments of an optax optimizer that correspond to a policy's hyperparameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lehr.schedule.errors import fail, one_of

Make = Callable[..., optax.GradientTransformation]

_ARGUMENTS = {  # optax's argument names, if they differ from the name in a policy
    "lr": ("learning_rate",),
    "momentum": ("momentum", "b1"),
    "beta2": ("b2",),
}


def arguments(make: Any, names: Iterable[str]) -> dict[str, str]:
    """Return the argument name of ``make_optimizer`` for each hyperparameter.

    Raises:
        TypeError: if ``make_optimizer`` is not a function.
        ValueError: if an argument does not exist.
    """
    if not callable(make):
        fix = "pass optax.sgd, not optax.sgd(...); fix its other arguments with functools.partial"
        fail("make_optimizer", "a function that returns an optimizer", make, fix, error=TypeError)
    taken, found = _parameters(make), dict[str, str]()
    for name in names:
        spellings = _ARGUMENTS.get(name, (name,))
        argument = next((spelling for spelling in spellings if spelling in taken), None)
        if argument is None:
            wanted = " or ".join(spellings)
            fix = f"remove {name} from the policy, or pass a function that accepts {wanted}"
            if name == "lr":  # which no policy can omit
                fix = "name the argument learning_rate"
            fail("make_optimizer", f"a function that accepts {wanted}", _name(make), fix)
        found[name] = argument
    return found


def check_constants(make: Any, moved: dict[str, str]) -> None:
    """Check the other arguments of ``make_optimizer``.

    Raises:
        TypeError: if a required argument is missing.
        ValueError: if ``functools.partial`` fixes a hyperparameter of the policy.
    """
    fixed = make.keywords if isinstance(make, functools.partial) else {}
    for name, argument in moved.items():
        if argument in fixed:
            fix = f"remove it from functools.partial, or {name} from the policy"
            fail(argument, f"omitted if the policy schedules {name}", fixed[argument], fix)
    try:
        inspect.signature(make).bind(**dict.fromkeys(moved.values()))
    except TypeError as error:
        fix = "fix it with functools.partial(make_optimizer, ...)"
        message = (
            f"make_optimizer must require no other arguments, got {_name(make)}: {error}; {fix}"
        )
        raise TypeError(message) from None


def _parameters(make: Any) -> Iterable[str]:
    if isinstance(make, functools.partial):
        taken = inspect.signature(make.func).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
            for name in make.keywords:
                one_of(f"argument of {_name(make)}", name, taken)
    return inspect.signature(make).parameters


def _name(make: Any) -> Any:
    if isinstance(make, functools.partial):
        return _name(make.func)
    return getattr(make, "__name__", make)


def dtype_of(params: Any) -> Any:
    """Return the dtype of the hyperparameters: float32, or the parameters' if that is wider.

    A beta2 of 0.999 in bfloat16 would be 1, and a rate of 1e-8 in float16 would be 0.
    """
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(params)]
    floating = [t for t in types if jnp.issubdtype(t, jnp.inexact)]
    widest = jnp.result_type(jnp.float32, *floating)
    return jnp.finfo(widest).dtype  # type: ignore[no-untyped-call]  # the real dtype of a complex one
