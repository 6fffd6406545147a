"""Run recipes: each seed in a process of its own, each result kept as it comes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from lehr.recipes import images
from lehr.recipes.recipe import Measurement, Recipe, Trial
from lehr.schedule.check import fail, whole
from lehr.study.engine import TrialError, environment

Tell = Callable[[str], None]
Results = dict[str, list[Trial]]


def run_recipes(
    recipes: Iterable[Recipe],
    seeds: int,
    storage: str | os.PathLike[str],
    *,
    workers: int = 1,
    tell: Tell = lambda text: None,
    skip: bool = False,
) -> Results:
    """Return the trials of each recipe, seed by seed; run what is missing in the storage.

    Args:
        recipes: to run.
        seeds: of each; a recipe that draws nothing at random has one.
        storage: folder of the results, a JSON file for each recipe and seed.
        workers: processes at a time, of one thread.
        tell: called with a line about each trial that has finished.
        skip: leave out, and tell, what lacks its data or its backend.

    Raises:
        ValueError: if a recipe needs a backend that is not installed.
        OSError: if images are missing.
        TrialError: if a trial failed; the others are run and kept.
    """
    folder, chosen = Path(storage), list(recipes)
    count = whole("seeds", seeds)
    jobs = [(recipe, seed) for recipe in chosen for seed in range(_seeds(recipe, count))]
    missing = _ready([job for job in jobs if _kept(*job, folder) is None], tell, skip)
    errors = []
    with tempfile.TemporaryDirectory(prefix="lehr-") as cache, ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(_run, *job, folder, cache): job for job in missing}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                recipe, seed = futures[future]
                where = f"{done} of {len(missing)}: {recipe.name}, seed {seed}"
                try:
                    future.result()
                    tell(where)
                except TrialError as error:
                    errors.append(error)
                    tell(f"{where}: failed")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if errors:
        raise errors[0]
    return kept_results(chosen, count, folder)


def kept_results(recipes: Iterable[Recipe], seeds: int, storage: str | os.PathLike[str]) -> Results:
    """Return the trials that the storage has of each recipe, seed by seed."""
    found: Results = {}
    for recipe in recipes:
        trials = (_kept(recipe, seed, Path(storage)) for seed in range(_seeds(recipe, seeds)))
        found[recipe.name] = [trial for trial in trials if trial is not None]
    return found


def _seeds(recipe: Recipe, seeds: int) -> int:
    return 1 if isinstance(recipe, Measurement) and not recipe.random else seeds


def _file(recipe: Recipe, seed: int, folder: Path) -> Path:
    return folder / recipe.name / f"{seed}.json"


def _kept(recipe: Recipe, seed: int, folder: Path) -> Trial | None:
    """Return a trial of this definition from the storage, or None."""
    path = _file(recipe, seed, folder)
    if not path.exists():
        return None
    trial: Trial = json.loads(path.read_text())
    # through JSON, where a tuple is a list
    wanted = json.loads(json.dumps(recipe.definition()))
    return trial if trial["definition"] == wanted else None


def _ready(missing: list[tuple[Recipe, int]], tell: Tell, skip: bool) -> list[tuple[Recipe, int]]:
    """Return the trials that can run; raise one clear line for the others, or tell it."""
    reasons: dict[str, str] = {}
    for recipe in {recipe.name: recipe for recipe, _ in missing}.values():
        try:
            _check_ready(recipe, tell)
        except (ValueError, OSError) as error:
            if not skip:
                raise
            reasons[recipe.name] = str(error)
            tell(f"{recipe.name} is left out: {error}")
    return [job for job in missing if job[0].name not in reasons]


def _check_ready(recipe: Recipe, tell: Tell) -> None:
    for data in recipe.data:
        images.ensure(data, tell)
    if importlib.util.find_spec(recipe.backend) is None:
        package = {"tensorflow": "tensorflow-cpu"}.get(recipe.backend, recipe.backend)
        rule = f"installed for {recipe.name}"
        fail(f"backend {recipe.backend}", rule, None, f"pip install {package}")


def _run(recipe: Recipe, seed: int, folder: Path, cache: str) -> None:
    target = _file(recipe, seed, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "lehr.recipes.worker", recipe.name, str(seed), str(target)],
        env=environment(recipe.backend, Path(cache)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-30:])
        what = f"{recipe.name}, seed {seed},"
        raise TrialError(f"{what} failed with exit code {done.returncode}:\n{tail}")
