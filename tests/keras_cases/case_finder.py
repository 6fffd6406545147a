"""The range test on a user's own compiled model: it leaves everything as it was."""

import functools
import random
import sys
import tempfile

import common
import keras
import numpy as np
import pytest
from common import BACKEND, BLOCKS, JITS, ONE_CYCLE
from keras.optimizers import SGD, Adam, AdamW, LossScaleOptimizer
from keras.optimizers.schedules import ExponentialDecay

import lehr
import lehr.keras

X, Y = common.data()
PAIRS = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 96, 8)]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PLATEAU = lehr.Policy(lr=ONE_CYCLE.lr, momentum=0.8, control=lehr.Plateau("loss"))

OPTIMIZERS = {
    "SGD": lambda: SGD(0.1, momentum=0.9),
    "AdamW": lambda: AdamW(weight_decay=0.01),
    "a schedule of Keras": lambda: Adam(ExponentialDecay(0.1, 5, 0.5)),
    "a schedule of lehr": lambda: SGD(lehr.keras.schedule(ONE_CYCLE.lr)),
    "a function": lambda: SGD(lambda: 0.05),
    "a policy": lambda: lehr.keras.attach(SGD(momentum=0.9), PLATEAU, record=8),
    "accumulating": lambda: Adam(gradient_accumulation_steps=5),  # 12 batches: amid an update
    "loss scaling": lambda: LossScaleOptimizer(AdamW(ExponentialDecay(0.1, 5, 0.5))),
    "a scaled policy": lambda: LossScaleOptimizer(lehr.keras.attach(Adam(), ONE_CYCLE.lr)),
    "Muon": lambda: keras.optimizers.Muon(0.01),
    "schedule-free": lambda: keras.optimizers.ScheduleFreeAdamW(),
}


def network(optimizer, dtype="float32", **compiled):
    """Batch norm, noise, dropout with and without a seed."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(8, activation="relu", dtype=dtype),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.GaussianNoise(0.1, dtype=dtype),
        keras.layers.Dropout(0.3, dtype=dtype),
        keras.layers.Dropout(0.3, seed=7, dtype=dtype),
        keras.layers.Dense(3, dtype=dtype),
    ]
    model = keras.Sequential([keras.layers.Input((5,)), *layers])
    model.compile(optimizer, loss=LOSS, metrics=["accuracy"], **compiled)
    return model


def fit(model, **settings):
    callbacks = [lehr.keras.Control()] if hasattr(model.optimizer, "observe") else []
    return model.fit(X, Y, batch_size=8, verbose=0, callbacks=callbacks, **settings).history


def everything(model):
    return common.arrays(model) + [keras.ops.convert_to_numpy(v) for v in model.metrics_variables]


def draws():
    return [random.getstate(), np.random.get_state()[1].tolist(), lehr.keras.learner.generators()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_bit_identically(name):
    tested, untouched = (network(OPTIMIZERS[name]()) for _ in range(2))
    for model in (tested, untouched):
        keras.utils.set_random_seed(2)
        fit(model)
    optimizer, function = tested.optimizer, tested.train_function
    rate, count = common.inner(tested)._learning_rate, len(optimizer.variables)
    before, drawn = everything(tested), repr(draws())
    sweep = lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=40)
    assert len(sweep.losses) > 20
    assert tested.optimizer is optimizer
    assert tested.train_function is function
    assert common.inner(tested)._learning_rate is rate
    assert repr(draws()) == drawn
    assert len(optimizer.variables) == count
    assert common.same(before, everything(tested))
    assert_they_go_on_alike(tested, untouched)


def assert_they_go_on_alike(*models):
    histories = []
    for model in models:
        keras.utils.set_random_seed(3)
        histories.append(fit(model, validation_data=(X, Y)))
    assert histories[0] == histories[1]
    assert common.same(*map(everything, models))


@pytest.mark.parametrize("name", ["SGD", "a policy", "accumulating", "schedule-free"])
def test_a_model_that_never_trained(name):
    tested, untouched = (network(OPTIMIZERS[name]()) for _ in range(2))
    lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=20)
    untouched.test_on_batch(X, Y)  # built alike: fit draws an order of the rows to do it
    untouched.optimizer.build(untouched.trainable_variables)
    assert_they_go_on_alike(tested, untouched)


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
def test_low_precision(dtype):
    tested, untouched = (network(SGD(0.1, momentum=0.9), dtype) for _ in range(2))
    for model in (tested, untouched):
        keras.utils.set_random_seed(2)
        fit(model)
    for on_disk in (False, True):
        sweep = lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=20, on_disk=on_disk)
        assert len(sweep.losses) == len(sweep.rates) > 10
    assert_they_go_on_alike(tested, untouched)


def test_averages_come_back():
    """After fit, weights and averages share buffers on JAX."""
    model = network(SGD(use_ema=True, momentum=0.9))
    fit(model)
    before = everything(model)
    lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert common.same(before, everything(model))
    fit(model)


def test_the_model_stays_as_trainable_as_it_was():
    model = network(SGD(0.1))
    model.layers[0].trainable = False
    model.compile(SGD(0.1), loss=LOSS)
    before = model.layers[0].get_weights()
    lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    fit(model)
    assert common.same(before, model.layers[0].get_weights())
    assert [layer.trainable for layer in model.layers] == [False] + [True] * 5


RATES = {
    "a constant": lambda: SGD(0.3),
    "a schedule": lambda: SGD(ExponentialDecay(0.1, 5, 0.5)),
    "a policy": lambda: lehr.keras.attach(SGD(), ONE_CYCLE.lr),
    "accumulating": lambda: SGD(gradient_accumulation_steps=3),
    "loss scaling": lambda: LossScaleOptimizer(SGD(ExponentialDecay(0.1, 5, 0.5))),
}
ONES = np.ones((64, 1), "float32")


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_weight_moves_by_the_rates_of_the_sweep(block, jit, name):
    model = common.one_weight(RATES[name](), steps_per_execution=block, jit_compile=jit)
    common.fit_one_weight(model, 16)
    start = common.number(model.weights[0])
    sweep = lehr.keras.range_test(model, (ONES, ONES), batch_size=2, low=1e-4, high=1.0, steps=40)
    np.testing.assert_allclose(sweep.rates, np.geomspace(1e-4, 1, 40), 4e-7)
    # the loss of an update is the weight before it
    by_hand = start - np.r_[0.0, np.cumsum(sweep.rates)[:-1]]
    np.testing.assert_allclose(sweep.losses, by_hand, rtol=2e-6, atol=1e-7)
    assert common.number(model.weights[0]) == start


def wanted_losses(steps, evaluate=None, **compiled):
    """What Keras's own loop gives, an update at a time."""
    model = network(SGD(momentum=0.9), **compiled)
    keras.utils.set_random_seed(2)
    losses = []
    for step, rate in enumerate(np.geomspace(1e-4, 0.1, steps)):
        model.optimizer.learning_rate = rate
        logs = model.train_on_batch(*PAIRS[step % len(PAIRS)], return_dict=True)
        losses.append(float(logs["loss"]) if evaluate is None else evaluate(model))
    return losses


def sweep_of(data, model=None, **options):
    model = model or network(SGD(momentum=0.9))
    keras.utils.set_random_seed(2)
    return lehr.keras.range_test(model, data, low=1e-4, high=0.1, **options)


def test_losses_are_those_of_train_on_batch():
    np.testing.assert_allclose(sweep_of(PAIRS, steps=40).losses, wanted_losses(40), rtol=1e-4)


class Count(keras.utils.PyDataset):
    def __len__(self):
        return len(PAIRS)

    def __getitem__(self, i):
        return PAIRS[i]


def as_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def as_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=8)


KINDS = {
    "Dataset": as_dataset,
    "PyDataset": Count,
    "DataLoader": as_loader,
    "a generator without length": lambda: (pair for pair in PAIRS * 4),
    "a smaller last batch": lambda: [*PAIRS, (X[:3], Y[:3])],
    "float64": lambda: [(x.astype("float64"), y, None) for x, y in PAIRS],
    "weights of one": lambda: [(x, y, np.ones(8)) for x, y in PAIRS],
}


@functools.cache
def reference():
    return sweep_of(PAIRS, common.regression(SGD()), steps=40)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_kind(kind):
    sweep = sweep_of(KINDS[kind](), common.regression(SGD()), steps=40)
    np.testing.assert_allclose(sweep.losses, reference().losses, rtol=1e-5)


def test_a_generator_is_read_no_further_than_the_test_gets():
    left = iter(PAIRS * 4)
    sweep_of(left, steps=21)
    assert len(list(left)) == 48 - 21


def two_inputs(kind, loss="mse"):
    keras.utils.set_random_seed(1)
    a, b = (keras.Input((5,), name=name) for name in "ab")
    inputs = {"a": a, "b": b} if kind is dict else [a, b]
    output = keras.layers.Dense(1, name="c")(a + b)
    model = keras.Model(inputs, {"c": output, "d": output * 2} if kind is dict else output)
    model.compile(SGD(), loss=loss)
    return model


def test_nested_arrays():
    y = Y[:, None].astype("float32")
    weights = np.linspace(0, 1, 96)
    plain = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    plain.compile(SGD(), loss="mse")
    sweeps = []
    for kind, data in ((list, ([X, X], y, weights)), (tuple, ((X, X), y, weights))):
        sweeps.append(sweep_of(data, two_inputs(kind), steps=20))
    plain.set_weights(two_inputs(list).get_weights())
    sweeps.append(sweep_of((2 * X, y, weights), plain, steps=20))
    for sweep in sweeps[:2]:
        np.testing.assert_allclose(sweep.losses, sweeps[2].losses, rtol=1e-5)
    named = two_inputs(dict, {"c": "mse", "d": None})
    sweep = sweep_of(({"a": X, "b": X}, {"c": y, "d": y}), named, steps=20)
    unweighted = sweep_of((2 * X, y), plain, steps=20)
    np.testing.assert_allclose(sweep.losses, unweighted.losses, rtol=1e-5)


def test_the_order_of_arrays_is_the_seeds():
    one, again, two = (sweep_of((X, Y), batch_size=8, seed=s, steps=20) for s in (0, 0, 1))
    assert one == again
    assert one != two


def test_accumulation_is_a_larger_batch():
    sweeps = []
    for size, each in ((24, None), (8, 3)):
        model = common.regression(SGD(momentum=0.9, gradient_accumulation_steps=each))
        pairs = [(X[i : i + size], Y[i : i + size]) for i in range(0, 96, size)]
        sweeps.append(sweep_of(pairs, model, steps=40))
    assert sweeps[0].rates == sweeps[1].rates
    np.testing.assert_allclose(sweeps[0].losses, sweeps[1].losses, rtol=1e-4)


OTHER = common.data(40, seed=9)


@pytest.mark.parametrize("kind", ["arrays", "a list of batches", "a Dataset"])
def test_validation_loss_after_each_update(kind):
    data = {
        "arrays": lambda: OTHER,
        "a list of batches": lambda: [(OTHER[0][i : i + 8], OTHER[1][i : i + 8]) for i in (0, 8)],
        "a Dataset": as_dataset,
    }[kind]()
    arrays = {"arrays": OTHER, "a Dataset": (X, Y)}.get(kind, (OTHER[0][:16], OTHER[1][:16]))

    def evaluate(model):
        with lehr.keras.generators.untouched():
            return model.evaluate(*arrays, verbose=0, return_dict=True)["loss"]

    tested = network(SGD(momentum=0.9))
    sweep = sweep_of(PAIRS, tested, steps=20, validation_data=data)
    assert sweep.objective == "validation"
    np.testing.assert_allclose(sweep.losses, wanted_losses(20, evaluate), rtol=1e-4)
    assert tested.test_function is None


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_it_restores_after_an_error_and_leaves_no_file(error, on_disk, tmp_path, monkeypatch):
    def failing():
        yield from PAIRS * 2
        assert not common.same(before, everything(model))
        raise error("stop")

    model = network(OPTIMIZERS["a schedule of Keras"]())
    fit(model)
    before, rate = everything(model), model.optimizer._learning_rate
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(error, match="stop"):
        lehr.keras.range_test(model, failing(), on_disk=on_disk)
    assert common.same(before, everything(model))
    assert model.optimizer._learning_rate is rate
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_ends_it():
    model = network(SGD(0.1))
    fit(model)
    before = everything(model)
    bad = [*PAIRS, *PAIRS, (X[:8] * np.nan, Y[:8]), *PAIRS]
    sweep = lehr.keras.range_test(model, bad, high=0.01)
    assert (sweep.stopped, len(sweep.losses)) == ("not finite", 25)
    assert common.same(before, everything(model))


def test_not_compiled():
    compiled = {"jit_compile": False} if BACKEND == "jax" else {"run_eagerly": True}
    sweep = sweep_of(PAIRS, network(SGD(momentum=0.9), **compiled), steps=20)
    np.testing.assert_allclose(sweep.losses, wanted_losses(20), rtol=1e-4)


def test_compiled_on_torch(monkeypatch):
    if BACKEND != "torch":
        pytest.skip("elsewhere it is the usual way")
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda step: compiled.append(1) or step)
    model = network(SGD(momentum=0.9), jit_compile=True)
    np.testing.assert_allclose(
        sweep_of(PAIRS, model, steps=20).losses, sweep_of(PAIRS, steps=20).losses, rtol=1e-5
    )
    assert compiled == [1]


class OwnStep(keras.Sequential):
    def train_step(self, *args):
        logs = super().train_step(*args)
        if BACKEND == "jax":
            return {"mine": logs[0]["loss"]}, logs[1]
        return {"mine": logs["loss"]}


class OwnLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((y_pred - x[:, :1]) ** 2)


def built(cls, optimizer=None, loss=None):
    model = cls([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile(optimizer or SGD(), loss=loss)
    return model


def test_data_without_targets_for_a_model_with_a_loss_of_its_own():
    sweep = lehr.keras.range_test(built(OwnLoss), (X,), steps=20)
    assert len(sweep.losses) == 20
    lehr.keras.range_test(built(OwnLoss), [X[:8], X[8:16]], steps=20, validation_data=(X,))


def multi():
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(SGD()))


MODELS = {
    "not compiled": (lambda: keras.Sequential(), r"model must be compiled.*model\.compile"),
    "two optimizers": (
        lambda: built(keras.Sequential, multi(), "mse"),
        "must be one with one rate",
    ),
    "no loss": (lambda: built(OwnStep, loss="mse"), r"the batch as 'loss', got \['mine'\]"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_are_refused(case):
    make, message = MODELS[case]
    with pytest.raises(ValueError, match=message):
        lehr.keras.range_test(make(), (X, Y))


LONG = [(X[:8], Y[:8]), (X, Y)]
WIDE = [(X[:8], Y[:8]), (X[:8, :4], Y[:8])]
DATA = {
    "an array": ({"data": X}, r"data must be \(x, y\) or \(x, y, sample_weight\).*got 'ndarray'"),
    "a name": ({"data": "mnist"}, "data must be .*got 'str'"),
    "no targets": ({"data": (X,)}, "data must be .*got 'tuple of 1'"),
    "no targets in a batch": ({"data": [X]}, "data must be .*got 'ndarray of 1'"),
    "too many": ({"data": (X, Y, Y, Y)}, "data must be .*got 'tuple of 4'"),
    "unequal": ({"data": (X, Y[:9])}, r"data must be arrays of one length, above 0, got \[9, 96\]"),
    "empty arrays": ({"data": (X[:0], Y[:0])}, r"of one length, above 0, got \[0\]"),
    "empty": ({"data": []}, r"data must be one with a batch for each update, or .*, got \[\]"),
    "a short generator": ({"data": iter(PAIRS)}, "data must be one with a batch for each update"),
    "a longer batch": ({"data": LONG}, "data must be batches of one shape: 8 rows of .*got '96"),
    "a narrower batch": ({"data": WIDE}, "data must be batches of one shape.*pad them"),
    "a large batch": ({"batch_size": 97}, "batch_size must be at most the 96 training rows"),
    "no batch": ({"batch_size": 0}, "batch_size must be a whole number >= 1, got 0"),
    "one pass": ({"validation_data": iter(PAIRS)}, "validation_data must be .*pass a list"),
    "unlike": (
        {"validation_data": (X[:, :4], Y)},
        r"validation_data must be like the data.*\(4,\)",
    ),
    "validation without targets": ({"validation_data": (X,)}, "validation_data must be .*of 1"),
    "empty validation": ({"validation_data": []}, "validation_data must be one with"),
    "an option": ({"high": 1e-9}, "high must be above low"),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_arguments_are_refused_and_nothing_is_lost(case):
    options, message = DATA[case]
    model = network(SGD(0.1))
    fit(model)
    before = everything(model)
    with pytest.raises(ValueError, match=message):
        lehr.keras.range_test(model, **({"data": (X, Y)} | options))
    assert common.same(before, everything(model))


def test_the_example_runs():
    import doctest

    assert doctest.testmod(sys.modules["lehr.keras.finder"]).failed == 0
