"""Training with ``model.fit``: a rate policy, early stopping and a checkpoint callback."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any


def fit(seed: int, *, arm: str, rows: int | None = None, epochs: int = 20) -> dict[str, Any]:
    """Train a 784-300-100-10 network on Fashion-MNIST with ``model.fit``.

    Args:
        seed: of the weights and the order of the images.
        arm: "fixed", "reduce-on-plateau" or "cyclic-callback".
        rows: number of rows of each split; None: all.
        epochs: largest number of epochs; early stopping has a patience of 5.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    import keras
    import numpy as np

    import lehr.keras
    from lehr.recipes import networks
    from lehr.schedule.presets.cycles import triangular2
    from lehr.tasks.images import splits

    keras.utils.set_random_seed(seed)
    data = splits("fashion-mnist", "scaled", rows)
    images = data["train"][0]
    model = networks.dense(images.shape[1:], (300, 100), seed=seed)
    model = networks.compiled(model, {"class_name": "SGD", "config": {"learning_rate": 0.02}})
    if arm == "cyclic-callback":
        policy = triangular2(0.002, 0.04, 2 * math.ceil(len(images) / 32))
        optimizer = lehr.keras.attach(keras.optimizers.SGD(), policy)
        model.compile(optimizer, loss=model.loss, metrics=["accuracy"])
    rates: list[float] = []

    def record(epoch: int, logs: dict[str, float]) -> None:
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))

    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / "best.weights.h5"
        callbacks = [
            keras.callbacks.LambdaCallback(on_epoch_end=record),
            keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(best, save_best_only=True, save_weights_only=True),
        ]
        if arm == "reduce-on-plateau":
            # its patience must be shorter than that of early stopping
            callbacks.append(keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2))
        history = model.fit(
            *data["train"],
            batch_size=32,
            epochs=epochs,
            validation_data=data["validation"],
            callbacks=callbacks,
            verbose=0,
        ).history
        restored = model.get_weights()
        model.load_weights(best)
    same = all(map(np.array_equal, restored, model.get_weights()))
    test = model.evaluate(*data["test"], verbose=0, return_dict=True)
    lowest = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    numbers = {
        "epochs": float(len(history["val_loss"])),
        "best_epoch": float(lowest + 1),
        "best_val_loss": history["val_loss"][lowest],
        "best_val_accuracy": history["val_accuracy"][lowest],
        "test_accuracy": float(test["accuracy"]),
        "checkpoint is the best epoch (1: yes)": float(same),
    }
    at = list(range(1, len(rates) + 1))
    figure = {
        "lines": {"rate at the end of the epoch": [at, rates]},
        "x": "epoch",
        "y": "learning rate",
        "second": {"validation loss": [at, history["val_loss"]]},
        "second_y": "validation loss (nats)",
    }
    return {"numbers": numbers, "figure": figure}
