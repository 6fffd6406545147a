"""Time lehr's schedules and imports against other libraries: ``make benchmark``.

Each figure is the median of several interleaved rounds. Quote ratios, not times.
"""

import math
import os
import subprocess
import sys

from lehr.study.environment import ONE_THREAD

os.environ |= ONE_THREAD  # as in the trials of a study; frameworks read it on import

import numpy as np
import rich
from table import TABLE, Row, measure, timed

import lehr

STEPS = 100_000


def schedules() -> None:
    chain = (
        lehr.warmup(0.1, 500)
        .then(lehr.linear(0.1, 0.1, steps=50_000))
        .then(lehr.cosine(0.1, 49_500, floor=1e-4))
    )

    def closure(t: int) -> float:
        if t < 500:
            return 0.1 * t / 500
        if t < 50_500:
            return 0.1
        u = min(t - 50_500, 49_500) / 49_500
        return 1e-4 + (0.1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * u))

    at = list(range(0, STEPS, 10))
    measure(
        "one value: warm-up, constant, cosine",
        "µs a call",
        1e6,
        [
            ("hand-written closure", lambda: timed(lambda: [closure(t) for t in at]) / len(at)),
            ("lehr chain of three", lambda: timed(lambda: [chain(t) for t in at]) / len(at)),
        ],
        rounds=15,
    )
    everything = np.arange(STEPS)
    closed = lambda: 0.05 * (1 + np.cos(np.pi * np.minimum(everything, STEPS) / STEPS))  # noqa: E731
    cosine = lehr.cosine(0.1, STEPS)
    measure(
        "100,000 values at once",
        "ms",
        1e3,
        [
            ("NumPy, cosine by hand", lambda: timed(closed)),
            ("lehr cosine", lambda: timed(lambda: cosine(everything))),
            ("lehr chain of three", lambda: timed(lambda: chain(everything))),
        ],
        rounds=25,
    )


def imports() -> None:
    def importing(name: str) -> float:
        code = (
            f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    names = ("lehr", "numpy", "optax")
    rows: list[Row] = [(f"import {n}", lambda n=n: importing(n)) for n in names]  # type: ignore[misc]
    measure("import, in a fresh process", "ms", 1e3, rows, rounds=7)


if __name__ == "__main__":
    schedules()
    imports()
    rich.print(TABLE)
