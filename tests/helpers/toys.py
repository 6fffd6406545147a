"""Learners without a framework: a noisy linear regression, fast, for tests with many trials."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import lehr
from lehr.learner import Batches, Learner, Snapshot


class Toy(Learner):
    """Gradient descent with momentum on 64 rows of 3 numbers, in batches of 8."""

    steps_per_epoch = 8

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(128, 3))
        self.y = self.x @ [1.0, -2.0, 0.5] + rng.normal(scale=0.1, size=128)
        self.weights, self.velocity = rng.normal(size=3), np.zeros(3)
        self.batches = Batches(64, 8, seed)
        self.step = 0

    def make_updates(self, policy, values):
        losses, used = zip(*map(self.update, values), strict=True)
        return list(losses), {name: [u[name] for u in used] for name in used[0]}

    def update(self, values):
        """Make one update; return its loss and the values applied."""
        rows = self.batches[self.step]
        error = self.x[rows] @ self.weights - self.y[rows]
        loss = float(np.mean(error**2))
        momentum = values.get("momentum", 0.9)
        rate = self.used(values["lr"])
        gradient = 2 * self.x[rows].T @ error / len(rows)
        self.velocity = momentum * self.velocity - rate * gradient
        self.weights = self.weights + self.velocity
        self.step += 1
        return loss, values | {"lr": rate}

    def used(self, rate: float) -> float:
        return rate

    def evaluate(self, split="validation"):
        rows = {"validation": slice(64, 96), "test": slice(96, 128)}[split]
        loss = float(np.mean((self.x[rows] @ self.weights - self.y[rows]) ** 2))
        return {"loss": loss, "accuracy": 1 / (1 + loss)}

    def snapshot(self):
        arrays = {"weights": self.weights.copy(), "velocity": self.velocity.copy()}
        return Snapshot(arrays, {"step": self.step})

    def restore(self, snapshot):
        self.weights = snapshot.arrays["weights"].copy()
        self.velocity = snapshot.arrays["velocity"].copy()
        self.step = snapshot.metadata["step"]

    def rows(self, step: int) -> Any:
        return self.batches[step]


class Disobedient(Toy):
    """Applies half of the given rate from update 10 on."""

    def used(self, rate: float) -> float:
        return rate if self.step < 10 else rate / 2


class Grouped(Toy):
    """Reports rates for two groups, "body" and "head"; trains with the rate of the body."""

    def update(self, values):
        if not isinstance(values["lr"], dict):
            return super().update(values)
        loss, _ = super().update({"lr": values["lr"]["body"]})
        return loss, {f"lr/{group}": rate for group, rate in values["lr"].items()}


def grouped(seed: int) -> Learner:
    return Grouped(seed)


def toy(seed: int) -> Learner:
    return Toy(seed)


def disobedient(seed: int) -> Learner:
    return Disobedient(seed)


def unpaired(seed: int) -> Learner:
    return Toy(seed + os.getpid())


def failing_on_seed_1(seed: int) -> Learner:
    if seed == 1:
        raise RuntimeError("the data of seed 1 is missing")
    return Toy(seed)


def sleeping(seed: int) -> Learner:
    with Path("pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(600)
    return Toy(seed)


class Slow(Toy):
    """Takes 10 ms per update, so that processes can be killed during a trial."""

    def used(self, rate: float) -> float:
        time.sleep(0.01)
        return rate


def slow(seed: int) -> Learner:
    return Slow(seed)


class Counted(Toy):
    """Appends a byte to a file for each update."""

    def used(self, rate: float) -> float:
        if rate == 0.01:  # the rate of the repeatability check of a study; no arm uses it
            return rate
        with Path(os.environ["LEHR_TOY_COUNTS"]).open("ab") as file:
            file.write(b".")
        return rate


def counted(seed: int) -> Learner:
    return Counted(seed)


def dying_on_seed_1(seed: int) -> Learner:
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Toy(seed)


class Optional(Toy):
    """A toy with options: noise, and gradient descent with or without momentum."""

    def __init__(self, seed: int, noise: float, optimizer: str) -> None:
        super().__init__(seed)
        self.y = self.y + np.random.default_rng(seed).normal(scale=noise, size=len(self.y))
        self.plain = optimizer == "plain"

    def update(self, values):
        return super().update({"lr": values["lr"], "momentum": 0.0} if self.plain else values)


def optional(seed: int, noise: float = 0.1, optimizer: str = "momentum") -> Learner:
    return Optional(seed, noise, optimizer)


class Quadratic(Learner):
    """Gradient descent on a quadratic with 20 curvatures from 0.01 to 1 and gradient noise.

    With noise (proportional to the square root of the curvature) the best schedule is a linear
    decay to zero; without noise it is a constant rate.
    """

    steps_per_epoch = 50

    def __init__(self, seed: int, noise: float) -> None:
        self.curvature = np.logspace(-2, 0, 20)
        self.noise, self.seed, self.step = noise, seed, 0
        self.weights = np.random.default_rng(seed).normal(size=20)

    def loss(self) -> float:
        return float(np.mean(self.curvature * self.weights**2) / 2)

    def make_updates(self, policy, values):
        losses = []
        for applied in values:
            drawn = np.random.default_rng([self.seed, self.step]).normal(size=20)
            noise = self.noise * np.sqrt(self.curvature) * drawn
            losses.append(self.loss())
            self.weights = self.weights - applied["lr"] * (self.curvature * self.weights + noise)
            self.step += 1
        return losses, {name: [applied[name] for applied in values] for name in values[0]}

    def evaluate(self, split="validation"):
        return {"loss": float(np.log10(self.loss()))}

    def snapshot(self):
        return Snapshot({"weights": self.weights.copy()}, {"step": self.step})

    def restore(self, snapshot):
        self.weights, self.step = snapshot.arrays["weights"].copy(), snapshot.metadata["step"]

    def rows(self, step: int) -> Any:
        return np.array([step])


def quadratic(seed: int, noise: float = 1.0) -> Learner:
    return Quadratic(seed, noise)


class Steady(Toy):
    """Starts at zero weights, for a small difference between seeds."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.weights = np.zeros(3)


def steady(seed: int) -> Learner:
    return Steady(seed)


def trial_job(policy: lehr.Policy, **changes: object) -> dict:
    """Return the job of a trial of a toy, without a study."""
    job = {"kind": "trial", "task": "toys:toy", "options": {}, "seed": 0, "id": "x"}
    job |= {"policy": policy.to_dict(), "unit": "epochs", "budget": 2, "peak": None}
    return job | {"metric": "accuracy", "mode": "max", "judge": "final", "test": True} | changes


class Hidden(Toy):
    """Has a random generator that snapshots do not include."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.noise = np.random.default_rng(seed)

    def used(self, rate: float) -> float:
        self.y = self.y + self.noise.normal(scale=0.1, size=len(self.y))
        return rate


def hidden(seed: int) -> Learner:
    return Hidden(seed)


class Forgetful(Toy):
    """Omits the momentum from its snapshots."""

    def snapshot(self):
        return Snapshot({"weights": self.weights.copy()}, {"step": self.step})

    def restore(self, snapshot):
        self.weights, self.step = snapshot.arrays["weights"].copy(), snapshot.metadata["step"]


def forgetful(seed: int) -> Learner:
    return Forgetful(seed)


def asking(seed: int) -> Learner:
    print("asking", seed)
    input("which data? ")
    return Toy(seed)


class Untested(Toy):
    """Has no test split."""

    def evaluate(self, split="validation"):
        if split == "test":
            raise ValueError("split must be one of validation, got 'test'")
        return super().evaluate(split)


def untested(seed: int) -> Learner:
    return Untested(seed)


def anything(seed: int, **options: Any) -> Learner:
    return Toy(seed)


def needs_optimizer(seed: int, optimizer: str) -> Learner:
    return Optional(seed, 0.1, optimizer)


class Listed(Toy):
    """Has listed validation losses, one per epoch; its test loss is the epoch."""

    losses = (3.0, 2.0, 5.0, 4.0, 1.0, 1.0)

    def evaluate(self, split="validation"):
        epoch = self.step // self.steps_per_epoch
        loss = self.losses[max(0, epoch - 1)] if split == "validation" else float(epoch)
        return {"loss": loss, "accuracy": 1 / (1 + loss)}


def meeting(seed: int, name: str) -> Learner:
    """Return a toy after the processes "a" and "b" have both started."""
    Path(f"begun-{name}").touch()
    for _ in range(600):
        if all(Path(f"begun-{other}").exists() for other in "ab"):
            return Toy(seed)
        time.sleep(0.1)
    raise RuntimeError("the other process did not start")


def listed(seed: int) -> Learner:
    return Listed(seed)
