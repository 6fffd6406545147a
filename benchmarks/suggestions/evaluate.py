"""What a suggestion costs: regret against the measured truth, for any rule over a sweep."""

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

DIVERGENCE = 4.0  # where lehr's range test stops, if it is not told otherwise


@cache
def records(task: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{task}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@cache
def truth(task: str, mode: str) -> tuple[list[float], list[float]]:
    """Return the logs of the rates and the scores at each, the mean of the seeds."""
    scores = defaultdict(list)
    for record in records(task):
        job = record["job"]
        if job.get("mode") == mode:
            scores[math.log10(job["rate"])].append(record["score"])
    whole = {log: s for log, s in scores.items() if len(s) == len(SEEDS)}
    return sorted(whole), [statistics.mean(whole[log]) for log in sorted(whole)]


def score_at(task: str, mode: str, rate: float) -> float:
    """Return the score at a rate, between two of the grid on a straight line."""
    logs, scores = truth(task, mode)
    log = min(max(math.log10(rate), logs[0]), logs[-1])
    i = max(j for j in range(len(logs) - 1) if logs[j] <= log)
    share = (log - logs[i]) / (logs[i + 1] - logs[i])
    return scores[i] * (1 - share) + scores[i + 1] * share


def regret(task: str, mode: str, rate: float | None) -> float:
    """Return the points lost; no suggestion counts as what the smallest rate of the grid gives."""
    rate = RATES[0] if rate is None or rate <= 0 else rate
    return max(truth(task, mode)[1]) - score_at(task, mode, rate)


@cache
def sweeps(task: str, steps: int = 100) -> list[Sweep]:
    """Return the task's range tests, stopped where lehr's would have."""
    found = []
    for record in records(task):
        if record["job"].get("steps") == steps:
            sweep = Sweep.from_dict(record["sweep"])
            kept, stopped = _stopping_point(list(sweep.losses), DIVERGENCE) or (
                len(sweep.losses),
                sweep.stopped,
            )
            found.append(
                Sweep(sweep.rates[:kept], sweep.losses[:kept], sweep.spacing, steps, stopped)
            )
    return found


@cache
def measured() -> tuple[str, ...]:
    """Return the tasks whose truth, and whose answers of the peers, are complete."""
    path = RESULTS / "peers.jsonl"
    asked = [json.loads(line)["task"] for line in path.read_text().splitlines()]
    return tuple(
        t
        for t in TASKS
        if asked.count(t) == len(SEEDS) * 7
        and all(len(truth(t, mode)[0]) == len(RATES) for mode in MODES)
    )
