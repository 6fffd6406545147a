"""Run two schedules with the printed code of the notebook: Keras's fit, softmax, all batches.

python benchmarks/recipes/printed.py      # about two minutes per run; writes printed.json

The differences between the recipes and the published figures must also appear in these runs;
otherwise they are errors of lehr. No seed is set: with a seed, Keras 3 on TensorFlow uses the same
order of the images in every epoch, because each epoch restarts the shuffling of the tf.data
pipeline from the seed.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"  # no loss of gradient in softmax and cross-entropy

import keras

from lehr.tasks.images import splits

FOUND = Path(__file__).with_suffix(".json")
RUNS, EPOCHS = 3, 25


class ExponentialDecay(keras.callbacks.Callback):
    """Set the rate before each batch: a factor of 0.1 over 20 epochs."""

    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        optimizer.learning_rate = 0.01 * 0.1 ** (int(optimizer.iterations) / (20 * 55000 // 32))


CASES = {
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
    optimizer, callback = CASES[name]()
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
    found = {name: [run(name) for _ in range(RUNS)] for name in CASES}
    FOUND.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
