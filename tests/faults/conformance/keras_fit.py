"""Keras's train_on_batch and fit with lehr.keras.attach, for the conformance suite."""

import keras
import numpy as np

import lehr
import lehr.keras

RATE = lehr.warmup(0.05, steps=2).then(lehr.cosine(0.05, steps=4))
MOMENTUM = lehr.linear(0.95, 0.5, 6)
PLATEAU = lehr.Plateau(monitor="loss", patience=1, threshold=0.5, restore_best=True)


class KerasLoop:
    """AdamW with train_on_batch; the complete model is saved.

    No dropout: Keras does not save the state of its seed generators.
    """

    policy = lehr.Policy(lr=RATE, momentum=MOMENTUM)

    def __init__(self):
        keras.utils.set_random_seed(0)
        self.model = keras.Sequential(
            [
                keras.layers.Input((4,)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(1),
            ]
        )
        driven = lehr.keras.attach(self.stock(), self.policy, record=8)
        self.model.compile(self.wrapped(driven), loss="mse")
        self.model.optimizer.build(self.model.trainable_variables)
        self.x = np.random.default_rng(1).normal(size=(64, 4)).astype("float32")

    def stock(self):
        return keras.optimizers.AdamW()

    def wrapped(self, driven):
        return driven

    @property
    def driven(self):
        optimizer = self.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    def update(self, x):
        self.model.train_on_batch(x, x.sum(1))

    def train(self, steps):
        first = int(self.driven.iterations)
        for step in range(first, first + steps):
            self.update(self.x[step * 8 :][:8])
        recorded = self.driven.recorded()
        return [
            {name: values[step] for name, values in recorded.items()}
            for step in range(first, first + steps)
        ]

    def save(self, folder):
        self.model.save(folder / "model.keras")

    def load(self, folder):
        self.model = keras.models.load_model(folder / "model.keras")

    def weights(self):
        # every variable: also slots, averages and the controller state
        every = [*self.model.variables, *self.model.optimizer.variables]
        return [keras.ops.convert_to_numpy(variable) for variable in every]


class KerasFit(KerasLoop):
    """SGD with fit; the weights file is saved.

    With accumulation, loss scaling and a controller that restores the best weights.
    """

    policy = lehr.Policy(lr=RATE, momentum=MOMENTUM, control=PLATEAU)

    def stock(self):
        return keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=2)

    def wrapped(self, driven):
        return keras.optimizers.LossScaleOptimizer(driven, initial_scale=4.0)

    def update(self, x):
        self.factors.append(self.driven.control_state.factor)
        settings = {"batch_size": 4, "shuffle": False, "verbose": 0}
        self.model.fit(x, x.sum(1), callbacks=[lehr.keras.Control()], **settings)

    def train(self, steps):
        self.factors = []
        used = super().train(steps)
        # the suite compares with the policy, without a factor; powers of 1/2 divide out exactly
        pairs = zip(used, self.factors, strict=True)
        return [values | {"lr": values["lr"] / factor} for values, factor in pairs]

    def save(self, folder):
        self.model.save_weights(folder / "run.weights.h5")

    def load(self, folder):
        self.model.load_weights(folder / "run.weights.h5")
