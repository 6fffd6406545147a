"""The classes of recipes: published experiments defined as data."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lehr.policy import Policy, as_policy
from lehr.schedule.base import Schedule

if TYPE_CHECKING:
    from lehr.study import Study

Trial = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """A published figure.

    Args:
        metric: its name in the numbers of a trial.
        value: the published value.
        source: the cell or plot that shows it.
    """

    metric: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Base class of recipes.

    Args:
        name: identifier, for example "schedules/one-cycle".
        title: one-line description.
        source: book chapter or tutorial, and section.
        published: figures to compare with.
        notes: errors of the source and their effects; differences from the source.
        data: required sets of images.
        backend: of Keras, the fastest one measured; None if Keras is not required.
        long: whether a run takes 3 minutes or more on 2 cores.
        figure: ``module:function`` from (recipe, trials) to a figure.
    """

    name: str
    title: str
    source: str
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    backend: str | None = "jax"
    long: bool = False
    figure: str = "lehr.recipes.figures:draw_measured"

    @abstractmethod
    def definition(self) -> dict[str, Any]:
        """Return the settings that determine the result of a trial, as plain data."""


@dataclass(frozen=True, kw_only=True)
class Training(Recipe):
    """A recipe that trains a network: a task, a policy and a number of epochs.

    Args:
        task: ``module:function`` from a seed and options to a Learner.
        options: of the task: network, initialiser, optimizer, batch size.
        policy: a policy, a schedule or a number.
        epochs: largest number of passes over the training data.
        patience: epochs without a lower validation loss after which training stops; the weights
            of the best epoch are then evaluated. None: train for all epochs and evaluate the
            final weights.

    Raises:
        TypeError: if the policy is not a policy, a schedule or a number.

    >>> recipe = Training(
    ...     name="x/y", title="", source="", task="digits-mlp", policy=0.1, epochs=5
    ... )
    >>> recipe.policy
    Policy(0.1)
    """

    task: str
    policy: Policy
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)
    patience: int | None = None
    figure: str = "lehr.recipes.figures:draw_training"

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", as_policy(self.policy))

    def study(self, seeds: int, storage: str | os.PathLike[str]) -> Study:
        """Return the recipe as a study of one arm; early stopping monitors the validation loss."""
        from lehr.study import Study

        stopping = {"judge": "best", "patience": self.patience} if self.patience else {}
        return Study(
            self.task,
            {self.name.partition("/")[2]: self.policy},
            epochs=self.epochs,
            seeds=seeds,
            metric="loss",
            mode="min",
            options=self.options,
            backend=self.backend,
            storage=storage,
            **stopping,  # type: ignore[arg-type]
        )

    def definition(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "options": dict(self.options),
            "policy": self.policy.to_dict(),
            "epochs": self.epochs,
            "patience": self.patience,
            "backend": self.backend,
        }


@dataclass(frozen=True, kw_only=True)
class Measurement(Recipe):
    """A recipe that calls a function which returns numbers and the data of a figure.

    Args:
        function: ``module:function`` from a seed and options to a dict of "numbers" (by name)
            and "figure" (data for `lehr.recipes.figures.draw_measured`).
        options: of the function.
        random: whether the function uses random numbers; otherwise one seed is run.
    """

    function: str
    options: Mapping[str, Any] = field(default_factory=dict)
    random: bool = False

    def definition(self) -> dict[str, Any]:
        options = dict(self.options)
        return {"function": self.function, "options": options, "backend": self.backend}


Rate = Policy | Schedule | float
