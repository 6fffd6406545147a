"""Atomic file writes: write to a temporary file in the same folder, fsync, rename."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".lehr-*.tmp"
"""Glob pattern of the temporary files, which remain if a process is killed."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Context manager: yield a temporary path, renamed to ``path`` if the block succeeds.

    The file is flushed to disk before the rename, and deleted if the block raises.

    Args:
        path: path of the file to write or replace.

    Raises:
        OSError: if the temporary file cannot be created or renamed.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp(), "notes.txt")
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> target.read_text(), [path.name for path in target.parent.iterdir()]
    ('all of it', ['notes.txt'])
    """
    target = Path(path)
    # random and new, so that the write does not follow a link that another program has created
    temporary = target.with_name(f".lehr-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        opened = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(opened)  # otherwise the rename may reach the disk before the contents
        finally:
            os.close(opened)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
