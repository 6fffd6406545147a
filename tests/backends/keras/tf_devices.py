"""A Keras model on two devices of `tf.distribute`; `case_processes.py` starts this program."""

import sys
from pathlib import Path

import keras
import keras_models as models
import tensorflow as tf
from keras.optimizers import SGD, Adam, LossScaleOptimizer

import lehr
import lehr.keras
from lehr.keras.driver import driven_parts

CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)
STRATEGY = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
X, Y = models.data(32)
POLICY = lehr.Policy(
    lehr.cosine(0.1, steps=40),
    momentum=lehr.linear(0.9, 0.8, 40),
    control=lehr.Plateau("loss", patience=1, factor=0.5, threshold=10.0, restore_best=True),
)


def attached(make, **settings):
    return lehr.keras.attach(make(**settings), POLICY, record=16)


OPTIMIZERS = {
    "plain": lambda: SGD(0.1, momentum=0.9),
    "attached": lambda: attached(SGD, momentum=0.9),
    "scaled": lambda: LossScaleOptimizer(attached(SGD, momentum=0.9), initial_scale=4.0),
    "multi": lambda: models.multi_optimizer(
        attached(SGD, momentum=0.9), {".*bias": attached(Adam)}
    ),
}


def build(name):
    with STRATEGY.scope():
        return models.regression(OPTIMIZERS[name]())


def train(model, *callbacks):
    control = [lehr.keras.Control()] if driven_parts(model) else []
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=2, callbacks=[*control, *callbacks], **settings)


def main(folder: Path) -> None:
    for name in ("attached", "scaled", "multi"):
        model = build(name)
        assert type(model.weights[0].value).__name__ == "MirroredVariable"
        file = folder / f"{name}.weights.h5"
        checkpoint = keras.callbacks.ModelCheckpoint(file, save_weights_only=True)
        backup = keras.callbacks.BackupAndRestore(folder / name, delete_checkpoint=False)
        train(model, checkpoint, backup)
        model.save(folder / f"{name}.keras")
        resumed, restored = [build(name)], build(name)
        resumed[0].load_weights(file)
        train(restored, backup)  # restores, and does not train now or in a second fit
        if name == "attached":
            with STRATEGY.scope():
                resumed.append(keras.models.load_model(folder / f"{name}.keras"))
        weights = models.arrays(model)
        recorded = [part.recorded() for part in driven_parts(model)]
        for part in driven_parts(model):
            assert part.step == 8 == len(part.recorded()["lr"])
            assert "at step 8" in repr(part)
            assert part.values().keys() == {"lr", "momentum"}
            assert part.control_state.factor == 0.5
        for other in (*resumed, restored):
            assert models.same(weights, models.arrays(other))
            assert recorded == [part.recorded() for part in driven_parts(other)]
        train(model)
        for other in resumed:
            train(other)
            assert models.same(models.arrays(model), models.arrays(other)), (name, other)
        print(name, "resumes")
    before = models.everything(model := build("attached"))
    sweep = lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert models.same(before, models.everything(model)[: len(before)])
    for name in ("plain", "attached"):
        model = build(name)
        with STRATEGY.scope():
            model.compile(OPTIMIZERS[name](), loss="mse")
        run = lehr.keras.Learner(model, (X, Y), batch_size=8)
        print(name, len(run.train(lehr.Policy(0.01), 4).losses), len(sweep.losses) >= 10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
