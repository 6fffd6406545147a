"""Run recipes as studies: what is finished is kept, what is missing runs in worker processes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from lehr.recipes import images
from lehr.recipes.recipe import Measurement, Recipe, Training, Trial
from lehr.recipes.tasks import source_digest
from lehr.recipes.trial import trial_of
from lehr.schedule.check import whole
from lehr.study.conduct import Conductor, Missing, Progress
from lehr.study.engine import Pool, TrialError, check_installed
from lehr.study.finish import finish
from lehr.study.identity import batch, identity
from lehr.study.jobs import Job, measuring_job
from lehr.study.storage import Record, Storage

Tell = Callable[[str], None]
Results = dict[str, list[Trial]]


def run_recipes(
    recipes: Iterable[Recipe],
    seeds: int,
    storage: str | os.PathLike[str],
    *,
    workers: int | None = None,
    tell: Tell = lambda text: None,
    skip: bool = False,
) -> Results:
    """Return the trials of each recipe, seed by seed; run what is missing in the storage.

    Args:
        recipes: to run.
        seeds: of each; a recipe that draws nothing at random has one.
        storage: folder of the studies, as of `lehr.Study`.
        workers: processes at a time, of one thread; one per core if left out.
        tell: called with a line about each trial that has finished.
        skip: leave out, and tell, what lacks its data or its backend.

    Raises:
        ValueError: if a recipe needs a backend that is not installed, or the storage cannot be
            read or written.
        OSError: if images are missing.
        TrialError: if a trial failed; the others are run and kept.
    """
    chosen, count = list(recipes), whole("seeds", seeds)
    errors = []
    with Storage(Path(storage)) as kept:
        found = {recipe.name: _trials(recipe, count, kept, None, tell) for recipe in chosen}
        missing = [recipe for recipe in chosen if not found[recipe.name]]
        ready = sorted(_ready(missing, tell, skip), key=lambda recipe: recipe.backend)
        places = itertools.count(1)
        for backend, group in itertools.groupby(ready, key=lambda recipe: recipe.backend):
            with Pool(workers, kept.cache, backend) as pool:
                for recipe in group:
                    where = f"{next(places)} of {len(ready)}: {recipe.name}"
                    try:
                        found[recipe.name] = _trials(recipe, count, kept, pool, tell, where)
                    except TrialError as error:
                        errors.append(error)
                        tell(f"{where}: failed")
    if errors:
        raise errors[0]
    return found


def kept_results(recipes: Iterable[Recipe], seeds: int, storage: str | os.PathLike[str]) -> Results:
    """Return the trials of the recipes that the storage has in full; none of the others."""
    with Storage(Path(storage), readonly=True) as kept:
        return {r.name: _trials(r, seeds, kept, None, lambda text: None) for r in recipes}


def _trials(
    recipe: Recipe, seeds: int, kept: Storage, pool: Pool | None, tell: Tell, where: str = ""
) -> list[Trial]:
    """Return a recipe's trials, what is missing run in the pool; none if there is no pool."""

    def tell_of(job: Job) -> None:
        tell(f"{where}, seed {job['seed']}")

    run = _train if isinstance(recipe, Training) else _measure
    try:
        records = run(recipe, seeds, kept, pool, tell_of)  # type: ignore[arg-type]
    except Missing:
        return []
    return [trial_of(recipe, seed, record) for seed, record in enumerate(records)]


def _train(
    recipe: Training, seeds: int, kept: Storage, pool: Pool | None, tell: Callable[[Job], None]
) -> list[Record]:
    def progress(said: Progress) -> None:
        if said.finished:
            tell(said.finished)

    study = recipe.study(seeds, kept.folder)
    return Conductor(study, kept, pool, progress).results().records(study.reference)


def _measure(
    recipe: Measurement, seeds: int, kept: Storage, pool: Pool | None, tell: Callable[[Job], None]
) -> list[Record]:
    source = source_digest(recipe.function)
    depends = batch(recipe.function, source, recipe.backend)
    jobs = {}
    for seed in range(seeds if recipe.random else 1):
        job = measuring_job(recipe.function, recipe.options, seed)
        jobs[identity(job, depends)] = job
    records = kept.records(jobs)
    missing = {name: job for name, job in jobs.items() if name not in records}
    if missing:
        if pool is None:
            raise Missing
        for name, record in finish(kept, pool, missing, lambda name: {"source": source}):
            records[name] = record
            tell(jobs[name])
    return [records[name] for name in jobs]


def _ready(missing: list[Recipe], tell: Tell, skip: bool) -> list[Recipe]:
    """Return the recipes that can run; raise one clear line for the others, or tell it."""
    found = []
    for recipe in missing:
        try:
            for data in recipe.data:
                images.ensure(data, tell)
            check_installed(recipe.backend)
        except (ValueError, OSError) as error:
            if not skip:
                raise type(error)(f"{recipe.name}: {error}") from None
            tell(f"{recipe.name} is left out: {error}")
        else:
            found.append(recipe)
    return found
