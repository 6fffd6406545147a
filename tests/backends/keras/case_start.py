"""`attach(start_step=, factor=)`: the first step of a policy; reductions bounded by `min_lr`."""

import json

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import ALL_BLOCKS, BLOCKS, AtEpochEnd, inner, number

import lehr
import lehr.keras

POLICY = lehr.Policy(
    lehr.warmup(0.1, 8).then(lehr.cosine(0.1, 40)),
    momentum=lehr.linear(0.9, 0.5, 48),
    values={"scale": lehr.linear(1.0, 3.0, 48)},
)
START = 6
KINDS = {
    "SGD": lambda: keras.optimizers.SGD(momentum=0.9),
    "accumulating": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.AdamW(),
}


def regression(name="SGD", policy=POLICY, block=1, **settings):
    optimizer = lehr.keras.attach(KINDS[name](), policy, record=32, **settings)
    if name == "scaled":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    return models.regression(optimizer, steps_per_execution=block)


def train(model):
    """Make 12 micro-batches."""
    model.fit(*models.data(), batch_size=8, shuffle=False, verbose=0)


# The first step.


@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", ALL_BLOCKS)
def test_update_n_uses_the_values_of_start_step_plus_n(block, accumulation):
    stock = keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=accumulation)
    driven = lehr.keras.attach(stock, POLICY, start_step=START, record=32)
    model = models.one_weight(driven, steps_per_execution=block)
    assert number(driven.learning_rate) == pytest.approx(POLICY.lr(START), rel=2e-7)
    models.fit_one_weight(model, 32, accumulation or 1)
    models.assert_recorded(model, POLICY, 32, first=START)
    rates, momentum = (models.wanted(POLICY, name, 32, START) for name in ("lr", "momentum"))
    by_hand = models.moved(rates, momentum)[-1]
    assert number(model.weights[0]) == pytest.approx(by_hand, rel=2e-6)
    assert (inner(model).step, int(model.optimizer.iterations)) == (START + 32, 32)
    values = {name: number(value) for name, value in inner(model).values().items()}
    assert values == pytest.approx(POLICY(START + 32), rel=4e-7)


def test_adam_bias_correction_counts_its_updates():
    """By hand: its first update has the size of the rate; in float32 within 7e-6."""
    stock = keras.optimizers.Adam(epsilon=1e-12)
    driven = lehr.keras.attach(stock, lehr.linear(1.0, 0.0, 10), start_step=6)
    model = models.one_weight(driven)
    models.fit_one_weight(model, 1)
    assert number(model.weights[0]) == pytest.approx(-0.4, rel=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", KINDS)
def test_a_saved_run_continues_at_the_right_step(name, block, tmp_path):
    """The uninterrupted run is the reference; `load_weights` restores the step from the file."""
    uncut, model = (regression(name, block=block, start_step=START) for _ in range(2))
    train(uncut)
    train(model)
    done = int(model.optimizer.iterations)
    assert done == (6 if name == "accumulating" else 12)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    resumed = [loaded]
    for start in (START, 0, 20):
        resumed.append(regression(name, block=block, start_step=start))
        resumed[-1].load_weights(tmp_path / "model.keras")
    train(uncut)
    for again in resumed:
        assert inner(again).step == START + done
        train(again)
        assert inner(again).step == START + 2 * done
        models.assert_recorded(again, POLICY, 2 * done, first=START)
        assert models.same(models.arrays(uncut), models.arrays(again))


def test_a_run_saved_before_training_restores_start_step(tmp_path):
    model = regression(start_step=START)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert inner(loaded).step == START
    train(loaded)
    models.assert_recorded(loaded, POLICY, 12, first=START)


def test_the_jump_to_another_policy_uses_the_saved_step(tmp_path):
    model = regression(start_step=START)
    train(model)
    model.save_weights(tmp_path / "run.weights.h5")
    other = lehr.Policy(POLICY.lr * 2, momentum=POLICY.momentum, values=POLICY.values)
    step = START + 12
    jump = f"lr at step {step} would jump from {POLICY.lr(step):g} to {2 * POLICY.lr(step):g}"
    with pytest.raises(ValueError, match=jump):
        regression(policy=other, start_step=START).load_weights(tmp_path / "run.weights.h5")


# The factor.


def test_the_factor_argument_scales_only_the_rate():
    driven = lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), POLICY, factor=0.5, record=8)
    assert number(driven.factor) == 0.5
    model = models.one_weight(driven)
    models.fit_one_weight(model, 8)
    models.assert_recorded(model, POLICY, 8, 0.5)
    assert number(driven.values()["scale"]) == pytest.approx(1 + 8 / 24, rel=4e-7)
    driven.factor = 2.0
    models.fit_one_weight(model, 8)
    expected = 2.0 * models.wanted(POLICY, "lr", 8, 8)
    np.testing.assert_allclose(driven.recorded()["lr"], expected, rtol=0, atol=8e-8)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_controller_starts_from_the_factor_and_is_saved(scaled, tmp_path):
    plateau = lehr.Plateau(monitor="score", patience=1, factor=0.5)
    policy = lehr.Policy(POLICY.lr, control=plateau)
    optimizer = lehr.keras.attach(keras.optimizers.SGD(), policy, factor=0.75, record=32)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    model = models.one_weight(optimizer)
    callbacks = [score([3.0, 3.0, 2.0, 2.0]), lehr.keras.Control()]
    models.fit_one_weight(model, 32, epochs=4, callbacks=callbacks)
    models.assert_recorded(model, policy, 32, np.repeat([0.75, 0.75, 0.375, 0.375], 8))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert number(inner(loaded).factor) == 0.1875
    assert inner(loaded).control_state == inner(model).control_state


def test_from_config_builds_the_same_driver():
    driven = lehr.keras.attach(keras.optimizers.SGD(), POLICY.lr, start_step=START, factor=0.5)
    config = driven.get_config()
    assert json.loads(json.dumps(config)) == config
    assert (config["start_step"], config["factor"]) == (START, 0.5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(driven))
    assert again.get_config() == config
    assert (again.step, number(again.factor)) == (START, 0.5)
    assert number(again.values()["lr"]) == pytest.approx(0.5 * POLICY.lr(START), rel=2e-7)


# Reductions that stop at min_lr.


def score(values):
    """Write a metric with known values into the logs."""

    def write(model, epoch, logs):
        logs["score"] = values[epoch]

    return AtEpochEnd(write)


@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_reduction_stops_at_min_lr_in_fit(block, accumulation):
    """By hand: max(s * f, min(s, 0.25)), with s = 1, ..., 0 and f = 1, 1, 1/2, 1/4 by epoch."""
    plateau = lehr.Plateau(monitor="score", patience=1, factor=0.5, min_lr=0.25)
    policy = lehr.Policy(lehr.linear(1.0, 0.0, 64), control=plateau)
    stock = keras.optimizers.SGD(gradient_accumulation_steps=accumulation)
    model = models.one_weight(
        lehr.keras.attach(stock, policy, record=64), steps_per_execution=block
    )
    callbacks = [score([1.0] * 4), lehr.keras.Control()]
    history = models.fit_one_weight(model, 64, accumulation or 1, epochs=4, callbacks=callbacks)
    falls = [1 - n / 64 for n in range(64)]
    by_hand = [*falls[:32], *(max(s / 2, 0.25) for s in falls[32:48]), *falls[48:]]
    assert by_hand[32:48] == [0.25] * 16
    np.testing.assert_allclose(inner(model).recorded()["lr"], by_hand, rtol=0, atol=4e-7)
    assert number(model.weights[0]) == pytest.approx(-sum(by_hand), rel=2e-6)
    shown = history.history["learning_rate"]
    np.testing.assert_allclose(shown, by_hand[15::16], rtol=0, atol=4e-7)
    assert number(inner(model).factor) == 0.125
    assert number(inner(model).values()["lr"]) == 0.0
