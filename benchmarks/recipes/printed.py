"""Two schedules as the notebook prints them, in Keras 3's own fit: softmax, callbacks, all batches.

python benchmarks/recipes/printed.py      # about two minutes a run; writes printed.json beside it

What the recipes differ from the published figures in, these runs differ in too, or else lehr is
at fault. No seed is set: with one, Keras 3 on TensorFlow shows the images in the same order in
every epoch (each epoch starts the shuffling of its tf.data pipeline anew).
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"  # where softmax and cross-entropy keep their gradient

import keras

from lehr.tasks.images import splits

FOUND = Path(__file__).with_suffix(".json")
RUNS, EPOCHS = 3, 25


class ExponentialDecay(keras.callbacks.Callback):
    """The rate times 0.1 over 20 epochs, set before each batch."""

    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        optimizer.learning_rate = 0.01 * 0.1 ** (int(optimizer.iterations) / (20 * 55000 // 32))


WAYS = {
    "schedules/exponential-step": lambda: (
        keras.optimizers.Nadam(0.01),
        ExponentialDecay(),
    ),
    "schedules/performance": lambda: (
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=5),
    ),
}


def run(name: str) -> dict[str, float]:
    hidden = {"activation": "selu", "kernel_initializer": "lecun_normal"}
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(300, **hidden),
            layers.Dense(100, **hidden),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer, callback = WAYS[name]()
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    images = splits("fashion-mnist", "scaled")
    history = model.fit(
        *images["train"],
        epochs=EPOCHS,
        validation_data=images["validation"],
        callbacks=[callback],
        verbose=0,
    ).history
    return {metric: round(values[-1], 5) for metric, values in history.items()}


def main() -> None:
    found = {name: [run(name) for _ in range(RUNS)] for name in WAYS}
    FOUND.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
