"""A study's results as pandas frames."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lehr.study.results import Results
from lehr.study.storage import Record

Keys = dict[str, Any]


def frames(results: Results) -> dict[str, pd.DataFrame]:
    """Return the frames of `Results.frames` by name."""
    names = ("arm", "budget", "seed")
    trials: list[tuple[Keys, Record]] = [
        (dict(zip(names, key, strict=True)), record) for key, record in results.trials.items()
    ]
    peaks = results.peaks
    history = (
        keys
        | {"step": entry["step"], "seconds": entry["seconds"], "loss": entry["loss"]}
        | {f"validation_{name}": value for name, value in entry["validation"].items()}
        for keys, record in trials
        for entry in record.metadata["history"]
    )
    comparisons = (
        {"arm": arm, "budget": budget, "reference": results.reference} | vars(comparison)
        for budget in results.study.budgets
        for arm, comparison in results.comparisons(budget).items()
    )
    tried = (
        {"arm": arm, "peak": peak, "tuning_seed": i, "score": score, "chosen": peak == tuning.peak}
        for arm, tuning in results.tuning.items()
        for peak, scores in tuning.scores.items()
        for i, score in enumerate(scores)
    )
    return {
        "trials": pd.DataFrame(_trial(k | {"peak": peaks[k["arm"]]}, r) for k, r in trials),
        "history": pd.DataFrame(history),
        "curves": pd.concat([_curves(*trial) for trial in trials], ignore_index=True),
        "comparisons": pd.DataFrame(comparisons),
        "peaks": pd.DataFrame(tried),
    }


def _trial(keys: Keys, record: Record) -> dict[str, Any]:
    """Return a trial's row: final scores and, with ``judge="best"``, best-checkpoint scores."""
    metadata = record.metadata
    row = keys | {"steps": metadata["steps"]}
    for split in ("validation", "test"):
        row |= {f"{split}_{name}": value for name, value in metadata[split].items()}
        for name, value in (metadata["best"] or {}).get(split, {}).items():
            row[f"best_checkpoint_{split}_{name}"] = value
    return row | {"seconds": metadata["seconds"], "id": record.id}


def _curves(keys: Keys, record: Record) -> pd.DataFrame:
    """Return one row per update: the loss of its batch and all applied hyperparameters."""
    trace = record.trace
    return pd.DataFrame(
        keys | {"step": range(len(trace.losses)), "loss": trace.losses} | trace.rates
    )
