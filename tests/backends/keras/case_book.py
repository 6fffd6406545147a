"""lehr.compat.book: values, decisions and state of the chapter's definitions, on each backend."""

import bisect
import contextlib
import io
import math
import random
from types import SimpleNamespace

import keras
import matplotlib
import numpy as np
import pytest
from keras import layers, ops

from lehr.compat import book
from lehr.compat.differences import differences
from lehr.keras.generators import generators

matplotlib.use("agg")
TORCH = keras.backend.backend() == "torch"
SPE = [1] if TORCH else [1, 4]  # Keras rejects steps_per_execution on PyTorch


class FirstOutput(keras.losses.Loss):
    """The mean prediction: with input 1 and plain SGD, the weight is minus the sum of the rates."""

    def call(self, y_true, y_pred):
        return ops.mean(y_pred, axis=-1)


def meter(steps_per_execution=1, rate=0.5):
    """Return a model with one weight, which measures the rates that its updates used."""
    model = keras.Sequential(
        [layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, loss=FirstOutput(), steps_per_execution=steps_per_execution)
    return model


def measured(model, callback, batches, epochs=1):
    """Return the sum of the rates that were used in the last call of ``fit``."""
    before = float(ops.convert_to_numpy(model.layers[-1].kernel)[0, 0])
    x = np.ones((batches, 1), "float32")
    model.fit(x, x, batch_size=1, epochs=epochs, callbacks=[callback], verbose=0)
    return before - float(ops.convert_to_numpy(model.layers[-1].kernel)[0, 0])


def first_of_block(n, per_epoch, size):
    """Return the batch whose rate batch n has: the first one of its block."""
    epoch, i = divmod(n, per_epoch)
    return epoch * per_epoch + i // size * size


@pytest.mark.parametrize("size", SPE)
def test_one_cycle_has_linear_phases(size):
    draw = random.Random(0)
    for _ in range(50 if size == 1 else 0):
        n = draw.randint(1, 120)
        options = {
            "start_rate": draw.choice([None, draw.uniform(0.001, 0.1)]),
            "last_iterations": draw.choice([None, draw.randint(1, n)]),
            "last_rate": draw.choice([None, draw.uniform(1e-6, 0.01)]),
        }
        peak = draw.uniform(0.01, 1)
        cycle = book.OneCycleScheduler(n, peak, **options)
        assert rates(cycle, n, digits=7) == pytest.approx(one_cycle(n, peak, **options), rel=1e-6)
        assert cycle.iteration == n
    model = meter(size)
    cycle = book.OneCycleScheduler(22, max_rate=0.05)
    total = measured(model, cycle, batches=11, epochs=2)
    values = one_cycle(22, 0.05)
    assert total == pytest.approx(sum(values[first_of_block(n, 11, size)] for n in range(22)))
    assert cycle.iteration == 22


def one_cycle(n, peak, start_rate=None, last_iterations=None, last_rate=None):
    start = start_rate or peak / 10
    half = (n - (last_iterations or n // 10 + 1)) // 2
    knots = [(0, start), (half, peak), (2 * half, start), (n, last_rate or start / 1000)]
    if half == 0:
        knots = knots[2:]
    return np.interp(range(n), *zip(*knots, strict=True)).tolist()


@pytest.mark.parametrize("size", SPE)
def test_exponential_decay_multiplies_also_a_rate_that_was_set_by_hand(size):
    model = meter(size)
    decay = book.ExponentialDecay(s=11)
    total = measured(model, decay, batches=11, epochs=2)
    values = [0.5 * 0.1 ** ((n + 1) / 11) for n in range(22)]
    assert total == pytest.approx(sum(values[first_of_block(n, 11, size)] for n in range(22)))
    if size == 1:
        assert float(model.optimizer.learning_rate) == pytest.approx(0.005, rel=1e-6)
        model.optimizer.learning_rate = 0.1
        assert measured(model, decay, batches=1) == pytest.approx(0.1 * 0.1 ** (1 / 11))


def test_exponential_decay_does_not_accumulate_float32_errors():
    values = rates(book.ExponentialDecay(s=1000), 2000, digits=9)
    expected = [0.1 ** ((n + 1) / 1000) for n in range(2000)]
    assert values == pytest.approx(expected, rel=2e-7)


def test_exponential_decay_is_recorded_per_epoch():
    model = meter()
    x = np.ones((4, 1))
    decay = book.ExponentialDecay(s=4)
    history = model.fit(x, x, batch_size=1, epochs=2, callbacks=[decay], verbose=0)
    assert history.history["lr"] == pytest.approx([0.05, 0.005])


@pytest.mark.parametrize("size", SPE)
def test_exponential_learning_rate_records_rates_and_losses_of_batches(size):
    x = np.arange(1, 12, dtype="float32")[:, None]
    model = meter(size, rate=0.0)
    model.layers[-1].kernel.assign([[1.0]])
    found = book.ExponentialLearningRate(1.5)
    options = {"batch_size": 1, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(x, x, callbacks=[found], **options)
    blocks = [list(range(i, min(i + size, 11))) for i in range(0, 11, size)] * 2
    assert found.losses == pytest.approx([np.mean([x[i, 0] for i in b]) for b in blocks], rel=1e-5)
    model = meter(size, rate=0.001)
    total = measured(model, found := book.ExponentialLearningRate(1.5), batches=11, epochs=2)
    starts = [first_of_block(n, 11, size) for n in range(22)]
    assert total == pytest.approx(sum(0.001 * 1.5**n for n in starts), rel=1e-5)
    assert found.rates == pytest.approx([0.001 * 1.5**n for n in dict.fromkeys(starts)], rel=1e-6)


def test_functions_of_the_epoch():
    draw = random.Random(1)
    for _ in range(60):
        lr0, s = (
            10 ** draw.uniform(-4, 0),
            draw.choice([draw.randint(1, 50), draw.uniform(0.5, 50)]),
        )
        rate = book.exponential_decay(lr0, s)
        for epoch in (0, 1, 7, 2.5, 100):
            assert rate(epoch) == pytest.approx(lr0 * 10 ** (-epoch / s), rel=1e-12)
        np.testing.assert_allclose(
            rate(np.arange(30)), lr0 * 10 ** (-np.arange(30) / s), rtol=1e-12
        )
        bounds = sorted(draw.sample(range(1, 40), draw.randint(1, 5)))
        values = [draw.random() for _ in range(len(bounds) + 1)]
        constant = book.piecewise_constant(bounds, values)
        for epoch in range(45):
            assert constant(epoch) == values[bisect.bisect_right(bounds, epoch)]
    assert book.exponential_decay_fn(20) == pytest.approx(0.001, rel=1e-12)
    assert isinstance(book.exponential_decay_fn(3), float)
    model, x = meter(), np.ones((1, 1))
    scheduler = keras.callbacks.LearningRateScheduler(book.exponential_decay_fn)
    history = model.fit(x, x, epochs=3, callbacks=[scheduler], verbose=0)
    expected = [0.01 * 10 ** (-epoch / 20) for epoch in range(3)]
    assert history.history["learning_rate"] == pytest.approx(expected)
    boundaries, values = [5.0, 15.0], [0.01, 0.005, 0.001]
    schedule = book.PiecewiseConstantDecay(boundaries=boundaries, values=values)
    assert [float(schedule(n)) for n in (5, 6, 15, 16)] == pytest.approx(
        [0.01, 0.005, 0.005, 0.001]
    )
    with pytest.raises(ValueError, match="values must be a list of 3 items for 2 boundaries"):
        book.piecewise_constant([5, 15], [0.1, 0.01])
    with pytest.raises(ValueError, match="timescale must be"):
        book.exponential_decay(0.1, 0)


def network(optimizer=None):
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, "tanh"), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss="mse")
    return model


X = np.random.default_rng(3).normal(size=(43, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def found(model, x=X, y=Y, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return book.find_learning_rate(model, x, y, **options)


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    values = [ops.convert_to_numpy(v).copy() for v in variables]
    return [*values, random.getstate(), np.random.get_state()[1].copy(), *generators().values()]


@pytest.mark.parametrize("trained", [False, True])
def test_find_learning_rate_restores_everything(trained):
    model = network()
    if trained:
        model.fit(X, Y, verbose=0)
    else:
        model.optimizer.build(model.trainable_variables)
    before = state(model)
    for options in ({}, {"epochs": 2, "batch_size": 10, "min_rate": 1e-4, "max_rate": 1.0}):
        rates, losses = found(model, **options)
        for one, two in zip(state(model), before, strict=True):
            np.testing.assert_array_equal(np.asarray(one, object), np.asarray(two, object))
    expected = [1e-4 * 10 ** (4 * n / 10) for n in range(10)]
    assert rates == pytest.approx(expected, rel=1e-6)
    assert len(losses) == 10
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_find_learning_rate_weights_the_smaller_last_batch():
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    _, losses = found(model, batch_size=10, epochs=2, min_rate=1e-12, max_rate=1e-11)
    expected = model.evaluate(X, Y, verbose=0)
    for epoch in (losses[:5], losses[5:]):
        assert np.average(epoch, weights=[10, 10, 10, 10, 3]) == pytest.approx(expected, rel=1e-5)
    assert np.std(losses) > 0.1


def test_find_learning_rate_accepts_few_and_small_data_and_rates_that_diverge():
    rates, losses = found(network(), X[:3], Y[:3])
    assert (rates, len(losses)) == ([pytest.approx(1e-5)], 1)
    rates, losses = found(network(keras.optimizers.SGD()), epochs=20, batch_size=8, max_rate=1e6)
    assert len(rates) == len(losses) == 120
    assert not math.isfinite(losses[-1])


def test_find_learning_rate_rejects_a_schedule_and_restores_the_model_after_an_error():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        found(network(keras.optimizers.SGD(schedule)))
    with pytest.raises(ValueError, match="model must be compiled"):
        found(keras.Sequential([layers.Input((4,)), layers.Dense(1)]))
    model = network()
    model.optimizer.build(model.trainable_variables)
    before = state(model)
    fit, model.fit = model.fit, lambda *args, **kw: fit(*args, **kw) and 1 / 0
    with pytest.raises(ZeroDivisionError, match="division"):
        found(model)
    for one, two in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(np.asarray(one, object), np.asarray(two, object))


def test_the_figure_shows_finite_losses():
    from matplotlib import pyplot as plt

    plt.figure()
    book.plot_lr_vs_loss([0.001, 0.01, 0.1, 1.0], [4.0, 2.0, 1.0, math.nan])
    axes = plt.gca()
    assert axes.get_xscale() == "log"
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.001, 1.0), (1.0, 2.5))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Learning rate", "Loss")
    assert axes.lines[0].get_xdata().tolist() == [0.001, 0.01, 0.1, 1.0]
    assert axes.collections[0].get_segments()[0].tolist() == [[0.001, 1.0], [1.0, 1.0]]
    plt.close()


class OwnDropout(layers.Dropout):
    """A layer as readers of the chapter write it."""

    def call(self, inputs):
        return super().call(inputs, training=True)


@pytest.mark.parametrize("kind", [book.MCDropout, book.MCAlphaDropout, OwnDropout])
def test_dropout_is_active_in_predictions_and_other_dropout_is_not(kind):
    plain = keras.Sequential([layers.Dropout(0.5), layers.Dense(3, "softmax")])
    assert len({plain.predict(X, verbose=0).tobytes() for _ in range(2)}) == 1
    model = keras.Sequential([kind(0.5), *plain.layers])
    assert len({model.predict(X, verbose=0).tobytes() for _ in range(3)}) == 3
    probabilities = book.mc_dropout_predict_probas(model, X, n_samples=300)
    assert probabilities.shape == (43, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    tiled = model.predict(np.tile(X, (300, 1)), batch_size=4300, verbose=0)
    passes = tiled.reshape(300, 43, 3)
    np.testing.assert_allclose(probabilities, np.mean(passes, axis=0), atol=0.15)
    assert np.abs(probabilities - np.mean(passes, axis=0)).mean() < 0.02
    np.random.seed(5)
    classes = book.mc_dropout_predict_classes(model, X)
    np.random.seed(5)
    probabilities = book.mc_dropout_predict_probas(model, X)
    assert classes.tolist() == probabilities.argmax(1).tolist()
    assert (book.mc_dropout_predict_probas(model, X) != probabilities).any()


def test_layers_are_converted_and_saved_as_in_the_chapter(tmp_path):
    model = keras.Sequential(
        [
            *(layers.Input((4,)), layers.AlphaDropout(0.2), layers.Dense(8, "selu")),
            *(layers.AlphaDropout(0.2), layers.Dense(3, "softmax")),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy")
    converted = keras.Sequential(
        [
            book.MCAlphaDropout(layer.rate) if isinstance(layer, layers.AlphaDropout) else layer
            for layer in model.layers
        ]
    )
    assert book.mc_dropout_predict_probas(converted, X).shape == (43, 3)
    converted.set_weights(model.get_weights())
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(a) for a in loaded.layers] == [type(a) for a in converted.layers]
    assert loaded.layers[0].rate == 0.2
    assert len({loaded.predict(X, verbose=0).tobytes() for _ in range(2)}) == 2


# the table of differences


def rates(callback, batches, steps_per_execution=1, digits=4):
    """Call a callback as ``fit`` does; return the rate of each block of batches."""
    optimizer = keras.optimizers.SGD(1.0)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.set_params({"steps": batches})
    values = []
    for first in range(0, batches, steps_per_execution):
        callback.on_train_batch_begin(first)
        values.append(float(f"{float(optimizer.learning_rate):.{digits}g}"))
        callback.on_train_batch_end(first + steps_per_execution - 1, {})
    return values


def losses(callback, values):
    """Return the losses that a callback records."""
    callback.set_model(SimpleNamespace(optimizer=keras.optimizers.SGD(1.0)))
    callback.set_params({"steps": len(values)})
    for batch in range(len(values)):
        callback.on_train_batch_end(batch, {"loss": np.mean(values[: batch + 1])})
    return [round(loss, 6) for loss in callback.losses]


class CountsCalls(keras.callbacks.Callback):
    """The chapter's rules, which set the rate as a function of the number of calls."""

    def __init__(self, rate):
        super().__init__()
        self.rate, self.calls, self.losses = rate, 0, []

    def on_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.rate(self.calls)
        self.calls += 1

    def on_batch_end(self, batch, logs=None):
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


def chapter_cycle(n, peak, last_iterations, last_rate=None):
    start, half = peak / 10, (n - last_iterations) // 2
    last = last_rate or start / 1000
    knots = [(0, start), (half, peak), (2 * half, start), (n, last)]

    def rate(call):
        part = min(call // half, 2)
        (a, low), (b, high) = knots[part : part + 2]
        return low + (high - low) * (call - a) / (b - a)

    return CountsCalls(rate)


def chapter_probas(model, x, n_samples=10):
    return np.mean([model.predict(x, verbose=0) for _ in range(n_samples)], axis=0)


CHAPTER = {
    "OneCycleScheduler": chapter_cycle,
    "ExponentialDecay": lambda s: CountsCalls(lambda call: 0.1 ** ((call + 1) / s)),
    "ExponentialLearningRate": lambda factor: CountsCalls(lambda call: factor**call),
    "mc_dropout_predict_probas": chapter_probas,
    "mc_dropout_predict_classes": lambda *a: np.argmax(chapter_probas(*a), axis=1),
}


@pytest.mark.parametrize("row", differences("book"), ids=lambda row: f"{row.name} {row.condition}")
def test_both_results_are_those_of_the_table(row):
    def result(names):
        def classes(values):
            unit = {"kernel_initializer": "ones"}
            model = keras.Sequential(
                [layers.Input((1,)), book.MCDropout(0.0), layers.Dense(1, **unit)]
            )
            return names["mc_dropout_predict_classes"](model, np.array(values)[:, None]).tolist()

        without = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
        more = {"rates": rates, "losses": losses, "classes": classes, "ones": np.ones((2, 4))}
        try:
            return repr(eval(row.example, {**names, **more, "without_dropout": without}))
        except Exception as error:
            return type(error).__name__

    assert (result(CHAPTER), result(vars(book))) == (row.theirs, row.ours)
    assert row.theirs != row.ours
