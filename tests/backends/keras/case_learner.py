"""The Learner: pairing, exact restore, losses of each batch, rates applied."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras.optimizers.schedules import ExponentialDecay
from keras_models import ONE_CYCLE

import lehr
import lehr.keras

WILD = lehr.Policy(lr=1.0, momentum=0.5)
OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(momentum=0.9),
    "AdamW": lambda: keras.optimizers.AdamW(weight_decay=0.01),
}


def learner(name="SGD", seed=1, **settings):
    settings = {"batch_size": 8, "seed": seed} | settings
    train = settings.pop("train", models.data())
    other = models.data(40, seed=9)
    model = models.network(OPTIMIZERS[name](), seed=seed)
    return lehr.keras.Learner(model, train, validation=other, test=other, **settings)


def account():
    """Results that two processes with the same seed must agree on."""
    run = learner()
    start = run.snapshot().digest()
    trace = run.train(ONE_CYCLE, 20)
    return repr([start, run.snapshot().digest(), trace, [run.rows(k).tolist() for k in (0, 13)]])


def test_seeds_differ():
    one, two = learner(seed=1), learner(seed=2)
    assert one.snapshot().digest() != two.snapshot().digest()
    assert one.rows(0).tolist() != two.rows(0).tolist()


@pytest.mark.parametrize(("name", "where"), [("SGD", "memory"), ("AdamW", "file")])
def test_a_restored_run_continues_bit_identically(name, where, tmp_path):
    tested, untouched = learner(name), learner(name)
    for run in (tested, untouched):
        run.train(ONE_CYCLE, 5)
    if where == "memory":
        before = tested.snapshot()
        tested.train(WILD, 17)
        assert tested.snapshot().digest() != before.digest()
        tested.restore(before)
    else:
        tested.save(tmp_path / "run.npz")
        tested = learner(name, seed=3)  # other weights and another generator
        tested._batches = untouched._batches
        tested.train(WILD, 17)
        tested.load(tmp_path / "run.npz")
    assert_they_continue_identically(tested, untouched)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_range_test_restores_the_run(name):
    tested, untouched = learner(name), learner(name)
    for run in (tested, untouched):
        run.train(ONE_CYCLE, 5)
    sweep = lehr.range_test(tested, low=1e-4, high=10.0, steps=40)
    assert sweep.rates[0] == pytest.approx(1e-4, rel=4e-7)
    assert sweep.losses[0] == learner_loss(untouched)
    assert_they_continue_identically(tested, untouched)


def learner_loss(run):
    """The loss of the next batch; the run is restored afterwards."""
    before = run.snapshot()
    loss = run.train(lehr.Policy(lr=1e-4), 1).losses[0]
    run.restore(before)
    return loss


def assert_they_continue_identically(tested, untouched):
    assert tested.snapshot().digest() == untouched.snapshot().digest()
    actual, expected = (run.train(ONE_CYCLE, 20, first=5) for run in (tested, untouched))
    assert actual == expected
    assert tested.snapshot().digest() == untouched.snapshot().digest()


def test_blocks_of_any_size_give_the_same_run():
    full, parts = learner(), learner()
    together = full.train(ONE_CYCLE, 40)
    first = parts.train(ONE_CYCLE, 13)
    asked = []
    second = parts.train(ONE_CYCLE, 27, first=13, until=lambda t: asked.append(len(t.losses)))
    assert asked == [16, 27]
    assert first.losses + second.losses == together.losses
    assert first.rates["lr"] + second.rates["lr"] == together.rates["lr"]
    assert full.snapshot().digest() == parts.snapshot().digest()


def test_until_stops_between_blocks():
    run = learner()
    trace = run.train(ONE_CYCLE, 60, until=lambda trace: len(trace.losses) >= 20)
    assert len(trace.losses) == len(trace.rates["lr"]) == 32
    assert run.step == run.snapshot().metadata["step"] == 32


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rates_applied_are_those_of_the_policy(name):
    decay = {"weight_decay": lehr.linear(0.1, 0.0, 64)} if name == "AdamW" else {}
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum, **decay)
    trace = learner(name).train(policy, 30, first=10, factor=0.5)
    assert list(trace.rates) == list(policy.targets)
    for hyperparameter, used in trace.rates.items():
        scale = 0.5 if hyperparameter == "lr" else 1.0
        expected = models.wanted(policy, hyperparameter, 40)[10:] * scale
        np.testing.assert_array_equal(np.float32(used), np.float32(expected))


def test_hyperparameters_outside_the_policy_are_unchanged():
    run = learner("AdamW")
    assert run.model.optimizer.writable == ("lr", "momentum", "weight_decay")
    trace = run.train(lehr.Policy(lr=0.1), 3)
    assert list(trace.rates) == ["lr"]
    values = [models.number(run.model.optimizer.variable_of(name)) for name in ("momentum", "lr")]
    np.testing.assert_allclose(values, [0.9, 0.1], rtol=1e-7)


def test_the_weight_moves_by_the_rates_of_the_trace():
    ones = np.ones((64, 1), "float32")
    model = models.one_weight(keras.optimizers.SGD(momentum=0.9))
    run = lehr.keras.Learner(model, (ones, ones), batch_size=1)
    trace = run.train(ONE_CYCLE, 64)
    rates, momentum = (models.wanted(ONE_CYCLE, name, 64) for name in ("lr", "momentum"))
    by_hand = models.moved(rates, momentum)
    assert models.number(model.weights[0]) == pytest.approx(by_hand[-1], rel=2e-6)
    # the loss of a batch is the weight before its update
    np.testing.assert_allclose(trace.losses, np.r_[0.0, by_hand[:-1]], rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_run_equals_plain_train_on_batch(name):
    """Losses and weights equal Keras's train_on_batch on an identical model."""
    run = learner(name)
    plain = models.network(lehr.keras.attach(OPTIMIZERS[name](), ONE_CYCLE))
    inputs, targets = models.data()
    trace = run.train(ONE_CYCLE, 24)
    losses = []
    for step in range(24):
        rows = run.rows(step)
        plain.reset_metrics()  # Keras 3.12 does not reset the metrics
        logs = plain.train_on_batch(inputs[rows], targets[rows], return_dict=True)
        losses.append(float(logs["loss"]))
    np.testing.assert_allclose(trace.losses, losses, rtol=1e-4)
    for actual, expected in zip(run.model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_convolutions_train_as_in_keras_in_blocks_of_any_size():
    """On JAX and a CPU convolutions are not compiled into the loop: it would run them slowly."""

    def model():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Conv2D(2, 3, activation="relu"), keras.layers.Flatten()]
        nested = keras.Sequential([keras.layers.Input((6, 6, 1)), *layers])
        model = keras.Sequential([nested, keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss=loss)
        return model

    x = np.random.default_rng(0).normal(size=(40, 6, 6, 1)).astype("float32")
    y = (x.sum(axis=(1, 2, 3)) > 0).astype("int32")
    runs = [lehr.keras.Learner(model(), (x, y), batch_size=8, seed=1) for _ in range(2)]
    policy = lehr.Policy(0.05)
    full = runs[0].train(policy, 12)
    parts = [runs[1].train(policy, size, first=first) for first, size in ((0, 5), (5, 7))]
    assert full.losses == parts[0].losses + parts[1].losses
    assert runs[0].snapshot().digest() == runs[1].snapshot().digest()
    plain = model()
    for step, loss in enumerate(full.losses):
        rows = runs[0].rows(step)
        plain.reset_metrics()  # Keras 3.12 does not reset the metrics
        logs = plain.train_on_batch(x[rows], y[rows], return_dict=True)
        assert loss == pytest.approx(float(logs["loss"]), rel=1e-4)


def test_evaluation_and_other_draws_do_not_change_later_updates():
    asked, silent = learner(), learner()
    for run in (asked, silent):
        run.train(ONE_CYCLE, 4)
    before = asked.snapshot().digest()
    metrics = asked.evaluate("validation")
    assert set(metrics) == {"loss", "accuracy"}
    assert metrics == asked.evaluate("test") == asked.evaluate()
    assert asked.snapshot().digest() == before
    keras.utils.set_random_seed(77)
    keras.layers.Dropout(0.5)(np.ones((3, 3), "float32"), training=True)
    assert asked.train(ONE_CYCLE, 8, first=4) == silent.train(ONE_CYCLE, 8, first=4)
    inputs, targets = models.data(40, seed=9)
    logits = keras.ops.convert_to_numpy(silent.model(inputs, training=False))
    accuracy = silent.evaluate("test")["accuracy"]
    assert accuracy == pytest.approx(np.mean(logits.argmax(1) == targets), abs=1e-6)


def test_each_row_is_used_once_an_epoch():
    run = learner(train=models.data(50))
    assert run.steps_per_epoch == 6
    for epoch in range(3):
        rows = np.concatenate([run.rows(epoch * 6 + i) for i in range(6)])
        assert len(set(rows.tolist())) == 48
    assert run.rows(0).tolist() != run.rows(6).tolist()


def test_the_model_still_fits_after_its_learner():
    run = learner()
    run.train(ONE_CYCLE, 4)
    before = run.model.get_weights()
    run.model.optimizer.learning_rate = 0.01
    run.model.fit(*models.data(), epochs=1, verbose=0)
    assert not models.same(before, run.model.get_weights())


def test_a_range_test_of_a_model_with_an_attached_optimizer():
    """The policy sets the rate after the test as it does without a test."""

    def attached():
        return models.network(lehr.keras.attach(OPTIMIZERS["SGD"](), ONE_CYCLE, record=12))

    tested, untouched = attached(), attached()
    driven = tested.optimizer
    run = lehr.keras.Learner(tested, models.data(), batch_size=8)
    sweep = lehr.range_test(run, low=1e-4, high=10.0, steps=40)
    np.testing.assert_allclose(sweep.rates, np.geomspace(1e-4, 10, 40)[: len(sweep.rates)], 4e-7)
    assert tested.optimizer is driven
    untouched.test_on_batch(*models.data(8))  # the Learner builds its model: draw as many numbers
    for model in (tested, untouched):
        keras.utils.set_random_seed(3)
        model.fit(*models.data(), batch_size=8, shuffle=False, verbose=0)
    assert models.same(models.arrays(tested), models.arrays(untouched))
    models.assert_recorded(tested, ONE_CYCLE, 12)


@pytest.mark.parametrize("rate", [ExponentialDecay(0.1, 5, 0.5), lambda: 0.05])
def test_an_optimizer_with_a_schedule_is_rejected(rate):
    """The Learner would replace the schedule without a message; the range test accepts it."""
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), loss="mse")
    match = "learning_rate must be a number in the optimizer, got '.*'; construct .* without it"
    with pytest.raises(ValueError, match=match):
        lehr.keras.Learner(model, models.data())
    assert len(lehr.keras.range_test(model, models.data(), steps=20).losses) == 20
