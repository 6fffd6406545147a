"""The order of the files in study/: each imports only from earlier entries."""

import ast
from pathlib import Path

import pytest

import lehr.study

SOURCE = Path(lehr.study.__file__).parent
ORDER = [
    *("stats.paired", "stats.sequential", "arm", "environment", "jobs", "definition"),
    *("cache_key", "ledger", "checkpoints", "trial", "storage"),
    *("engines.engine", "engines.local", "engines.worker"),
    *("results", "tuning", "runner", "plan", "text", "frames", "tensorboard", "yaml"),
]
# each is one lazy import of a method, or of its annotations
UPWARD = {
    "definition": {"runner", "plan", "results"},  # Study.run, plan, results
    "results": {"text", "frames", "tensorboard"},  # Results.table, verdict, frames, tensorboard
}


def imported(path: Path) -> set[str]:
    """The modules of study/ that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {name.removeprefix("lehr.study.") for name in names if name.startswith("lehr.study")}
    return {name for name in inside if name in ORDER or name == "lehr.study"}


def test_every_file_has_a_place() -> None:
    files = [path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py")]
    names = {".".join(path.parts) for path in files if path.name != "__init__"}
    assert names == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_file_imports_only_from_earlier_ones(name: str) -> None:
    later = imported(SOURCE / f"{name.replace('.', '/')}.py") - set(ORDER[: ORDER.index(name)])
    assert later <= UPWARD.get(name, set())
