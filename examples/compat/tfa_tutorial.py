"""The tutorial on cyclical learning rates of TensorFlow Addons, on small random images.

Only the first import differs from code for TensorFlow Addons, besides what Keras 3 requires:
``keras.layers.Rescaling`` and the file name of a saved model.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

import lehr.compat.tensorflow_addons as tfa

BATCH_SIZE = 16
EPOCHS = 10
INIT_LR = 1e-4
MAX_LR = 1e-2

keras.utils.set_random_seed(42)
random = np.random.default_rng(42)
patterns = random.uniform(0, 255, (10, 8, 8, 1))
y_train, y_test = (random.integers(0, 10, rows) for rows in (128, 64))
x_train, x_test = (patterns[y] + random.normal(0, 60, (len(y), 8, 8, 1)) for y in (y_train, y_test))


def get_training_model():
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Rescaling(scale=1 / 255),
            keras.layers.Conv2D(8, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.SpatialDropout2D(0.2),
            keras.layers.GlobalAvgPool2D(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def train_model(model, optimizer):
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        validation_data=(x_test, y_test),
        epochs=EPOCHS,
        verbose=0,
    )


file = Path(tempfile.mkdtemp()) / "initial_model.keras"
get_training_model().save(file)

standard_model = keras.models.load_model(file)
no_clr_history = train_model(standard_model, optimizer="sgd")

steps_per_epoch = len(x_train) // BATCH_SIZE
clr = tfa.optimizers.CyclicalLearningRate(
    initial_learning_rate=INIT_LR,
    maximal_learning_rate=MAX_LR,
    scale_fn=lambda x: 1 / (2.0 ** (x - 1)),
    step_size=2 * steps_per_epoch,
)
optimizer = keras.optimizers.SGD(clr)

step = np.arange(0, EPOCHS * steps_per_epoch)
lr = clr(step)
for i in range(0, len(step), 4):
    print(f"step {step[i]}: rate {float(lr[i]):.6g}")

clr_model = keras.models.load_model(file)
clr_history = train_model(clr_model, optimizer=optimizer)
for name, history in (("standard", no_clr_history), ("cyclical", clr_history)):
    print(f"{name}: validation accuracy {history.history['val_accuracy'][-1]:.4f}")
