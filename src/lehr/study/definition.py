"""The definition of a study: task, arms, budgets and seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from lehr.policy import Policy
from lehr.schedule.base import Schedule
from lehr.schedule.code import call
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.frozen import FrozenDict
from lehr.study.arm import Arm, check_name
from lehr.study.environment import BACKENDS
from lehr.study.jobs import FIRST_TUNING_SEED, SWEEP, Job, json_data, make_job, tuning_seeds
from lehr.study.stats.sequential import looks
from lehr.tasks.find import check_options, find_task, task_name

if TYPE_CHECKING:
    from lehr.learner import Learner
    from lehr.study.plan import Plan
    from lehr.study.results import Results
    from lehr.study.runner import Progress


_MOST_PEAKS = 25  # the largest is 4096 times the suggestion
_EPOCHS = 5  # default budget
_NO_OPTIONS: FrozenDict[str, Any] = FrozenDict()


@dataclass(frozen=True, repr=False)
class Study:
    """A comparison of policies on a task under a budget, with significance tests.

    For each seed, all arms start from the same weights and use the same batches. The peak of
    each tuned arm is chosen from a grid around the range test's suggestion, on tuning seeds and
    validation data, at the largest budget. The verdict uses other seeds and test data.
    Finished trials are stored: a second run of the study trains only the missing ones.

    Args:
        task: name of a built-in task, or a function from a seed to a Learner, or its name
            ``module:function``. Worker processes import the module, so the function cannot be
            defined in a notebook or script. Trials run again when the module's file changes, but
            not when its imports change.
        arms: arms by name (or policies, schedules, numbers); the first is the reference.
        epochs: budget in passes over the training data per trial, or several budgets.
        steps: budget in optimizer updates, or several budgets; instead of ``epochs``.
        seeds: number of judging seeds, at least 2 (1 for a single arm).
        tuning_seeds: number of seeds for the choice of peaks; they are not judging seeds.
        peaks: odd number of peaks to try for each tuned arm, with a ratio of 2, centred at the
            range test's suggestion; more are tried if the best is at an edge. 1: use the
            suggestion without training.
        metric: name of the judged metric in the task's evaluation.
        mode: "max" if larger metrics are better, "min" if smaller ones are.
        judge: "final" scores the weights at the end of the run, "best" those of the best
            validation metric.
        patience: number of epochs without a better validation metric after which a trial stops;
            requires ``judge="best"`` and a budget in epochs.
        target: validation metric for "updates to the target"; default: the mean final validation
            metric of the reference.
        stop_early: stop arms that can no longer win, at interim looks; the looks share the error
            probability.
        options: keyword arguments of the task, plain values.
        backend: Keras backend of the trials, "jax", "tensorflow" or "torch"; default: the
            environment variable ``KERAS_BACKEND``, otherwise JAX.
        storage: folder of the results.

    Attributes:
        reference: name of the first arm, with which the others are compared.
        unit: "epochs" or "steps".
        budgets: the budgets in this unit, ascending; peaks are chosen at the largest.

    Raises:
        ValueError: if a value is out of range or a name is unknown.
        TypeError: if a value has the wrong type.

    >>> import lehr
    >>> study = Study("digits-mlp", {"fixed": 0.05, "cosine": lehr.cosine(0.1)}, epochs=(2, 4))
    >>> list(study.arms), study.seeds, study.budgets
    (['fixed', 'cosine'], 8, (2, 4))
    """

    task: str
    arms: FrozenDict[str, Arm]
    _: KW_ONLY
    epochs: int | tuple[int, ...] | None = None
    steps: int | tuple[int, ...] | None = None
    seeds: int = 8
    tuning_seeds: int = 3
    peaks: int = 5
    metric: str = "accuracy"
    mode: str = "max"
    judge: str = "final"
    patience: int | None = None
    target: float | None = None
    stop_early: bool = False
    options: FrozenDict[str, Any] = _NO_OPTIONS
    backend: str | None = None
    storage: str = field(default="runs", compare=False)
    reference: str = field(init=False, repr=False)
    unit: str = field(init=False, repr=False, compare=False)
    budgets: tuple[int, ...] = field(init=False, repr=False, compare=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            task: str | Callable[..., Learner],
            arms: Mapping[str, Arm | Policy | Schedule | float],
            *,
            epochs: int | Sequence[int] | None = None,
            steps: int | Sequence[int] | None = None,
            seeds: int = 8,
            tuning_seeds: int = 3,
            peaks: int = 5,
            metric: str = "accuracy",
            mode: str = "max",
            judge: str = "final",
            patience: int | None = None,
            target: float | None = None,
            stop_early: bool = False,
            options: Mapping[str, Any] | None = None,
            backend: str | None = None,
            storage: str | os.PathLike[str] = "runs",
        ) -> None: ...

    def __post_init__(self) -> None:
        self._set(task=task_name(self.task))
        storage: Any = self.storage
        if not isinstance(storage, str | os.PathLike):
            fail("storage", "a folder", storage, error=TypeError)
        if not isinstance(self.arms, Mapping) or not self.arms:
            fail("arms", "a dict of at least one arm, the first the reference", self.arms)
        for name in self.arms:
            check_name("name of an arm", name)
        arms = {name: arm if isinstance(arm, Arm) else Arm(arm) for name, arm in self.arms.items()}
        self._set(
            arms=FrozenDict(arms),
            reference=next(iter(arms)),
            options=_frozen(_plain("options", {} if self.options is None else self.options)),
            storage=os.fspath(storage),
        )
        if self.backend is not None:
            one_of("backend", self.backend, BACKENDS)
        self._check_task()
        if self.epochs is None and self.steps is None:
            self._set(epochs=_EPOCHS)
        if self.epochs is not None and self.steps is not None:
            fail("steps", "omitted if epochs is set", self.steps)
        unit = "epochs" if self.steps is None else "steps"
        budgets = _budgets(unit, getattr(self, unit))
        self._set(**{unit: budgets[0] if len(budgets) == 1 else budgets})
        self._set(unit=unit, budgets=budgets)
        least_seeds = 1 if len(arms) == 1 else 2  # a single arm has no comparison
        for name, least in (("seeds", least_seeds), ("tuning_seeds", 1), ("peaks", 1)):
            self._set(**{name: integer(name, getattr(self, name), at_least=least)})
        if self.seeds > FIRST_TUNING_SEED:
            fail("seeds", f"at most {FIRST_TUNING_SEED}, the first tuning seed", self.seeds)
        for name, most in (("tuning_seeds", FIRST_TUNING_SEED), ("peaks", _MOST_PEAKS)):
            if getattr(self, name) > most:
                fail(name, f"at most {most}", getattr(self, name))
        if self.peaks % 2 == 0:
            fail("peaks", "odd, with the range test's peak in the middle", self.peaks)
        if not isinstance(self.metric, str) or not self.metric:
            fail("metric", "the name of a metric of the task", self.metric, error=TypeError)
        one_of("mode", self.mode, ("min", "max"))
        one_of("judge", self.judge, ("final", "best"))
        if self.patience is not None:
            self._set(patience=integer("patience", self.patience))
            if self.judge != "best" or unit != "epochs":
                fail("patience", 'omitted unless judge="best" with epochs', self.patience)
        if self.target is not None:
            self._set(target=number("target", self.target))
        if not isinstance(self.stop_early, bool):
            fail("stop_early", "True or False", self.stop_early, error=TypeError)
        if self.stop_early and looks(self.seeds) == (self.seeds,):
            fail("stop_early", f"False with {self.seeds} seeds, which have no interim look", True)

    def _check_task(self) -> None:
        find_task(self.task)
        for arm in self.arms.values():
            optimizer = {} if arm.optimizer is None else {"optimizer": arm.optimizer}
            check_options(self.task, self.options | optimizer)

    def _set(self, **checked: Any) -> None:
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        arms = {
            name: arm if arm != Arm(arm.policy) else arm.given for name, arm in self.arms.items()
        }
        defaults = {f.name: f.default for f in fields(self) if f.kw_only and f.init}
        if self.steps is None:
            defaults["epochs"] = _EPOCHS
        named = {name: (getattr(self, name), default) for name, default in defaults.items()}
        return call("Study", self.task, arms, **named)[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain data."""
        later = {"patience": self.patience, "backend": self.backend}  # missing in older definitions
        return {name: value for name, value in later.items() if value is not None} | {
            "task": self.task,
            "options": json_data(self.options),
            self.unit: list(self.budgets),
            "judging seeds": list(range(self.seeds)),
            "tuning seeds": list(tuning_seeds(self.tuning_seeds)),
            "range test": SWEEP,
            "peaks": self.peaks,
            "metric": self.metric,
            "mode": self.mode,
            "judge": self.judge,
            "target": self.target,
            "stop early": self.stop_early,
            "arms": {name: arm.to_dict() for name, arm in self.arms.items()},
        }

    def trial_job(
        self, arm: str, peak: float | None, budget: int, seed: int, *, test: bool = True
    ) -> Job:
        """Return the job of one trial: an arm at a peak (None if untuned), a budget and a seed.

        With ``test=False`` (for the choice of peaks), test data is not evaluated. The job depends
        on the metric only with ``judge="best"``.
        """
        given = self.arms[arm]
        job = make_job("trial", self.task, self.options, seed, given.optimizer) | {
            "policy": given.at(peak).to_dict(),
            "unit": self.unit,
            "budget": budget,
            "peak": peak,
            "judge": self.judge,
            "test": test,
        }
        if self.judge == "best":
            job |= {"metric": self.metric, "mode": self.mode}
        return job | ({"patience": self.patience} if self.patience else {})

    def run(
        self, *, workers: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> Results:
        """Run the missing jobs in single-threaded worker processes, and return the results.

        Args:
            workers: number of processes; default: one per GPU, or one per core without a GPU.
            progress: called with a `lehr.study.runner.Progress` when a job starts, advances or
                finishes.

        Raises:
            TrialError: if a trial failed; finished trials are stored.
            ValueError: if the storage cannot be read or written, or another process uses it.
        """
        from lehr.study.runner import run_study

        if progress is not None and not callable(progress):
            fail("progress", "a function of a Progress, or None", progress, error=TypeError)
        return run_study(self, workers, progress)

    def results(self) -> Results:
        """Load the results from the storage without running jobs.

        Raises:
            ValueError: if jobs are missing.
        """
        from lehr.study.runner import load_results

        return load_results(self)

    def plan(self, *, workers: int | None = None) -> Plan:
        """Return the numbers of jobs and finished jobs, and an estimate of the remaining time.

        The estimate is based on the time of an update and an evaluation in a worker process.

        Args:
            workers: number of processes; default: one per GPU, or one per core without a GPU.
        """
        from lehr.study.plan import plan

        return plan(self, workers)


def _budgets(unit: str, value: Any) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    budgets = tuple(integer(unit, budget) for budget in given)
    if not budgets or list(budgets) != sorted(set(budgets)):
        fail(unit, "an integer or several in increasing order", value)
    return budgets


def _plain(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail(field, "a dict of plain values by name", value, error=TypeError)
    try:
        return dict(json.loads(json.dumps(dict(value), allow_nan=False)))
    except (TypeError, ValueError):
        fail(field, "plain values that can be saved as JSON", value)


def _frozen(value: Any) -> Any:
    """Return plain data as immutable dicts and tuples."""
    if isinstance(value, dict):
        return FrozenDict({name: _frozen(part) for name, part in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
