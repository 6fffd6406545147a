"""Trials of recipes: numbers and figure data extracted from the record of a study."""

from __future__ import annotations

from typing import Any

from lehr.recipes.recipe import Recipe, Trial
from lehr.study.storage import Record

_MOST_RATES = 150


def trial_of(recipe: Recipe, seed: int, record: Record) -> Trial:
    """Convert the record of a study to a trial of a recipe.

    Args:
        recipe: the recipe.
        seed: of the trial.
        record: stored record of the trial.

    Returns:
        "numbers" by name, the data of the figure, "seconds" of the trial, "versions" of the
        packages, and name, seed and definition of the recipe.
    """
    metadata = record.metadata
    return {
        "recipe": recipe.name,
        "seed": seed,
        "definition": recipe.definition(),
        **(metadata["measured"] if "measured" in metadata else _trained(record)),
        "seconds": metadata["all_seconds"],
        "versions": metadata["versions"],
    }


def _trained(record: Record) -> dict[str, Any]:
    """Return the numbers of a trained network, named as in a Keras history."""
    metadata, each = record.metadata, record.metadata["steps_per_epoch"]
    history = [
        {"loss": entry["loss"]} | {f"val_{name}": v for name, v in entry["validation"].items()}
        for entry in metadata["history"]
    ]
    numbers = dict(history[-1])
    if best := metadata["best"]:
        epoch = best["step"] // each
        numbers |= {f"best_{name}": value for name, value in history[epoch - 1].items()}
        numbers["best_epoch"] = float(epoch)
    test = (best or metadata)["test"]
    numbers |= {f"test_{name}": value for name, value in test.items()}
    numbers["epochs"] = float(len(history))
    rates = record.trace.rates["lr"]
    steps = list(range(0, len(rates), max(1, len(rates) // _MOST_RATES)))
    return {
        "numbers": numbers,
        "history": history,
        "rates": {"step": steps, "lr": [rates[step] for step in steps]},
        "steps_per_epoch": each,
    }
