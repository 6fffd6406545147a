"""Figures of recipes, drawn from stored trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr.recipes.recipe import Recipe, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_training(recipe: Recipe, trials: list[Trial]) -> Figure:
    """Draw the learning rate over the epochs, with the validation loss on a second axis."""
    from lehr.figures import draw_lines

    first, rates = trials[0], trials[0]["rates"]["lr"]
    at = [t / first["steps_per_epoch"] for t in first["rates"]["step"]]
    history = [epoch["val_loss"] for epoch in first["history"]]
    ends = [float(i) for i in range(1, len(history) + 1)]
    return draw_lines(
        {"rate": (at, rates)},
        "epoch",
        "learning rate",
        second={"validation loss": (ends, history)},
        second_y="validation loss (nats)",
    )


def draw_measured(recipe: Recipe, trials: list[Trial]) -> Figure:
    """Draw the figure data that a measurement returned for its first seed."""
    from lehr.figures import draw_landscape, draw_lines

    drawn = dict(trials[0]["figure"])
    if "landscape" in drawn:
        from lehr.recipes.landscapes import HEIGHTS

        return draw_landscape(HEIGHTS[drawn["landscape"]], drawn["paths"], drawn["box"])
    return draw_lines(**drawn)
