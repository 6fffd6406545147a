"""Record Keras on the backend KERAS_BACKEND: Learners, range tests, `attach`, `schedule`."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from golden_learners import (
    CONTROLLED,
    MOMENTA,
    RATES,
    STEPS,
    data,
    drives,
    sweep_of,
    trained,
)
from golden_values import digest, measured, traced

import lehr
import lehr.keras

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)

DATA = data()
ADAM = lehr.Policy(
    lr=RATES * 0.1, momentum=MOMENTA, weight_decay=lehr.table([0.1, 0.05, 0.2, 0.0, 0.1])
)


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    return {
        "learner": drives(_learner, _weights),
        "learner, dropout and batch norm": drives(partial(_learner, layers=True), _weights),
        "learner, AdamW": trained(_learner(_adam), _weights, ADAM, STEPS),
        "sweeps": {
            "training": _sweep(high=30.0, steps=60),
            "linear, dropout": _sweep(
                low=0.01, high=2.0, steps=40, spacing="linear", layers=True, on_disk=True
            ),
            "validation": _sweep(high=30.0, steps=24, validation_data=DATA["validation"]),
            "accumulation": _sweep(partial(_sgd, accumulation=4), high=30.0, steps=30),
        },
        "attach": {
            "one cycle": _driven(lehr.one_cycle(0.1).resolve(32)),
            "controller": _driven(CONTROLLED),
            "accumulation": _driven(lehr.one_cycle(0.1).resolve(16), partial(_sgd, accumulation=2)),
        },
        "schedule": traced(map(float, map(_scheduled(), range(40)))),
    }


def _sgd(accumulation: int | None = None) -> Any:
    return keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=accumulation)


def _adam() -> Any:
    return keras.optimizers.AdamW(0.01)


def _model(optimizer: Any = _sgd, layers: bool = False) -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    between = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=7)]
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(8, "tanh", name="body"),
            *(between if layers else []),
            keras.layers.Dense(3, name="head"),
        ]
    )
    model.compile(optimizer(), loss="mse", metrics=["mae"])
    return model


def _learner(optimizer: Any = _sgd, **how: Any) -> lehr.keras.Learner:
    return lehr.keras.Learner(
        _model(optimizer, **how),
        DATA["train"],
        validation=DATA["validation"],
        test=DATA["test"],
        batch_size=8,
        seed=5,
    )


def _weights(learner: Any) -> list[Any]:
    return learner.model.get_weights()


def _sweep(optimizer: Any = _sgd, layers: bool = False, **how: Any) -> dict[str, Any]:
    model = _model(optimizer, layers)
    sweep = lehr.keras.range_test(model, DATA["train"], batch_size=8, seed=2, **how)
    return sweep_of(sweep) | {"after": digest(*model.get_weights())}


def _driven(policy: lehr.Policy, optimizer: Any = _sgd) -> dict[str, Any]:
    """Fit 4 epochs of 8 batches twice: uninterrupted, and from the model saved after 2 epochs."""

    def build() -> keras.Model:
        return _model(lambda: lehr.keras.attach(optimizer(), policy, record=64))

    def fit(model: keras.Model, first: int, last: int) -> dict[str, list[float]]:
        return model.fit(
            *DATA["train"],
            validation_data=DATA["validation"],
            batch_size=8,
            initial_epoch=first,
            epochs=last,
            shuffle=False,
            verbose=0,
            callbacks=[lehr.keras.Control()],
        ).history

    model = build()
    history = fit(model, 0, 4)
    weights, used = digest(*model.get_weights()), lehr.keras.driven(model).recorded()
    half = build()
    parts = fit(half, 0, 2)
    with tempfile.TemporaryDirectory() as folder:
        half.save(Path(folder) / "half.keras")
        other = keras.models.load_model(Path(folder) / "half.keras")
    rest = fit(other, 2, 4)
    parts = {name: values + rest[name] for name, values in parts.items()}
    resumed = digest(*other.get_weights()), lehr.keras.driven(other).recorded(), parts
    return {
        "losses": {name: measured(values) for name, values in history.items()},
        "rates": {name: traced(values) for name, values in used.items()},
        "weights": weights,
        "resumed alike": resumed == (weights, used, history),
        "updates": int(model.optimizer.iterations),
    }


def _scheduled() -> Any:
    schedule = lehr.keras.schedule(lehr.warmup(0.1, 8).then(lehr.cosine(0.1, 24)))
    return lambda n: keras.ops.convert_to_numpy(schedule(np.int32(n)))
