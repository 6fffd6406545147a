"""CPU seconds per epoch of the dense recipes: the Learner, plain Keras, a hand-written scan.

python benchmarks/recipes/speed.py      # Fashion-MNIST in Keras's cache; CIFAR-10 in LEHR_CIFAR10

One thread each, in turn, the least of several epochs after the compiling ones; CPU seconds of the
process, so that a busy machine matters less.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from lehr.study.engine import ONE_THREAD

os.environ.update(ONE_THREAD | {"KERAS_BACKEND": "jax"})

import jax
import jax.numpy as jnp
import keras
import numpy as np

import lehr
from lehr.recipes import learners, networks
from lehr.recipes.catalogue import find_recipe
from lehr.recipes.images import splits

ROUNDS = 3
ROWS = {  # recipe: seconds per epoch that its source prints
    "schedules/power": 2.0,
    "schedules/one-cycle": 1.0,
    "activations/prelu": 2.0,
    "batch-norm/after-activation": 2.0,
    "schedules/exponential-step": 4.5,
    "schedules/performance": 2.0,
    "regularisation/l2": 5.5,
    "regularisation/dropout": 5.5,
    "regularisation/alpha-dropout": 3.0,
    "regularisation/max-norm": 5.0,
    "cifar10/selu": 7.0,
    "cifar10/one-cycle": 2.0,
}
BY_HAND = ("schedules/power", "schedules/one-cycle")  # SELU and plain SGD


class EachBatch(keras.callbacks.Callback):
    """Set the rate before each batch, as the sources do."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.01


def by_learner(name: str) -> Callable[[], None]:
    recipe = find_recipe(name)
    learner = learners.dense(0, **recipe.options)
    each = learner.steps_per_epoch
    policy = recipe.policy.resolve(1000 * each, steps_per_epoch=each)
    return lambda: learner.train(policy, each) and None


def by_fit(name: str, callbacks: list[keras.callbacks.Callback]) -> Callable[[], None]:
    options = dict(find_recipe(name).options)
    size = options.get("batch_size", 32)
    model = learners.dense(0, **options).model
    plain = networks.compiled(keras.models.clone_model(model), options.get("optimizer", "SGD"))
    data, pixels = options.get("data", "fashion-mnist"), options.get("pixels", "scaled")
    x, y = splits(data, pixels)["train"]
    return lambda: plain.fit(x, y, batch_size=size, verbose=0, callbacks=callbacks) and None


def by_scan(name: str) -> Callable[[], None]:
    """Return an epoch of the same network and plain SGD as one scan, written by hand."""
    size = find_recipe(name).options.get("batch_size", 32)
    x, y = (jnp.asarray(part) for part in splits("fashion-mnist", "scaled")["train"])
    x = x.reshape(len(x), -1)
    random = np.random.default_rng(0)
    shapes = [(784, 300), (300, 100), (100, 10)]
    weights = [
        (jnp.asarray(random.normal(size=s, scale=s[0] ** -0.5), "float32"), jnp.zeros(s[1]))
        for s in shapes
    ]

    def loss(weights, x, y):
        for kernel, bias in weights[:-1]:
            x = jax.nn.selu(x @ kernel + bias)
        kernel, bias = weights[-1]
        chosen = jax.nn.log_softmax(x @ kernel + bias)[jnp.arange(size), y]
        return -chosen.mean()

    def update(weights, inputs):
        rows, rate = inputs
        value, gradients = jax.value_and_grad(loss)(weights, x[rows], y[rows])
        moved = jax.tree.map(lambda w, g: w - rate * g, weights, gradients)
        return moved, value

    epoch = jax.jit(lambda weights, inputs: jax.lax.scan(update, weights, inputs))
    steps = len(x) // size
    rates = jnp.full(steps, 0.01)

    def run() -> None:
        rows = random.permutation(len(x))[: steps * size].reshape(steps, size)
        jax.block_until_ready(epoch(weights, (jnp.asarray(rows), rates)))

    return run


def seconds(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    for run in ways.values():
        run()  # compiles
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for way, run in ways.items():
            begun = time.process_time()
            run()
            least[way] = min(least[way], time.process_time() - begun)
    return least


def main() -> None:
    print(f"lehr {lehr.__version__}, keras {keras.__version__}, jax {jax.__version__}")
    print("CPU seconds per epoch; the source's are of its own machine")
    for name, published in ROWS.items():
        ways = {
            "Learner": by_learner(name),
            "fit": by_fit(name, []),
            "fit, callback": by_fit(name, [EachBatch()]),
        }
        if name in BY_HAND:
            ways["scan by hand"] = by_scan(name)
        found = seconds(ways)
        shown = ", ".join(f"{way} {value:.2f}" for way, value in found.items())
        print(f"{name}: published {published:g}; {shown}", flush=True)


if __name__ == "__main__":
    main()
