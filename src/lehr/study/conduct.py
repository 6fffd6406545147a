"""Run a study: range tests, peaks, trials, checks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from lehr.finder import Sweep, agree
from lehr.schedule.check import fail
from lehr.study.definition import Job, Study
from lehr.study.engine import run_jobs
from lehr.study.results import Results
from lehr.study.storage import Storage, identity

Key = TypeVar("Key", bound=Hashable)
Progress = Callable[[int, int, Job | None], None]


def conduct(study: Study, workers: int | None, progress: Progress) -> Results:
    """Run what is missing of a study and return its results."""
    with Storage(Path(study.storage)) as storage:
        sweep_jobs = dict(enumerate(study.sweep_jobs()))
        total = len(sweep_jobs) + len(study.arms) * study.seeds
        swept = _complete(sweep_jobs, storage, workers, progress, 0, total)
        sweeps = [Sweep.from_json(swept[i]["sweep"]) for i in sweep_jobs]
        peaks = choose_peaks(study, sweeps)
        jobs = study.trial_jobs(peaks)
        trials = _complete(jobs, storage, workers, progress, len(sweep_jobs), total)
    check_pairs(trials)
    return Results(study, tuple(sweeps), peaks, trials)


def choose_peaks(study: Study, sweeps: list[Sweep]) -> dict[str, float | None]:
    """Return each tuned arm's peak: the median of the tuning seeds' suggestions for its use."""
    peaks: dict[str, float | None] = {}
    for name, arm in study.arms.items():
        if arm.tune is None:
            peaks[name] = None
            continue
        suggestion = agree(sweeps, arm.tune)
        if suggestion.lr is None:
            way_out = "give the arm its own rate with tune=None"
            fail(f"peak of {name}", "suggested by a range test", suggestion.reason, way_out)
        peaks[name] = float(f"{suggestion.lr:.3g}")
    return peaks


def check_pairs(trials: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Raise unless all trials of a seed began alike and saw the same batches."""
    first: dict[int, tuple[str, dict[str, str]]] = {}
    for (name, seed), result in trials.items():
        reference, pairing = first.setdefault(seed, (name, result["pairing"]))
        for what, value in result["pairing"].items():
            if value != pairing[what]:
                way_out = "the task must make the same Learner whenever it is given the same seed"
                where = f"{what} of {name}, seed {seed},"
                fail(where, f"the same as of {reference}", value, way_out)


def _complete(
    jobs: dict[Key, Job],
    storage: Storage,
    workers: int | None,
    progress: Progress,
    done: int,
    total: int,
) -> dict[Key, dict[str, Any]]:
    """Return the jobs' results, from the storage where they are, else from running them."""
    wanted = {identity(job): job for job in jobs.values()}
    results = storage.results(list(wanted))
    missing = {name: job for name, job in wanted.items() if name not in results}
    done += len(jobs) - sum(identity(job) in missing for job in jobs.values())
    progress(done, total, None)
    for name, result in run_jobs(missing, workers):
        storage.add(name, missing[name], result)
        results[name] = result
        done += sum(identity(job) == name for job in jobs.values())
        progress(done, total, missing[name])
    return {key: results[identity(job)] for key, job in jobs.items()}
