"""The process of one trial: ``python -m lehr.recipes.worker RECIPE SEED TARGET``."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lehr.files import written
from lehr.learner import Learner
from lehr.recipes.catalogue import find_recipe
from lehr.recipes.recipe import Measurement, Recipe, Training, Trial, load
from lehr.study.ledger import check_ledger
from lehr.study.worker import end_with

_MOST_RATES = 150
_DIGITS = 6


def main() -> None:
    """Run the trial and write its result beside, then rename."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    name, seed, target = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    recipe = find_recipe(name)
    trial = _plain(perform(recipe, seed)) | {"definition": recipe.definition()}
    if seed:  # figures are drawn from the first
        for name in ("figure", "rates"):
            trial.pop(name, None)
    with written(target) as beside:
        beside.write_text(json.dumps(trial, allow_nan=False, separators=(",", ":")) + "\n")


def perform(recipe: Recipe, seed: int, *, most: int | None = None, **options: Any) -> Trial:
    """Return a recipe's trial: its numbers, and what its figure draws.

    Args:
        recipe: to run.
        seed: of everything random.
        most: updates of a recipe that trains; for trying it out.
        **options: over the recipe's own.
    """
    begun = time.perf_counter()
    if isinstance(recipe, Training):
        learner = load(recipe.task)(seed, **{**recipe.options, **options})
        found = _train(recipe, learner, most)
    else:
        assert isinstance(recipe, Measurement)
        found = load(recipe.function)(seed, **{**recipe.options, **options})
    modules = ("keras", "jax", "tensorflow", "torch", "numpy")
    versions = {m: getattr(sys.modules[m], "__version__", "") for m in modules if m in sys.modules}
    return {
        "recipe": recipe.name,
        "seed": seed,
        "definition": recipe.definition(),
        **found,
        "seconds": time.perf_counter() - begun,
        "versions": {"python": platform.python_version(), **versions},
    }


def _train(recipe: Training, learner: Learner, most: int | None) -> Trial:
    """Train epoch by epoch, validate after each, stop when patience ends, test once."""
    each = learner.steps_per_epoch
    steps = recipe.epochs * each
    policy = recipe.policy.resolve(steps, steps_per_epoch=each)
    every = max(1, steps // _MOST_RATES)
    state = policy.control.init() if policy.control else None
    history: list[dict[str, float]] = []
    rates: dict[str, list[float]] = {"step": [], "lr": []}
    best, best_at, seconds = None, 0, []
    for epoch in range(recipe.epochs):
        first, factor = epoch * each, state.factor if state else 1.0
        begun = time.perf_counter()
        trace = learner.train(policy, min(each, most or each), first=first, factor=factor)
        seconds.append(time.perf_counter() - begun)
        check_ledger(trace, policy, first, factor)
        kept = range(-first % every, len(trace.losses), every)
        rates["step"] += [first + i for i in kept]
        rates["lr"] += [trace.rates["lr"][i] for i in kept]
        validation = {f"val_{k}": v for k, v in learner.evaluate("validation").items()}
        history.append({"loss": math.fsum(trace.losses) / len(trace.losses), **validation})
        if policy.control and state:
            state = policy.control.update(state, history[-1][policy.control.monitor])
        if recipe.patience is not None:
            if not history[-1]["val_loss"] >= history[best_at]["val_loss"] or epoch == 0:
                best, best_at = learner.snapshot(), epoch
            elif epoch - best_at >= recipe.patience:
                break
        if most is not None:
            break
    numbers = dict(history[-1])
    if best is not None:
        learner.restore(best)
        numbers |= {f"best_{name}": value for name, value in history[best_at].items()}
        numbers["best_epoch"] = best_at + 1.0
    numbers |= {f"test_{name}": value for name, value in learner.evaluate("test").items()}
    numbers["epochs"] = float(len(history))
    # the first epoch compiles
    numbers["seconds_per_epoch"] = min(seconds[1:] or seconds)
    return {"numbers": numbers, "history": history, "rates": rates, "steps_per_epoch": each}


def _plain(value: Any) -> Any:
    """Return what JSON can hold: six digits, None for what is not finite."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
