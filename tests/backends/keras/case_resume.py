"""Loading weights files, and errors for a run that resumes under another policy."""

import contextlib

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import ONE_CYCLE, AtEpochEnd, inner, number

import lehr
import lehr.keras

COSINE = lehr.cosine(0.1, steps=48, floor=0.01)
OTHER = lehr.cosine(0.2, steps=48, floor=0.01)
KINDS = {
    "momentum": lambda **k: keras.optimizers.SGD(momentum=0.9, **k),
    "accumulating": lambda **k: keras.optimizers.Adam(gradient_accumulation_steps=2, **k),
    "averaging": lambda **k: keras.optimizers.SGD(use_ema=True, momentum=0.9, **k),
    "scaled": lambda **k: keras.optimizers.AdamW(**k),
}


def build(policy, name="momentum", **settings):
    optimizer = lehr.keras.attach(KINDS[name](), policy, **settings)
    if name == "scaled":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    return models.regression(optimizer)


def epoch(model, *callbacks, epochs=1):
    control = [lehr.keras.Control()] if inner(model).policy.control else []
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(*models.data(), epochs=epochs, callbacks=[*control, *callbacks], **settings)


def test_a_model_that_accumulates_does_so(tmp_path):
    model = build(COSINE, "accumulating")
    epoch(model)
    assert int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("file", ["run.weights.h5", "run.weights.json"])
@pytest.mark.parametrize("name", KINDS)
def test_a_weights_file_restores_the_complete_driver_state(name, file, tmp_path):
    control = lehr.Plateau("loss", patience=1, threshold=0.5)
    policy = lehr.Policy(lr=COSINE, momentum=ONE_CYCLE.momentum, control=control)
    if name == "averaging":
        policy = lehr.Policy(lr=COSINE, momentum=ONE_CYCLE.momentum)
    shards = {"max_shard_size": 1.0} if "json" in file else {}
    arrays = []

    def save(model, epoch, logs):
        if epoch == 0:
            inner(model).factor = 0.25
            model.save_weights(tmp_path / file, **shards)
            arrays.extend(models.arrays(model))

    model, resumed = (build(policy, name, record=8) for _ in range(2))
    # in one fit: after use_ema a second fit fails in plain Keras on JAX (buffer donated twice)
    epoch(model, AtEpochEnd(save), epochs=2)
    resumed.load_weights(tmp_path / file)
    assert models.same(arrays, models.arrays(resumed))
    assert number(inner(resumed).factor) == 0.25
    epoch(resumed)
    assert models.same(models.arrays(model), models.arrays(resumed))
    assert inner(model).recorded() == inner(resumed).recorded()


def saved(tmp_path, policy=COSINE, name="momentum", **settings):
    """A weights file saved after twelve batches."""
    model = build(policy, name, **settings)
    epoch(model)
    model.save_weights(tmp_path / "run.weights.h5")
    return model, tmp_path / "run.weights.h5"


@pytest.mark.parametrize("name", KINDS)
def test_another_policy_is_rejected_with_the_jump(name, tmp_path):
    model, file = saved(tmp_path, name=name)
    step = int(model.optimizer.iterations)
    jump = f"lr at step {step} would jump from {COSINE(step):g} to {OTHER(step):g}"
    message = (
        rf"(?s)policy must be the saved policy: lr was .* and is .*; {jump}.*on_change='continue'"
    )
    with pytest.raises(ValueError, match=message):
        build(OTHER, name).load_weights(file)


@pytest.mark.parametrize("name", KINDS)
def test_another_policy_is_accepted_with_on_change(name, tmp_path):
    model, file = saved(tmp_path, name=name, record=96)
    done = int(model.optimizer.iterations)
    resumed = build(OTHER, name, on_change="continue", record=96)
    resumed.load_weights(file)
    epoch(resumed)
    rates = inner(resumed).recorded()["lr"][done:]
    assert len(rates) == done
    expected = [OTHER(step) for step in range(done, 2 * done)]
    np.testing.assert_allclose(rates, expected, rtol=0, atol=4e-7 * 0.2)


def test_a_policy_with_more_hyperparameters_restores_momenta_and_count(tmp_path):
    model, file = saved(tmp_path)
    more = lehr.Policy(lr=COSINE, momentum=0.5, control=lehr.Greedy("loss"))
    resumed = build(more, on_change="continue")
    resumed.load_weights(file)
    slots = [v.path.rpartition("/")[2] for v in resumed.optimizer.variables]
    assert sum("momentum" in slot for slot in slots) == 3  # two momentum slots, one hyperparameter
    ours, theirs = ({v.path: v.numpy() for v in m.optimizer.variables} for m in (resumed, model))
    for path in ours.keys() & theirs.keys():
        assert ours[path].tobytes() == theirs[path].tobytes(), path
    assert resumed.optimizer.control_state == lehr.controllers.State()


def test_a_controller_factor_is_dropped_and_an_assigned_factor_is_restored(tmp_path):
    control = lehr.Plateau("loss")
    model, file = saved(tmp_path, lehr.Policy(lr=COSINE, control=control))
    model.optimizer.control_state = lehr.controllers.State(factor=0.25, best=1.0, seen=4)
    model.save_weights(file)
    resumed = build(COSINE, on_change="continue")
    resumed.load_weights(file)
    assert number(resumed.optimizer.factor) == 1.0
    resumed.optimizer.factor = 0.5
    resumed.save_weights(file)
    for policy, settings in ((COSINE, {}), (OTHER, {"on_change": "continue"})):
        again = build(policy, **settings)
        again.load_weights(file)
        assert number(again.optimizer.factor) == 0.5


def test_the_jump_includes_an_assigned_factor(tmp_path):
    model, file = saved(tmp_path)
    model.optimizer.factor = 0.5
    model.save_weights(file)
    jump = f"lr at step 12 would jump from {COSINE(12) / 2:g} to "
    with pytest.raises(ValueError, match=jump):
        build(OTHER).load_weights(file)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_the_controller_state_equals_read_state(factor, tmp_path, monkeypatch):
    state = lehr.controllers.State(factor=factor)
    monkeypatch.setattr("lehr.keras.saved.read_state", lambda *_: (12, state))
    model, file = saved(tmp_path)
    model.optimizer.factor = 0.5
    model.save_weights(file)
    resumed = build(COSINE)
    resumed.load_weights(file)
    assert number(resumed.optimizer.factor) == factor


def test_a_saved_trunk_is_cooled_down_at_several_lengths(tmp_path):
    trunk = lehr.Policy(lr=lehr.warmup(0.1, steps=4).then(lehr.constant(0.1)), momentum=0.9)
    model = build(trunk)
    epoch(model)
    model.save(tmp_path / "trunk.keras")
    for steps in (6, 12):
        branch = build(trunk.decay_from(12, steps, curve="linear"), on_change="continue", record=24)
        branch.load_weights(tmp_path / "trunk.keras")
        epoch(branch)
        rates = branch.optimizer.recorded()["lr"][12:]
        by_hand = [0.1 * max(0.0, 1 - i / steps) for i in range(12)]
        np.testing.assert_allclose(rates, by_hand, rtol=0, atol=4e-8)


def test_a_backup_of_another_policy_is_rejected(tmp_path):
    model = build(COSINE)
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    model.fit(*models.data(), batch_size=8, verbose=0, callbacks=[backup])
    with pytest.raises(ValueError, match=r"lr was cosine\(0\.1, .*\) and is cosine\(0\.2"):
        build(OTHER).fit(*models.data(), verbose=0, callbacks=[backup])


@pytest.mark.parametrize("name", ["momentum", "scaled"])
def test_an_unbuilt_optimizer_is_rejected(name, tmp_path):
    model, file = saved(tmp_path, name=name)
    fresh = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    optimizer = lehr.keras.attach(KINDS[name](), COSINE)
    if name == "scaled":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    fresh.compile(optimizer, loss="mse")
    keras_warns = (
        pytest.warns(UserWarning, match="Skipping")
        if name == "scaled"
        else contextlib.nullcontext()
    )
    with keras_warns, pytest.raises(ValueError, match=r"(?s)built.*model\.optimizer\.build"):
        fresh.load_weights(file)
    fresh.optimizer.build(fresh.trainable_variables)
    fresh.load_weights(file)
    assert models.same(models.arrays(model), models.arrays(fresh))


def test_weights_load_without_an_optimizer(tmp_path):
    model, file = saved(tmp_path)
    fresh = build(OTHER)
    with pytest.warns(
        UserWarning, match=r"(?s)must be the saved policy: lr was cosine\(0\.1.*could not be loaded"
    ):
        fresh.load_weights(file, skip_mismatch=True)
    assert models.same(model.get_weights(), fresh.get_weights())
    assert int(fresh.optimizer.iterations) == 0
    bare = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    bare.save_weights(tmp_path / "bare.weights.h5")
    with pytest.warns(UserWarning, match="Skipping variable loading for opt"):
        fresh.load_weights(tmp_path / "bare.weights.h5")
    assert models.same(bare.get_weights(), fresh.get_weights())


def test_a_model_that_was_saved_before_it_trained(tmp_path):
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    model.compile(lehr.keras.attach(KINDS["momentum"](), COSINE), loss="mse")
    model.optimizer.factor = 0.5
    model.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert loaded.optimizer.built
    assert number(loaded.optimizer.factor) == 0.5


def test_a_file_of_a_plain_optimizer_has_a_constant_policy(tmp_path):
    plain = models.regression(keras.optimizers.SGD(0.05, momentum=0.9))
    plain.fit(*models.data(), batch_size=8, verbose=0)
    file = tmp_path / "plain.weights.h5"
    plain.save_weights(file)
    message = r"(?s)policy must be .*lr at step 12 would jump from 0\.05 to 0\.0\d+.*on_change="
    with pytest.raises(ValueError, match=message):
        build(COSINE).load_weights(file)
    driven = build(COSINE, on_change="continue")
    driven.load_weights(file)
    assert int(driven.optimizer.iterations) == 12
    for ours, theirs in zip(driven.optimizer.momentums, plain.optimizer.momentums, strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes()


def test_an_optimizer_of_another_kind_is_rejected(tmp_path):
    _, file = saved(tmp_path)
    adam = models.regression(lehr.keras.attach(keras.optimizers.Adam(), COSINE))
    message = r"(?s)one with 4 variables, as saved, got 6.*skip_mismatch=True"
    with pytest.raises(ValueError, match=message):
        adam.load_weights(file)
    _, file = saved(tmp_path, name="accumulating")
    other = keras.optimizers.Adam(gradient_accumulation_steps=3)
    other = models.regression(lehr.keras.attach(other, COSINE))
    with pytest.raises(ValueError, match="gradient_accumulation_steps must be the value of"):
        other.load_weights(file)
    scheduled = models.regression(keras.optimizers.SGD(lehr.keras.schedule(COSINE), momentum=0.9))
    scheduled.save_weights(tmp_path / "scheduled.weights.h5")
    with pytest.raises(ValueError, match=r"Keras schedule.*on_change='continue'"):
        build(COSINE).load_weights(tmp_path / "scheduled.weights.h5")


@pytest.mark.parametrize(("rate", "fits"), [(0.1, True), (0.1000001, False), (0.2, False)])
def test_k6_a_plain_rate_is_compared_in_float32(rate, fits, tmp_path):
    plain = models.regression(keras.optimizers.SGD(0.1))
    plain.fit(*models.data(), batch_size=8, verbose=0)
    plain.save_weights(tmp_path / "plain.weights.h5")
    driven = models.regression(lehr.keras.attach(keras.optimizers.SGD(), rate))
    driven.optimizer.build(driven.trainable_variables)
    if fits:
        driven.load_weights(tmp_path / "plain.weights.h5")
        assert driven.optimizer.step == int(plain.optimizer.iterations) > 0
    else:
        with pytest.raises(ValueError, match=r"lr at step \d+ would jump from 0\.1 to"):
            driven.load_weights(tmp_path / "plain.weights.h5")


def test_a_state_of_other_shapes_changes_nothing():
    def driven(width):
        optimizer = lehr.keras.attach(KINDS["momentum"](), COSINE)
        optimizer.build([keras.Variable(np.ones(2)), keras.Variable(np.ones(width))])
        return optimizer

    other, store = driven(3), {}
    other.factor = 0.5
    other.save_own_variables(store)
    store = {name: np.asarray(array) + (name == "2") for name, array in store.items()}
    optimizer = driven(4)
    before = [np.asarray(variable) for variable in optimizer.variables]
    match = r"variables of the saved shapes, .* \(3,\), SGD has .* \(4,\)"
    with pytest.raises(ValueError, match=match):
        optimizer.load_own_variables(store)
    after = [np.asarray(variable) for variable in optimizer.variables]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert optimizer.control_state.factor == 1.0
