"""Write docs/recipes.md from the stored results.

python benchmarks/recipes/report.py
"""

from __future__ import annotations

from pathlib import Path

from lehr.figures import to_svg
from lehr.recipes.catalogue import RECIPES
from lehr.recipes.page import markdown
from lehr.recipes.recipe import load
from lehr.recipes.run import kept_results

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "recipes.md"
SEEDS = 5
DRAWN = ("schedules/performance", "finder/fashion-mnist", "why/saddle-point")  # on the page


def notes() -> str:
    """Return each note once, with the recipes that have it."""
    holders: dict[str, list[str]] = {}
    for recipe in RECIPES.values():
        for note in recipe.notes:
            holders.setdefault(note, []).append(recipe.name)
    lines = []
    for note, names in holders.items():
        who = ", ".join(f"`{name}`" for name in names[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"- {who}{more}: {note}.")
    return "\n".join(lines)


def main() -> None:
    results = kept_results(RECIPES.values(), SEEDS, HERE / "results")
    text = (HERE / "page.md").read_text()
    text = text.replace("<!-- rows -->", markdown(RECIPES.values(), results).strip())
    PAGE.write_text(text.replace("<!-- notes -->", notes()))
    for name in DRAWN:
        if trials := results[name]:
            recipe = RECIPES[name]
            drawn = PAGE.with_suffix("") / f"{name.replace('/', '-')}.svg"
            drawn.parent.mkdir(exist_ok=True)
            drawn.write_text(to_svg(load(recipe.figure)(recipe, trials)))


if __name__ == "__main__":
    main()
