"""Learners without a framework: a noisy linear regression, quick enough for many trials."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import lehr
from lehr.learner import Batches, Learner, Snapshot, Trace, scheduled


class Toy(Learner):
    """Gradient descent with momentum on 64 rows of 3 numbers, 8 a batch."""

    steps_per_epoch = 8

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(128, 3))
        self.y = self.x @ [1.0, -2.0, 0.5] + rng.normal(scale=0.1, size=128)
        self.weights, self.velocity = rng.normal(size=3), np.zeros(3)
        self.batches = Batches(64, 8, seed)
        self.step = 0

    def train(self, policy, steps, *, first=0, factor=1.0, until=None):
        trace = Trace()
        for values in scheduled(policy, first, steps, factor):
            rows = self.batches[self.step]
            error = self.x[rows] @ self.weights - self.y[rows]
            loss = float(np.mean(error**2))
            momentum = values.get("momentum", 0.9)
            rate = self.used(values["lr"])
            gradient = 2 * self.x[rows].T @ error / len(rows)
            self.velocity = momentum * self.velocity - rate * gradient
            self.weights = self.weights + self.velocity
            self.step += 1
            used = {name: [value] for name, value in values.items()}
            trace.extend([loss], used | {"lr": [rate]})
            if until is not None and until(trace):
                break
        return trace

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
        self.step = snapshot.facts["step"]

    def rows(self, step: int) -> Any:
        return self.batches[step]


class Disobedient(Toy):
    """Uses half the rate from its tenth update on."""

    def used(self, rate: float) -> float:
        return rate if self.step < 10 else rate / 2


class Grouped(Toy):
    """Tells of two groups, "body" and "head"; trains with the body's rate."""

    def train(self, policy, steps, *, first=0, factor=1.0, until=None):
        if not isinstance(policy.lr, dict):
            return super().train(policy, steps, first=first, factor=factor, until=until)
        whole = Trace()
        for i, values in enumerate(scheduled(policy, first, steps, factor)):
            one = lehr.Policy(lr=values["lr"]["body"])
            trace = super().train(one, 1, first=first + i)
            whole.extend(trace.losses, {f"lr/{g}": [v] for g, v in values["lr"].items()})
        return whole


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
    """Takes 10 ms for an update, so that a kill finds trials in their middle."""

    def used(self, rate: float) -> float:
        time.sleep(0.01)
        return rate


def slow(seed: int) -> Learner:
    return Slow(seed)


class Counted(Toy):
    """Writes a byte for each update it makes."""

    def used(self, rate: float) -> float:
        with Path(os.environ["LEHR_TOY_COUNTS"]).open("ab") as file:
            file.write(b".")
        return rate


def counted(seed: int) -> Learner:
    return Counted(seed)


def dying_on_seed_1(seed: int) -> Learner:
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Toy(seed)
