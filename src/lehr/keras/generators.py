"""Random generators; Keras's unseeded dropout draws from torch's own on that backend."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


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
    """Put generators back as `generators` returned them."""
    if keras.backend.backend() != "torch":
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch generator cpu"].copy()))
    for i in range(torch.cuda.device_count()):
        state = torch.from_numpy(arrays[f"torch generator cuda {i}"].copy())
        torch.cuda.set_rng_state(state, i)


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Put the generators of Python, NumPy and, if it is loaded, torch back as they were."""
    python, numpy, torch = random.getstate(), np.random.get_state(), sys.modules.get("torch")
    torchs = torch and (torch.get_rng_state(), torch.cuda.get_rng_state_all())
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch and torchs:
            torch.set_rng_state(torchs[0])
            torch.cuda.set_rng_state_all(torchs[1])


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Begin torch's generators at a seed on that backend, and put them back after."""
    before = generators()
    if before:
        import torch

        torch.manual_seed(seed)
    try:
        yield
    finally:
        if before:
            set_generators(before)
