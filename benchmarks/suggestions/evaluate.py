"""Compute the regret of a suggested rate against the measured scores, for any rule."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from functools import cache
from typing import Any

from measure import MODES, RATES, RESULTS, SEEDS
from tasks import TASKS

from lehr.finder import Sweep
from lehr.finder.run import _stopping_point

DIVERGENCE = 4.0  # the default of lehr's range test


@cache
def records(task: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{task}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@cache
def truth(task: str, mode: str) -> tuple[list[float], list[float]]:
    """Return the decimal logarithms of the rates, and the mean score over the seeds at each."""
    scores = defaultdict(list)
    for record in records(task):
        job = record["job"]
        if job.get("mode") == mode:
            scores[math.log10(job["rate"])].append(record["score"])
    complete = {log: s for log, s in scores.items() if len(s) == len(SEEDS)}
    return sorted(complete), [statistics.mean(complete[log]) for log in sorted(complete)]


def score_at(task: str, mode: str, rate: float) -> float:
    """Return the score at a rate, interpolated linearly over the logarithm of the grid."""
    logs, scores = truth(task, mode)
    log = min(max(math.log10(rate), logs[0]), logs[-1])
    i = max(j for j in range(len(logs) - 1) if logs[j] <= log)
    share = (log - logs[i]) / (logs[i + 1] - logs[i])
    return scores[i] * (1 - share) + scores[i + 1] * share


def regret(task: str, mode: str, rate: float | None) -> float:
    """Return the points lost; a missing suggestion counts as the smallest rate of the grid."""
    rate = RATES[0] if rate is None or rate <= 0 else rate
    return max(truth(task, mode)[1]) - score_at(task, mode, rate)


@cache
def sweeps(task: str, steps: int = 100) -> list[Sweep]:
    """Return the range tests of a task, truncated at the stopping point of lehr's range test."""
    found = []
    for record in records(task):
        if record["job"].get("steps") == steps:
            sweep = Sweep.from_dict(record["sweep"])
            length, stopped = _stopping_point(list(sweep.losses), DIVERGENCE) or (
                len(sweep.losses),
                sweep.stopped,
            )
            found.append(
                Sweep(sweep.rates[:length], sweep.losses[:length], sweep.spacing, steps, stopped)
            )
    return found


@cache
def measured() -> tuple[str, ...]:
    """Return the tasks with complete scores and complete results of the other finders."""
    path = RESULTS / "peers.jsonl"
    stored = [json.loads(line)["task"] for line in path.read_text().splitlines()]
    return tuple(
        t
        for t in TASKS
        if stored.count(t) == len(SEEDS) * 7
        and all(len(truth(t, mode)[0]) == len(RATES) for mode in MODES)
    )
