"""The scheduling cells of the chapter "Training Deep Neural Networks", in Keras 3.

Cells that define a class or function of lehr.compat.book are import lines here; the other edits are
those that Keras 3 requires (docs/compat/book.md). Data: Fashion-MNIST from Keras's cache if
KERAS_HOME is set, otherwise scikit-learn's digits. Writes scheduling.png.
"""

import math
import os

import keras
import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from lehr.compat.book import (
    ExponentialDecay,
    OneCycleScheduler,
    PiecewiseConstantDecay,
    exponential_decay,
    find_learning_rate,
    piecewise_constant,
    plot_lr_vs_loss,
)


def images():
    """Return training and validation images, standardized, and their classes."""
    if os.environ.get("KERAS_HOME"):
        (x, y), _ = keras.datasets.fashion_mnist.load_data()
        x, y = x[:8000] / 255.0, y[:8000]
        print("data: Fashion-MNIST")
    else:
        x, y = load_digits(return_X_y=True)
        x = x.reshape(-1, 8, 8) / 16.0
        print("data: scikit-learn's digits")
    valid = len(x) // 6
    means, stds = x[valid:].mean(axis=0), x[valid:].std(axis=0) + 1e-3
    x = (x - means) / stds
    return x[valid:], y[valid:], x[:valid], y[:valid]


def network():
    keras.utils.set_random_seed(42)
    return keras.models.Sequential(
        [
            keras.layers.Input(X_train_scaled.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(30, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.Dense(10, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def fit(name, model, callbacks=(), batch_size=32):
    history = model.fit(
        X_train_scaled,
        y_train,
        epochs=n_epochs,
        batch_size=batch_size,
        validation_data=(X_valid_scaled, y_valid),
        callbacks=[*callbacks],
        verbose=0,
    )
    rates = history.history.get("learning_rate") or history.history.get("lr") or []
    shown = " ".join(f"{rate:.6g}" for rate in rates)
    print(f"{name}: validation accuracy {history.history['val_accuracy'][-1]:.3f} rates {shown}")
    return rates


X_train_scaled, y_train, X_valid_scaled, y_valid = images()
n_epochs = 8
options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
figure, axes = plt.subplots(2, 2, figsize=(12, 8))
n_steps_per_epoch = math.ceil(len(X_train_scaled) / 32)

# power scheduling: Keras 3 has no argument `decay`
model = network()
schedule = keras.optimizers.schedules.InverseTimeDecay(0.01, 10_000, 1.0)
model.compile(optimizer=keras.optimizers.SGD(schedule, momentum=0.9), **options)
fit("power", model)

# exponential scheduling per epoch
model = network()
model.compile(optimizer="nadam", **options)
exponential_decay_fn = exponential_decay(lr0=0.01, s=20)
rates = fit("exponential", model, [keras.callbacks.LearningRateScheduler(exponential_decay_fn)])
axes[0, 0].plot(range(n_epochs), rates, "o-")


# the same, from the current rate
def from_current_rate(epoch, lr):
    return lr * 0.1 ** (1 / 20)


model = network()
model.compile(optimizer=keras.optimizers.Nadam(learning_rate=0.01), **options)
fit("current rate", model, [keras.callbacks.LearningRateScheduler(from_current_rate)])

# exponential scheduling per batch
model = network()
model.compile(optimizer=keras.optimizers.Nadam(learning_rate=0.01), **options)
s = 20 * len(X_train_scaled) // 32  # number of steps in 20 epochs
fit("per batch", model, [ExponentialDecay(s)])

# piecewise constant scheduling
model = network()
model.compile(optimizer="nadam", **options)
piecewise_constant_fn = piecewise_constant([2, 5], [0.01, 0.005, 0.001])
rates = fit("piecewise", model, [keras.callbacks.LearningRateScheduler(piecewise_constant_fn)])
axes[0, 1].plot(range(n_epochs), rates, "o-")

# performance scheduling
model = network()
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.02, momentum=0.9), **options)
fit("performance", model, [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)])

# schedules of Keras
for name, schedule in {
    "keras exponential": keras.optimizers.schedules.ExponentialDecay(0.01, s, 0.1),
    "keras piecewise": PiecewiseConstantDecay(
        boundaries=[2.0 * n_steps_per_epoch, 5.0 * n_steps_per_epoch], values=[0.01, 0.005, 0.001]
    ),
}.items():
    model = network()
    model.compile(optimizer=keras.optimizers.SGD(schedule, momentum=0.9), **options)
    fit(name, model)

# range test, then one cycle
batch_size = 16
model = network()
model.compile(optimizer=keras.optimizers.SGD(learning_rate=1e-3), **options)
rates, losses = find_learning_rate(model, X_train_scaled, y_train, epochs=1, batch_size=batch_size)
print(f"range test: {len(rates)} rates {rates[0]:.6g} to {rates[-1]:.6g}")
plt.sca(axes[1, 0])
plot_lr_vs_loss(rates, losses)
iterations = math.ceil(len(X_train_scaled) / batch_size) * n_epochs
onecycle = OneCycleScheduler(iterations, max_rate=0.05)
fit("one cycle", model, [onecycle], batch_size)
last = float(model.optimizer.learning_rate)
print(f"one cycle: {onecycle.iteration} of {iterations} batches, last rate {last:.6g}")
figure.savefig("scheduling.png")
