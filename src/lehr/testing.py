"""Conformance test: a training loop with a driver resumes exactly.

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

TOLERANCE = 4e-7  # of a schedule's largest value: what float32 holds


class Run(Protocol):
    """A training run, driven by a resolved policy, that can be saved between any two updates."""

    policy: Policy

    def train(self, steps: int) -> list[dict[str, float]]:
        """Make some updates; return the values used in each, read from the optimizer.

        The names are "lr", or "lr/head" for a parameter group, and "factor" for a controller's
        factor. Values of a relative policy are divided by their base.
        """

    def save(self, folder: Path) -> None:
        """Write everything that the next update depends on into an empty folder."""

    def load(self, folder: Path) -> None:
        """Restore a saved run in a new one."""

    def weights(self) -> list[Any]:
        """Return the model's weights as NumPy arrays."""


def conformance(factory: str, steps: int = 6) -> None:
    """Raise unless a run, interrupted before any step, resumes exactly in a new process.

    The values used and the final weights must equal those of the uninterrupted run bit for bit,
    and the values must be the policy's.

    Args:
        factory: ``"module:function"``: a function without arguments that returns a new `Run`.
        steps: updates in the whole run.

    Raises:
        AssertionError: names the first update that differs.
        RuntimeError: has the output of a process that failed.
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
        told, made = len(report[str(cut)]["values"]), steps - cut
        if told != made:
            raise AssertionError(f"{factory}: told of {told} updates, not of {made}")
    _check_policy(factory, uninterrupted["values"], report["policy"])
    for cut in range(1, steps):
        resumed, expected = report[str(cut)], uninterrupted["values"][cut:]
        for step, (used, wanted) in enumerate(zip(resumed["values"], expected, strict=True), cut):
            if used != wanted:
                raise AssertionError(
                    f"{factory}, cut before update {cut}: update {step} used {used}, the "
                    f"uninterrupted run {wanted}"
                )
        if resumed["weights"] != uninterrupted["weights"]:
            raise AssertionError(f"{factory}, cut before update {cut}: other weights at the end")


def _check_policy(factory: str, values: list[dict[str, float]], policy: list[Any]) -> None:
    peaks = {name: max(abs(wanted[name]) for wanted in policy) for name in policy[0]}
    for step, (used, wanted) in enumerate(zip(values, policy, strict=True)):
        if wanted.keys() - used.keys():
            told, moves = ", ".join(used), ", ".join(wanted)
            raise AssertionError(
                f"{factory}: update {step} told of {told}, the policy moves {moves}"
            )
        for name, value in wanted.items():
            factor = used.get("factor", 1.0) if name.split("/")[0] == "lr" else 1.0
            if abs(used[name] - value * factor) > TOLERANCE * peaks[name]:
                raise AssertionError(
                    f"{factory}: update {step} used {name} {used[name]!r}, the policy says "
                    f"{value * factor!r}"
                )


def _main(part: str, factory: str, steps: int, folder: Path) -> None:
    """Run one part in a process of its own."""
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
        told = {"values": values, "weights": _digest(run)}
        policy = [flat(run.policy.written(step)) for step in range(steps)]
        report.write_text(json.dumps({"policy": policy, "0": told}))
        return
    found = json.loads(report.read_text())
    for cut in range(1, steps):
        run = make()
        run.load(folder / str(cut))
        values = run.train(steps - cut)
        found[str(cut)] = {"values": values, "weights": _digest(run)}
    report.write_text(json.dumps(found))


def _digest(run: Run) -> str:
    """Return a hash of the weights."""
    import hashlib

    import numpy as np

    hashed = hashlib.sha256()
    for array in run.weights():
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
