"""What a study is: a task, its arms, budgets, seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lehr.finder.suggest import USES
from lehr.policy import Policy, as_policy
from lehr.recipes.tasks import check_options, find_task
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, number, one_of, whole
from lehr.study.jobs import FIRST_TUNING_SEED, SWEEP, tuning_seeds
from lehr.study.sequential import looks

if TYPE_CHECKING:
    from lehr.study.conduct import Progress
    from lehr.study.plan import Plan
    from lehr.study.results import Results

JUDGES = ("final", "best")
_USUAL = 2000  # updates of the run over which a tuned policy's peak is looked up
_IN_NAMES, _LONGEST_NAME = " -_.,+=()[]%@#'", 60


@dataclass(frozen=True)
class Arm:
    """A policy to compare, how its peak is chosen, and its optimizer where it differs.

    Args:
        policy: a policy, a schedule or a number.
        tune: "constant", "one-cycle" or "cyclical": the policy is written at peak 1 and its
            learning rate is multiplied by a peak that the study chooses, beginning with what the
            range test suggests for this use.
            None: the policy is used as it stands, and shown as untuned.
        optimizer: passed to the task as ``optimizer=``; None for the task's own.

    Raises:
        ValueError: if ``tune`` is no known use, the tuned policy has parameter groups or is not
            written at peak 1, or JSON cannot hold the policy.
        TypeError: if the optimizer is no name.
    """

    policy: Policy
    tune: str | None = None
    optimizer: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            policy: Policy | Schedule | float,
            tune: str | None = None,
            optimizer: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        policy = as_policy(self.policy)
        object.__setattr__(self, "policy", policy)
        if self.tune is not None:
            one_of("tune", self.tune, USES)
            if isinstance(policy.lr, dict):
                fail("policy", "without parameter groups where its peak is tuned", policy.lr)
            _check_peak(policy)
        if not isinstance(self.optimizer, str | None):
            fail("optimizer", "a name that the task knows", self.optimizer, error=TypeError)
        if self.optimizer is not None:
            _check_name("optimizer", self.optimizer)
        policy.dumps()  # says what JSON cannot hold

    def at(self, peak: float | None) -> Policy:
        """Return the policy at a tuned peak; an untuned arm takes None."""
        if peak is None or isinstance(self.policy.lr, dict):
            return self.policy
        return replace(self.policy, lr=self.policy.lr * peak)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        policy = json.loads(self.policy.dumps())
        return {"policy": policy, "tune": self.tune, "optimizer": self.optimizer}


@dataclass(frozen=True)
class Study:
    """Which policy is better on a task, under a budget, and how sure are we?

    For one seed every arm starts from the same weights and sees the same batches. Each tuned
    arm's peak is chosen from a grid around what the range test suggests, on tuning seeds and
    validation data, at the largest budget; the verdict comes from other seeds and test data.
    Finished trials are kept: running a study again runs what is missing.

    Args:
        task: a built-in name, or ``module:function`` returning a Learner for a seed. Trials run
            again when that module's file has changed; changes in what it imports go unseen.
        arms: name to arm (or policy, schedule, number); the first is the reference.
        epochs: passes over the training data in each trial; several make a curve of budgets.
        steps: optimizer updates in each trial, instead of epochs; likewise.
        seeds: number of judging seeds, at least 2.
        tuning_seeds: number of other seeds that choose the peaks.
        peaks: how many peaks each tuned arm tries, an odd number: each twice the one before, the
            range test's in the middle; a best one at the edge tries more. 1 takes the range
            test's word and trains nothing for it.
        metric: name of the judged metric in the task's evaluation.
        mode: "max" or "min": which direction of the metric is better.
        judge: "final" scores the end of the run, "best" the weights of the best validation metric.
        target: validation metric for "updates to the target"; the reference's own final one if
            left out.
        stop_early: leave out arms that can no longer win, at looks on the way; the error that
            each look may make is taken from the whole.
        options: passed to the task by name, plain values.
        storage: a folder for the results.

    Attributes:
        reference: name of the first arm.
        unit: "epochs" or "steps".
        budgets: the budgets in this unit, rising; the last is the one the peaks are for.

    Raises:
        ValueError: if a value is out of its range or a name unknown.
        TypeError: if a value has the wrong type.

    >>> import lehr
    >>> study = Study("digits-mlp", {"fixed": 0.05, "cosine": lehr.cosine(0.1)}, epochs=(2, 4))
    >>> list(study.arms), study.seeds, study.budgets
    (['fixed', 'cosine'], 8, (2, 4))
    """

    task: str
    arms: dict[str, Arm]
    epochs: int | tuple[int, ...] | None = None
    steps: int | tuple[int, ...] | None = None
    seeds: int = 8
    tuning_seeds: int = 3
    peaks: int = 5
    metric: str = "accuracy"
    mode: str = "max"
    judge: str = "final"
    target: float | None = None
    stop_early: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    storage: str | os.PathLike[str] = field(default="runs", compare=False)
    reference: str = field(init=False, repr=False)
    unit: str = field(init=False, repr=False, compare=False)
    budgets: tuple[int, ...] = field(init=False, repr=False, compare=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            task: str,
            arms: Mapping[str, Arm | Policy | Schedule | float],
            epochs: int | Sequence[int] | None = None,
            steps: int | Sequence[int] | None = None,
            seeds: int = 8,
            tuning_seeds: int = 3,
            peaks: int = 5,
            metric: str = "accuracy",
            mode: str = "max",
            judge: str = "final",
            target: float | None = None,
            stop_early: bool = False,
            options: Mapping[str, Any] | None = None,
            storage: str | os.PathLike[str] = "runs",
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.task, str):
            fail("task", "a built-in name or module:function", self.task, error=TypeError)
        if not isinstance(self.storage, str | os.PathLike):
            fail("storage", "a folder", self.storage, error=TypeError)
        if not isinstance(self.arms, Mapping) or not self.arms:
            fail("arms", "a dict of at least one arm, the first the reference", self.arms)
        for name in self.arms:
            _check_name("name of an arm", name)
        arms = {name: arm if isinstance(arm, Arm) else Arm(arm) for name, arm in self.arms.items()}
        self._set(
            arms=arms, reference=next(iter(arms)), options=_plain("options", self.options or {})
        )
        self._check_task()
        if self.epochs is None and self.steps is None:
            self._set(epochs=5)
        if self.epochs is not None and self.steps is not None:
            fail("steps", "left out where epochs are given", self.steps)
        unit = "epochs" if self.steps is None else "steps"
        budgets = _budgets(unit, getattr(self, unit))
        self._set(**{unit: budgets[0] if len(budgets) == 1 else budgets})
        self._set(unit=unit, budgets=budgets)
        for name, least in (("seeds", 2), ("tuning_seeds", 1), ("peaks", 1)):
            self._set(**{name: whole(name, getattr(self, name), at_least=least)})
        if self.seeds > FIRST_TUNING_SEED:
            fail("seeds", f"at most {FIRST_TUNING_SEED}: the seeds after tune", self.seeds)
        if self.peaks % 2 == 0:
            fail("peaks", "odd: the range test's in the middle", self.peaks)
        one_of("mode", self.mode, ("min", "max"))
        one_of("judge", self.judge, JUDGES)
        if self.target is not None:
            self._set(target=number("target", self.target))
        if not isinstance(self.stop_early, bool):
            fail("stop_early", "True or False", self.stop_early, error=TypeError)
        if self.stop_early and looks(self.seeds) == (self.seeds,):
            fail("stop_early", f"False with {self.seeds} seeds: there is no look", True)

    def _check_task(self) -> None:
        find_task(self.task)
        for arm in self.arms.values():
            optimizer = {} if arm.optimizer is None else {"optimizer": arm.optimizer}
            check_options(self.task, self.options | optimizer)

    def _set(self, **checked: Any) -> None:
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain data."""
        return {
            "task": self.task,
            "options": self.options,
            self.unit: list(self.budgets),
            "judging seeds": list(range(self.seeds)),
            "tuning seeds": list(tuning_seeds(self)),
            "range test": SWEEP,
            "peaks": self.peaks,
            "metric": self.metric,
            "mode": self.mode,
            "judge": self.judge,
            "target": self.target,
            "stop early": self.stop_early,
            "arms": {name: arm.to_dict() for name, arm in self.arms.items()},
        }

    def run(
        self, *, workers: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> Results:
        """Run what is missing, in worker processes of one thread each, and return the results.

        Args:
            workers: processes at a time; one per core if left out.
            progress: called with a `lehr.study.conduct.Progress` whenever something has moved.

        Raises:
            TrialError: if a trial failed; the finished ones are kept.
            ValueError: if the storage cannot be read or written, or another process uses it.
        """
        from lehr.study.conduct import conduct

        return conduct(self, workers, progress)

    def results(self) -> Results:
        """Return the results from the storage, without running anything.

        Raises:
            ValueError: if something is missing.
        """
        from lehr.study.conduct import stored

        return stored(self)

    def plan(self, *, workers: int | None = None) -> Plan:
        """Return which jobs there are, how many are finished, and about what the others cost.

        An update and an evaluation are timed in a worker process.
        """
        from lehr.study.plan import plan

        return plan(self, workers)


def _check_peak(policy: Policy) -> None:
    """Raise if a tuned policy's largest rate over a usual run is far from 1."""
    try:
        resolved = policy.resolve(_USUAL, steps_per_epoch=_USUAL // 10)
    except ValueError:  # for runs of another length
        return
    highest = max(resolved.values(step)["lr"] for step in range(_USUAL))
    if not 0.5 <= highest <= 1 + 1e-3:
        way_out = "the study multiplies it by the peaks it tries; one_cycle(1.0), for instance"
        fail("largest rate of a tuned policy", "1", highest, way_out)


def _check_name(field: str, name: Any) -> None:
    """Raise unless a name can stand in tables, figures and names of files."""
    if not isinstance(name, str):
        fail(field, "text", name, error=TypeError)
    odd = [c for c in name if not c.isalnum() and c not in _IN_NAMES]
    if not name.strip() or odd or len(name) > _LONGEST_NAME or name[0] == ".":
        rule = f"1 to {_LONGEST_NAME} letters, digits, spaces and {_IN_NAMES.strip()}"
        fail(field, rule, name)


def _budgets(unit: str, value: Any) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    budgets = tuple(whole(unit, budget) for budget in given)
    if not budgets or list(budgets) != sorted(set(budgets)):
        fail(unit, "a whole number or several, rising", value)
    return budgets


def _plain(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail(field, "a dict of plain values by name", value, error=TypeError)
    try:
        return dict(json.loads(json.dumps(dict(value), allow_nan=False)))
    except (TypeError, ValueError):
        fail(field, "plain values that JSON can hold", value)
