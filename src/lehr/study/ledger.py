"""Check that applied rates equal the policy, and that the runs of a seed are paired."""

from __future__ import annotations

import hashlib
from typing import Any

from lehr.learner import Learner, Trace, flat, scheduled
from lehr.policy import Policy
from lehr.schedule.errors import fail

_TOLERANCE = 4e-7  # relative to the largest value: float32 rounding in a compiled graph


class LedgerError(RuntimeError):
    """The optimizer applied a value that differs from the policy."""


def check_ledger(trace: Trace, policy: Policy, first: int, factor: float) -> None:
    """Raise for the first update in which the applied value differs from the policy."""
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


def pairing(learner: Learner, steps: int) -> dict[str, str]:
    """Return the digests of a run's initial state and batches, equal for all arms of a seed."""
    digest = hashlib.sha256()
    for step in range(steps):
        digest.update(learner.rows(step).tobytes())
    return {"initial state": learner.snapshot().digest(), "batches": digest.hexdigest()}


def check_pairs(trials: dict[tuple[str, int, int], Any], optimizers: dict[str, str | None]) -> None:
    """Check that all arms of a seed started from the same weights and saw the same batches.

    Initial states are compared only between arms with the same optimizer, because optimizer
    states differ. The keys of ``trials`` are (arm, budget, seed); the optimizer None is the
    task's default.
    """
    first: dict[tuple[object, ...], tuple[str, str]] = {}
    for (arm, budget, seed), trial in trials.items():
        for item, value in trial.metadata["pairing"].items():
            optimizer = optimizers[arm] if item == "initial state" else None
            other, wanted = first.setdefault((item, budget, seed, optimizer), (arm, value))
            if value != wanted:
                fix = "the task must return the same Learner for the same seed"
                where = f"{item} of {arm}, seed {seed},"
                fail(where, f"the same as of {other}", value, fix)
