"""What every test shares: derandomized hypothesis, and the helpers of this folder."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HELPERS = str(Path(__file__).parent / "helpers")
sys.path.insert(0, HELPERS)

collect_ignore_glob = ["faults/conformance/*"]  # runs for processes of their own

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
def toys_can_be_imported_by_workers() -> None:
    """Processes that tests start find the modules beside the tests."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [HELPERS, os.environ.get("PYTHONPATH")])
    )
