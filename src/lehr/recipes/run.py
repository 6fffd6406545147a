"""Run recipes as studies: what is finished is kept, what is missing runs in worker processes."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.recipes.recipe import Measurement, Recipe, Training, Trial
from lehr.recipes.trial import trial_of
from lehr.schedule.errors import whole
from lehr.study.cache_key import batch, identity
from lehr.study.engines.local import Event, Pool, TrialError, check_installed
from lehr.study.jobs import Job, judging_job, measuring_job
from lehr.study.runner import Conductor, Missing, finish
from lehr.study.storage import Storage
from lehr.tasks import images
from lehr.tasks.find import source_digest

Report = Callable[[str], None]
Results = dict[str, list[Trial]]


@dataclass(frozen=True)
class _Work:
    """The jobs of a recipe, by name, and what else their workers are told."""

    recipe: Recipe
    jobs: dict[str, Job]
    more: dict[str, Any]


def run_recipes(
    recipes: Iterable[Recipe],
    seeds: int,
    storage: str | os.PathLike[str],
    *,
    workers: int | None = None,
    report: Report = lambda text: None,
    skip: bool = False,
) -> tuple[Results, dict[str, str]]:
    """Run what is missing in the storage; return each recipe's trials, and what failed and why.

    Args:
        recipes: to run.
        seeds: of each; a recipe that draws nothing at random has one.
        storage: folder of the studies, as of `lehr.Study`.
        workers: processes at a time, of one thread; one per core if left out.
        report: called with a line about each trial that has finished or failed.
        skip: leave out, and report, what lacks its data or its backend.

    Raises:
        ValueError: if a recipe needs a backend that is not installed, or the storage cannot be
            read or written.
        OSError: if images are missing.
    """
    chosen, count = list(recipes), whole("seeds", seeds)
    failed: dict[str, str] = {}
    with Storage(Path(storage)) as kept:
        found = {recipe.name: _trials(recipe, count, kept) for recipe in chosen}
        ready = _ready([recipe for recipe in chosen if not found[recipe.name]], report, skip)
        works = [_work(recipe, count, kept) for recipe in ready]
        works.sort(key=lambda work: work.recipe.backend or "")
        places = itertools.count(1)
        total = sum(len(_missing(work, kept)) for work in works)

        def told(recipe: Recipe, job: Job, how: str) -> None:
            report(f"{next(places)} of {total}: {recipe.name}, seed {job['seed']}{how}")

        for backend, some in itertools.groupby(works, key=lambda work: work.recipe.backend):
            group = list(some)
            with Pool(workers, kept.cache, backend) as pool:
                failed |= _finish(group, kept, pool, told)
                for work in group:
                    if work.recipe.name not in failed:
                        found[work.recipe.name] = _trials(work.recipe, count, kept, pool)
    return found, failed


def kept_results(recipes: Iterable[Recipe], seeds: int, storage: str | os.PathLike[str]) -> Results:
    """Return the trials of the recipes that the storage has in full; none of the others."""
    with Storage(Path(storage), readonly=True) as kept:
        return {recipe.name: _trials(recipe, seeds, kept) for recipe in recipes}


def _work(recipe: Recipe, seeds: int, kept: Storage) -> _Work:
    if isinstance(recipe, Training):
        study = recipe.study(seeds, kept.folder)
        (budget,) = study.budgets
        jobs = [judging_job(study, study.reference, None, budget, s) for s in range(seeds)]
        task, more = recipe.task, {"metric": study.metric}
    else:
        assert isinstance(recipe, Measurement)
        reads = {"reads": {data: images.origin(data) for data in recipe.data}}
        count = range(seeds if recipe.random else 1)
        jobs = [measuring_job(recipe.function, recipe.options, seed) | reads for seed in count]
        task, more = recipe.function, {}
    source = source_digest(task)
    depends = batch(task, source, recipe.backend)
    named = {identity(job, depends): job for job in jobs}
    return _Work(recipe, named, more | {"source": source})


def _missing(work: _Work, kept: Storage) -> dict[str, Job]:
    records = kept.records(work.jobs)
    return {name: job for name, job in work.jobs.items() if name not in records}


def _finish(
    works: list[_Work], kept: Storage, pool: Pool, report: Callable[[Recipe, Job, str], None]
) -> dict[str, str]:
    """Run what is missing of several recipes side by side; return the log of each that failed."""
    of = {name: work for work in works for name in work.jobs}
    missing = {name: job for work in works for name, job in _missing(work, kept).items()}
    failed: dict[str, str] = {}

    def moved(event: Event) -> None:
        if event.kind == "failed":
            recipe, job = of[event.name].recipe, missing[event.name]
            failed.setdefault(recipe.name, f"seed {job['seed']} failed:\n{event.payload['log']}")
            report(recipe, job, ": failed")

    running = finish(kept, pool, missing, lambda name: of[name].more, moved)
    with contextlib.suppress(TrialError), contextlib.closing(running):  # told one by one
        for name, _ in running:
            kept.forget_checkpoints([name])
            report(of[name].recipe, missing[name], "")
    return failed


def _trials(recipe: Recipe, seeds: int, kept: Storage, pool: Pool | None = None) -> list[Trial]:
    """Return a recipe's trials if all are kept, else none; with a pool, note them as a study's."""
    if isinstance(recipe, Training):
        study = recipe.study(seeds, kept.folder)
        try:
            records = Conductor(study, kept, pool).results().records(study.reference)
        except Missing:
            return []
    else:
        work = _work(recipe, seeds, kept)
        held = kept.records(work.jobs)
        records = [held[name] for name in work.jobs if name in held]
        if len(records) < len(work.jobs):
            return []
    return [trial_of(recipe, seed, record) for seed, record in enumerate(records)]


def _ready(missing: list[Recipe], report: Report, skip: bool) -> list[Recipe]:
    """Return the recipes that can run; raise one clear line for the others, or report it."""
    # each is asked for once: data may have to come over a network
    data = dict.fromkeys(name for recipe in missing for name in recipe.data)
    backends = dict.fromkeys(recipe.backend for recipe in missing if recipe.backend)
    reasons = {name: _reason(images.ensure, name, report) for name in data}
    reasons |= {name: _reason(check_installed, name) for name in backends}
    found = []
    for recipe in missing:
        needs = [*recipe.data, recipe.backend]
        error = next((reasons[name] for name in needs if name and reasons[name]), None)
        if error is None:
            found.append(recipe)
        elif skip:
            report(f"{recipe.name} is left out: {error}")
        else:
            raise type(error)(f"{recipe.name}: {error}") from None
    return found


def _reason(check: Callable[..., None], *arguments: Any) -> ValueError | OSError | None:
    try:
        check(*arguments)
    except (ValueError, OSError) as error:
        return error
    return None
