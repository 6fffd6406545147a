"""Atomic file writes."""

from pathlib import Path

import pytest

from lehr._atomic import atomic_write


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError, match="surrogates"), atomic_write(target) as temporary:
        temporary.write_text("new \udc80", encoding="utf-8")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_target_exists_only_after_the_write(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
