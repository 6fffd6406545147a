"""Conformance test for training loops: an interrupted run must resume exactly.

Write a class with the methods of `Run` in an importable module, and call
``conformance("my_module:make_run", steps=6)`` in a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from lehr.policy import Policy
from lehr.schedule.errors import fail, integer

TOLERANCE = 4e-7  # relative to a schedule's largest value: the precision of float32


class Run(Protocol):
    """A training run driven by a policy; it can be saved between any two updates.

    Attributes:
        policy: the policy, with all lengths in integer steps.
    """

    policy: Policy

    def train(self, steps: int) -> list[dict[str, float]]:
        """Train for ``steps`` updates and return the hyperparameters of each update.

        The values are read from the optimizer. The names are "lr", or "lr/head" for a parameter
        group, and "factor" for a controller's factor. Values of a relative policy are divided by
        the base rate.
        """

    def save(self, folder: Path) -> None:
        """Save everything that affects the next update to an empty folder."""

    def load(self, folder: Path) -> None:
        """Restore a saved run; called on a new run."""

    def weights(self) -> list[Any]:
        """Return the model's weights as NumPy arrays."""


def conformance(factory: str, steps: int = 6) -> None:
    """Check that a run resumes exactly in a new process, interrupted before each update.

    The run of ``steps`` updates is saved before each update; each save is loaded in one new
    process and trained to the end. The hyperparameters and the final weights must be bit-identical
    to those of the uninterrupted run. The hyperparameters must equal the policy's values within
    4e-7 of the largest value of each schedule.

    Args:
        factory: ``"module:function"``, a function without arguments that returns a new `Run`.
        steps: number of updates of the uninterrupted run, at least 2.

    Raises:
        AssertionError: if a run differs; the message contains the first update that differs.
        RuntimeError: if a process fails; the message contains its output.
        TypeError: if ``steps`` is not an integer.
        ValueError: if ``steps`` is below 2, or ``factory`` is not ``"module:function"``.
    """
    integer("steps", steps, at_least=2)
    if factory.count(":") != 1:
        fail("factory", "'module:function'", factory)
    with tempfile.TemporaryDirectory() as folder:
        for part in ("save", "resume"):
            command = [sys.executable, "-m", "lehr.testing", part, factory, str(steps), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{factory}, {part}: {done.stderr or done.stdout}")
        report = json.loads(Path(folder, "report.json").read_text())
    uninterrupted = report["0"]
    for cut in range(steps):
        recorded, expected = len(report[str(cut)]["values"]), steps - cut
        if recorded != expected:
            raise AssertionError(f"{factory}: train returned {recorded} updates, not {expected}")
    _check_policy(factory, uninterrupted["values"], report["policy"])
    for cut in range(1, steps):
        resumed, values = report[str(cut)], uninterrupted["values"][cut:]
        for step, (used, wanted) in enumerate(zip(resumed["values"], values, strict=True), cut):
            if used != wanted:
                raise AssertionError(
                    f"{factory}, resumed at update {cut}: update {step} used {used}, the "
                    f"uninterrupted run used {wanted}"
                )
        if resumed["weights"] != uninterrupted["weights"]:
            raise AssertionError(f"{factory}, resumed at update {cut}: the final weights differ")


def _check_policy(factory: str, values: list[dict[str, float]], policy: list[Any]) -> None:
    peaks = {name: max(abs(wanted[name]) for wanted in policy) for name in policy[0]}
    for step, (used, wanted) in enumerate(zip(values, policy, strict=True)):
        if wanted.keys() - used.keys():
            returned, scheduled = ", ".join(used), ", ".join(wanted)
            raise AssertionError(
                f"{factory}: train returned {returned} for update {step}, the policy schedules "
                f"{scheduled}"
            )
        for name, value in wanted.items():
            factor = used.get("factor", 1.0) if name.split("/")[0] == "lr" else 1.0
            if abs(used[name] - value * factor) > TOLERANCE * peaks[name]:
                raise AssertionError(
                    f"{factory}: update {step} used {name} {used[name]!r}, the policy's value is "
                    f"{value * factor!r}"
                )


def _main(part: str, factory: str, steps: int, folder: Path) -> None:
    """Save the uninterrupted run before each update, or resume each save; write a report."""
    from lehr.learner import flat

    module, function = factory.split(":")
    sys.path.insert(0, "")
    make = getattr(import_module(module), function)
    report = folder / "report.json"
    if part == "save":
        run, values = make(), []
        for step in range(steps):
            where = folder / str(step)
            where.mkdir()
            run.save(where)
            values += run.train(1)
        uninterrupted = {"values": values, "weights": _digest(run)}
        policy = [flat(run.policy.written(step)) for step in range(steps)]
        report.write_text(json.dumps({"policy": policy, "0": uninterrupted}))
        return
    found = json.loads(report.read_text())
    for cut in range(1, steps):
        run = make()
        run.load(folder / str(cut))
        values = run.train(steps - cut)
        found[str(cut)] = {"values": values, "weights": _digest(run)}
    report.write_text(json.dumps(found))


def _digest(run: Run) -> str:
    """Return the SHA-256 hex digest of the weights."""
    import hashlib

    import numpy as np

    hashed = hashlib.sha256()
    for array in run.weights():
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
