"""docs/recipes.md equals the output of benchmarks/recipes/report.py for the stored results."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date(monkeypatch, tmp_path):
    path = ROOT / "benchmarks" / "recipes" / "report.py"
    spec = importlib.util.spec_from_file_location("recipes_report", path)
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    page = report.PAGE.read_text()
    monkeypatch.setattr(report, "PAGE", tmp_path / "recipes.md")
    report.main()
    assert page == (tmp_path / "recipes.md").read_text(), "run benchmarks/recipes/report.py"
