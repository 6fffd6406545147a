"""What one job does, in its own process: a range test, or one arm trained on one seed."""

from __future__ import annotations

import hashlib
import json
import math
import time
from typing import Any

from lehr.finder import range_test
from lehr.learner import Learner, Trace, flat, scheduled
from lehr.policy import Policy, loads
from lehr.recipes.tasks import make_learner
from lehr.schedule.check import fail, one_of
from lehr.study.definition import Job

_TOLERANCE = 4e-7  # of the largest value: what float32 in a graph is held to


class LedgerError(RuntimeError):
    """The optimizer did not use what the policy says."""


def run_job(job: Job) -> dict[str, Any]:
    """Return a job's result as plain data."""
    learner = make_learner(job["task"], job["seed"])
    if job["kind"] == "sweep":
        options = {name: job[name] for name in ("low", "high", "steps", "spacing")}
        return {"sweep": range_test(learner, **options).to_json()}
    steps = job["epochs"] * learner.steps_per_epoch
    policy = loads(json.dumps(job["policy"]))
    policy = policy.resolve(steps, steps_per_epoch=learner.steps_per_epoch)
    _check_before_training(learner, policy, steps, job)
    return _trial(learner, policy, job["epochs"])


def _check_before_training(learner: Learner, policy: Policy, steps: int, job: Job) -> None:
    """Raise for what would otherwise be found out after the training has been paid for."""
    tested, validated = learner.evaluate("test"), _named(learner.evaluate("validation"))
    one_of("metric", job["metric"], tested)
    if policy.control is not None:
        one_of("monitor", policy.control.monitor, [*validated, "loss"])
    if job["peak"] is not None:
        highest = max(policy.values(step)["lr"] for step in range(steps))
        if not math.isclose(highest, job["peak"], rel_tol=1e-3):
            way_out = "write a tuned policy at peak 1, for instance one_cycle(1.0)"
            fail("largest rate", f"the peak chosen, {job['peak']:g}", highest, way_out)


def _named(validation: dict[str, float]) -> dict[str, float]:
    """Return validation metrics under the names that Keras gives them."""
    return {f"val_{name}": value for name, value in validation.items()}


def _trial(learner: Learner, policy: Policy, epochs: int) -> dict[str, Any]:
    """Train for some epochs; validate after each, feed the controller, test at the end."""
    epoch_steps = learner.steps_per_epoch
    pairing = {
        "initial state": learner.snapshot().digest(),
        "batches": _rows_digest(learner, epochs * epoch_steps),
    }
    state = policy.control.init() if policy.control else None
    whole, history = Trace(), []
    begun = time.perf_counter()
    for epoch in range(epochs):
        first, factor = epoch * epoch_steps, state.factor if state else 1.0
        trace = learner.train(policy, epoch_steps, first=first, factor=factor)
        check_ledger(trace, policy, first, factor)
        whole.extend(trace.losses, trace.rates)
        metrics = _named(learner.evaluate("validation"))
        metrics["loss"] = math.fsum(trace.losses) / len(trace.losses)
        history.append({name: _plain(value) for name, value in metrics.items()})
        if policy.control and state:
            state = policy.control.update(state, metrics[policy.control.monitor])
    seconds = time.perf_counter() - begun
    return {
        "test": {name: _plain(value) for name, value in learner.evaluate("test").items()},
        "history": history,
        "losses": [_plain(loss) for loss in whole.losses],
        "rates": whole.rates,
        "steps_per_epoch": epoch_steps,
        "pairing": pairing,
        "seconds": seconds,
    }


def check_ledger(trace: Trace, policy: Policy, first: int, factor: float) -> None:
    """Raise at the first update whose value was not the policy's."""
    wanted = [flat(values) for values in scheduled(policy, first, len(trace.losses), factor)]
    for name in wanted[0]:
        used = trace.rates.get(name, [])
        if len(used) != len(wanted):
            raise LedgerError(f"{name} was recorded {len(used)} times in {len(wanted)} updates")
        largest = max(abs(values[name]) for values in wanted)
        for i, (value, values) in enumerate(zip(used, wanted, strict=True)):
            if not abs(value - values[name]) <= _TOLERANCE * largest:
                raise LedgerError(
                    f"{name} must be {values[name]!r} in update {first + i}, "
                    f"the optimizer used {value!r}"
                )


def _rows_digest(learner: Learner, steps: int) -> str:
    digest = hashlib.sha256()
    for step in range(steps):
        digest.update(learner.rows(step).tobytes())
    return digest.hexdigest()


def _plain(value: float) -> float | None:
    """Return a number that JSON can hold: None stands for one that is not finite."""
    return value if math.isfinite(value) else None
