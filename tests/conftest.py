"""Configuration of all tests: derandomized hypothesis, and the path of tests/helpers."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HELPERS = str(Path(__file__).parent / "helpers")
sys.path.insert(0, HELPERS)

collect_ignore_glob = ["faults/conformance/*"]  # these modules run in separate processes

settings.register_profile(
    "lehr",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lehr")


@pytest.fixture(scope="session", autouse=True)
def helpers_on_pythonpath() -> None:
    """Add tests/helpers to PYTHONPATH, for processes started by tests."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [HELPERS, os.environ.get("PYTHONPATH")])
    )
