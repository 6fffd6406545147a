"""TensorBoard event files: one run per trial, and one per arm with the mean and its interval."""

from __future__ import annotations

import math
import os
import statistics
from pathlib import Path
from typing import Any

from lehr.schedule.errors import check_path
from lehr.study.jobs import stored_number
from lehr.study.results import Results

try:
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams
except ImportError as error:
    message = f"event files need tensorboardX ({error}); pip install 'lehr[study]'"
    raise ImportError(message) from error

_CONFIDENCE = 0.95
_MOST_POINTS = 1000


def write_events(results: Results, folder: str | os.PathLike[str]) -> None:
    """Write the trials of the largest budget to ``ARM/seed-N`` and their means to ``ARM/mean``.

    ``ARM/mean`` contains the mean of each validation over seeds and its 95 % t interval, shown as
    a band under Custom Scalars. HParams contains arm, peak, optimizer, budget, seed and test
    scores. Earlier event files in these folders are deleted.
    """
    check_path("folder", folder, "the path of a folder")
    for arm in results.study.arms:
        records = results.records(arm)
        for seed, record in zip(results.seeds(arm), records, strict=True):
            with _new_writer(Path(folder, arm, f"seed-{seed}")) as writer:
                _write_trial(writer, results, arm, seed, record)
        with _new_writer(Path(folder, arm, "mean")) as writer:
            _write_mean(writer, [record.metadata["history"] for record in records])


def _new_writer(folder: Path) -> Any:
    """Delete a run's old event files, which TensorBoard would also draw, and return a writer."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return SummaryWriter(str(folder))


def _write_trial(writer: Any, results: Results, arm: str, seed: int, record: Any) -> None:
    study, trace = results.study, record.trace
    every = max(1, len(trace.losses) // _MOST_POINTS)
    for name, values in {"loss": trace.losses, **trace.rates}.items():
        for step in range(0, len(values), every):
            _add(writer, f"training/{name}", values[step], step)
    for entry in record.metadata["history"]:
        for name, value in entry["validation"].items():
            _add(writer, f"validation/{name}", stored_number(value), entry["step"])
    test = record.metadata["test"].items()
    scores = {f"test/{name}": value for name, value in test if value is not None}
    settings = {
        "arm": arm,
        "peak": results.peaks[arm] or "untuned",
        "optimizer": study.arms[arm].optimizer or "default",
        study.unit: study.budgets[-1],
        "seed": seed,
    }
    for summary in hparams(settings, scores):
        writer.file_writer.add_summary(summary)
    for name, value in scores.items():
        _add(writer, name, value, record.metadata["steps"])


def _write_mean(writer: Any, histories: list[list[dict[str, Any]]]) -> None:
    from scipy import stats

    for entries in zip(*histories, strict=False):  # up to the last validation common to all seeds
        for name in entries[0]["validation"]:
            values = [stored_number(entry["validation"][name]) for entry in entries]
            mean, half = statistics.fmean(values), math.nan
            if all(map(math.isfinite, values)) and len(values) > 1:
                t = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
                half = t * statistics.stdev(values) / math.sqrt(len(values))
            step = entries[0]["step"]
            for tag, value in zip(_tags(name), (mean, mean - half, mean + half), strict=True):
                _add(writer, tag, value, step)
    bands = {name: ["Margin", _tags(name)] for name in histories[0][0]["validation"]}
    writer.add_custom_scalars({"mean and 95 % interval over seeds": bands})


def _add(writer: Any, tag: str, value: float, step: int) -> None:
    if math.isfinite(value):
        writer.add_scalar(tag, value, step)


def _tags(name: str) -> list[str]:
    return [f"validation/{name}", f"low/{name}", f"high/{name}"]
