"""The values that Keras uses in each update, against the policy and against plain arithmetic."""

import functools

import keras
import keras_models as models
import numpy as np
import pytest
from keras import ops
from keras_models import ALL_BLOCKS, BACKEND, BLOCKS, JITS, ONE_CYCLE, inner, number

import lehr
import lehr.keras


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", ALL_BLOCKS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_update_equals_the_policy(momentum, block, accumulation, jit):
    policy = ONE_CYCLE if momentum else lehr.Policy(lr=ONE_CYCLE.lr)
    stock = keras.optimizers.SGD(momentum=momentum, gradient_accumulation_steps=accumulation)
    optimizer = lehr.keras.attach(stock, policy, record=64)
    model = models.one_weight(optimizer, steps_per_execution=block, jit_compile=jit)
    weights = models.Weights()
    models.fit_one_weight(model, 64, accumulation or 1, callbacks=[weights])
    models.assert_recorded(model, policy, 64)
    rates = models.wanted(policy, "lr", 64)
    by_hand = models.moved(rates, models.wanted(policy, "momentum", 64) if momentum else None)
    models.assert_weights(weights.seen, by_hand, block, accumulation)
    assert int(model.optimizer.iterations) == 64


@pytest.mark.parametrize("block", ALL_BLOCKS[:2])
def test_the_non_default_jit_setting(block, monkeypatch):
    """Gradient accumulation: not compiled on JAX (slow), compiled on PyTorch."""
    policy = lehr.one_cycle(0.1, steps=4)
    stock = keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=2)
    driven = lehr.keras.attach(stock, policy, record=4)
    jit = BACKEND == "torch"
    model = models.one_weight(driven, jit_compile=jit, steps_per_execution=block)
    if BACKEND == "torch":
        import torch

        # these settings save time only: dynamo captures the step as by default; inductor would
        # compile C++ for a minute per graph, and Keras's `cond`, a new object in each call, would
        # be captured 8 times before it runs uncompiled
        compiled = functools.partial(torch.compile, backend="eager")
        monkeypatch.setattr(torch, "compile", compiled)
        monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    models.fit_one_weight(model, 4, 2)
    models.assert_recorded(model, policy, 4)
    rates, momentum = (models.wanted(policy, name, 4) for name in ("lr", "momentum"))
    weight = number(model.weights[0])
    assert weight == pytest.approx(models.moved(rates, momentum)[-1], rel=2e-6)


def test_the_ledger_records_the_last_updates_in_order():
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), ONE_CYCLE.lr, record=10))
    assert inner(model).recorded() == {"lr": []}
    models.fit_one_weight(model, 3)
    assert len(inner(model).recorded()["lr"]) == 3
    models.fit_one_weight(model, 44)
    last = models.wanted(ONE_CYCLE, "lr", 47)[37:]
    np.testing.assert_allclose(inner(model).recorded()["lr"], last, rtol=0, atol=4e-8)


@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_loss_scaling_counts_no_skipped_update(block, accumulation):
    stock = keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=accumulation)
    driven = lehr.keras.attach(stock, ONE_CYCLE, record=64)
    # 2.0**127 overflows at first; these updates are skipped while the scale is halved
    scaled = keras.optimizers.LossScaleOptimizer(driven, initial_scale=2.0**127)
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    loss = lambda _, prediction: ops.mean(8.0 * prediction)  # noqa: E731
    model.compile(scaled, loss=loss, steps_per_execution=block)
    models.fit_one_weight(model, 16, accumulation or 1)
    done = int(model.optimizer.iterations)
    assert 0 < done < 16
    assert len(driven.recorded()["lr"]) == done
    models.assert_recorded(model, ONE_CYCLE, done)
    rates, momentum = (models.wanted(ONE_CYCLE, name, done) for name in ("lr", "momentum"))
    weight = number(model.weights[0])
    assert weight == pytest.approx(8 * models.moved(rates, momentum)[-1], rel=2e-6)


@pytest.mark.parametrize("block", BLOCKS)
def test_mixed_precision(block):
    policy = lehr.one_cycle(1e-3, steps=64)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        driven = lehr.keras.attach(keras.optimizers.SGD(momentum=0.9), policy, record=64)
        model = models.one_weight(driven, steps_per_execution=block)
        models.fit_one_weight(model, 64)
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert lehr.keras.driven(model) is driven
    done = int(model.optimizer.iterations)
    assert done > 32
    models.assert_recorded(model, policy, done)
    rates, momentum = (models.wanted(policy, name, done) for name in ("lr", "momentum"))
    weight = number(model.weights[0])
    assert weight == pytest.approx(models.moved(rates, momentum)[-1], rel=2e-6)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_moving_averages_of_the_weights(accumulation):
    """With use_ema the final weights are the average of the weights after each update."""
    settings = {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": accumulation}
    driven = lehr.keras.attach(keras.optimizers.SGD(**settings), ONE_CYCLE.lr, record=8)
    model = models.one_weight(driven)
    weights = models.Weights()
    models.fit_one_weight(model, 8, accumulation or 1, callbacks=[weights])
    rates = models.wanted(ONE_CYCLE, "lr", 8)
    models.assert_recorded(model, lehr.Policy(lr=ONE_CYCLE.lr), 8)
    updates = weights.seen[(accumulation or 1) - 1 :: accumulation or 1]
    np.testing.assert_allclose(updates, models.moved(rates), rtol=2e-6)


def test_the_phase_is_exact_beyond_two_to_the_24():
    policy = lehr.Policy(lr=lehr.triangular(0.0, 1.0, half_cycle=4))
    first = 2**24 + 1
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), policy, record=8))
    model.optimizer.iterations.assign(first)
    models.fit_one_weight(model, 8)
    expected = [policy.lr(first + i) for i in range(8)]
    assert sorted(set(expected)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(inner(model).recorded()["lr"], expected, rtol=0, atol=4e-7)
    assert number(model.weights[0]) == pytest.approx(-sum(expected), rel=1e-6)


OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "weight_decay": 0.1},
    "SGD nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "RMSprop": {"momentum": 0.9, "weight_decay": 0.1},
    "Adam": {"weight_decay": 0.1},
    "AdamW": {"weight_decay": 0.1},
    "Nadam": {"weight_decay": 0.1},
    "Adamax": {"weight_decay": 0.1},
    "Lamb": {"weight_decay": 0.1},
    "Lion": {"weight_decay": 0.1},
    "Adagrad": {"weight_decay": 0.1},
    "Adadelta": {},
    "Adafactor": {},
    "Ftrl": {},
    "Muon": {},
}
if hasattr(keras.optimizers, "ScheduleFreeAdamW"):  # since Keras 3.14
    OPTIMIZERS["ScheduleFreeAdamW"] = {}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_equals_keras_with_floats_set_by_hand(name):
    """The reference is plain uncompiled Keras; its Python attributes are set before each batch."""
    steps = 6
    kind, settings = getattr(keras.optimizers, name.partition(" ")[0]), OPTIMIZERS[name]
    attribute = next((a for a in ("momentum", "beta_1") if hasattr(kind(**settings), a)), None)
    moves = {"lr": lehr.linear(0.02, 0.001, steps)}
    if attribute and name not in ("Muon", "ScheduleFreeAdamW"):
        moves["momentum"] = lehr.linear(0.95, 0.6, steps)
    if "weight_decay" in settings:
        moves["weight_decay"] = lehr.linear(0.5, 0.01, steps)
    policy = lehr.Policy(**moves)
    inputs, targets = models.data()

    driven = models.regression(lehr.keras.attach(kind(**settings), policy, record=steps))
    plain = models.regression(kind(**settings), run_eagerly=True)
    for step in range(steps):
        batch = inputs[step * 8 :][:8], targets[step * 8 :][:8]
        driven.train_on_batch(*batch)
        values = policy(step)
        plain.optimizer.learning_rate = values["lr"]
        if "momentum" in values:
            setattr(plain.optimizer, attribute, values["momentum"])
        if "weight_decay" in values:
            plain.optimizer.weight_decay = values["weight_decay"]
        plain.train_on_batch(*batch)
    models.assert_recorded(driven, policy, steps)
    for actual, expected in zip(driven.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=1e-6)


def test_weights_excluded_from_decay_stay_excluded():
    stock = keras.optimizers.SGD(weight_decay=0.5)
    stock.exclude_from_weight_decay(var_names=["bias"])
    policy = lehr.Policy(lr=ONE_CYCLE.lr, weight_decay=lehr.linear(0.5, 0.1, 64))
    layer = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    loss = models.mean_prediction
    model.compile(lehr.keras.attach(stock, policy), loss=loss)
    models.fit_one_weight(model, 32)
    kernel = 0.0
    for step in range(32):
        values = policy(step)
        kernel = kernel - kernel * values["weight_decay"] * values["lr"] - values["lr"]
    bias = models.moved(models.wanted(policy, "lr", 32))[-1]
    assert number(layer.kernel) == pytest.approx(kernel, rel=2e-6)
    assert number(layer.bias) == pytest.approx(bias, rel=2e-6)


@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_plain_schedule_at_every_update(block, accumulation):
    rate = lehr.keras.schedule(ONE_CYCLE.lr, accumulation=accumulation or 1)
    stock = keras.optimizers.SGD(rate, gradient_accumulation_steps=accumulation)
    model = models.one_weight(stock, steps_per_execution=block)
    weights = models.Weights()
    models.fit_one_weight(model, 64, accumulation or 1, callbacks=[weights])
    by_hand = models.moved(models.wanted(ONE_CYCLE, "lr", 64))
    models.assert_weights(weights.seen, by_hand, block, accumulation)


def test_a_plain_schedule_is_saved_and_loaded_with_its_phase(tmp_path):
    rate = lehr.keras.schedule(lehr.triangular(0.0, 1.0, half_cycle=4))
    model = models.one_weight(keras.optimizers.SGD(rate))
    model.compile(keras.optimizers.SGD(rate), loss="mae")  # a lambda cannot be saved
    first = 2**24 + 1
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(first)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == first
    loaded.compile(loaded.optimizer, loss=models.mean_prediction)
    models.fit_one_weight(loaded, 5)
    rates = [lehr.triangular(0.0, 1.0, half_cycle=4)(first + i) for i in range(5)]
    assert number(loaded.weights[0]) == pytest.approx(-sum(rates), rel=1e-6)
    config = rate.get_config()
    assert type(rate).from_config(config).get_config() == config
