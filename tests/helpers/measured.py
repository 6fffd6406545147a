"""Measurements of a worker's environment, run as jobs of a study."""

import os
import time


def environment(seed: int, names: list[str]) -> dict[str, str | None]:
    """Return variables of the worker's environment, after a pause so that all workers take one."""
    time.sleep(0.5)
    return {name: os.environ.get(name) for name in names}
