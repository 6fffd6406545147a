"""Write docs/recipes.md from the stored results.

python benchmarks/recipes/report.py                # from benchmarks/recipes/results
python benchmarks/recipes/report.py runs/recipes   # after an import of the trials stored there
"""

from __future__ import annotations

import json
import pkgutil
import statistics
import sys
from pathlib import Path
from typing import Any

from lehr.figures import to_svg
from lehr.recipes.catalogue import RECIPES
from lehr.recipes.page import markdown
from lehr.recipes.recipe import Recipe, Trial
from lehr.recipes.run import stored_results
from lehr.study.environment import BACKENDS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "recipes.md"
SEEDS = 5
BEATEN = {  # file: source, published figure of the reference arm
    "tfa": ("cyclical tutorial, 10 epochs, test accuracy", "0.7462"),
    "fashion-one-cycle": (
        "the chapter's one cycle, 25 epochs, test accuracy",
        "0.8934 (validation)",
    ),
    "cifar10-one-cycle": (
        "the chapter's one cycle on CIFAR-10, 15 epochs, test accuracy",
        "0.5198 (validation)",
    ),
}
DRAWN = ("schedules/performance", "finder/fashion-mnist", "why/saddle-point")  # figures on the page


def import_trials(storage: str) -> None:
    """Write the trials of a storage to the results, with six digits per number."""
    for name, trials in stored_results(RECIPES.values(), SEEDS, storage).items():
        for trial in trials:
            drawn = ("figure", "rates") if trial["seed"] else ()  # figures are drawn of seed 0
            saved = rounded({key: part for key, part in trial.items() if key not in drawn})
            path = HERE / "results" / name / f"{trial['seed']}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(saved, allow_nan=False, separators=(",", ":")) + "\n")


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def load_trials(recipe: Recipe) -> list[Trial]:
    """Load the trials of a recipe whose definition is the current one."""
    paths = sorted((HERE / "results" / recipe.name).glob("*.json"))
    trials = [json.loads(path.read_text()) for path in paths]
    current = json.loads(json.dumps(recipe.definition()))  # converts tuples to lists
    return [trial for trial in trials if trial["definition"] == current]


def notes() -> str:
    """Return a list of the notes, each with the names of its recipes."""
    recipes_of: dict[str, list[str]] = {}
    for recipe in RECIPES.values():
        for note in recipe.notes:
            recipes_of.setdefault(note, []).append(recipe.name)
    lines = []
    for note, names in recipes_of.items():
        who = ", ".join(f"`{name}`" for name in names[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"- {who}{more}: {note}.")
    return "\n".join(lines)


def beaten() -> str:
    """Return a table of the best result of each source against the tuned policies."""
    lines = [
        "| source | published | its policy, 8 seeds | chosen on validation | lehr | difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, (source, published) in BEATEN.items():
        path = HERE / "beaten" / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        tried = {
            arm: statistics.fmean(by_peak[f"{found['peaks'][arm]:g}"])
            for arm, by_peak in found["tuning"].items()
        }
        chosen = max(tried, key=tried.__getitem__)
        scores = {
            arm: statistics.fmean(found["scores"][arm]) for arm in (found["reference"], chosen)
        }
        c = found["comparisons"][chosen]
        interval = f"{100 * c['low']:+.1f} to {100 * c['high']:+.1f}"
        lines.append(
            f"| {source} | {published} | {scores[found['reference']]:.4f} "
            f"| {chosen}, peak {found['peaks'][chosen]:g} | {scores[chosen]:.4f} "
            f"| {100 * c['difference']:+.1f} points ({interval}), {c['verdict']} |"
        )
    return "\n".join(lines)


def speed() -> str:
    """Return a table of CPU seconds per epoch, a row per recipe and measured backend."""
    ways = ("Learner", "fit", "fit, callback", "scan by hand")
    lines = [
        "| recipe | published | backend | Learner | `fit` | `fit`, callback | scan by hand |",
        "|" + "---|" * 7,
    ]
    for name, found in json.loads((HERE / "speed.json").read_text()).items():
        backends = [key for key in found if key in BACKENDS]
        for backend in sorted(backends, key=lambda key: found[key]["Learner"]):
            values = [f"{found[backend][way]:.2f}" if way in found[backend] else "" for way in ways]
            cells = [name, f"{found['published']:g}", backend, *values]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    results = {name: load_trials(recipe) for name, recipe in RECIPES.items()}
    text = (HERE / "page.md").read_text()
    text = text.replace("<!-- rows -->", markdown(RECIPES.values(), results).strip())
    text = text.replace("<!-- beaten -->", beaten()).replace("<!-- speed -->", speed())
    PAGE.write_text(text.replace("<!-- notes -->", notes()))
    for name in DRAWN:
        if trials := results[name]:
            recipe = RECIPES[name]
            drawn = PAGE.with_suffix("") / f"{name.replace('/', '-')}.svg"
            drawn.parent.mkdir(exist_ok=True)
            drawn.write_text(to_svg(pkgutil.resolve_name(recipe.figure)(recipe, trials)))


if __name__ == "__main__":
    for storage in sys.argv[1:]:
        import_trials(storage)
    main()
