"""Copies of state dicts, in memory or in files."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch


class StateCacher:
    """Copies of state dicts by name; `LRFinder` itself restores more than state dicts.

    Args:
        in_memory: store the copies in memory instead of in files.
        cache_dir: folder of the files; None: the system's folder for temporary files. The files
            are deleted with the object.

    Raises:
        ValueError: if ``cache_dir`` is not a folder.

    >>> cacher = StateCacher(in_memory=True)
    >>> state = {"weight": torch.ones(1)}
    >>> cacher.store("model", state)
    >>> _ = state["weight"].zero_()
    >>> cacher.retrieve("model")
    {'weight': tensor([1.])}
    """

    def __init__(self, in_memory: bool, cache_dir: str | None = None) -> None:
        self.in_memory = in_memory
        self.cached: dict[str, Any] = {}
        self.cache_dir = checked_folder(cache_dir)

    def store(self, key: str, state_dict: Any) -> None:
        """Store a copy of a state dict under a name."""
        if self.in_memory:
            self.cached[key] = copy.deepcopy(state_dict)
        else:
            file = Path(self.cache_dir) / f"state_{key}_{id(self)}.pt"
            torch.save(state_dict, file)
            self.cached[key] = str(file)

    def retrieve(self, key: str) -> Any:
        """Return a copy of a stored state dict.

        Raises:
            KeyError: if no state dict has this name.
            RuntimeError: if the file no longer exists.
        """
        if key not in self.cached:
            raise KeyError(f"Target {key} was not cached.")
        if self.in_memory:
            return copy.deepcopy(self.cached[key])
        file = self.cached[key]
        if not Path(file).exists():
            raise RuntimeError(f"Failed to load state in {file}. File doesn't exist anymore.")
        return torch.load(file, map_location="cpu")

    def __del__(self) -> None:
        if not self.in_memory:
            for file in self.cached.values():
                Path(file).unlink(missing_ok=True)


def checked_folder(cache_dir: str | None) -> str:
    """Return the folder of the files; raise ValueError if it is not a folder."""
    if cache_dir is None:
        return tempfile.gettempdir()
    if not Path(cache_dir).is_dir():
        raise ValueError(f"Given `cache_dir` is not a valid directory: {cache_dir!r}")
    return cache_dir
