"""A recipe's trial: its numbers and the data of its figure, from a study's record."""

from __future__ import annotations

from typing import Any

from lehr.recipes.recipe import Recipe, Trial
from lehr.study.storage import Record

_MOST_RATES = 150


def trial_of(recipe: Recipe, seed: int, record: Record) -> Trial:
    """Return a recipe's trial on a seed: "numbers" by name, what its figure draws, its costs."""
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
    """Return the numbers under the names that Keras's histories give them."""
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
