"""What a study is: a task, its arms, a budget, seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lehr.finder.suggest import USES
from lehr.policy import Policy, as_policy
from lehr.recipes.tasks import find_task
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, one_of, whole

if TYPE_CHECKING:
    from lehr.study.results import Results

FIRST_TUNING_SEED = 1000
_SWEEP = {"low": 1e-5, "high": 10.0, "steps": 100, "spacing": "exponential"}

Job = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """A policy to compare, and how its peak is chosen.

    Args:
        policy: a policy, a schedule or a number.
        tune: "constant", "one-cycle" or "cyclical": the policy is written at peak 1 and its
            learning rate is multiplied by what the range test suggests for this use.
            None: the policy is used as it stands, and shown as untuned.

    Raises:
        ValueError: if ``tune`` is no known use, or the policy has parameter groups.
    """

    policy: Policy
    tune: str | None = None

    if TYPE_CHECKING:

        def __init__(self, policy: Policy | Schedule | float, tune: str | None = None) -> None: ...

    def __post_init__(self) -> None:
        policy = as_policy(self.policy)
        object.__setattr__(self, "policy", policy)
        if self.tune is not None:
            one_of("tune", self.tune, USES)
            if isinstance(policy.lr, dict):
                fail("policy", "without parameter groups where its peak is tuned", policy.lr)

    def at(self, peak: float | None) -> Policy:
        """Return the policy at a tuned peak; an untuned arm takes None."""
        policy = self.policy
        if peak is None or isinstance(policy.lr, dict):
            return policy
        return Policy(policy.lr * peak, policy.momentum, policy.weight_decay, policy.control)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"policy": json.loads(self.policy.dumps()), "tune": self.tune}


@dataclass(frozen=True)
class Study:
    """Which policy is better on a task, under a budget, and how sure are we?

    For one seed every arm starts from the same weights and sees the same batches; the peaks are
    chosen on tuning seeds; the verdict comes from other seeds and test data. Finished trials are
    kept: running a study again runs what is missing.

    Args:
        task: a built-in name, or ``module:function`` returning a Learner for a seed. Trials run
            again when that module's file has changed; changes in what it imports go unseen.
        arms: name to arm (or policy, schedule, number); the first is the reference.
        epochs: passes over the training data in each trial.
        seeds: number of judging seeds, at least 2.
        tuning_seeds: number of other seeds that the range tests for the peaks use.
        metric: name of the judged metric in the task's evaluation.
        mode: "max" or "min": which direction of the metric is better.
        storage: a folder for the results.

    Raises:
        ValueError: if a value is out of its range or a name unknown.
        TypeError: if a value has the wrong type.

    >>> import lehr
    >>> study = Study("digits-mlp", {"fixed": 0.05, "cosine": lehr.cosine(0.1)}, epochs=2)
    >>> list(study.arms), study.seeds
    (['fixed', 'cosine'], 8)
    """

    task: str
    arms: dict[str, Arm]
    epochs: int = 5
    seeds: int = 8
    tuning_seeds: int = 3
    metric: str = "accuracy"
    mode: str = "max"
    storage: str | os.PathLike[str] = field(default="runs", compare=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            task: str,
            arms: Mapping[str, Arm | Policy | Schedule | float],
            epochs: int = 5,
            seeds: int = 8,
            tuning_seeds: int = 3,
            metric: str = "accuracy",
            mode: str = "max",
            storage: str | os.PathLike[str] = "runs",
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.task, str):
            fail("task", "a built-in name or module:function", self.task, error=TypeError)
        find_task(self.task)
        if not isinstance(self.arms, dict) or len(self.arms) < 2:
            fail("arms", "a dict of at least 2 arms, the first the reference", self.arms)
        arms = {name: arm if isinstance(arm, Arm) else Arm(arm) for name, arm in self.arms.items()}
        object.__setattr__(self, "arms", arms)
        for name, least in (("epochs", 1), ("seeds", 2), ("tuning_seeds", 1)):
            number = whole(name, getattr(self, name), at_least=least)
            object.__setattr__(self, name, number)
        if self.seeds > FIRST_TUNING_SEED:
            fail("seeds", f"at most {FIRST_TUNING_SEED}: the seeds after tune", self.seeds)
        one_of("mode", self.mode, ("min", "max"))

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain data."""
        arms = {name: arm.to_dict() for name, arm in self.arms.items()}
        return {
            "task": self.task,
            "epochs": self.epochs,
            "judging seeds": list(range(self.seeds)),
            "tuning seeds": [job["seed"] for job in self.sweep_jobs()],
            "range test": _SWEEP,
            "metric": self.metric,
            "mode": self.mode,
            "arms": arms,
        }

    def sweep_jobs(self) -> list[Job]:
        """Return the range tests that the peaks need."""
        if all(arm.tune is None for arm in self.arms.values()):
            return []
        seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.tuning_seeds)
        return [{"kind": "sweep", "task": self.task, "seed": seed, **_SWEEP} for seed in seeds]

    def trial_jobs(self, peaks: dict[str, float | None]) -> dict[tuple[str, int], Job]:
        """Return the trial of each arm and seed; seeds first, so that pairs finish together."""
        return {
            (name, seed): {
                "kind": "trial",
                "task": self.task,
                "policy": json.loads(arm.at(peaks[name]).dumps()),
                "epochs": self.epochs,
                "seed": seed,
                "metric": self.metric,
                "peak": peaks[name],
            }
            for seed in range(self.seeds)
            for name, arm in self.arms.items()
        }

    def run(
        self,
        *,
        workers: int | None = None,
        progress: Callable[[int, int, Job | None], None] | None = None,
    ) -> Results:
        """Run what is missing, each trial in its own process, and return the results.

        Args:
            workers: processes at a time; one per core if left out.
            progress: called with (finished, all, the job just finished or None).

        Raises:
            TrialError: if a trial failed; the finished ones are kept.
        """
        from lehr.study.conduct import conduct

        return conduct(self, workers, progress or (lambda done, total, job: None))
