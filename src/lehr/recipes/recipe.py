"""A recipe: a published experiment as data, to be run and compared with the publication."""

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
    """One published figure, by its name in a trial's numbers; its source is a cell or a plot."""

    metric: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """The fields of every recipe.

    Args:
        name: its id, such as "schedules/one-cycle".
        title: what it shows, in one line.
        source: book chapter or tutorial, and section.
        published: figures to compare with.
        notes: errors of the source and their effects; differences from the source.
        data: sets of images that it needs.
        backend: of Keras, the fastest one measured; None if it needs no Keras.
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
        """Return what a trial's result depends on, as plain data."""


@dataclass(frozen=True, kw_only=True)
class Training(Recipe):
    """A recipe that trains: a task, a policy, a number of epochs.

    Args:
        task: ``module:function`` from a seed and options to a Learner.
        options: of the task: network, initialiser, optimizer, batch size.
        policy: a policy, a schedule or a number.
        epochs: largest number of passes over the training data.
        patience: epochs without a lower validation loss after which training stops and the best
            epoch's weights are judged. None: all epochs, the last one's weights.
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
        """Return the recipe as a study of one arm; early stopping watches the validation loss."""
        from lehr.study import Study

        patient = {"judge": "best", "patience": self.patience} if self.patience else {}
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
            **patient,  # type: ignore[arg-type]
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
    """A recipe that measures or draws: a function that returns numbers and lines.

    Args:
        function: ``module:function`` from a seed and options to a dict: "numbers" by name, and
            the data of its "figure".
        options: of the function.
        random: whether it draws random numbers; otherwise it is run on one seed.
    """

    function: str
    options: Mapping[str, Any] = field(default_factory=dict)
    random: bool = False

    def definition(self) -> dict[str, Any]:
        options = dict(self.options)
        return {"function": self.function, "options": options, "backend": self.backend}


Rate = Policy | Schedule | float
