"""lehr.keras on each backend: Keras chooses its backend at import, so each has its own process."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="keras is not installed")

CASES = Path(__file__).parent / "keras"
IGNORED = [
    "ignore",  # what Keras, TensorFlow and their parts warn about is theirs ...
    "error:::lehr",  # ... what happens in lehr, or in a case, is ours
    "error:::case_",
    "error:Skipping variable loading:UserWarning",  # a driven optimizer that did not come back
]


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_on_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    options = ["-q", "--tb=short", "--no-header", "-p", "no:cacheprovider", "-o", "addopts="]
    options += ["--import-mode=importlib", "-o", "python_files=case_*.py"]
    options += ["-o", f"pythonpath={CASES}", "-o", "filterwarnings=" + "\n".join(IGNORED)]
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "LEHR_KERAS_CASES": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-m", "pytest", *options, str(CASES)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        pytest.fail(f"on {backend}:\n{run.stdout}\n{run.stderr[-2000:]}", pytrace=False)
    assert re.search(r"\b\d+ passed", run.stdout), run.stdout
