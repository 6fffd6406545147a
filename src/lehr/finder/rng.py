"""The random generators that a range test puts back: the process's and those of its data."""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_PARTS = ("dataset", "sampler", "batch_sampler")  # of a loader, that may hold generators


@contextlib.contextmanager
def preserve_rng(*sources: Any) -> Iterator[None]:
    """Put generators back: of Python, NumPy and, if it is loaded, torch; and those of sources.

    A source's are the generators among the attributes of it, its dataset and its samplers.

    Args:
        *sources: iterables of batches, or None.

    >>> with preserve_rng():
    ...     first = random.random()
    >>> random.random() == first
    True
    """
    python, numpy, torch = random.getstate(), np.random.get_state(), sys.modules.get("torch")
    torchs = torch and (torch.get_rng_state(), torch.cuda.get_rng_state_all())
    undo = [put_back for source in sources for put_back in _held(source, set())]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch and torchs:
            torch.set_rng_state(torchs[0])
            torch.cuda.set_rng_state_all(torchs[1])
        for put_back in undo:
            put_back()


def _held(holder: Any, seen: set[int]) -> Iterator[Callable[[], Any]]:
    """Yield functions that put the generators of a source back as they are now."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    for value in list(getattr(holder, "__dict__", {}).values()):
        if put_back := _putting_back(value):
            yield put_back
    for name in _PARTS:
        yield from _held(getattr(holder, name, None), seen)


def _putting_back(value: Any) -> Callable[[], Any] | None:
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
