"""The examples of docs/keras.md run."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "keras.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 9
    exec("\n".join(blocks), {})
