"""Real fits: schedule, controller and Keras's callbacks together, and the rate in the logs."""

import pathlib

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import BLOCKS, ONE_CYCLE, AtEpochEnd, inner, number

import lehr
import lehr.keras

WARMED = lehr.warmup(0.05, steps=6).then(lehr.cosine(0.05, steps=90, floor=0.005))


def score(values):
    """Write metrics with known values into the logs."""

    def write(model, epoch, logs):
        logs["score"] = values[epoch]

    return AtEpochEnd(write)


def factors(control, metrics):
    """The factor in each epoch, from the same controller on plain numbers."""
    states = [control.init()]
    for metric in metrics:
        states.append(control.update(states[-1], metric))
    return [state.factor for state in states[:-1]]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "control",
    [
        lehr.Plateau(patience=1, threshold=0.2, cooldown=1),
        lehr.Greedy(patience=1, threshold=0.05),
    ],
)
def test_warm_up_schedule_and_controller_train_together(control, block):
    policy = lehr.Policy(lr=WARMED, momentum=lehr.linear(0.9, 0.5, 96), control=control)
    stock = keras.optimizers.SGD(momentum=0.9)
    driven = lehr.keras.attach(stock, policy, record=96)
    model = models.regression(driven, steps_per_execution=block)
    data = models.data(128)
    callbacks = [lehr.keras.Control()]
    history = model.fit(
        *data, validation_data=data, batch_size=8, epochs=6, verbose=0, callbacks=callbacks
    ).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    moved = factors(control, history["val_loss"])
    assert len(set(moved)) > 1
    models.assert_recorded(model, policy, 96, np.repeat(moved, 16))


def run(folder, *more, epochs=6, score_of=(3.0, 2.0, 4.0, 4.0, 1.0, 4.0), **plateau):
    """A fit with every callback that saves, stops or reduces, all with the same metric."""
    plateau = lehr.Plateau(monitor="score", patience=2, factor=0.5, **plateau)
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum, control=plateau)
    stock = keras.optimizers.SGD(momentum=0.9)
    model = models.one_weight(lehr.keras.attach(stock, policy, record=64))
    settings = {"monitor": "score", "mode": "min"}
    callbacks = [
        score(score_of),
        lehr.keras.Control(),
        *more,
        keras.callbacks.EarlyStopping(patience=4, **settings),
        keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True, **settings),
        keras.callbacks.BackupAndRestore(folder / "backup"),
    ]
    ones = np.ones((8, 1), "float32")
    model.fit(ones, ones, batch_size=1, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


@pytest.mark.parametrize("restore_best", [False, True])
@pytest.mark.parametrize("crash_in", [1, 2, 3, 4])
def test_every_callback_in_one_fit_that_is_interrupted(crash_in, restore_best, tmp_path):
    def crash(model, epoch, logs):
        if epoch == crash_in:
            raise KeyboardInterrupt

    for name in ("untouched", "crashed"):
        (tmp_path / name).mkdir()
    settings = {"restore_best": restore_best}
    untouched = run(tmp_path / "untouched", **settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "crashed", AtEpochEnd(crash), **settings)
    resumed = run(tmp_path / "crashed", **settings)
    assert models.same(models.arrays(untouched), models.arrays(resumed))
    models.assert_recorded(resumed, inner(resumed).policy, 48, np.repeat([1.0] * 4 + [0.5] * 2, 8))
    best = keras.models.load_model(tmp_path / "crashed" / "best.keras")
    assert int(best.optimizer.iterations) == 40
    assert best.optimizer.control_state.best == 1.0


def test_a_reduction_restores_the_best_weights(tmp_path):
    seen = []
    after = AtEpochEnd(lambda model, epoch, logs: seen.append(number(model.weights[0])))
    run(tmp_path, after, restore_best=True)
    rates, momentum = (models.wanted(ONE_CYCLE, name, 48) for name in ("lr", "momentum"))
    by_hand, velocity, weight = [], 0.0, 0.0
    for step in range(48):
        velocity = momentum[step] * velocity - rates[step] * (0.5 if step >= 32 else 1.0)
        weight += velocity
        if step == 31:  # end of epoch 3, the second without improvement; epoch 1 is the best
            weight = by_hand[1]
        if step % 8 == 7:
            by_hand.append(weight)
    np.testing.assert_allclose(seen, by_hand, rtol=2e-6)


def test_early_stopping_ends_the_fit(tmp_path):
    model = run(tmp_path, score_of=(1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0), epochs=7)
    assert int(model.optimizer.iterations) == 5 * 8
    assert number(model.optimizer.factor) == 0.25


def test_a_metric_that_is_missing_in_some_epochs():
    policy = lehr.Policy(lr=0.0, control=lehr.Plateau(patience=1))
    data = models.data()
    settings = {"validation_data": data, "validation_freq": 2, "epochs": 4, "verbose": 0}
    model = models.regression(lehr.keras.attach(keras.optimizers.SGD(), policy))
    model.fit(*data, callbacks=[lehr.keras.Control(validation_freq=2)], **settings)
    assert model.optimizer.control_state.seen == 2
    assert number(model.optimizer.factor) == 0.5
    with pytest.raises(ValueError, match=r"monitor must be one of learning_rate, loss, got 'val_"):
        model.fit(*data, callbacks=[lehr.keras.Control()], **settings)
    policy = lehr.Policy(0.1, control=lehr.Plateau(patience=1, factor=0.5, threshold=1.0))
    model = models.regression(lehr.keras.attach(keras.optimizers.SGD(), policy))
    settings |= {"validation_freq": [2, 3]}
    model.fit(*data, callbacks=[lehr.keras.Control(validation_freq=[2, 3])], **settings)
    assert model.optimizer.control_state.seen == 2  # K17: metrics of epochs 2 and 3
    with pytest.raises(ValueError, match="validation_freq must be an integer >= 1, got 0"):
        lehr.keras.Control(validation_freq=0)
    with pytest.raises(TypeError, match=r"validation_freq must be .*Plateau\(monitor='val_loss'\)"):
        lehr.keras.Control("val_loss")


def test_a_controller_without_metrics_warns():
    policy = lehr.Policy(lr=0.1, control=lehr.Plateau())
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), policy))
    with pytest.warns(
        UserWarning, match=r"receives no metric: add lehr\.keras\.Control\(\)"
    ) as caught:
        models.fit_one_weight(model, 4, epochs=2)
    assert sum("no metric" in str(warning.message) for warning in caught) == 1


def test_a_custom_loop():
    plateau = lehr.Plateau(patience=1, restore_best=True)
    policy = lehr.Policy(lr=0.1, control=plateau)
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), policy, record=4))
    model.optimizer.observe(1.0, model)
    ones = np.ones((1, 1), "float32")
    model.train_on_batch(ones, ones)
    model.optimizer.observe(1.0, model)  # no improvement: restore the best weights, halve the rate
    assert number(model.weights[0]) == 0.0
    model.train_on_batch(ones, ones)
    assert number(model.weights[0]) == pytest.approx(-0.05, rel=1e-6)
    with pytest.raises(ValueError, match=r"model must be given.*call observe\(metric, model\)"):
        model.optimizer.observe(1.0)
    with pytest.raises(ValueError, match=r"control must be a controller.*lehr\.Plateau"):
        lehr.keras.attach(keras.optimizers.SGD(), 0.1).observe(1.0)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_rate_in_history_bar_and_tensorboard(scaled, tmp_path, capsys):
    # Keras's callback writes with TensorFlow on every backend
    tf = pytest.importorskip("tensorflow")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    optimizer = lehr.keras.attach(keras.optimizers.SGD(), ONE_CYCLE.lr)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    model = models.one_weight(optimizer)
    ones = np.ones((16, 1), "float32")
    callbacks = [lehr.keras.Control(), keras.callbacks.TensorBoard(tmp_path, write_graph=False)]
    history = model.fit(ones, ones, batch_size=1, epochs=4, verbose=2, callbacks=callbacks)
    rates = models.wanted(ONE_CYCLE, "lr", 64)[15::16]  # of the last update in each epoch
    np.testing.assert_allclose(history.history["learning_rate"], rates, rtol=0, atol=4e-8)
    assert f"learning_rate: {rates[0]:.4f}" in capsys.readouterr().out
    events = EventAccumulator(str(pathlib.Path(tmp_path, "train")), {"tensors": 0})
    events.Reload()
    written = [
        tf.make_ndarray(event.tensor_proto) for event in events.Tensors("epoch_learning_rate")
    ]
    np.testing.assert_allclose(written, rates, rtol=0, atol=4e-8)


def test_reading_the_rate_does_not_evaluate_the_schedule():
    calls = []

    def rate(step):
        calls.append(step)
        return lehr.linear(0.0, 0.04, 4)(step)

    policy = lehr.Policy(lr=lehr.from_function(rate, name="counted"))
    model = models.one_weight(lehr.keras.attach(keras.optimizers.SGD(), policy))
    assert float(model.optimizer.learning_rate) == 0.0
    models.fit_one_weight(model, 4)
    evaluated = len(calls)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.03, rel=4e-7)
    assert len(calls) == evaluated
