"""The application with all commands."""

from lehr.cli import compare, find, recipe, runs, show
from lehr.cli.common import app as app

app.command()(show.show)
app.command()(find.find)
app.command()(compare.compare)
app.add_typer(recipe.app, name="recipe")
app.add_typer(runs.app, name="runs")
