"""Time a range test of 100 updates against 100 training steps and against torch-lr-finder."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import rich
import torch
from table import TABLE, Row, measure, timed
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import lehr

STEPS, BATCH = 100, 64


def dense() -> torch.nn.Module:
    layers = torch.nn.Linear(784, 300), torch.nn.Linear(300, 100), torch.nn.Linear(100, 10)
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])


def cnn() -> torch.nn.Module:
    def block(a: int, b: int) -> list[torch.nn.Module]:
        return [torch.nn.Conv2d(a, b, 3, 2, 1), torch.nn.BatchNorm2d(b), torch.nn.ReLU()]

    image = torch.nn.Unflatten(1, (1, 28, 28))
    body = [*block(1, 16), *block(16, 32), *block(32, 64)]
    return torch.nn.Sequential(image, *body, torch.nn.Flatten(), torch.nn.Linear(1024, 10))


def pytorch(make: Callable[[], torch.nn.Module]) -> list[Row]:
    x = torch.randn(6400, 784, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, (x[:, :10]).argmax(1)), BATCH, shuffle=True)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-7, momentum=0.9)

    def bare() -> None:
        batches = iter(loader)
        for _ in range(STEPS):
            inputs, targets = next(batches)
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            optimizer.step()

    def with_snapshot() -> None:
        state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        bare()
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])

    def with_lehr() -> None:
        # up to 1e-2, which avoids early stopping
        lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, high=1e-2)

    def torch_lr_finder() -> None:
        from torch_lr_finder import LRFinder

        finder = LRFinder(model, optimizer, F.cross_entropy, device="cpu")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            finder.range_test(loader, end_lr=1e-2, num_iter=STEPS)
            finder.reset()

    rows: list[Row] = [
        ("100 bare steps, one snapshot and restore", lambda: timed(with_snapshot)),
        ("lehr.torch.range_test", lambda: timed(with_lehr)),
    ]
    try:
        torch_lr_finder()
        rows.append(("torch-lr-finder", lambda: timed(torch_lr_finder)))
    except ImportError:
        pass
    return rows


def keras_on_jax() -> tuple[list[Row], list[Row]]:
    """Return rows for the first test and fit of a model (both compile) and for later ones."""
    import keras
    import numpy as np

    x = np.random.default_rng(0).normal(size=(6400, 784)).astype("float32")
    y = x[:, :10].argmax(1)

    def compiled() -> keras.Model:
        layers: list[Any] = [keras.layers.Input((784,))]
        layers += [keras.layers.Dense(n, "relu") for n in (300, 100)]
        model = keras.Sequential([*layers, keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss)
        model.optimizer.build(model.trainable_variables)
        return model

    def bare(model: keras.Model) -> None:
        before = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
        model.fit(x, y, batch_size=BATCH, verbose=0)
        model.set_weights(before[0])
        for variable, value in zip(model.optimizer.variables, before[1], strict=True):
            variable.assign(value)

    def with_lehr(model: keras.Model) -> None:
        lehr.keras.range_test(model, (x, y), batch_size=BATCH, high=1e-2)

    def on_a_new_model(work: Callable[[keras.Model], None]) -> float:
        model = compiled()
        return timed(lambda: work(model))

    model = compiled()
    bare(model), with_lehr(model)
    fit = "fit, 100 steps, one snapshot and restore"
    first = [
        (fit, lambda: on_a_new_model(bare)),
        ("lehr.keras.range_test", lambda: on_a_new_model(with_lehr)),
    ]
    later = [
        (fit, lambda: timed(lambda: bare(model))),
        ("lehr.keras.range_test", lambda: timed(lambda: with_lehr(model))),
    ]
    return first, later


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for title, make in (("dense net, PyTorch", dense), ("small CNN, PyTorch", cnn)):
        rows = pytorch(make)
        for _, once in rows:
            once()
        measure(f"range test of {STEPS} updates: {title}", "ms", 1e3, rows, 15)
    title = f"range test of {STEPS} updates: dense net, Keras on JAX"
    first, later = keras_on_jax()
    measure(f"{title}, the first of a model: both compile", "ms", 1e3, first, 7)
    measure(f"{title}, a later one", "ms", 1e3, later, 21)
    rich.print(TABLE)
