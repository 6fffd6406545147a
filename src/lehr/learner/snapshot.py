"""Snapshots: a copy of everything the next update depends on, in memory or in a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr._atomic import atomic_write

_METADATA = "__facts__"  # the name in the file


@dataclass(frozen=True)
class Snapshot:
    """Everything the next update depends on: NumPy arrays by name, and plain metadata."""

    arrays: dict[str, Any]
    metadata: dict[str, Any]

    def digest(self) -> str:
        """Return a hash of the whole snapshot."""
        hashed = hashlib.sha256(json.dumps(self.metadata, sort_keys=True).encode())
        for name, array in sorted(self.arrays.items()):
            hashed.update(f"{name} {array.dtype} {array.shape}".encode())
            hashed.update(array.tobytes())
        return hashed.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the snapshot to an ``.npz`` file of arrays and JSON; the write is atomic."""
        import numpy as np

        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.arrays | {_METADATA: np.array(json.dumps(self.metadata))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Read a snapshot that `save` wrote."""
        import numpy as np

        # opened here, so that it is closed if the file is damaged
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != _METADATA}
            return cls(arrays, json.loads(str(file[_METADATA])))

    @classmethod
    def load_if_whole(cls, path: str | os.PathLike[str]) -> Snapshot | None:
        """Read a snapshot; return None if the file is missing or damaged."""
        import zipfile

        try:
            return cls.load(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


@contextlib.contextmanager
def folder_if(wanted: bool) -> Iterator[Path | None]:
    """Yield a temporary folder if one is wanted, otherwise None; creating one takes milliseconds.

    >>> with folder_if(False) as none, folder_if(True) as folder:
    ...     none, folder.is_dir()
    (None, True)
    """
    with tempfile.TemporaryDirectory() if wanted else contextlib.nullcontext() as name:
        yield Path(name) if name else None
