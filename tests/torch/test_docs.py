"""docs/torch.md shows every option of the Scheduler; its run passes the conformance suite."""

import inspect
import re
from pathlib import Path

import pytest

import lehr
import lehr.testing
import lehr.torch

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "torch.md").read_text(encoding="utf-8")  # test_docs.py runs its examples


def test_the_page_shows_every_option():
    options = set(inspect.signature(lehr.torch.Scheduler).parameters)
    options -= {"optimizer", "policy", "steps", "steps_per_epoch"}  # README.md shows these
    assert {name for name in options if f"{name}=" in PAGE} == options


def test_the_run_of_the_page_conforms(tmp_path, monkeypatch):
    (module,) = re.findall(r"```python\n(import torch\n.*?)```", PAGE, re.S)
    (tmp_path / "my_run.py").write_text(module, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lehr.testing.conformance("my_run:Run", steps=4)


def test_accelerates_wrapper_has_no_observe_as_documented():
    accelerate = pytest.importorskip("accelerate.scheduler")
    assert "the wrapper has no `observe`" in (DOCS / "trainers.md").read_text(encoding="utf-8")
    assert not hasattr(accelerate.AcceleratedScheduler, "observe")
