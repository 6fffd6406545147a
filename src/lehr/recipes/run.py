"""Run recipes as studies: missing trials run in worker processes, results are stored."""

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
from lehr.schedule.errors import integer
from lehr.study.cache_key import cache_key, environment_key
from lehr.study.engines.engine import Engine, Event, TrialError
from lehr.study.engines.local import LocalEngine
from lehr.study.environment import check_installed
from lehr.study.jobs import Job, make_job
from lehr.study.runner import MissingJobs, Runner, run_jobs
from lehr.study.storage import Storage
from lehr.tasks import images
from lehr.tasks.find import source_digest

Report = Callable[[str], None]
Results = dict[str, list[Trial]]


@dataclass(frozen=True)
class _Work:
    """The jobs of a recipe by cache key, and extra entries of the messages to the workers."""

    recipe: Recipe
    jobs: dict[str, Job]
    extra: dict[str, Any]


def run_recipes(
    recipes: Iterable[Recipe],
    seeds: int,
    storage: str | os.PathLike[str],
    *,
    workers: int | None = None,
    report: Report = lambda text: None,
    skip: bool = False,
) -> tuple[Results, dict[str, str]]:
    """Run the missing trials of recipes.

    Returns:
        The trials of each recipe, and the log of the first failed trial of each failed recipe;
        both by name of the recipe.

    Args:
        recipes: to run.
        seeds: number of trials per recipe; recipes without random numbers run one.
        storage: folder of the studies, as of `lehr.Study`.
        workers: number of processes; default: one per GPU, or one per core without a GPU.
        report: called with a line of text for each finished, failed or skipped item.
        skip: whether recipes with missing data or a missing backend are reported and skipped
            instead of raising an error.

    Raises:
        ValueError: if a backend is not installed, or the storage cannot be read or written.
        OSError: if images are missing.
    """
    chosen, count = list(recipes), integer("seeds", seeds)
    failed: dict[str, str] = {}
    with Storage(Path(storage)) as opened:
        found = {recipe.name: _trials(recipe, count, opened) for recipe in chosen}
        ready = _ready([recipe for recipe in chosen if not found[recipe.name]], report, skip)
        works = [_work(recipe, count, opened) for recipe in ready]
        works.sort(key=lambda work: work.recipe.backend or "")
        places = itertools.count(1)
        total = sum(len(_missing(work, opened)) for work in works)

        def report_job(recipe: Recipe, job: Job, how: str) -> None:
            report(f"{next(places)} of {total}: {recipe.name}, seed {job['seed']}{how}")

        for backend, some in itertools.groupby(works, key=lambda work: work.recipe.backend):
            group = list(some)
            with LocalEngine(workers, opened.cache, backend) as engine:
                failed |= _run(group, opened, engine, report_job)
                for work in group:
                    if work.recipe.name not in failed:
                        trials = _trials(work.recipe, count, opened, engine)
                        found[work.recipe.name] = trials
    return found, failed


def stored_results(
    recipes: Iterable[Recipe], seeds: int, storage: str | os.PathLike[str]
) -> Results:
    """Load the stored trials of each recipe.

    Args:
        recipes: to load.
        seeds: number of trials per recipe.
        storage: folder of the studies.

    Returns:
        Trials by name of the recipe; an empty list unless all trials of the recipe are stored.

    Raises:
        ValueError: if the storage cannot be read.
    """
    with Storage(Path(storage), readonly=True) as opened:
        return {recipe.name: _trials(recipe, seeds, opened) for recipe in recipes}


def _work(recipe: Recipe, seeds: int, storage: Storage) -> _Work:
    extra: dict[str, Any] = {}
    if isinstance(recipe, Training):
        study = recipe.study(seeds, storage.folder)
        (budget,) = study.budgets
        jobs = [study.trial_job(study.reference, None, budget, s) for s in range(seeds)]
        task, extra = recipe.task, {"metric": study.metric}
    else:
        assert isinstance(recipe, Measurement)
        reads = {"reads": {data: images.origin(data) for data in recipe.data}}
        task, count = recipe.function, range(seeds if recipe.random else 1)
        jobs = [make_job("measurement", task, recipe.options, seed) | reads for seed in count]
    source = source_digest(task)
    environment = environment_key(task, source, recipe.backend)
    named = {cache_key(job, environment): job for job in jobs}
    return _Work(recipe, named, extra | {"source": source})


def _missing(work: _Work, storage: Storage) -> dict[str, Job]:
    records = storage.records(work.jobs)
    return {name: job for name, job in work.jobs.items() if name not in records}


def _run(
    works: list[_Work], storage: Storage, engine: Engine, report: Callable[[Recipe, Job, str], None]
) -> dict[str, str]:
    """Run the missing jobs of several recipes in parallel; return the logs of failed recipes."""
    of = {name: work for work in works for name in work.jobs}
    missing = {name: job for work in works for name, job in _missing(work, storage).items()}
    failed: dict[str, str] = {}

    def report_failure(event: Event) -> None:
        if event.kind == "failed":
            recipe, job = of[event.name].recipe, missing[event.name]
            failed.setdefault(recipe.name, f"seed {job['seed']} failed:\n{event.payload['log']}")
            report(recipe, job, ": failed")

    extra = {name: of[name].extra for name in missing}
    running = run_jobs(storage, engine, missing, extra, report_failure)
    with (
        contextlib.suppress(TrialError),
        contextlib.closing(running),
    ):  # report_failure has reported it
        for name, _ in running:
            storage.delete_checkpoints([name])
            report(of[name].recipe, missing[name], "")
    return failed


def _trials(
    recipe: Recipe, seeds: int, storage: Storage, engine: Engine | None = None
) -> list[Trial]:
    """Load the trials of a recipe if all are stored; an engine also stores the study."""
    if isinstance(recipe, Training):
        study = recipe.study(seeds, storage.folder)
        try:
            records = Runner(study, storage, engine).results().records(study.reference)
        except MissingJobs:
            return []
    else:
        work = _work(recipe, seeds, storage)
        stored = storage.records(work.jobs)
        records = [stored[name] for name in work.jobs if name in stored]
        if len(records) < len(work.jobs):
            return []
    return [trial_of(recipe, seed, record) for seed, record in enumerate(records)]


def _ready(missing: list[Recipe], report: Report, skip: bool) -> list[Recipe]:
    """Return the recipes whose data and backend exist; raise for the others, or report them."""
    # check each name once: the check may download data
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
            report(f"{recipe.name} is skipped: {error}")
        else:
            raise type(error)(f"{recipe.name}: {error}") from None
    return found


def _reason(check: Callable[..., None], *arguments: Any) -> ValueError | OSError | None:
    try:
        check(*arguments)
    except (ValueError, OSError) as error:
        return error
    return None
