"""Snapshots of the state of a training run, in memory or in a file."""

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
from lehr.schedule.errors import fail

_METADATA = "__facts__"  # key of the metadata in the .npz file


@dataclass(frozen=True)
class Snapshot:
    """The state of a training run: everything that affects the next update.

    Attributes:
        arrays: NumPy arrays by name.
        metadata: JSON-compatible values by name.

    >>> import numpy as np
    >>> snapshot = Snapshot({"weight": np.zeros(2)}, {"step": 5})
    >>> with folder_if(True) as folder:
    ...     snapshot.save(folder / "state.npz")
    ...     Snapshot.load(folder / "state.npz").digest() == snapshot.digest()
    True
    """

    arrays: dict[str, Any]
    metadata: dict[str, Any]

    def digest(self) -> str:
        """Return the SHA-256 hex digest of arrays and metadata."""
        hashed = hashlib.sha256(json.dumps(self.metadata, sort_keys=True).encode())
        for name, array in sorted(self.arrays.items()):
            hashed.update(f"{name} {array.dtype} {array.shape}".encode())
            hashed.update(array.tobytes())
        return hashed.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the snapshot to an ``.npz`` file (arrays and JSON metadata); the write is atomic."""
        import numpy as np

        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.arrays | {_METADATA: np.array(json.dumps(self.metadata))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Load a snapshot from a file written by `save`.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if the file is damaged; also KeyError, EOFError or ``zipfile.BadZipFile``.
        """
        import numpy as np

        # np.load does not close the file if it is damaged
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != _METADATA}
            return cls(arrays, json.loads(str(file[_METADATA])))

    @classmethod
    def load_if_valid(cls, path: str | os.PathLike[str]) -> Snapshot | None:
        """Load a snapshot; return None if the file is missing or damaged."""
        try:
            found = cls.load(path)
        except Exception:  # a damaged zip file raises errors of many types, also MemoryError
            return None
        return found if isinstance(found.metadata, dict) else None


@contextlib.contextmanager
def folder_if(wanted: bool) -> Iterator[Path | None]:
    """Yield the path of a temporary folder if ``wanted`` is True, otherwise None.

    Creating a folder takes milliseconds, so it is created only on request.

    >>> with folder_if(False) as none, folder_if(True) as folder:
    ...     none, folder.is_dir()
    (None, True)
    """
    if not isinstance(wanted, bool):
        fail("on_disk", "True or False", wanted, error=TypeError)
    with tempfile.TemporaryDirectory() if wanted else contextlib.nullcontext() as name:
        yield Path(name) if name else None
