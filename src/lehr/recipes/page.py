"""Comparison of recipes with published figures: table rows and a Markdown page."""

from __future__ import annotations

import itertools
import pkgutil
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr._atomic import atomic_write
from lehr.recipes.recipe import Recipe, Training, Trial
from lehr.recipes.run import Results
from lehr.study.arm import Arm

_LEAST = 0.01  # a smaller difference always passes
_SHOWN = ("val_accuracy", "best_val_accuracy", "test_accuracy")


@dataclass(frozen=True)
class Row:
    """A metric of a recipe: the published value, and mean and standard deviation over the seeds.

    Args:
        recipe: name of the recipe.
        metric: name of the metric.
        published: the published value; None: not published.
        mean: of the trials of all seeds.
        std: sample standard deviation over the seeds; 0 for one seed.
        seeds: number of seeds.

    >>> row = Row("x/y", "val_loss", published=0.30, mean=0.32, std=0.01, seeds=5)
    >>> row.within
    True
    >>> row.cells()
    ('x/y', 'val loss', '0.3', '0.32', '0.01', '5', 'yes')
    """

    recipe: str
    metric: str
    published: float | None
    mean: float
    std: float
    seeds: int

    @property
    def within(self) -> bool | None:
        """Whether the mean differs from the published value by at most ``max(3 * std, 0.01)``.

        None if the metric is not published.
        """
        if self.published is None:
            return None
        return abs(self.mean - self.published) <= max(3 * self.std, _LEAST)

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of `HEAD`."""
        published = "-" if self.published is None else f"{self.published:.4g}"
        std = f"{self.std:.2g}" if self.seeds > 1 else "-"
        verdict = {None: "", True: "yes", False: "no"}[self.within]
        metric, mean = self.metric.replace("_", " "), f"{self.mean:.4g}"
        return self.recipe, metric, published, mean, std, str(self.seeds), verdict


HEAD = ("recipe", "figure", "published", "lehr", "std", "seeds", "within")


def rows(recipe: Recipe, trials: list[Trial]) -> list[Row]:
    """Return the rows of a recipe: published metrics first, then unpublished ones.

    Args:
        recipe: the recipe.
        trials: one for each seed; a metric missing in a trial is averaged over the other trials.
    """
    if not trials:
        return []
    published = {figure.metric: figure.value for figure in recipe.published}
    others = _SHOWN if isinstance(recipe, Training) else trials[0]["numbers"]
    found = []
    for metric in dict.fromkeys((*published, *others)):
        values = [trial["numbers"].get(metric) for trial in trials]
        numbers = [value for value in values if value is not None]
        if numbers:
            mean, seeds = statistics.fmean(numbers), len(numbers)
            std = statistics.stdev(numbers) if seeds > 1 else 0.0
            found.append(Row(recipe.name, metric, published.get(metric), mean, std, seeds))
    return found


def describe(recipe: Recipe) -> list[str]:
    """Describe a recipe in lines of text.

    >>> from lehr.recipes.catalogue import find_recipe
    >>> describe(find_recipe("activations/elu"))[2:]
    ['function: lehr.recipes.activations:curve', "options: name='elu'", 'backend: jax']
    """
    definition, lines = recipe.definition(), [recipe.title, f"source: {recipe.source}"]
    if isinstance(recipe, Training):
        stop = f", at most; patience {recipe.patience}" if recipe.patience else ""
        lines.append(f"task: {recipe.task}, {recipe.epochs} epochs{stop}")
        lines.append(f"policy: {Arm(recipe.policy).given!r}")
    else:
        lines.append(f"function: {definition['function']}")
    if options := definition["options"]:
        lines.append(f"options: {', '.join(f'{k}={_short(v)}' for k, v in options.items())}")
    if recipe.data:
        lines.append(f"data: {', '.join(recipe.data)}")
    if recipe.backend is not None:
        lines.append(f"backend: {recipe.backend}")
    if recipe.long:
        lines.append("long: a run takes three minutes or more")
    lines += [f"note: {note}" for note in recipe.notes]
    return lines + [f"published: {p.metric} {p.value:g} ({p.source})" for p in recipe.published]


def _short(value: Any) -> str:
    """Return the text of an option; repeated parts of a list are written as a product."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_short(part)}" for key, part in value.items()) + "}"
    if not isinstance(value, list | tuple):
        return repr(value)
    runs = [(part, len(list(run))) for part, run in itertools.groupby(value)]
    if len(runs) == len(value):
        return repr(list(value))
    return " + ".join(
        f"{count} * [{part!r}]" if count > 1 else f"[{part!r}]" for part, count in runs
    )


def markdown(recipes: Iterable[Recipe], results: Results) -> str:
    """Return a Markdown table of the rows of all recipes."""
    found = (row.cells() for recipe in recipes for row in rows(recipe, results[recipe.name]))
    head, *lines = (f"| {' | '.join(cells)} |" for cells in (HEAD, *found))
    return "\n".join([head, "|" + "---|" * len(HEAD), *lines]) + "\n"


def write_page(recipes: Iterable[Recipe], results: Results, path: Path) -> None:
    """Write a Markdown page: the table, then each recipe with its description and figure.

    The figures are SVG files in the folder ``{page}-figures``. Every write is atomic. Recipes
    without results are omitted.

    Args:
        recipes: to write.
        results: trials by name of the recipe.
        path: of the page.
    """
    from lehr.figures import to_svg

    chosen = [recipe for recipe in recipes if results[recipe.name]]
    parts = ["# Recipes: published and measured figures\n", markdown(chosen, results)]
    for recipe in chosen:
        trials = results[recipe.name]
        figure = pkgutil.resolve_name(recipe.figure)(recipe, trials)
        drawn = path.parent / f"{path.stem}-figures" / f"{recipe.name}.svg"
        drawn.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(drawn) as temporary:
            temporary.write_text(to_svg(figure))
        link = drawn.relative_to(path.parent)
        lines = [f"## {recipe.name}\n", *(f"- {line}" for line in describe(recipe))]
        parts.append("\n".join([*lines, f"\n![{recipe.name}]({link})\n"]))
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(parts))
