"""What lehr costs, beside its peers, in one run: ``make benchmark``. Quote ratios, not times.

Every figure is the median of several interleaved rounds.
"""

import math
import os
import subprocess
import sys
from collections.abc import Callable

from lehr.study.engine import ONE_THREAD

os.environ |= ONE_THREAD  # as the trials of a study run; frameworks read it when imported
os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import rich
from table import TABLE, Row, measure, timed

import lehr
from lehr.recipes.data import digits, ensure_fashion_mnist, fashion_mnist
from lehr.recipes.mlp import digits_mlp, fashion_mnist_mlp

STEPS = 100_000


def schedules() -> None:
    chain = (
        lehr.warmup(0.1, 500)
        .then(lehr.linear(0.1, 0.1, steps=50_000))
        .then(lehr.cosine(0.1, 49_500, floor=1e-4))
    )

    def closure(t: int) -> float:
        if t < 500:
            return 0.1 * t / 500
        if t < 50_500:
            return 0.1
        u = min(t - 50_500, 49_500) / 49_500
        return 1e-4 + (0.1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * u))

    at = list(range(0, STEPS, 10))
    measure(
        "one value: warm-up, constant, cosine",
        "µs a call",
        1e6,
        [
            ("hand-written closure", lambda: timed(lambda: [closure(t) for t in at]) / len(at)),
            ("lehr chain of three", lambda: timed(lambda: [chain(t) for t in at]) / len(at)),
        ],
        rounds=15,
    )
    everything = np.arange(STEPS)
    closed = lambda: 0.05 * (1 + np.cos(np.pi * np.minimum(everything, STEPS) / STEPS))  # noqa: E731
    cosine = lehr.cosine(0.1, STEPS)
    measure(
        "100,000 values at once",
        "ms",
        1e3,
        [
            ("NumPy, cosine by hand", lambda: timed(closed)),
            ("lehr cosine", lambda: timed(lambda: cosine(everything))),
            ("lehr chain of three", lambda: timed(lambda: chain(everything))),
        ],
        rounds=25,
    )


def imports() -> None:
    def importing(name: str) -> float:
        code = (
            f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    names = ("lehr", "numpy", "optax")
    rows: list[Row] = [(f"import {n}", lambda n=n: importing(n)) for n in names]  # type: ignore[misc]
    measure("import, in a fresh process", "ms", 1e3, rows, rounds=7)


class PerBatch(keras.callbacks.Callback):
    """The callback people paste: sets the rate before each batch."""

    def __init__(self, schedule: lehr.Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.step = 0

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate = self.schedule(self.step)
        self.step += 1


def training() -> None:
    """Seconds an epoch of the task's network, after one epoch to compile."""
    on_fashion = ensure_fashion_mnist(print) == ""
    task, data, size = (
        (fashion_mnist_mlp, fashion_mnist(), 128) if on_fashion else (digits_mlp, digits(), 32)
    )
    x, y = data["train"]
    rate = lehr.cosine(0.05, 1_000_000)

    def fitting(drive: Callable, in_one: int, callbacks: list) -> Callable[[], float]:
        model = keras.models.clone_model(task(0).model)
        model.compile(
            drive(keras.optimizers.SGD(0.05, momentum=0.9)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=in_one,
        )

        def epoch() -> float:
            return timed(lambda: model.fit(x, y, batch_size=size, verbose=0, callbacks=callbacks))

        epoch()
        return epoch

    learner = task(0)
    policy = lehr.Policy(lr=rate)
    whole_epoch = lambda: learner.train(policy, learner.steps_per_epoch)  # noqa: E731
    whole_epoch()
    attached = lambda optimizer: lehr.keras.attach(optimizer, rate)  # noqa: E731
    plain = lambda optimizer: optimizer  # noqa: E731
    rows: list[Row] = [
        ("Keras fit, constant rate", fitting(plain, 1, [])),
        ("Keras fit, callback for each batch", fitting(plain, 1, [PerBatch(rate)])),
        ("lehr.keras.attach in fit", fitting(attached, 1, [])),
        ("lehr.keras.attach in fit, steps_per_execution=64", fitting(attached, 64, [])),
        ("lehr.keras.Learner.train", lambda: timed(whole_epoch)),
    ]
    name = "fashion-mnist-mlp" if on_fashion else "digits-mlp"
    backend = keras.config.backend()
    title = f"an epoch of {name}, Keras on {backend}, one thread"
    measure(title, "seconds", 1, rows, rounds=5)


if __name__ == "__main__":
    schedules()
    imports()
    training()
    rich.print(TABLE)
