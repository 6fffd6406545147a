"""Record the pages that benchmarks/*/report.py write from stored results.

Only a digest of the tables is recorded, so the prose can change. Each page must equal the file in
docs/.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from golden_values import digest

import lehr

ROOT = Path(__file__).parents[2]


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return {
            "recipes": _written(_report("recipes"), "recipes", Path(folder)),
            "suggestions": _written(_report("suggestions"), "suggestions", Path(folder)),
            "calibration": _written(_report("calibration"), "calibration", Path(folder)),
        }


def _report(name: str) -> Any:
    path = ROOT / "benchmarks" / name / "report.py"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"{name}_report", path)
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    if name == "suggestions":  # slow, and called repeatedly with the same arguments
        report.variant = functools.cache(report.variant)
        lehr.Sweep.suggest = functools.cache(lehr.Sweep.suggest)
    return report


def _written(report: Any, name: str, folder: Path) -> dict[str, Any]:
    if hasattr(report, "PAGE"):
        report.PAGE = folder / f"{name}.md"
    else:
        report.DOCS = folder
    report.main()
    page = (folder / f"{name}.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("|")]
    drawn = sorted((folder / name).glob("*.svg"))
    return {
        "same as in docs": page == (ROOT / "docs" / f"{name}.md").read_text(),
        "lines in tables": len(tables),
        "tables": digest("\n".join(tables)),
        "figures": {path.name: digest(path.read_text()) for path in drawn},
    }
