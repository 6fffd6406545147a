"""The catalogue of recipes, by name."""

from __future__ import annotations

import difflib

from lehr.recipes.lists import optimizing, regularising, technique, tutorials
from lehr.recipes.recipe import Recipe
from lehr.schedule.errors import fail

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for part in (technique, optimizing, regularising, tutorials)
    for recipe in part.RECIPES
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        ValueError: if no recipe has this name; the error suggests the nearest names.

    >>> find_recipe("schedules/one-cycle").epochs
    25
    >>> find_recipe("schedules/onecycle")
    Traceback (most recent call last):
    ValueError: recipe must be ..., got 'schedules/onecycle'; did you mean ...
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        fail("recipe", f"one of the {len(RECIPES)} listed by `lehr recipe list`", name, hint)
    return RECIPES[name]
