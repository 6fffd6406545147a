"""What every test shares: derandomized hypothesis, and the helpers of this folder."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore_glob = ["conformance/*"]  # runs for processes of their own

settings.register_profile(
    "lehr",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lehr")
