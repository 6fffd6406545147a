"""Random generators; Keras's unseeded dropout draws from torch's own on that backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from lehr.finder import rng
from lehr.keras import _private


def generators() -> dict[str, Any]:
    """Return copies of the states of torch's, by name; none on other backends."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"torch generator cpu": torch.get_rng_state().numpy().copy()}
    if torch.cuda.is_available():
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"torch generator cuda {i}"] = state.numpy().copy()
    return states


def set_generators(arrays: dict[str, Any]) -> None:
    """Restore the states that `generators` returned."""
    if keras.backend.backend() != "torch":
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch generator cpu"].copy()))
    for i in range(torch.cuda.device_count()):
        state = torch.from_numpy(arrays[f"torch generator cuda {i}"].copy())
        torch.cuda.set_rng_state(state, i)


@contextlib.contextmanager
def preserve_rng(*sources: Any) -> Iterator[None]:
    """Restore generators: Keras's, the process's and those of sources; see `rng.preserve_rng`.

    Keras creates its own at first use; one that did not exist is removed again.
    """
    own = _private.global_seed_generator()
    state = None if own is None else np.array(keras.ops.convert_to_numpy(own.state))
    try:
        with rng.preserve_rng(*sources):
            yield
    finally:
        _private.set_global_seed_generator(own)
        if own is not None:
            own.state.assign(state)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generators on that backend, and restore them at the end."""
    before = generators()
    if before:
        import torch

        torch.manual_seed(seed)
    try:
        yield
    finally:
        set_generators(before)
