"""Random generators of Keras and, on the PyTorch backend, of torch (used by unseeded dropout)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from lehr.finder import rng
from lehr.keras import _private


def generators() -> dict[str, Any]:
    """Return copies of torch's generator states by name; empty on other backends."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"torch generator cpu": torch.get_rng_state().numpy().copy()}
    if torch.cuda.is_available():
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"torch generator cuda {i}"] = state.numpy().copy()
    return states


def set_generators(arrays: dict[str, Any]) -> None:
    """Set torch's generator states to those returned by `generators`."""
    if keras.backend.backend() != "torch":
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch generator cpu"].copy()))
    for i in range(torch.cuda.device_count()):
        state = torch.from_numpy(arrays[f"torch generator cuda {i}"].copy())
        torch.cuda.set_rng_state(state, i)


@contextlib.contextmanager
def preserve_rng(*sources: Any) -> Iterator[None]:
    """Restore on exit the generators of Keras, the process and ``sources`` (`rng.preserve_rng`).

    Keras creates its global generator at first use; if it did not exist before, it is removed.
    """
    generator = _private.global_seed_generator()
    state = None if generator is None else np.array(keras.ops.convert_to_numpy(generator.state))
    try:
        with rng.preserve_rng(*sources):
            yield
    finally:
        _private.set_global_seed_generator(generator)
        if generator is not None:
            generator.state.assign(state)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generators on the PyTorch backend, and restore them on exit."""
    before = generators()
    if before:
        import torch

        torch.manual_seed(seed)
    try:
        yield
    finally:
        set_generators(before)
