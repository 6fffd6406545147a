"""Run a study: range tests, peaks, trials, checks; each step from the storage where it is there."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lehr.finder import Sweep
from lehr.schedule.errors import fail
from lehr.study.cache_key import batch, identity, study_id
from lehr.study.definition import Study
from lehr.study.engines.local import Event, Pool
from lehr.study.jobs import Job, judging_job, label, sizes, sweep_jobs, tuning_job, tuning_seeds
from lehr.study.ledger import check_pairs
from lehr.study.results import Results, Stop, Tuning, score
from lehr.study.stats.sequential import cannot_win, increments
from lehr.study.storage import Record, Storage
from lehr.study.tuning import best_peak, centre, peak_grid, wider
from lehr.tasks.find import source_digest

Key = TypeVar("Key", bound=Hashable)
Links = dict[str, dict[str, Any]]

_CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        part: "range tests", "peaks" or "trials".
        done: finished jobs of the whole study.
        total: jobs in all, as far as they can be known.
        finished: the job that has just finished, if one has.
        running: by job: what it is ("label") and, once it has moved, "step", "steps", "lr", "loss".
    """

    part: str
    done: int
    total: int
    finished: Job | None = None
    running: dict[str, dict[str, Any]] = field(default_factory=dict)


class Missing(Exception):
    """Something is not in the storage, and nothing is to be run."""


def conduct(
    study: Study, workers: int | None, progress: Callable[[Progress], None] | None
) -> Results:
    """Run what is missing of a study and return its results."""
    with (
        Storage(Path(study.storage)) as storage,
        Pool(workers, storage.cache, study.backend) as pool,
    ):
        return Conductor(study, storage, pool, progress or (lambda progress: None)).results()


def stored(study: Study) -> Results:
    """Return a study's results from its storage: this task file's and versions', else the last."""
    with Storage(Path(study.storage), readonly=True) as storage:
        batches = storage.batches(study_id(study.to_dict()))
        for recorded in (None, *batches):
            conductor = Conductor(study, storage, recorded=recorded)
            with contextlib.suppress(Missing):
                return conductor.results()
        found = f"{conductor.done} of {conductor.total} jobs"
        fail("results", "complete", found, "run the study: it goes on where it stopped")


def _key(part: str, key: Any) -> str:
    return json.dumps([part, *key])


def _line(job: Job) -> Job:
    """Return what of a trial tells how far it shares its way with another."""
    return {name: job[name] for name in ("policy", "unit", "budget")}


class Conductor:
    """A study under way; without a pool it only looks at what is there."""

    def __init__(
        self,
        study: Study,
        storage: Storage,
        pool: Pool | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
        recorded: dict[str, str] | None = None,
    ) -> None:
        self.study, self.storage = study, storage
        self.pool, self.progress = pool, progress
        self.recorded = recorded
        self.source = source_digest(study.task)  # once: it may change while the study runs
        self.batch = batch(study.task, self.source, study.backend)
        self.name = storage.begin(study.to_dict()) if pool else ""
        self.parts = {name: (total, 0) for name, total in sizes(study).items()}
        self.running: dict[str, dict[str, Any]] = {}
        self._finished: dict[str, set[Any]] = {}

    @property
    def done(self) -> int:
        return sum(finished for _, finished in self.parts.values())

    @property
    def total(self) -> int:
        return sum(total for total, _ in self.parts.values())

    def results(self) -> Results:
        """Return the results; what is missing is run first."""
        study = self.study
        swept = self.complete("range tests", sweep_jobs(study))
        sweeps: dict[str | None, tuple[Sweep, ...]] = {}
        for (optimizer, _), record in swept.items():
            saved = record.metadata["sweep"]
            # lehr 0.1 stored the sweep as JSON text
            sweep = Sweep.from_json(saved) if isinstance(saved, str) else Sweep.from_dict(saved)
            sweeps[optimizer] = (*sweeps.get(optimizer, ()), sweep)
        tuning = self.tune(sweeps)
        peaks = {name: tuning[name].peak if name in tuning else None for name in study.arms}
        trials, stopped = self.judge(peaks)
        check_pairs(trials, {name: arm.optimizer for name, arm in study.arms.items()})
        return Results(study, sweeps, tuning, trials, stopped)

    def tune(self, sweeps: dict[str | None, tuple[Sweep, ...]]) -> dict[str, Tuning]:
        """Choose each tuned arm's peak; all grids are tried side by side."""
        study = self.study
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
                (arm, peak, seed): tuning_job(study, arm, peak, seed)
                for seed in tuning_seeds(study)
                for arm, grid in grids.items()
                for peak in grid
            }
            records = self.complete("peaks", jobs)
            chosen: dict[str, Tuning] = {}
            more = False
            for arm, grid in grids.items():
                scores = {
                    peak: [
                        score(study, records[arm, peak, seed].metadata, "validation")
                        for seed in tuning_seeds(study)
                    ]
                    for peak in grid
                }
                best = best_peak(scores, study.mode)
                added = wider(grid, min(grid) if best is None else best, study.peaks)
                grids[arm] = sorted([*grid, *added])
                more = more or bool(added)
                if best is None:
                    if not added:
                        way_out = "give the arm its own rate with tune=None"
                        fail(f"peak of {arm}", "one whose runs do not diverge", grid, way_out)
                    continue
                seconds = (r.metadata["seconds"] for (a, *_), r in records.items() if a == arm)
                chosen[arm] = Tuning(best, scores, math.fsum(seconds))
            if not more:
                return chosen

    def judge(
        self, peaks: dict[str, float | None]
    ) -> tuple[dict[tuple[str, int, int], Record], dict[str, Stop]]:
        """Train every arm on every judging seed; leave out, at the looks, what cannot win."""
        study, longest = self.study, self.study.budgets[-1]
        arms, stopped = list(study.arms), dict[str, Stop]()
        trials: dict[tuple[str, int, int], Record] = {}
        seen = 0
        looks = increments(study.seeds) if study.stop_early else {study.seeds: 1.0}
        for seeds, level in looks.items():
            trials |= self._trials(peaks, [a for a in arms if a not in stopped], range(seen, seeds))
            seen = seeds
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
                if arm != arms[0]:  # all are compared with the reference
                    stopped[arm] = Stop(seeds, best)
                    total, finished = self.parts["trials"]
                    spared = (study.seeds - seeds) * len(study.budgets)
                    self.parts["trials"] = total - spared, finished
        places = {arm: place for place, arm in enumerate(arms)}
        keys = sorted(trials, key=lambda key: (places[key[0]], *key[1:]))
        return {key: trials[key] for key in keys}, stopped

    def _trials(
        self, peaks: dict[str, float | None], arms: list[str], seeds: range
    ) -> dict[tuple[str, int, int], Record]:
        """Complete some trials, the longest budget first: the others may branch off from it."""
        study = self.study
        *shorter, longest = study.budgets

        def jobs(budgets: list[int]) -> dict[tuple[str, int, int], Job]:
            return {
                (arm, budget, seed): judging_job(study, arm, peaks[arm], budget, seed)
                for seed in seeds
                for arm in arms
                for budget in budgets
            }

        trunks, branches = jobs([longest]), jobs(shorter)
        to_trunks: Links = {}
        to_branches: Links = {}
        for key, job in branches.items():
            arm, _, seed = key
            trunk = trunks[arm, longest, seed]
            name = self.name_of("trials", (arm, longest, seed), trunk)
            to_trunks.setdefault(name, {"branches": []})["branches"].append(_line(job))
            own = self.name_of("trials", key, job)
            to_branches[own] = {"trunk": {"id": name, "run": _line(trunk)}}
        records = self.complete("trials", trunks, to_trunks, keep=bool(shorter))
        records |= self.complete("trials", branches, to_branches)
        if self.pool:
            self.storage.forget_checkpoints(list(to_trunks))
        return records

    def complete(
        self, part: str, jobs: dict[Key, Job], links: Links | None = None, keep: bool = False
    ) -> dict[Key, Record]:
        """Return the jobs' records, from the storage where they are, else from running them."""
        names = {key: self.name_of(part, key, job) for key, job in jobs.items()}
        wanted = {names[key]: job for key, job in jobs.items()}
        records = self.storage.records(wanted)
        if self.pool:
            keys = {_key(part, key): name for key, name in names.items()}
            self.storage.belong(self.name, self.batch, keys)
        self._note(part, names, records)
        missing = {name: job for name, job in wanted.items() if name not in records}
        if missing and not self.pool:
            raise Missing
        moved = self._moved(part, {n: label(key, self.study.unit) for key, n in names.items()})
        known = {"metric": self.study.metric, "source": self.source}
        linked = links or {}

        def more(name: str) -> dict[str, Any]:
            return known | linked.get(name, {})

        if self.pool:
            # closed, whatever happens here: no worker goes on behind an error or Ctrl-C
            with contextlib.closing(
                finish(self.storage, self.pool, missing, more, moved)
            ) as finished:
                for name, record in finished:
                    records[name] = record
                    if not keep:
                        self.storage.forget_checkpoints([name])
                    self.running.pop(name, None)
                    self._note(part, names, records, missing[name])
        return {key: records[name] for key, name in names.items()}

    def name_of(self, part: str, key: Any, job: Job) -> str:
        """Return a job's name: its identity, or what a study of another batch recorded."""
        if self.recorded is None:
            return identity(job, self.batch)
        return self.recorded.get(_key(part, key), "")

    def _note(
        self,
        part: str,
        names: dict[Any, str],
        records: dict[str, Record],
        finished: Job | None = None,
    ) -> None:
        """Count what has finished, and report."""
        done = self._finished.setdefault(part, set())
        done |= {key for key, name in names.items() if name in records}
        total = max(self.parts[part][0], len(done | names.keys()))
        self.parts[part] = total, len(done)
        self._report(part, finished)

    def _moved(self, part: str, labels: dict[str, str]) -> Callable[[Event], None]:
        def moved(event: Event) -> None:
            if event.kind in ("started", "moved"):
                self.running[event.name] = event.payload | {"label": labels[event.name]}
                self._report(part)
            else:
                self.running.pop(event.name, None)

        return moved

    def _report(self, part: str, finished: Job | None = None) -> None:
        self.progress(Progress(part, self.done, self.total, finished, dict(self.running)))


def finish(
    storage: Storage,
    pool: Pool,
    jobs: dict[str, Job],
    more: Callable[[str], dict[str, Any]],
    moved: Callable[[Event], None] = lambda event: None,
) -> Generator[tuple[str, Record]]:
    """Run jobs and yield the name and the record of each as it comes.

    Args:
        storage: keeps the records.
        pool: runs the jobs.
        jobs: by name.
        more: what else a job's worker is told, by the job's name.
        moved: called with whatever happens.
    """
    orders = {}
    for name, job in jobs.items():
        places = order(job, name, storage.curves(name), storage.log(name), storage.checkpoints)
        orders[name] = places | more(name)
    with contextlib.closing(pool.run(orders, moved)) as finished:
        for name in finished:
            record = storage.take_in(name, jobs[name])
            assert record is not None
            yield name, record


def order(job: Job, name: str, record: Path, log: Path, checkpoints: Path) -> dict[str, Any]:
    """Return what a worker is told: the job, and where everything goes."""
    places = {"record": record, "log": log, "checkpoints": checkpoints}
    absolute = {key: str(path.absolute()) for key, path in places.items()}
    return job | absolute | {"id": name, "checkpoint_every": _CHECKPOINT_SECONDS}
