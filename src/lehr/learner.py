"""The port: a training run that can be driven, watched, put aside and taken up again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.files import written
from lehr.policy import Policy
from lehr.schedule.check import fail


@dataclass
class Trace:
    """What happened, update by update.

    Attributes:
        losses: training loss of each batch, before its update; never a running mean.
        rates: for each hyperparameter the policy moves, the value really used in each update,
            read back from the optimizer; "lr/head" for a parameter group's.
    """

    losses: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def extend(self, losses: list[float], rates: dict[str, list[float]]) -> None:
        """Add some more updates."""
        self.losses.extend(losses)
        for name, values in rates.items():
            self.rates.setdefault(name, []).extend(values)


@dataclass(frozen=True)
class Snapshot:
    """Everything the next update depends on: NumPy arrays by name, and plain facts."""

    arrays: dict[str, Any]
    facts: dict[str, Any]

    def digest(self) -> str:
        """Return a hash of the whole snapshot."""
        hashed = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, array in sorted(self.arrays.items()):
            hashed.update(f"{name} {array.dtype} {array.shape}".encode())
            hashed.update(array.tobytes())
        return hashed.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot as one ``.npz`` file of arrays and JSON, beside, then renamed."""
        import numpy as np

        with written(path) as beside, beside.open("wb") as file:
            np.savez(file, __facts__=np.array(json.dumps(self.facts)), **self.arrays)

    @classmethod
    def readable(cls, path: str | os.PathLike[str]) -> bool:
        """Return whether a whole snapshot lies there; a damaged one does not count."""
        import zipfile

        try:
            cls.load(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        return True

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Read a snapshot that `save` wrote."""
        import numpy as np

        # opened here, so that it is closed when it turns out to be damaged
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "__facts__"}
            return cls(arrays, json.loads(str(file["__facts__"])))


class Learner(ABC):
    """A training run that can be driven: one model, its optimizer, its data.

    The order of the data is a function of (seed, epoch), so a snapshot holds its position as one
    number, and learners made from one seed see the same batches.
    """

    steps_per_epoch: int
    """Optimizer updates in one pass over the training data."""

    @abstractmethod
    def train(
        self,
        policy: Policy,
        steps: int,
        *,
        first: int = 0,
        factor: float = 1.0,
        until: Callable[[Trace], bool] | None = None,
    ) -> Trace:
        """Make ``steps`` updates under a policy and return what happened.

        Args:
            policy: in whole steps.
            steps: number of updates.
            first: the policy's step at the first of these updates.
            factor: a controller's factor on the learning rate.
            until: asked with the trace so far between blocks of updates; True stops.
        """

    @abstractmethod
    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Return the metrics on a split, "validation" or "test", leaving the run as it was."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of everything the next update depends on."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Put the run back: the next update is bit-identical to the one that would have come."""

    def rows(self, step: int) -> Any:
        """Return the numbers of the training rows in the batch of one update of the run.

        What pairs runs asks for them; a run over a user's own loader has none to tell, and a range
        test does not ask.
        """
        # not abstract: a Learner for range tests alone has no rows to tell
        raise NotImplementedError(f"{type(self).__name__} does not know its rows")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a snapshot to a file."""
        self.snapshot().save(path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Restore from a file."""
        self.restore(Snapshot.load(path))


class Batches:
    """Which rows make the batch of each step: every epoch shuffled by (seed, epoch) alone.

    A last, smaller batch of an epoch is left out, so that all updates average alike.

    >>> batches = Batches(rows=10, size=4, seed=0)
    >>> batches.per_epoch, sorted(len(batches[step]) for step in range(4))
    (2, [4, 4, 4, 4])
    """

    def __init__(self, rows: int, size: int, seed: int) -> None:
        if size > rows:
            fail("batch_size", f"at most the {rows} training rows", size)
        self.rows, self.size, self.seed = rows, size, seed
        self.per_epoch = rows // size
        self._epoch = -1
        self._order: Any = None

    def __getitem__(self, step: int) -> Any:
        """Return the row numbers of one batch."""
        import numpy as np

        epoch, i = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._epoch, self._order = epoch, generator.permutation(self.rows)
        return self._order[i * self.size : (i + 1) * self.size]


def cycled(field: str, batches: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield batches for ever: from the beginning again when they end, or raise if there are none.

    >>> first = cycled("batches", [1, 2])
    >>> [next(first) for _ in range(5)]
    [1, 2, 1, 2, 1]
    """
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            fail(field, "one batch for each update, or what can be begun again", batches)


@contextlib.contextmanager
def folder_if(wanted: bool) -> Iterator[Path | None]:
    """Lend a temporary folder, if one is wanted: to make and remove it takes milliseconds.

    >>> with folder_if(False) as none, folder_if(True) as folder:
    ...     none, folder.is_dir()
    (None, True)
    """
    with tempfile.TemporaryDirectory() if wanted else contextlib.nullcontext() as name:
        yield Path(name) if name else None


def flat(values: dict[str, Any]) -> dict[str, float]:
    """Return values by the names of a trace: "lr", or "lr/head" for a parameter group."""
    named: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            named |= {f"{name}/{group}": v for group, v in value.items()}
        else:
            named[name] = value
    return named


def scheduled(policy: Policy, first: int, steps: int, factor: float) -> list[dict[str, Any]]:
    """Return the values a policy asks for in each of some updates, the controller's factor in."""
    return [policy.values(step, factor) for step in range(first, first + steps)]
