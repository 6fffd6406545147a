"""Run one job: a range test, a probe, a measurement, or a trial (one arm, seed and budget).

A trial resumes from its last checkpoint, or branches off its *trunk*: the arm's run of the longest
budget on this seed, up to the first update in which the policies differ (for warmup-stable-decay,
the start of the decay). The numbers equal those of a run from the start, bit for bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lehr.finder import range_test
from lehr.learner import Learner, Snapshot, real
from lehr.policy import Policy
from lehr.schedule.errors import fail, one_of
from lehr.study.cache_key import versions
from lehr.study.checkpoints import Run, curves
from lehr.study.environment import usual_backend
from lehr.study.jobs import SWEEP, Job, json_data
from lehr.study.ledger import check_ledger, pairing
from lehr.tasks.find import find_task, make_learner, source_digest

Report = Callable[[dict[str, Any]], None]

_FIRST_CHUNK, _MOST = 16, 256  # updates between two time measurements
_CHUNK_SECONDS = 1.0
_PROBE = 128  # number of timed updates
_REPEAT_UPDATES, _REPEAT_RATE = 4, 0.01  # updates and rate of the check that a learner is reusable
_cached: tuple[str, Learner, Snapshot] | None = None  # name, last learner, its initial state
_unrepeatable: set[str] = set()  # tasks whose learners are not reusable
_tested: set[str] = set()  # tasks with test data and the metric, already checked


def run_job(
    job: Job, folder: Path, report: Report = lambda payload: None, checkpoint_every: float = 10.0
) -> Snapshot:
    """Run a job and return its record: curves as arrays, other results as metadata.

    Args:
        job: the job; for a trial with its "id", and its "trunk" or "branches".
        folder: folder of the checkpoints.
        report: called with the progress about once per second.
        checkpoint_every: seconds between checkpoints.
    """
    begun = time.perf_counter()
    if "source" in job and job["source"] != source_digest(job["task"]):
        fail("the task's file", "unchanged during a study", job["task"], "run the study again")
    kind, setup, record = job["kind"], 0.0, Snapshot({}, {})
    if kind == "measurement":
        measured = find_task(job["task"])(job["seed"], **job["options"])
        record.metadata["measured"] = json_data(measured)
    else:
        learner = _learner(job)
        setup = time.perf_counter() - begun
        if kind == "sweep":
            _check_metrics(learner, job, "validation", "test")
            options = {name: job[name] for name in SWEEP}
            record.metadata["sweep"] = range_test(learner, **options).to_dict()
        elif kind == "probe":
            record.metadata.update(_probe(learner))
        else:
            record = _Trial(job, learner, folder, report, checkpoint_every).record()
    backend = usual_backend()  # of this process, set by the driver process
    record.metadata["versions"] = versions(job["task"], backend) | {"Keras backend": backend}
    record.metadata["setup_seconds"] = setup
    record.metadata["all_seconds"] = time.perf_counter() - begun
    return record


def _learner(job: Job) -> Learner:
    """Return a learner in its initial state; reuse the last one for the same task and seed.

    A learner is reusable only if its first updates are reproduced exactly after a restore: a task
    may have a generator or a counter outside the snapshot.
    """
    global _cached
    task, options, seed = job["task"], job["options"], job["seed"]
    name = json.dumps([task, options, seed], sort_keys=True)
    if _cached is not None and _cached[0] == name:
        _cached[1].restore(_cached[2])
        return _cached[1]
    _cached = None  # free the memory before the next learner is created
    learner = make_learner(task, seed, options)
    if task not in _unrepeatable:
        initial = learner.snapshot()
        outcomes = []
        for _ in range(2):
            learner.restore(initial)
            losses = learner.train(Policy(_REPEAT_RATE), _REPEAT_UPDATES).losses
            outcomes.append((repr(losses), learner.snapshot().digest()))
        if outcomes[0] == outcomes[1]:
            learner.restore(initial)
            _cached = name, learner, initial
            return learner
        _unrepeatable.add(task)
        learner = make_learner(task, seed, options)
    return learner


def _probe(learner: Learner) -> dict[str, Any]:
    """Measure the seconds of an update and of an evaluation, without compilation."""
    policy = Policy(0.0)
    seconds = []
    for work in (lambda: learner.train(policy, _PROBE), learner.evaluate):
        work()
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return {
        "update": seconds[0] / _PROBE,
        "evaluation": seconds[1],
        "steps_per_epoch": learner.steps_per_epoch,
    }


class _Trial:
    """Training of one arm at one budget and seed."""

    def __init__(
        self, job: Job, learner: Learner, folder: Path, report: Report, checkpoint_every: float
    ) -> None:
        self.job, self.learner, self.report = job, learner, report
        self.every, self.folder = checkpoint_every, folder
        self.epoch = learner.steps_per_epoch
        self.steps, policy = in_steps(job, self.epoch)
        self.run = Run(policy, policy.control.init() if policy.control else None)
        branches = [in_steps(branch, self.epoch) for branch in job.get("branches", ())]
        self.marks = {in_common(policy, self.steps, p, steps) for steps, p in branches} - {0}

    def record(self) -> Snapshot:
        """Train from the last checkpoint of the trial or its trunk, and return the record."""
        job, learner, run = self.job, self.learner, self.run
        _check_before_training(learner, run.policy, self.steps, job)
        metadata: dict[str, Any] = {"pairing": pairing(learner, self.steps)}
        if checkpoint := self._checkpoint():
            run.restore(learner, checkpoint)
        saved = time.monotonic()
        chunk = _FIRST_CHUNK
        while run.step < self.steps and not self._out_of_patience():
            ends = [run.step + chunk, (run.step // self.epoch + 1) * self.epoch, self.steps]
            end = min([*ends, *(mark for mark in self.marks if mark > run.step)])
            seconds = self._advance(end)
            chunk = max(1, min(_MOST, int(chunk * _CHUNK_SECONDS / max(seconds, 1e-9))))
            if run.step in self.marks:
                run.save(learner, self.folder / job["id"] / f"at-{run.step}.npz")
            if run.step < self.steps and time.monotonic() - saved >= self.every:
                run.save(learner, self.folder / job["id"] / "last.npz")
                saved = time.monotonic()
        if not run.history or run.history[-1]["step"] < run.step:
            self._validate()  # all updates of this trial are shared with its trunk
            run.history[-1]["seconds"] = run.seconds
        metadata |= {
            "validation": run.history[-1]["validation"],
            "history": run.history,
            "best": run.best,
            "steps": run.step,
            "steps_per_epoch": self.epoch,
            "seconds": run.seconds,
        }
        metadata["pairing"]["first loss"] = repr(run.trace.losses[0])
        if job["test"]:
            metadata["test"] = json_data(_evaluate(learner, "test", job))
        return Snapshot(curves(run.trace), metadata)

    def _out_of_patience(self) -> bool:
        """Return whether the best validation metric is older than the patience."""
        run, patience = self.run, self.job.get("patience")
        if patience is None or run.step % self.epoch:
            return False
        best = run.best["step"] if run.best else 0
        return bool(run.step - best >= patience * self.epoch)

    def _checkpoint(self) -> Snapshot | None:
        """Return the last checkpoint of the trial, or its trunk's at the branch point, or None."""
        paths = [self.folder / self.job["id"] / "last.npz"]
        if trunk := self.job.get("trunk"):
            steps, policy = in_steps(trunk["run"], self.epoch)
            step = in_common(self.run.policy, self.steps, policy, steps)
            paths.append(self.folder / trunk["id"] / f"at-{step}.npz")
        checkpoints = map(Snapshot.load_if_valid, paths)
        return next((found for found in checkpoints if found is not None), None)

    def _advance(self, end: int) -> float:
        """Train to a step; validate after an epoch and the run; return the training seconds."""
        run, learner, begun = self.run, self.learner, time.perf_counter()
        first = run.step
        trace = learner.train(run.policy, end - first, first=first, factor=run.factor)
        check_ledger(trace, run.policy, first, run.factor)
        run.trace.extend(trace.losses, trace.rates)
        trained = time.perf_counter() - begun
        if validates := end % self.epoch == 0 or end == self.steps:
            self._validate()
        run.seconds += time.perf_counter() - begun
        if validates:
            run.history[-1]["seconds"] = run.seconds
        lr = next(iter(trace.rates.values()))[-1]
        payload = {"step": end, "steps": self.steps, "lr": lr, "loss": trace.losses[-1]}
        self.report(payload | {"loss": None} if not math.isfinite(payload["loss"]) else payload)
        return trained

    def _validate(self) -> None:
        run, job = self.run, self.job
        metrics = _evaluate(self.learner, "validation", job)
        since = run.history[-1]["step"] if run.history else 0
        losses = run.trace.losses[since:]
        entry = {"loss": math.fsum(losses) / len(losses)}
        if run.policy.control and run.control:
            monitored = _named(metrics) | entry
            metric = monitored[run.policy.control.monitor]
            run.control = run.policy.control.update(run.control, metric)
        step = {"step": run.step, "loss": json_data(entry)["loss"]}
        run.history.append(step | {"validation": json_data(metrics)})
        if job["judge"] == "best":
            sign = 1 if job["mode"] == "max" else -1
            score = metrics[job["metric"]]
            best = run.best["validation"][job["metric"]] if run.best else -sign * math.inf
            if math.isfinite(score) and sign * score > sign * best:
                run.best = {"step": run.step, "validation": json_data(metrics)}
                if job["test"]:
                    run.best["test"] = json_data(_evaluate(self.learner, "test", job))


def in_steps(run: Job, steps_per_epoch: int) -> tuple[int, Policy]:
    """Return the number of updates of a run, and its policy resolved to integer steps."""
    steps = run["budget"] * (steps_per_epoch if run["unit"] == "epochs" else 1)
    policy = Policy.from_dict(run["policy"])
    return steps, policy.resolve(steps, steps_per_epoch=steps_per_epoch)


def in_common(a: Policy, a_steps: int, b: Policy, b_steps: int) -> int:
    """Return the number of first updates in which two policies have equal values."""
    if a.control != b.control:
        return 0
    shared = min(a_steps, b_steps)
    return next((t for t in range(shared) if a.written(t) != b.written(t)), shared)


def _check_before_training(learner: Learner, policy: Policy, steps: int, job: Job) -> None:
    """Raise for errors in the definition that would otherwise be raised after the training."""
    validated = _check_metrics(learner, job, "validation")
    if job["test"] and job["task"] not in _tested:
        _check_metrics(learner, job, "test")
        _tested.add(job["task"])
    if policy.control is not None:
        one_of("monitor", policy.control.monitor, [*_named(validated), "loss"])
        if getattr(policy.control, "restore_best", False):
            fail("restore_best", "False in a study", True, "trials do not restore weights")
    if job["peak"] is not None:
        highest = max(policy.written(step)["lr"] for step in range(steps))
        if highest > job["peak"] * (1 + 1e-3):
            fix = "write a tuned policy at peak 1, for instance one_cycle(1.0)"
            fail("largest rate", f"at most the peak chosen, {job['peak']:g}", highest, fix)


def _check_metrics(learner: Learner, job: Job, *splits: str) -> dict[str, float]:
    """Evaluate splits; raise unless the metrics are numbers and contain the judged one."""
    for split in splits:
        metrics = _evaluate(learner, split, job)
        if "metric" in job:
            one_of("metric", job["metric"], metrics)
    return metrics


def _evaluate(learner: Learner, split: str, job: Job) -> dict[str, float]:
    """Return the metrics of a split as floats; raise for values that are not numbers."""
    found: Any = learner.evaluate(split)
    if not isinstance(found, Mapping):
        where = f"evaluate({split!r}) of {job['task']}"
        fail(where, "a dict of numbers by name", found, error=TypeError)
    for name in found:
        if not isinstance(name, str):
            fail(f"name of a metric of {job['task']}", "text", name, error=TypeError)
    return {name: real(f"metric {name} of {job['task']}", x) for name, x in found.items()}


def _named(validation: dict[str, float]) -> dict[str, float]:
    """Return validation metrics with Keras's prefix ``val_``."""
    return {f"val_{name}": value for name, value in validation.items()}
