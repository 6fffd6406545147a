"""The page on the PyTorch driver: what it says of the Scheduler is there, and its run conforms."""

import inspect
import re
from pathlib import Path

import pytest

import lehr
import lehr.testing
import lehr.torch

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "torch.md").read_text(encoding="utf-8")  # its examples: test_docs.py


def test_the_page_shows_every_option():
    options = set(inspect.signature(lehr.torch.Scheduler).parameters)
    options -= {"optimizer", "policy", "steps", "steps_per_epoch"}  # the README's
    assert {name for name in options if f"{name}=" in PAGE} == options


def test_the_run_of_the_page_conforms(tmp_path, monkeypatch):
    (module,) = re.findall(r"```python\n(import torch\n.*?)```", PAGE, re.S)
    (tmp_path / "my_run.py").write_text(module, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lehr.testing.conformance("my_run:Run", steps=4)


def test_accelerates_wrapper_has_no_observe_as_the_page_on_trainers_says():
    accelerate = pytest.importorskip("accelerate.scheduler")
    assert "the wrapper has no `observe`" in (DOCS / "trainers.md").read_text(encoding="utf-8")
    assert not hasattr(accelerate.AcceleratedScheduler, "observe")
