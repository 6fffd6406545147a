"""Measure CPU seconds per epoch of the recipes: Learner, Keras's fit and a hand-written scan.

python benchmarks/recipes/speed.py      # Fashion-MNIST in Keras's cache; CIFAR-10 in LEHR_CIFAR10

Each row and backend runs in a process of one thread. The methods run in turn; the figure is the
minimum over several epochs after the compiling ones. CPU seconds of the process depend less on
other load than wall time. Writes speed.json in the same folder.
"""

from __future__ import annotations

import itertools
import json
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.recipes.catalogue import find_recipe
from lehr.study.environment import BACKENDS, worker_environment

FOUND = Path(__file__).with_suffix(".json")
ROUNDS = 3
ROWS = {  # recipe: seconds per epoch printed by the source, on the source's machine
    "activations/leaky-relu": 2.0,
    "activations/prelu": 2.0,
    "signals/selu-100-layers": 9.0,
    "signals/relu-100-layers": 8.0,
    "batch-norm/after-activation": 2.0,
    "batch-norm/before-activation": 2.0,
    "transfer/a": 1.0,
    "schedules/power": 2.0,
    "schedules/exponential-epoch": 4.0,
    "schedules/exponential-step": 4.5,
    "schedules/piecewise": 4.0,
    "schedules/performance": 2.0,
    "schedules/in-graph-exponential": 2.0,
    "schedules/one-cycle": 1.0,
    "regularisation/l2": 5.5,
    "regularisation/dropout": 5.5,
    "regularisation/alpha-dropout": 3.0,
    "regularisation/max-norm": 5.0,
    "cifar10/baseline": 7.5,
    "cifar10/batch-norm": 12.0,
    "cifar10/selu": 7.0,
    "cifar10/alpha-dropout": 6.5,
    "cifar10/one-cycle": 2.0,
    "tfa/without-clr": 3.0,
}
PLAIN = {"pixels", "hidden", "data", "activation", "initializer", "optimizer", "batch_size"}


def ways(name: str) -> dict[str, Callable[[], Any]]:
    """Return functions that train the network of a recipe for one epoch, by method."""
    import keras

    from lehr.recipes.networks import compiled

    class EachBatch(keras.callbacks.Callback):
        """Set the rate before each batch, as the sources do."""

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.01

    recipe = find_recipe(name)
    options = dict(recipe.options)
    learner = pkgutil.resolve_name(recipe.task)(0, **options)
    each = learner.steps_per_epoch
    policy = recipe.policy.resolve(1000 * each, steps_per_epoch=each)
    x, y = learner._splits["train"]
    size = len(x) // each

    def fit(callbacks: list[keras.callbacks.Callback]) -> Callable[[], Any]:
        model = keras.models.clone_model(learner.model)
        model = compiled(model, options.get("optimizer", "SGD"))
        return lambda: model.fit(x, y, batch_size=size, verbose=0, callbacks=callbacks)

    found = {
        "Learner": lambda: learner.train(policy, each),
        "fit": fit([]),
        "fit, callback": fit([EachBatch()]),
    }
    activation = options.get("activation", "selu")
    plain = options.keys() <= PLAIN and activation in ("selu", "elu", "relu")
    if recipe.task.endswith(":dense") and plain:
        found["scan by hand"] = by_hand(options, activation, x, y, size)
    return found


def by_hand(
    options: dict[str, Any], activation: str, x: Any, y: Any, size: int
) -> Callable[[], Any]:
    """Return a function that trains the same network for an epoch in one `lax.scan`."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    act = getattr(jax.nn, activation)
    x, y = jnp.asarray(x).reshape(len(x), -1), jnp.asarray(y)
    random = np.random.default_rng(0)
    widths = [x.shape[1], *options.get("hidden", (300, 100)), 10]
    weights = [
        (
            jnp.asarray(random.normal(size=pair, scale=pair[0] ** -0.5), "float32"),
            jnp.zeros(pair[1]),
        )
        for pair in itertools.pairwise(widths)
    ]
    optimizer = options.get("optimizer", "SGD")
    config = optimizer["config"] if isinstance(optimizer, dict) else {}
    rule = optax.nadam(1e-4) if optimizer == "Nadam" else optax.sgd(0.01, config.get("momentum"))

    def loss(weights: Any, x: Any, y: Any) -> Any:
        for kernel, bias in weights[:-1]:
            x = act(x @ kernel + bias)
        kernel, bias = weights[-1]
        return -jax.nn.log_softmax(x @ kernel + bias)[jnp.arange(size), y].mean()

    def update(carry: Any, rows: Any) -> Any:
        weights, state = carry
        value, gradients = jax.value_and_grad(loss)(weights, x[rows], y[rows])
        moves, state = rule.update(gradients, state, weights)
        return (optax.apply_updates(weights, moves), state), value

    epoch = jax.jit(lambda carry, rows: jax.lax.scan(update, carry, rows))
    carry, steps = (weights, rule.init(weights)), len(x) // size

    def run() -> None:
        rows = random.permutation(len(x))[: steps * size].reshape(steps, size)
        jax.block_until_ready(epoch(carry, jnp.asarray(rows)))

    return run


def seconds(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the minimum CPU seconds of an epoch, by method; one of 60 s or more runs once."""
    least = {way: once(run) for way, run in ways.items()}  # compiles
    quick = [way for way, value in least.items() if value < 60]
    for turn in range(ROUNDS):
        for way in quick:
            value = once(ways[way])
            least[way] = min(least[way], value) if turn else value
    return {way: round(value, 3) for way, value in least.items()}


def once(run: Callable[[], Any]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def main() -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, published in ROWS.items():
            chosen = find_recipe(name).backend
            found[name] = {"published": published, "backend": chosen}
            convolutional = name.startswith("tfa/")
            for backend in BACKENDS if convolutional else (chosen,):
                done = subprocess.run(
                    [sys.executable, __file__, name],
                    env=worker_environment(backend, Path(cache)),
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                found[name][backend] = json.loads(done.stdout.splitlines()[-1])
            print(name, json.dumps(found[name]), flush=True)
    FOUND.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(seconds(ways(sys.argv[1]))))
    else:
        main()
