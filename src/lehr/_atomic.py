"""Files that are whole or not there: written beside, on the disk, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write a file to, which takes the file's name once that has gone well.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp(), "notes.txt")
    >>> with atomic_write(target) as beside:
    ...     _ = beside.write_text("all of it")
    >>> target.read_text(), [path.name for path in target.parent.iterdir()]
    ('all of it', ['notes.txt'])
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield beside
        opened = os.open(beside, os.O_RDONLY)
        try:
            os.fsync(opened)  # a rename may reach the disk before what it names
        finally:
            os.close(opened)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
