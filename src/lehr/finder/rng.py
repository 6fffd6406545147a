"""Save and restore random generators around a range test: global ones and those of the data."""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_PARTS = ("dataset", "sampler", "batch_sampler")  # attributes of a loader that may have generators


@contextlib.contextmanager
def preserve_rng(*sources: Any) -> Iterator[None]:
    """Save the states of random generators and restore them at the end of the context.

    The global generators of Python, NumPy and, if it is imported, torch are restored. So are the
    generators among the attributes of each source, its dataset and its samplers.

    Args:
        *sources: iterables of batches, or None.

    >>> with preserve_rng():
    ...     first = random.random()
    >>> random.random() == first
    True
    """
    states = generators()
    restores = [restore for source in sources for restore in _source_restores(source, set())]
    try:
        yield
    finally:
        set_generators(states)
        for restore in restores:
            restore()


def generators() -> dict[str, Any]:
    """Return the states of the global generators as tuples, numbers and arrays."""
    states: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state()}
    if torch := sys.modules.get("torch"):
        all_states = torch.get_rng_state(), *torch.cuda.get_rng_state_all()
        states["torch"] = tuple(state.numpy() for state in all_states)
    return states


def set_generators(states: dict[str, Any]) -> None:
    """Set the global generators to the result of `generators`."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if "torch" in states:
        torch = sys.modules["torch"]
        cpu, *cuda = map(torch.from_numpy, states["torch"])
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)


def _source_restores(owner: Any, seen: set[int]) -> Iterator[Callable[[], Any]]:
    """Yield functions that restore the generators of a source to their current states."""
    if id(owner) in seen:
        return
    seen.add(id(owner))
    for value in list(getattr(owner, "__dict__", {}).values()):
        if restore := _generator_restore(value):
            yield restore
    for name in _PARTS:
        yield from _source_restores(getattr(owner, name, None), seen)


def _generator_restore(value: Any) -> Callable[[], Any] | None:
    """Return a function that restores a generator's current state; None for other values."""
    torch = sys.modules.get("torch")
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        python = value.getstate()
        return lambda: value.setstate(python)
    if isinstance(value, np.random.Generator):
        numpy = copy.deepcopy(value.bit_generator.state)
        return lambda: setattr(value.bit_generator, "state", numpy)
    if isinstance(value, np.random.RandomState) or (torch and isinstance(value, torch.Generator)):
        state = value.get_state()
        return lambda: value.set_state(state)
    return None
