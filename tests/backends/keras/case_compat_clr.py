"""lehr.compat.clr_callback: rates, history, resets, executions and other callbacks."""

import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
from compat_keras import smith
from keras import ops
from keras_models import (
    BACKEND,
    BLOCKS,
    AtEpochEnd,
    data,
    fit_one_weight,
    multi_optimizer,
    number,
    one_weight,
    regression,
)

from lehr.compat.clr_callback import CyclicLR

EXAMPLE = Path(__file__).parents[3] / "examples" / "compat" / "clr_callback_page.py"
MORE_BLOCKS = [*BLOCKS, 3] if BACKEND != "torch" else BLOCKS


def model_of(block, optimizer=None):
    optimizer = optimizer or keras.optimizers.SGD(0.5)
    return one_weight(optimizer, **({} if block == 1 else {"steps_per_execution": block}))


def halved(cycle):
    return 0.5 ** (cycle - 1)


def close(found, wanted):
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=4e-7 * np.abs(wanted).max())


def check_used(model, clr):
    """Compare the sum of the rates, which is the weight, with the history."""
    assert number(model.weights[0]) == pytest.approx(-sum(clr.history["lr"]), rel=2e-6)


@pytest.mark.parametrize("block", MORE_BLOCKS)
@pytest.mark.parametrize("size", [4, 2.5, 7.3])
def test_each_batch_uses_the_rate_of_the_formula(block, size):
    model = model_of(block)
    optimizer = model.optimizer
    clr = CyclicLR(0.25, 1.0, size, mode="triangular2")
    fit_one_weight(model, 40, epochs=2, callbacks=[clr])  # 20 batches: an incomplete execution
    wanted = smith(np.arange(41), 0.25, 1.0, size, halved, True)
    close(clr.history["lr"], wanted[:40])
    assert clr.history["iterations"] == list(range(1, 41))
    check_used(model, clr)
    assert (clr.trn_iterations, clr.clr_iterations) == (40, 40)
    assert model.optimizer is optimizer
    assert number(optimizer.learning_rate) == pytest.approx(wanted[40], rel=1e-6)
    assert clr.clr() == pytest.approx(wanted[40], rel=1e-12)
    fit_one_weight(model, 8)  # without the callback, the rate is constant
    assert number(model.weights[0]) == pytest.approx(-wanted[:40].sum() - 8 * wanted[40], rel=2e-6)


@pytest.mark.parametrize("seed", range(50))
def test_the_rate_is_that_of_the_formula(seed):
    random = np.random.default_rng(seed)
    low, high = random.uniform(0.0, 1.0, 2)
    size = [int(random.integers(1, 2000)), random.uniform(0.2, 50.0)][seed % 2]
    gamma = random.uniform(0.99, 1.001)
    clr = CyclicLR(low, high, size, "exp_range", gamma)
    own = CyclicLR(low, high, size, scale_fn=lambda x: np.sin(x), scale_mode="iterations")
    per_cycle = CyclicLR(low, high, size, "exp_range", scale_fn=lambda x: 2.0 / x)
    steps = [0, 1, *random.integers(0, 10**5, 30).tolist()]
    for clr_, scale, by_cycle in (
        (clr, lambda x: gamma**x, False),
        (own, np.sin, False),
        (per_cycle, lambda x: 2.0 / x, True),
        (CyclicLR(low, high, size), lambda x: 1.0, True),
    ):
        for step in steps:
            clr_.clr_iterations = float(step)
            wanted = smith(step, low, high, size, scale, by_cycle)
            largest = max(abs(wanted), low, high)
            assert clr_.clr() == pytest.approx(wanted, rel=0, abs=1e-9 * largest)


def test_defaults():
    clr = CyclicLR()
    assert (clr.base_lr, clr.max_lr, clr.step_size) == (0.001, 0.006, 2000.0)
    assert (clr.mode, clr.gamma, clr.scale_mode, clr.history) == ("triangular", 1.0, "cycle", {})
    assert CyclicLR(mode="exp_range").scale_mode == "iterations"
    assert [CyclicLR(mode="triangular2").scale_fn(c) for c in (1.0, 2.0, 3.0)] == [1.0, 0.5, 0.25]
    assert CyclicLR(0.1, 0.2, 3, "triangular2", 1.0, halved, "iterations").scale_fn is halved


@pytest.mark.parametrize("block", BLOCKS)
def test_a_cycle_continues_in_the_next_fit_and_can_be_reset(block):
    model = model_of(block)
    clr = CyclicLR(0.25, 1.0, 3.5)
    fit_one_weight(model, 9, callbacks=[clr])
    fit_one_weight(model, 9, callbacks=[clr])
    clr._reset()
    assert (clr.clr_iterations, clr.trn_iterations) == (0, 18)
    fit_one_weight(model, 5, callbacks=[clr])
    clr._reset(new_base_lr=0.5, new_max_lr=2.0, new_step_size=2.0)
    fit_one_weight(model, 6, callbacks=[clr])

    def triangle(steps, *arguments):
        return smith(np.arange(steps), *arguments, lambda x: 1.0, True)

    parts = triangle(18, 0.25, 1.0, 3.5), triangle(5, 0.25, 1.0, 3.5), triangle(6, 0.5, 2.0, 2.0)
    close(clr.history["lr"], np.concatenate(parts))
    assert clr.history["iterations"] == list(range(1, 30))
    check_used(model, clr)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_rate_that_another_callback_sets_is_used_for_one_batch(block):
    model = model_of(block)
    clr = CyclicLR(0.25, 1.0, 2.5)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    fit_one_weight(model, 80, epochs=4, callbacks=[plateau, clr])
    wanted = smith(np.arange(80), 0.25, 1.0, 2.5, lambda x: 1.0, True)
    wanted[[40, 60]] *= 0.5  # the first epoch is an improvement, the last reduction is unused
    close(clr.history["lr"], wanted)
    check_used(model, clr)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_history_has_the_logs_of_each_batch(block):
    model = model_of(block)
    clr = CyclicLR(0.25, 1.0, 2.5)
    fit_one_weight(model, 24, callbacks=[clr])
    assert set(clr.history) == {"lr", "iterations", "loss"}
    before = np.r_[0.0, -np.cumsum(clr.history["lr"])[:-1]]  # the loss is the weight
    means = np.cumsum(before) / np.arange(1, 25)
    last = [min(24, (i // block + 1) * block) - 1 for i in range(24)]
    np.testing.assert_allclose(clr.history["loss"], means[last], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", BLOCKS)
def test_early_stopping_ends_the_cycle_and_restores_the_optimizer(block):
    model = model_of(block)
    optimizer = model.optimizer
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1e9)
    clr = CyclicLR(0.25, 1.0, 2.5)
    fit_one_weight(model, 100, epochs=5, callbacks=[stop, clr])
    assert clr.trn_iterations == 40
    assert model.optimizer is optimizer
    check_used(model, clr)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_checkpoint_has_the_optimizer_of_the_user(block, tmp_path):
    compiled = {} if block == 1 else {"steps_per_execution": block}
    x, y = data(40)
    model = regression(keras.optimizers.Adam(0.5), **compiled)
    clr = CyclicLR(0.01, 0.1, 2.5)
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    states = []

    def state(model, epoch, logs):
        states.append([np.array(ops.convert_to_numpy(v)) for v in model.optimizer.variables])

    callbacks = [clr, kept, AtEpochEnd(state)]
    model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=callbacks)
    wanted = smith(np.array([20, 40]), 0.01, 0.1, 2.5, lambda x: 1.0, True)
    for epoch in (0, 1):
        loaded = keras.models.load_model(tmp_path / f"{epoch + 1}.keras")
        assert type(loaded.optimizer) is type(keras.optimizers.Adam())
        found = [ops.convert_to_numpy(v) for v in loaded.optimizer.variables]
        for one, other in zip(found, states[epoch], strict=False):
            np.testing.assert_array_equal(one, other)
        assert len(found) == len(model.optimizer.variables)
        assert number(loaded.optimizer.learning_rate) == pytest.approx(wanted[epoch], rel=1e-6)
        assert number(loaded.optimizer.iterations) == 20 * (epoch + 1)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_interrupted_fit_leaves_a_constant_rate(block):
    model = model_of(block)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    clr = CyclicLR(0.25, 1.0, 2.5)
    with pytest.raises(KeyboardInterrupt):
        fit_one_weight(model, 40, epochs=2, callbacks=[clr, Stop()])
    check_used(model, clr)
    weight, rate = number(model.weights[0]), clr.clr()
    fit_one_weight(model, 20)
    assert number(model.weights[0]) == pytest.approx(weight - 20 * rate, rel=2e-6)
    again = CyclicLR(0.5, 1.0, 1.5)
    fit_one_weight(model, 20, callbacks=[again])
    close(again.history["lr"], smith(np.arange(20), 0.5, 1.0, 1.5, lambda x: 1.0, True))
    used = weight - 20 * rate - sum(again.history["lr"])
    assert number(model.weights[0]) == pytest.approx(used, rel=2e-6)
    fit_one_weight(model, 20)
    assert number(model.weights[0]) == pytest.approx(used - 20 * again.clr(), rel=2e-6)


@pytest.mark.parametrize("block", BLOCKS)
def test_accumulation_counts_batches_as_the_original(block):
    model = model_of(block, keras.optimizers.SGD(0.5, gradient_accumulation_steps=4))
    clr = CyclicLR(0.25, 1.0, 5)
    fit_one_weight(model, 8, accumulation=4, callbacks=[clr])
    wanted = smith(np.arange(32), 0.25, 1.0, 5, lambda x: 1.0, True)
    close(clr.history["lr"], wanted)
    assert number(model.weights[0]) == pytest.approx(-wanted[3::4].sum(), rel=2e-6)


def test_loss_scaling_and_several_optimizers():
    clr = CyclicLR(0.25, 1.0, 2.5)
    model = model_of(1, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)))
    fit_one_weight(model, 10, callbacks=[clr])
    check_used(model, clr)
    clr = CyclicLR(0.25, 1.0, 2.5)
    model = model_of(1, multi_optimizer(keras.optimizers.SGD(0.5)))
    fit_one_weight(model, 10, callbacks=[clr])
    check_used(model, clr)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution for torch")
def test_wrapped_optimizers_are_rejected_with_several_batches_per_execution():
    model = model_of(4, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)))
    with pytest.raises(ValueError, match="steps_per_execution must be 1 for CyclicLR with a Loss"):
        fit_one_weight(model, 8, callbacks=[CyclicLR(0.25, 1.0, 2.5)])
    assert number(model.optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("block", BLOCKS)
def test_an_optimizer_with_a_schedule_is_rejected_by_keras(block):
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = model_of(block, keras.optimizers.SGD(decay))
    optimizer = model.optimizer
    with pytest.raises(TypeError, match="learning rate is not settable"):
        fit_one_weight(model, 8, callbacks=[CyclicLR(0.25, 1.0, 2.5)])
    assert model.optimizer is optimizer


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mode": "cosine"}, "mode must be"),
        ({"step_size": 0}, "step_size must be a number above 0"),
        ({"mode": "exp_range", "gamma": 0.0}, "gamma must be a number above 0"),
    ],
)
def test_a_wrong_argument_is_rejected(arguments, text):
    with pytest.raises(ValueError, match=text):
        CyclicLR(**arguments)
    with pytest.raises(ValueError, match="new_step_size must be a number above 0"):
        CyclicLR()._reset(new_step_size=-1)


def test_the_example(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    names = ["triangular", "triangular2", "exp_range", "sine per cycle", "decay per batch", "reset"]
    assert [line.partition(":")[0] for line in lines] == names
    n = np.arange(40)

    def wanted(scale, by_cycle=True, low=0.001, high=0.006, steps=n):
        return smith(steps, low, high, 10.0, scale, by_cycle)

    rows = [
        wanted(lambda x: 1.0),
        wanted(halved),
        wanted(lambda x: 0.99**x, False),
        wanted(lambda x: 0.5 * (1 + np.sin(x * np.pi / 2))),
        wanted(lambda x: 1 / 5 ** (x * 0.01), False),
        np.r_[wanted(halved), wanted(halved, low=0.003, high=0.009, steps=np.arange(20))],
    ]
    for line, row in zip(lines, rows, strict=True):
        found = [float(rate) for rate in line.partition(": ")[2].split()]
        np.testing.assert_allclose(found, row[::5], rtol=1e-4)
