"""The report of a study: one HTML file that opens offline, on a phone and on paper."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import jinja2
except ImportError as error:
    raise ImportError(f"reports need jinja2 ({error}); pip install 'lehr[study]'") from error

from lehr import figures
from lehr.study.storage import versions

if TYPE_CHECKING:
    from lehr.study.definition import Study
    from lehr.study.results import Results


def write_report(results: Results, path: str | os.PathLike[str]) -> None:
    """Write the report of a study to a file, beside, then renamed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(render(results), encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def render(results: Results) -> str:
    """Return the report as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lehr.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    seconds = sum(trial["seconds"] for trial in results.trials.values())
    return environment.get_template("template.html").render(
        study=results.study,
        verdict=results.verdict(),
        reference=results.label(results.reference),
        rows=results.rows(),
        drawn=_drawn(results),
        definition=_definition(results.study),
        peaks=results.peaks,
        versions=versions(results.study.task),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        trials=len(results.trials),
        minutes=seconds / 60,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _definition(study: Study) -> str:
    """Return the definition as JSON, one line an arm."""
    data = study.to_dict()
    arms = data.pop("arms")
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in data.items()]
    named = ",\n".join(f"    {json.dumps(name)}: {json.dumps(arm)}" for name, arm in arms.items())
    return "{\n" + ",\n".join([*lines, f'  "arms": {{\n{named}\n  }}']) + "\n}"


def _drawn(results: Results) -> list[tuple[str, str]]:
    """Return the figures with their captions."""
    metric = results.study.metric
    drawn = [
        (
            f"Paired differences of the final test {metric}, with their intervals. "
            "Green: better, orange: worse, grey: undecided.",
            figures.draw_differences(results),
        ),
        (
            f"Validation {metric} after each epoch: mean over seeds, band of one "
            "standard deviation. It was not used for the verdict.",
            figures.draw_metric(results),
        ),
        (
            "Training loss, averaged over tenths of an epoch: mean over seeds, band of one "
            "standard deviation.",
            figures.draw_losses(results),
        ),
        (
            "Learning rates really used in each update, read back from the optimizer (seed 0).",
            figures.draw_rates(results),
        ),
    ]
    if any("momentum" in trial["rates"] for trial in results.trials.values()):
        caption = "Momentum really used in each update, where a policy moves it (seed 0)."
        drawn.append((caption, figures.draw_rates(results, "momentum")))
    if results.sweeps:
        seeds = results.study.tuning_seeds
        caption = (
            f"Range tests on the {seeds} tuning seeds: where the peaks come from. "
            "Lines stand at the median suggestions."
        )
        drawn.append((caption, figures.draw_sweeps(results.sweeps)))
    return [(caption, figures.to_svg(figure)) for caption, figure in drawn]
