"""Run a study: range tests, peaks, trials, checks; finished jobs are loaded from the storage."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lehr.finder import Sweep
from lehr.schedule.errors import fail
from lehr.study.cache_key import cache_key, environment_key, study_id
from lehr.study.definition import Study
from lehr.study.engines.engine import Engine, Event
from lehr.study.engines.local import LocalEngine
from lehr.study.jobs import Job, tuning_seeds
from lehr.study.ledger import check_pairs
from lehr.study.results import Results, Stop, Tuning, score
from lehr.study.stats.sequential import cannot_win, increments
from lehr.study.storage import Record, Storage
from lehr.study.tuning import best_peak, centre, peak_grid, sweep_jobs, wider
from lehr.tasks.find import source_digest

Key = TypeVar("Key", bound=Hashable)
Trials = dict[tuple[str, int, int], Record]
Links = dict[str, dict[str, Any]]

_CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """The progress of a study.

    Attributes:
        part: "range tests", "peaks" or "trials".
        done: number of finished jobs of the study.
        total: number of jobs of the study; it may change when grids widen and arms stop.
        finished: the job that has just finished, if any.
        running: running jobs by cache key: "label" and, after the first report, "step", "steps",
            "lr", "loss".
    """

    part: str
    done: int
    total: int
    finished: Job | None = None
    running: dict[str, dict[str, Any]] = field(default_factory=dict)


class MissingJobs(Exception):
    """Jobs are missing in the storage, and there is no engine to run them."""


def run_study(
    study: Study, workers: int | None, progress: Callable[[Progress], None] | None
) -> Results:
    """Run the missing jobs of a study and return its results."""
    with (
        Storage(Path(study.storage)) as storage,
        LocalEngine(workers, storage.cache, study.backend) as engine,
    ):
        return Runner(study, storage, engine, progress or (lambda progress: None)).results()


def load_results(study: Study) -> Results:
    """Load a study's results: those of this environment, otherwise the latest ones."""
    with Storage(Path(study.storage), readonly=True) as storage:
        for recorded in (None, *storage.linked_jobs(study_id(study.to_dict()))):
            runner = Runner(study, storage, recorded=recorded)
            with contextlib.suppress(MissingJobs):
                return runner.results()
        found = f"{runner.done} of {runner.total} jobs"
        fail("results", "complete", found, "run the study to complete them")


def job_counts(study: Study) -> dict[str, int]:
    """Return the number of jobs of each part, before grids widen and arms stop."""
    tuned = sum(arm.tune is not None for arm in study.arms.values())
    return {
        "range tests": len(sweep_jobs(study)),
        "peaks": tuned * study.tuning_seeds * study.peaks if study.peaks > 1 else 0,
        "trials": len(study.arms) * len(study.budgets) * study.seeds,
    }


class Runner:
    """Collect the records of a study's jobs and compute its results.

    The engine, if there is one, runs missing jobs. ``recorded`` has the cache keys of an earlier
    environment, by a job's key in the study.
    """

    def __init__(
        self,
        study: Study,
        storage: Storage,
        engine: Engine | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
        recorded: dict[str, str] | None = None,
    ) -> None:
        self.study, self.storage = study, storage
        self.engine, self.progress, self.recorded = engine, progress, recorded
        # computed at the start, because the file may change while the study runs
        self.source = source_digest(study.task)
        self.environment_key = environment_key(study.task, self.source, study.backend)
        self.study_id = storage.add_study(study.to_dict()) if engine else ""
        self.parts = {part: (total, 0) for part, total in job_counts(study).items()}
        self.running: dict[str, dict[str, Any]] = {}
        self._finished: dict[str, set[Any]] = {}

    @property
    def done(self) -> int:
        """Number of finished jobs."""
        return sum(finished for _, finished in self.parts.values())

    @property
    def total(self) -> int:
        """Number of jobs; it may change when grids widen and arms stop."""
        return sum(total for total, _ in self.parts.values())

    def results(self) -> Results:
        """Run missing jobs and return the results.

        Raises:
            MissingJobs: if jobs are missing and there is no engine.
        """
        study = self.study
        sweeps: dict[str | None, tuple[Sweep, ...]] = {}
        for (optimizer, _), record in self._complete("range tests", sweep_jobs(study)).items():
            saved = record.metadata["sweep"]
            # lehr 0.1 stored the sweep as JSON text
            sweep = Sweep.from_json(saved) if isinstance(saved, str) else Sweep.from_dict(saved)
            sweeps[optimizer] = (*sweeps.get(optimizer, ()), sweep)
        tuning = self._tune(sweeps)
        peaks = {name: tuning[name].peak if name in tuning else None for name in study.arms}
        trials, stopped = self._judge(peaks)
        check_pairs(trials, {name: arm.optimizer for name, arm in study.arms.items()})
        return Results(study, sweeps, tuning, trials, stopped)

    def _tune(self, sweeps: dict[str | None, tuple[Sweep, ...]]) -> dict[str, Tuning]:
        """Choose the peak of each tuned arm; the grids of all arms are tried in parallel."""
        study, seeds = self.study, tuning_seeds(self.study.tuning_seeds)
        grids = {
            name: peak_grid(
                centre(name, sweeps[arm.optimizer], arm.tune, alone=study.peaks == 1), study.peaks
            )
            for name, arm in study.arms.items()
            if arm.tune is not None
        }
        if study.peaks == 1:
            return {name: Tuning(grid[0], {}) for name, grid in grids.items()}
        while True:
            jobs = {
                (arm, peak, seed): study.trial_job(arm, peak, study.budgets[-1], seed, test=False)
                for seed in seeds
                for arm, grid in grids.items()
                for peak in grid
            }
            records = self._complete("peaks", jobs)
            chosen: dict[str, Tuning] = {}
            widened = False
            for arm, grid in grids.items():
                scores = {
                    peak: [
                        score(study, records[arm, peak, seed].metadata, "validation")
                        for seed in seeds
                    ]
                    for peak in grid
                }
                best = best_peak(scores, study.mode)
                added = wider(grid, min(grid) if best is None else best, study.peaks)
                grids[arm] = sorted([*grid, *added])
                widened = widened or bool(added)
                if best is None:
                    if not added:
                        fix = "set the arm's rate with tune=None"
                        fail(f"peak of {arm}", "one whose runs do not diverge", grid, fix)
                    continue
                seconds = (r.metadata["seconds"] for (a, *_), r in records.items() if a == arm)
                chosen[arm] = Tuning(best, scores, math.fsum(seconds))
            if not widened:
                return chosen

    def _judge(self, peaks: dict[str, float | None]) -> tuple[Trials, dict[str, Stop]]:
        """Train all arms on all judging seeds; at each look, stop the arms that cannot win."""
        study, longest = self.study, self.study.budgets[-1]
        arms, stopped = list(study.arms), dict[str, Stop]()
        trials: Trials = {}
        trained = 0
        looks = increments(study.seeds) if study.stop_early else {study.seeds: 1.0}
        for seeds, level in looks.items():
            trials |= self._trials(
                peaks, [a for a in arms if a not in stopped], range(trained, seeds)
            )
            trained = seeds
            if seeds == study.seeds:
                break
            scores = {
                arm: [
                    score(study, trials[arm, longest, seed].metadata, "test")
                    for seed in range(stopped[arm].seeds if arm in stopped else seeds)
                ]
                for arm in arms
            }
            for arm, best in cannot_win(scores, study.mode, level).items():
                if arm != study.reference:  # the other arms are compared with it
                    stopped[arm] = Stop(seeds, best)
                    total, finished = self.parts["trials"]
                    omitted = (study.seeds - seeds) * len(study.budgets)
                    self.parts["trials"] = total - omitted, finished
        order = {arm: i for i, arm in enumerate(arms)}
        keys = sorted(trials, key=lambda key: (order[key[0]], *key[1:]))
        return {key: trials[key] for key in keys}, stopped

    def _trials(self, peaks: dict[str, float | None], arms: list[str], seeds: range) -> Trials:
        """Complete trials, those of the longest budget first, because the others may branch off."""
        study = self.study
        *shorter, longest = study.budgets

        def jobs(budgets: list[int]) -> dict[tuple[str, int, int], Job]:
            return {
                (arm, budget, seed): study.trial_job(arm, peaks[arm], budget, seed)
                for seed in seeds
                for arm in arms
                for budget in budgets
            }

        trunks, branches = jobs([longest]), jobs(shorter)
        to_trunks, to_branches = Links(), Links()
        for key, job in branches.items():
            arm, _, seed = key
            trunk = trunks[arm, longest, seed]
            name = self.name_of("trials", (arm, longest, seed), trunk)
            to_trunks.setdefault(name, {"branches": []})["branches"].append(_run_of(job))
            own = self.name_of("trials", key, job)
            to_branches[own] = {"trunk": {"id": name, "run": _run_of(trunk)}}
        records = self._complete("trials", trunks, to_trunks, keep_checkpoints=bool(shorter))
        records |= self._complete("trials", branches, to_branches)
        if self.engine:
            self.storage.delete_checkpoints(list(to_trunks))
        return records

    def _complete(
        self,
        part: str,
        jobs: dict[Key, Job],
        links: Links | None = None,
        keep_checkpoints: bool = False,
    ) -> dict[Key, Record]:
        """Return the jobs' records from the storage; run the missing jobs."""
        names = {key: self.name_of(part, key, job) for key, job in jobs.items()}
        wanted = {names[key]: job for key, job in jobs.items()}
        records = self.storage.records(wanted)
        if self.engine:
            keys = {_key(part, key): name for key, name in names.items()}
            self.storage.link_jobs(self.study_id, self.environment_key, keys)
        self._count(part, names, records)
        missing = {name: job for name, job in wanted.items() if name not in records}
        if missing and not self.engine:
            raise MissingJobs
        if self.engine:
            labels = {name: _label(key, self.study.unit) for key, name in names.items()}
            shared = {"metric": self.study.metric, "source": self.source}
            extra = {name: shared | (links or {}).get(name, {}) for name in missing}
            report = functools.partial(self._handle_event, part, labels)
            running = run_jobs(self.storage, self.engine, missing, extra, report)
            # closed after an error or Ctrl-C too, so that the workers stop
            with contextlib.closing(running) as finished:
                for name, record in finished:
                    records[name] = record
                    if not keep_checkpoints:
                        self.storage.delete_checkpoints([name])
                    self.running.pop(name, None)
                    self._count(part, names, records, missing[name])
        return {key: records[name] for key, name in names.items()}

    def name_of(self, part: str, key: Any, job: Job) -> str:
        """Return a job's cache key, or its recorded key of an earlier environment."""
        if self.recorded is None:
            return cache_key(job, self.environment_key)
        return self.recorded.get(_key(part, key), "")

    def _count(
        self,
        part: str,
        names: dict[Any, str],
        records: dict[str, Record],
        finished: Job | None = None,
    ) -> None:
        """Count the finished jobs and report the progress."""
        done = self._finished.setdefault(part, set())
        done |= {key for key, name in names.items() if name in records}
        total = max(self.parts[part][0], len(done | names.keys()))
        self.parts[part] = total, len(done)
        self._report(part, finished)

    def _handle_event(self, part: str, labels: dict[str, str], event: Event) -> None:
        if event.kind in ("started", "progress"):
            self.running[event.name] = event.payload | {"label": labels[event.name]}
            self._report(part)
        else:
            self.running.pop(event.name, None)

    def _report(self, part: str, finished: Job | None = None) -> None:
        self.progress(Progress(part, self.done, self.total, finished, dict(self.running)))


def run_jobs(
    storage: Storage,
    engine: Engine,
    jobs: dict[str, Job],
    extra: dict[str, dict[str, Any]],
    report: Callable[[Event], None] = lambda event: None,
) -> Generator[tuple[str, Record]]:
    """Run jobs and yield the cache key and the record of each finished job.

    Args:
        storage: storage of the records.
        engine: engine that runs the jobs.
        jobs: jobs by cache key.
        extra: additional entries of the messages to the workers, by cache key.
        report: called with each event.

    Raises:
        TrialError: if jobs failed; raised after the other jobs have finished.
    """
    orders = {}
    for name, job in jobs.items():
        paths = storage.curves(name), storage.log(name), storage.checkpoints
        orders[name] = make_order(job, name, *paths) | extra[name]
    with contextlib.closing(engine.run(orders, report)) as finished:
        for name in finished:
            record = storage.import_record(name, jobs[name])
            assert record is not None
            yield name, record


def make_order(job: Job, name: str, record: Path, log: Path, checkpoints: Path) -> dict[str, Any]:
    """Return the message sent to a worker: the job and its output paths."""
    paths = {"record": record, "log": log, "checkpoints": checkpoints}
    absolute = {key: str(path.absolute()) for key, path in paths.items()}
    return job | absolute | {"id": name, "checkpoint_every": _CHECKPOINT_SECONDS}


def _key(part: str, key: Any) -> str:
    return json.dumps([part, *key])


def _run_of(job: Job) -> Job:
    """Return the entries of a trial that determine the updates shared with another trial."""
    return {name: job[name] for name in ("policy", "unit", "budget")}


def _label(key: Any, unit: str) -> str:
    """Return the label of a running job in the terminal."""
    match key:
        case (str(arm), float(peak), seed):
            return f"{arm} at {peak:g}, seed {seed}"
        case (str(arm), int(budget), seed):
            return f"{arm}, {budget} {unit}, seed {seed}"
        case (_, seed):
            return f"range test, seed {seed}"
    return str(key)
