"""lehr.keras on each backend: each test function of `keras/case_*.py` is one test per backend.

Keras selects its backend on import, so each backend needs a separate process. That process
runs all selected functions of its backend and sends their results over a pipe as they finish;
a function with all its parameter sets is one test here. `pytest -k "jax and driver"` selects some.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "keras"
IGNORED = [
    "ignore",  # ignore warnings about Keras, TensorFlow and their dependencies ...
    "error:::lehr",  # ... but not warnings raised in lehr or in a case
    "error:::(.*[.])?case_",
    "error:Skipping variable loading:UserWarning",  # a driven optimizer was not restored
]
OPTIONS = ["-q", "--no-header", "-p", "no:cacheprovider", "-o", "addopts="]
OPTIONS += ["--import-mode=importlib", "-o", "python_files=case_*.py"]
OPTIONS += ["-o", f"pythonpath={CASES}", "-o", "filterwarnings=" + "\n".join(IGNORED)]

FUNCTIONS = [
    (path.stem.removeprefix("case_"), node.name)
    for path in sorted(CASES.glob("case_*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
BACKENDS = [
    pytest.param(name, marks=pytest.mark.xdist_group(name))  # one worker, hence one process each
    for name in ("jax", "tensorflow", "torch")
]


class Process:
    """The process of one backend, and the results received from it."""

    def __init__(self, backend: str, functions: list[tuple[str, str]]) -> None:
        chosen = [f"{CASES}/case_{file}.py::{function}" for file, function in functions]
        reading, writing = os.pipe()
        self.printed = tempfile.TemporaryFile("w+")  # noqa: SIM115
        environment = os.environ | {
            "KERAS_BACKEND": backend,
            "LEHR_KERAS_RESULTS": str(writing),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS, *chosen],
            env=environment,
            stdout=self.printed,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
        )
        os.close(writing)
        self.messages = os.fdopen(reading)
        self.left: dict[str, int] | None = None  # by function: tests that have not finished
        self.results: defaultdict[str, list[dict[str, str]]] = defaultdict(list)

    def of(self, case: str) -> list[dict[str, str]]:
        """Wait until all tests of a function have finished, and return their results."""
        while self.left is None or self.left.get(case):
            if not (line := self.messages.readline()):
                self.process.wait()
                self.printed.seek(0)
                pytest.fail(f"the process ended early:\n{self.printed.read()}", pytrace=False)
            message = json.loads(line)
            if self.left is None:
                self.left = message
            else:
                self.left[message["case"]] -= message["when"] == "teardown"
                if message["when"] == "call" or message["outcome"] != "passed":
                    self.results[message["case"]].append(message)
        return self.results[case]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.messages.close()
        self.printed.close()


@pytest.fixture(scope="session")
def processes():
    started: dict[str, Process] = {}
    yield started
    for process in started.values():
        process.close()


@pytest.mark.parametrize(("file", "function"), FUNCTIONS, ids=[f"{a}-{b}" for a, b in FUNCTIONS])
@pytest.mark.parametrize("backend", BACKENDS)
def test_case(backend, file, function, processes, request):
    if "PYTEST_XDIST_WORKER" in os.environ:  # pytest 9.2 with pytest-xdist 3.8 ignores the groups
        assert request.node.nodeid.endswith(f"@{backend}"), "xdist_group needs --dist loadgroup"
    for module in ("keras", backend):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if backend not in processes:
        chosen = [
            (item.callspec.params["file"], item.callspec.params["function"])
            for item in request.session.items
            if getattr(item, "originalname", "") == request.node.originalname
            and item.path == request.path
            and item.callspec.params["backend"] == backend
        ]
        processes[backend] = Process(backend, chosen)
    results = processes[backend].of(f"{file}-{function}")
    assert results, "none of its tests ran"
    if failed := [result["text"] for result in results if result["outcome"] == "failed"]:
        pytest.fail("\n".join(failed), pytrace=False)
    if all(result["outcome"] == "skipped" for result in results):
        pytest.skip("; ".join(sorted({result["text"] for result in results})))
