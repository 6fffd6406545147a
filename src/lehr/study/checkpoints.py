"""Save the state of a running trial to checkpoints, and restore it bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.controllers import State
from lehr.learner import Learner, Snapshot, Trace
from lehr.policy import Policy

_LEARNER = "learner/"


@dataclass
class Run:
    """The progress of a trial.

    Attributes:
        policy: policy resolved to integer steps.
        control: state of the controller, if there is one.
        trace: losses and rates of all updates so far.
        history: validation metrics at the end of each epoch and of the run.
        best: scores at the best validation metric so far, with ``judge="best"``.
        seconds: time spent on training and evaluation.
    """

    policy: Policy
    control: State | None
    trace: Trace = field(default_factory=Trace)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """The number of completed updates."""
        return len(self.trace.losses)

    @property
    def factor(self) -> float:
        """The controller's factor on the learning rate."""
        return self.control.factor if self.control else 1.0

    def save(self, learner: Learner, path: Path) -> None:
        """Save the run and its learner to an ``.npz`` file; the write is atomic."""
        state = learner.snapshot()
        arrays = {f"{_LEARNER}{name}": array for name, array in state.arrays.items()}
        metadata = {
            "learner": state.metadata,
            "control": self.control and vars(self.control),
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        Snapshot(arrays | curves(self.trace), metadata).save(path)

    def restore(self, learner: Learner, checkpoint: Snapshot) -> None:
        """Restore the run and its learner from a checkpoint."""
        metadata, arrays = checkpoint.metadata, checkpoint.arrays
        parts = {n: a for n, a in arrays.items() if n.startswith(_LEARNER)}
        state = {name.removeprefix(_LEARNER): array for name, array in parts.items()}
        learner.restore(Snapshot(state, metadata["learner"]))
        self.control = metadata["control"] and State(**metadata["control"])
        self.trace = trace_of({n: a for n, a in arrays.items() if n not in parts})
        self.history, self.best = metadata["history"], metadata["best"]
        self.seconds = metadata["seconds"]


def curves(trace: Trace) -> dict[str, Any]:
    """Return a trace as arrays by name: "losses", "rates/lr" and so on."""
    import numpy as np

    rates = {f"rates/{name}": np.array(values) for name, values in trace.rates.items()}
    return {"losses": np.array(trace.losses), **rates}


def trace_of(arrays: dict[str, Any]) -> Trace:
    """Return the trace of arrays made by `curves`."""
    rates = {n.removeprefix("rates/"): a.tolist() for n, a in arrays.items() if n != "losses"}
    return Trace(arrays["losses"].tolist(), rates)
