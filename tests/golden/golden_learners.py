"""Shared code of the framework cases: data, policies, and training of a Learner.

Most policies are tables: their values are exact, so the recordings do not change if the last bits
of a schedule formula do. The digest "weights" covers the weights of the model; "snapshot" also
covers the layout of a snapshot and changes with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from golden_values import digest, exact, measured, rates, text

import lehr

STEPS = 48
RATES = lehr.table([0.02 + 0.08 * (7 * n % 12) / 12 for n in range(STEPS)])
MOMENTA = lehr.table([0.7 + 0.2 * (5 * n % 7) / 7 for n in range(STEPS)])
POLICY = lehr.Policy(lr=RATES, momentum=MOMENTA)
CONTROLLED = lehr.Policy(
    lr=RATES, control=lehr.Plateau(patience=1, threshold=0.2, factor=0.4, cooldown=1)
)
ONE_CYCLE = lehr.one_cycle(0.1).resolve(40)
Weights = Callable[[Any], Sequence[Any]]


def data(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 64, 16 and 16 rows of a noisy regression from 5 numbers to 3."""
    draw = np.random.Generator(np.random.PCG64(seed))
    x = draw.normal(size=(96, 5))
    y = np.tanh(x @ draw.normal(size=(5, 3))) + draw.normal(scale=0.1, size=(96, 3))
    x, y = x.astype("float32"), y.astype("float32")
    rows = {"train": slice(64), "validation": slice(64, 80), "test": slice(80, 96)}
    return {name: (x[part], y[part]) for name, part in rows.items()}


def trace_of(trace: Any) -> dict[str, Any]:
    used = {name: rates(values) for name, values in trace.rates.items()}
    return {"losses": measured(trace.losses), "rates": used}


def state_of(learner: Any, weights: Weights) -> dict[str, Any]:
    return {
        "evaluation": {
            split: {name: measured(value) for name, value in learner.evaluate(split).items()}
            for split in ("validation", "test")
        },
        "weights": digest(*weights(learner)),
        "snapshot": digest(learner.snapshot().digest()),
    }


def trained(learner: Any, weights: Weights, policy: Any, steps: int, **how: Any) -> dict[str, Any]:
    """Return the trace of a number of updates and the state after them."""
    trace = learner.train(policy, steps, **how)
    return trace_of(trace) | state_of(learner, weights)


def drives(make: Callable[[], Any], weights: Weights) -> dict[str, Any]:
    """Record runs of a Learner: full, with `until`, in two chunks, resumed, with a controller."""
    learner = make()
    start = learner.snapshot()

    def restarted() -> Any:
        learner.restore(start)
        return learner

    return {
        "full": trained(learner, weights, POLICY, STEPS),
        "one cycle": trained(restarted(), weights, ONE_CYCLE, 40),
        "until": _until(restarted(), weights),
        "chunks": _chunks(restarted(), weights),
        "resumed": _resumed(restarted(), make, weights),
        "controller": _controlled(restarted(), weights),
        "rows": digest(*(learner.rows(step) for step in range(20))),
        "range test": range_tests(restarted(), weights),
    }


def _until(learner: Any, weights: Weights) -> dict[str, Any]:
    seen = []

    def until(trace: Any) -> bool:
        seen.append(len(trace.losses))
        return len(trace.losses) > 20

    return trained(learner, weights, POLICY, STEPS, until=until) | {"asked": seen}


def _chunks(learner: Any, weights: Weights) -> dict[str, Any]:
    first = trained(learner, weights, POLICY, 19)
    return {"first": first, "second": trained(learner, weights, POLICY, STEPS - 19, first=19)}


def _resumed(learner: Any, make: Callable[[], Any], weights: Weights) -> dict[str, Any]:
    """Resume from a snapshot, and in another learner from its file."""
    learner.train(POLICY, 19)
    before = learner.snapshot()
    once = trained(learner, weights, POLICY, 10, first=19)
    learner.restore(before)
    again = trained(learner, weights, POLICY, 10, first=19)
    with tempfile.TemporaryDirectory() as folder:
        before.save(Path(folder) / "run.npz")
        other = make()
        other.load(Path(folder) / "run.npz")
    elsewhere = trained(other, weights, POLICY, 10, first=19)
    return {"run": once, "restored": once == again, "loaded": once == elsewhere}


def _controlled(learner: Any, weights: Weights) -> dict[str, Any]:
    """Pass the validation loss to a controller after every 6 updates, as a study does."""
    control = CONTROLLED.control
    state, factors, losses, used = control.init(), [], [], []
    for first in range(0, STEPS, 6):
        factors.append(state.factor)
        trace = learner.train(CONTROLLED, 6, first=first, factor=state.factor)
        losses += trace.losses
        used += trace.rates["lr"]
        state = control.update(state, learner.evaluate()["loss"])
    run = {"losses": measured(losses), "rates": rates(used), "factors": exact(factors)}
    return run | state_of(learner, weights)


def range_tests(learner: Any, weights: Weights) -> dict[str, Any]:
    """Record two range tests of a Learner after 5 updates."""
    learner.train(POLICY, 5)
    training = lehr.range_test(learner, low=1e-4, high=30.0, steps=50)
    validation = lehr.range_test(
        learner, low=0.01, high=0.5, steps=24, spacing="linear", objective="validation"
    )
    after = digest(*weights(learner))
    return {"training": sweep_of(training), "validation": sweep_of(validation), "after": after}


def sweep_of(sweep: lehr.Sweep) -> dict[str, Any]:
    """Return all fields of a Sweep and its suggestion for each use."""
    suggestions = {}
    for use in ("constant", "one-cycle", "cyclical"):
        found = sweep.suggest(use)
        advised = (found.lr, found.low, found.high)
        known = [rate for rate in advised if rate is not None]
        suggestions[use] = {"rates": measured(known), "reason": text(found.reason)}
    return {
        "rates": rates(sweep.rates),
        "losses": measured(sweep.losses),
        "spacing": sweep.spacing,
        "steps": sweep.steps,
        "stopped": sweep.stopped,
        "objective": sweep.objective,
        "suggestions": suggestions,
    }
