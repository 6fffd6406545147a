"""Torch's random generators: Keras's unseeded dropout draws from them on that backend."""

from __future__ import annotations

from typing import Any

import keras


def generators() -> dict[str, Any]:
    """Return copies of their states, by name; none on other backends."""
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
