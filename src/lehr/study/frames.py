"""A study's results as pandas frames, one row per measured item."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from lehr.study.results import Results

_KEYS = ["arm", "budget", "seed"]


def frames(results: Results) -> dict[str, pd.DataFrame]:
    """Return frames by name; `Results.frames` lists them."""
    return {
        "trials": _trials(results),
        "history": _history(results),
        "curves": _curves(results),
        "comparisons": _comparisons(results),
        "peaks": _peaks(results),
    }


def _trials(results: Results) -> pd.DataFrame:
    """One row per trial: final scores, and the best checkpoint's if the study judges by it."""
    found = []
    for key, record in results.trials.items():
        metadata = record.metadata
        row: dict[str, Any] = dict(zip(_KEYS, key, strict=True))
        row |= {"peak": results.peaks[key[0]], "steps": metadata["steps"]}
        for split in ("validation", "test"):
            row |= {f"{split}_{name}": value for name, value in metadata[split].items()}
            for name, value in (metadata["best"] or {}).get(split, {}).items():
                row[f"best_checkpoint_{split}_{name}"] = value
        found.append(row | {"seconds": metadata["seconds"], "id": record.id})
    return pd.DataFrame(found)


def _history(results: Results) -> pd.DataFrame:
    """One row per validation."""
    found = [
        dict(zip(_KEYS, key, strict=True))
        | {"step": entry["step"], "seconds": entry["seconds"], "loss": entry["loss"]}
        | {f"validation_{name}": value for name, value in entry["validation"].items()}
        for key, record in results.trials.items()
        for entry in record.metadata["history"]
    ]
    return pd.DataFrame(found)


def _curves(results: Results) -> pd.DataFrame:
    """One row per update: the loss of its batch, and every hyperparameter applied."""
    found = []
    for key, record in results.trials.items():
        trace = record.trace
        keys: dict[str, Any] = dict(zip(_KEYS, key, strict=True))
        steps = {"step": range(len(trace.losses)), "loss": trace.losses}
        found.append(pd.DataFrame(keys | steps | trace.rates))
    return pd.concat(found, ignore_index=True)


def _comparisons(results: Results) -> pd.DataFrame:
    """One row per arm and budget: difference, interval, verdict."""
    return pd.DataFrame(
        {"arm": arm, "budget": budget, "reference": results.reference} | vars(comparison)
        for budget in results.study.budgets
        for arm, comparison in results.comparisons(budget).items()
    )


def _peaks(results: Results) -> pd.DataFrame:
    """One row per peak and tuning seed."""
    return pd.DataFrame(
        {"arm": arm, "peak": peak, "tuning_seed": i, "score": score, "chosen": peak == tuning.peak}
        for arm, tuning in results.tuning.items()
        for (peak, scores) in tuning.scores.items()
        for i, score in zip(itertools.count(), scores, strict=False)
    )
