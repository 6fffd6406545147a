"""The controller and its factor during fit, and restoring them from a saved model."""

import json

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import BLOCKS, ONE_CYCLE, AtEpochEnd, inner, number

import lehr
import lehr.keras


def score(values):
    """Write metrics with known values into the logs."""

    def write(model, epoch, logs):
        logs["score"] = values[epoch]

    return AtEpochEnd(write)


def plateau_policy(**settings):
    plateau = lehr.Plateau(monitor="score", patience=1, **settings)
    return lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum, control=plateau)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_plateau_reduces_the_rate_from_the_next_update_on(block, accumulation, scaled):
    policy = plateau_policy(factor=0.3)
    stock = keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=accumulation)
    optimizer = lehr.keras.attach(stock, policy, record=64)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    model = models.one_weight(optimizer, steps_per_execution=block)
    callbacks = [score([3.0, 3.0, 2.0, float("nan")]), lehr.keras.Control()]
    history = models.fit_one_weight(model, 64, accumulation or 1, epochs=4, callbacks=callbacks)
    factors = np.repeat([1.0, 1.0, 0.3, 0.3], 16)
    models.assert_recorded(model, policy, 64, factors)
    rates = models.wanted(policy, "lr", 64) * factors
    by_hand = models.moved(rates, models.wanted(policy, "momentum", 64))[-1]
    assert number(model.weights[0]) == pytest.approx(by_hand, rel=2e-6)
    shown = history.history["learning_rate"]
    np.testing.assert_allclose(shown, rates[15::16], rtol=0, atol=4e-8)
    assert inner(model).control_state == lehr.controllers.State(
        factor=pytest.approx(0.09), best=2.0, seen=3
    )


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_factor_can_be_assigned(block, scaled):
    def set_factor(model, epoch, logs):
        lehr.keras.driven(model).factor = [0.5, 2.0][epoch % 2]

    optimizer = attached = lehr.keras.attach(keras.optimizers.SGD(), ONE_CYCLE.lr, record=64)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(attached, initial_scale=4.0)
    model = models.one_weight(optimizer, steps_per_execution=block)
    assert lehr.keras.driven(model) is attached
    models.fit_one_weight(model, 64, epochs=4, callbacks=[AtEpochEnd(set_factor)])
    factors = np.repeat([1.0, 0.5, 2.0, 0.5], 16)
    models.assert_recorded(model, lehr.Policy(lr=ONE_CYCLE.lr), 64, factors)
    by_hand = models.moved(models.wanted(ONE_CYCLE, "lr", 64) * factors)[-1]
    assert number(model.weights[0]) == pytest.approx(by_hand, rel=2e-6)


def test_a_controller_continues_from_an_assigned_factor():
    def set_factor(model, epoch, logs):
        if epoch == 0:
            model.optimizer.factor = 0.8

    policy = plateau_policy(factor=0.5)
    model = models.one_weight(
        lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), policy, record=64)
    )
    callbacks = [AtEpochEnd(set_factor), score([3.0, 2.0, 2.0, 1.0]), lehr.keras.Control()]
    models.fit_one_weight(model, 64, epochs=4, callbacks=callbacks)
    models.assert_recorded(model, policy, 64, np.repeat([1.0, 0.8, 0.8, 0.4], 16))


def test_the_controller_state_is_exact():
    driven = lehr.keras.attach(keras.optimizers.SGD(), lehr.Policy(lr=0.1))
    assert driven.control_state == lehr.controllers.State()
    states = [
        lehr.controllers.State(0.5, 0.25, 7, 3, 0, 2),
        lehr.controllers.State(1.5, -4, 1, 0, 2, 0, 9, 4),
    ]
    for state in states:
        driven.control_state = state
        assert driven.control_state == state


@pytest.mark.parametrize("value", [-0.1, float("nan"), "half"])
def test_a_wrong_factor_is_rejected(value):
    driven = lehr.keras.attach(keras.optimizers.SGD(), 0.1)
    with pytest.raises((TypeError, ValueError), match="factor must be a"):
        driven.factor = value


def test_keras_callbacks_that_set_the_rate_are_rejected():
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), 0.1))
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(ValueError, match=r"learning_rate must be set by the policy only.*factor"):
        models.fit_one_weight(model, 4, callbacks=[callback])


def test_control_together_with_keras_callbacks(tmp_path):
    policy = lehr.Policy(lr=0.0, control=lehr.Plateau(patience=1, factor=0.5))  # never improves
    model = models.regression(lehr.keras.attach(keras.optimizers.SGD(), policy))
    data = models.data()
    callbacks = [
        lehr.keras.Control(),
        keras.callbacks.EarlyStopping(monitor="learning_rate", mode="min", patience=3),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
    ]
    history = model.fit(*data, validation_data=data, epochs=9, verbose=0, callbacks=callbacks)
    assert history.history["learning_rate"] == [0.0] * 4
    loaded = keras.models.load_model(tmp_path / "3.keras").optimizer
    best = history.history["val_loss"][0]
    assert loaded.control_state == lehr.controllers.State(
        factor=0.25, best=np.float32(best), seen=3
    )


def test_control_names_the_missing_requirement():
    plain = models.one_weight(keras.optimizers.SGD())
    with pytest.raises(ValueError, match=r"optimizer must be driven.*lehr\.keras\.attach"):
        models.fit_one_weight(plain, 4, callbacks=[lehr.keras.Control()])
    for model in (plain, keras.Sequential()):
        with pytest.raises(ValueError, match=r"optimizer must be driven.*lehr\.keras\.attach"):
            lehr.keras.driven(model)
    driven = models.one_weight(
        lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), plateau_policy())
    )
    with pytest.raises(ValueError, match="monitor must be one of learning_rate, loss, got 'score'"):
        models.fit_one_weight(driven, 4, callbacks=[lehr.keras.Control()])


SAVED = {
    "SGD": lambda: keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=2),
    "AdamW": lambda: keras.optimizers.AdamW(weight_decay=0.01),
    "Nadam": lambda: keras.optimizers.Nadam(),
    "scaled": lambda: keras.optimizers.Adam(),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_loaded_model_continues_bit_identically(name, tmp_path):
    decay = {"weight_decay": lehr.linear(0.1, 0.0, 64)} if name == "AdamW" else {}
    policy = lehr.Policy(
        lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum, control=lehr.Plateau("loss"), **decay
    )
    optimizer = lehr.keras.attach(SAVED[name](), policy, record=16)
    if name == "scaled":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    model = models.regression(optimizer)
    inputs, targets = models.data()

    def epoch(model):
        callbacks = [lehr.keras.Control()]
        model.fit(inputs, targets, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)

    epoch(model)
    state = lehr.controllers.State(0.5, 0.125, 2, 1)
    inner(model).control_state = state
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    assert inner(loaded).policy == policy
    assert inner(loaded).control_state == state
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) > 0
    assert inner(loaded).recorded() == inner(model).recorded()
    assert models.same(models.arrays(model), models.arrays(loaded))
    epoch(model)
    epoch(loaded)
    assert models.same(models.arrays(model), models.arrays(loaded))
    assert inner(loaded).recorded() == inner(model).recorded()


def test_the_config_contains_plain_json_types():
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum, weight_decay=0.25)
    stock = keras.optimizers.AdamW(beta_1=0.8, weight_decay=0.1, name="mine")
    model = models.one_weight(lehr.keras.attach(stock, policy, record=4))
    models.fit_one_weight(model, 4)
    config = model.optimizer.get_config()
    assert json.loads(json.dumps(config)) == config
    assert (config["name"], config["beta_1"], config["weight_decay"]) == ("mine", 0.8, 0.1)
    assert config["record"] == 4
    assert lehr.loads(config["policy"]) == policy
    assert "moves" not in config
    again = keras.optimizers.deserialize(keras.optimizers.serialize(model.optimizer))
    assert again.get_config() == config


def test_backup_and_restore_after_a_crash(tmp_path):
    policy = plateau_policy(factor=0.5)
    values = [2.0, 2.0, 2.0, 1.0]

    def crash(model, epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    def start(*more):
        model = models.one_weight(
            lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), policy, record=64)
        )
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = [score(values), lehr.keras.Control(), *more, backup]
        try:
            models.fit_one_weight(model, 64, epochs=4, callbacks=callbacks)
        except KeyboardInterrupt:
            assert more
        return model

    start(AtEpochEnd(crash))  # interrupted in the third epoch; the backup holds two epochs
    model = start()
    models.assert_recorded(model, policy, 64, np.repeat([1.0, 1.0, 0.5, 0.25], 16))
    untouched = models.one_weight(
        lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), policy, record=64)
    )
    callbacks = [score(values), lehr.keras.Control()]
    models.fit_one_weight(untouched, 64, epochs=4, callbacks=callbacks)
    assert models.same(models.arrays(model), models.arrays(untouched))


def test_a_registered_user_optimizer_does_not_replace_the_stock_one(tmp_path):
    class SGD(keras.optimizers.SGD):
        pass

    lehr.keras.attach(SGD(), 0.1)
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), 0.1))
    models.fit_one_weight(model, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    assert not isinstance(loaded.optimizer, SGD)
