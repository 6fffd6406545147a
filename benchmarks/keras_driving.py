"""Time a driven Keras optimizer against a constant rate and a callback: ``make benchmark``.

Seconds per epoch after a compiling epoch; each figure is the median of several interleaved rounds.
Expected: attached, with steps_per_execution=64, at least as fast as a constant rate with 1, and at
least 1.3 times as fast as the callback. Quote ratios, not times.
"""

import os
from collections.abc import Callable

from lehr.study.environment import ONE_THREAD

os.environ |= ONE_THREAD  # as in the trials of a study; frameworks read it on import
os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import rich
from table import TABLE, Row, measure, timed

import lehr

ROWS, INPUTS, CLASSES = 16_384, 64, 10
RATE = lehr.cosine(0.05, 1_000_000)
CYCLE = lehr.one_cycle(0.05, 1_000_000)


class PerBatch(keras.callbacks.Callback):
    """A common user-written callback: set the rate before each batch."""

    def __init__(self, schedule: lehr.Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.step = 0

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate = self.schedule(self.step)
        self.step += 1


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    sizes = (64, 32)
    hidden = [keras.layers.Dense(size, activation="relu") for size in sizes]
    return keras.Sequential([keras.layers.Input((INPUTS,)), *hidden, keras.layers.Dense(CLASSES)])


def training() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, INPUTS)).astype("float32")
    y = random.integers(CLASSES, size=ROWS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def fitting(policy: object, in_one: int, *callbacks: object) -> Callable[[], float]:
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        if policy is not None:
            optimizer = lehr.keras.attach(optimizer, policy)
        model = network()
        model.compile(optimizer, loss=loss, steps_per_execution=in_one)
        settings = {"batch_size": 32, "verbose": 0, "callbacks": list(callbacks)}
        epoch = lambda: timed(lambda: model.fit(x, y, **settings))  # noqa: E731
        epoch()
        return epoch

    learner_model = network()
    learner_model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss=loss)
    learner = lehr.keras.Learner(learner_model, (x, y), batch_size=32)
    policy = lehr.Policy(lr=RATE)
    train_epoch = lambda: learner.train(policy, learner.steps_per_epoch)  # noqa: E731
    train_epoch()
    rows: list[Row] = [
        ("constant rate", fitting(None, 1)),
        ("callback for each batch", fitting(None, 1, PerBatch(RATE))),
        ("attached", fitting(RATE, 1)),
        ("attached, steps_per_execution=64", fitting(RATE, 64)),
        ("attached one_cycle (rate, momentum), 64", fitting(CYCLE, 64)),
        ("constant rate, 64", fitting(None, 64)),
        ("lehr.keras.Learner.train", lambda: timed(train_epoch)),
    ]
    title = f"an epoch of {ROWS // 32} updates, dense net, Keras on {keras.config.backend()}"
    measure(title, "seconds", 1, rows, rounds=9)


if __name__ == "__main__":
    training()
    rich.print(TABLE)
