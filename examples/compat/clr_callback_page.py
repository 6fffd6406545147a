"""The policies on the page of the callback CyclicLR, and its resets, on small data.

Only the import of ``CyclicLR`` differs from code for the module ``clr_callback``, besides what
Keras 3 requires: ``epochs`` instead of ``nb_epoch``.
"""

import keras
import numpy as np

from lehr.compat.clr_callback import CyclicLR

random = np.random.default_rng(0)
X = random.random((200, 15))
Y = random.integers(0, 2, 200)

inp = keras.layers.Input(shape=(15,))
x = keras.layers.Dense(10, activation="relu")(inp)
x = keras.layers.Dense(1, activation="sigmoid")(x)
model = keras.models.Model(inp, x)
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="binary_crossentropy", metrics=["accuracy"])


def show(name, clr):
    print(f"{name}:", *(f"{rate:.6g}" for rate in clr.history["lr"][::5]))


policies = {
    "triangular": CyclicLR(base_lr=0.001, max_lr=0.006, step_size=10.0),
    "triangular2": CyclicLR(base_lr=0.001, max_lr=0.006, step_size=10.0, mode="triangular2"),
    "exp_range": CyclicLR(
        base_lr=0.001, max_lr=0.006, step_size=10.0, mode="exp_range", gamma=0.99
    ),
    "sine per cycle": CyclicLR(
        base_lr=0.001,
        max_lr=0.006,
        step_size=10.0,
        scale_fn=lambda x: 0.5 * (1 + np.sin(x * np.pi / 2.0)),
        scale_mode="cycle",
    ),
    "decay per batch": CyclicLR(
        base_lr=0.001,
        max_lr=0.006,
        step_size=10.0,
        scale_fn=lambda x: 1 / (5 ** (x * 0.01)),
        scale_mode="iterations",
    ),
}
for name, clr in policies.items():
    model.fit(X, Y, batch_size=10, epochs=2, callbacks=[clr], verbose=0)
    show(name, clr)

clr = CyclicLR(step_size=10.0, mode="triangular2")
model.fit(X, Y, batch_size=10, epochs=2, callbacks=[clr], verbose=0)
clr._reset(new_base_lr=0.003, new_max_lr=0.009)
model.fit(X, Y, batch_size=10, epochs=1, callbacks=[clr], verbose=0)
show("reset", clr)
