"""``lehr recipe``: run published experiments and compare the results with the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import rich
import typer
from rich.table import Column, Table

from lehr.cli.common import check_writable, print_status
from lehr.schedule.errors import fail, integer

app = typer.Typer(no_args_is_help=True, help="Run published experiments and compare the results.")


@app.command("list")
def list_recipes() -> None:
    """List the recipes: name, subject, number of published figures."""
    from lehr.recipes.catalogue import RECIPES

    table = Table(Column("recipe", no_wrap=True), "subject", "published", "")
    for name, recipe in RECIPES.items():
        figures = str(len(recipe.published) or "-")
        table.add_row(name, recipe.title, figures, "long" if recipe.long else "")
    rich.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a recipe.")]) -> None:
    """Show a recipe: source, task, policy, corrections, published figures."""
    from lehr.recipes.catalogue import find_recipe
    from lehr.recipes.page import describe

    for line in describe(find_recipe(name)):
        print(line)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Names of the recipes.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Run all recipes but the long ones.")
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="With --all: also run the long ones.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="Number of runs per recipe.")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; default: one per GPU, else per core.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/recipes"),
    out: Annotated[
        Path | None,
        typer.Option(help="Page with all rows and figures; with --all: recipes.md in RUNS."),
    ] = None,
) -> None:
    """Run the missing runs of recipes; print the published and the reproduced figures."""
    from lehr.recipes.catalogue import RECIPES, find_recipe
    from lehr.recipes.page import HEAD, rows, write_page
    from lehr.recipes.run import run_recipes
    from lehr.study import TrialError

    if out is not None:
        check_writable("--out", out)
    if bool(names) == everything:
        fix = "list the names with lehr recipe list"
        fail("recipes", "given by name or with --all", names, fix)
    if workers is not None:
        integer("--workers", workers)
    chosen = [find_recipe(name) for name in names or ()]
    if everything:
        chosen = [recipe for recipe in RECIPES.values() if long or not recipe.long]
    results, failed = run_recipes(
        chosen, seeds, runs, workers=workers, report=print_status, skip=everything
    )
    table = Table(*HEAD[1:])
    for recipe in chosen:
        if trials := results[recipe.name]:
            table.add_row(f"[bold]{recipe.name}[/]")
            for row in rows(recipe, trials):
                figure, *values = row.cells()[1:]
                table.add_row(f"  {figure}", *values)
    rich.print(table)
    page = out or (runs / "recipes.md" if everything else None)
    if page is not None:
        write_page(chosen, results, page)
        print(f"page: {page}")
    if failed:
        raise TrialError("\n".join(f"{name}, {how}" for name, how in failed.items()))
