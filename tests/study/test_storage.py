"""Files in the folder of a study that are not lehr's."""

from pathlib import Path

import pytest

from lehr._atomic import atomic_write
from lehr.study.storage import Storage

_WRITES: list[object] = []


def unfinished(folder: Path) -> Path:
    """Leave a temporary file, as a worker that is killed in a write."""
    folder.mkdir(parents=True, exist_ok=True)
    write = atomic_write(folder / "trial.npz")
    path = write.__enter__()
    path.write_bytes(b"half")
    _WRITES.append(write)  # never closed
    return path


def test_a1_only_unfinished_writes_of_this_storage_are_removed(tmp_path: Path) -> None:
    own = [unfinished(tmp_path / "curves"), unfinished(tmp_path / "checkpoints" / "0123")]
    others = [
        unfinished(tmp_path / "recipes" / "curves"),  # another storage inside the folder
        unfinished(tmp_path / "recipes" / "checkpoints" / "0123"),
        unfinished(tmp_path),  # the report of another process
        tmp_path / ".notes.tmp",
        tmp_path / "curves" / ".mine.tmp",
        tmp_path / "data" / ".lehr.tmp",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("the user's")
    with Storage(tmp_path):
        pass
    assert not any(path.exists() for path in own)
    assert all(path.read_text() == "the user's" for path in others)


def test_temporary_names_are_not_predictable(tmp_path: Path) -> None:
    names = {unfinished(tmp_path).name for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) == len(".lehr-.tmp") + 16 for name in names)


@pytest.mark.parametrize("length", [240, 250])
def test_a_long_name_can_be_written_atomically(length: int, tmp_path: Path) -> None:
    target = tmp_path / ("r" * length + ".html")
    with atomic_write(target) as temporary:
        temporary.write_text("report")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
