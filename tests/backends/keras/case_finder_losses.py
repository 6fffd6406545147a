"""The range test: rates applied, losses of each batch, data of any kind."""

import functools

import keras
import keras_models as models
import numpy as np
import pytest
from keras.optimizers import SGD, LossScaleOptimizer
from keras.optimizers.schedules import ExponentialDecay
from keras_models import BACKEND, BLOCKS, JITS, ONE_CYCLE, PAIRS, X, Y, network

import lehr
import lehr.keras

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
    model = models.one_weight(RATES[name](), steps_per_execution=block, jit_compile=jit)
    models.fit_one_weight(model, 16)
    start = models.number(model.weights[0])
    sweep = lehr.keras.range_test(model, (ONES, ONES), batch_size=2, low=1e-4, high=1.0, steps=40)
    np.testing.assert_allclose(sweep.rates, np.geomspace(1e-4, 1, 40), 4e-7)
    # the loss of an update is the weight before it
    by_hand = start - np.r_[0.0, np.cumsum(sweep.rates)[:-1]]
    np.testing.assert_allclose(sweep.losses, by_hand, rtol=2e-6, atol=1e-7)
    assert models.number(model.weights[0]) == start


def expected_losses(steps, evaluate=None, **compiled):
    """Losses of Keras's train_on_batch, one update at a time."""
    model = network(SGD(momentum=0.9), **compiled)
    keras.utils.set_random_seed(2)
    losses = []
    for step, rate in enumerate(np.geomspace(1e-4, 0.1, steps)):
        model.optimizer.learning_rate = rate
        model.reset_metrics()  # Keras 3.12 does not reset the metrics
        logs = model.train_on_batch(*PAIRS[step % len(PAIRS)], return_dict=True)
        losses.append(float(logs["loss"]) if evaluate is None else evaluate(model))
    return losses


def sweep_of(data, model=None, **options):
    model = model or network(SGD(momentum=0.9))
    keras.utils.set_random_seed(2)
    return lehr.keras.range_test(model, data, low=1e-4, high=0.1, **options)


def test_losses_are_those_of_train_on_batch():
    np.testing.assert_allclose(sweep_of(PAIRS, steps=40).losses, expected_losses(40), rtol=1e-4)


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
    return sweep_of(PAIRS, models.regression(SGD()), steps=40)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_kind(kind):
    sweep = sweep_of(KINDS[kind](), models.regression(SGD()), steps=40)
    np.testing.assert_allclose(sweep.losses, reference().losses, rtol=1e-5)


def test_the_rates_of_a_linear_test():
    sweep = sweep_of(PAIRS, steps=20, spacing="linear")
    np.testing.assert_allclose(sweep.rates, np.linspace(1e-4, 0.1, 20), rtol=4e-7)


def test_it_stops_where_the_loss_diverges():
    model = models.regression(SGD())
    targets = X[:, :1]
    sweep = lehr.keras.range_test(model, (X, targets), batch_size=8, high=1e3)
    assert sweep.stopped == "diverged"
    assert len(sweep.losses) < 100
    assert sweep.losses[-1] > 4 * min(sweep.losses)


def learner(seed=0, weight_decay=0.0, momentum=0.9, batch_size=8):
    model = models.network(SGD(momentum=momentum, weight_decay=weight_decay), seed=seed)
    return lehr.keras.Learner(model, (X, Y), batch_size=batch_size, seed=seed)


def test_several_seeds_give_a_band():
    sweeps = lehr.finder.repeat(learner, range(3), high=100.0)
    assert len({sweep.losses for sweep in sweeps}) == 3
    found = lehr.finder.agree(sweeps, "one-cycle")
    assert found.lr is None or 1e-3 < found.low <= found.lr <= found.high < 100


def test_a_grid_over_weight_decay_momentum_and_batch_size():
    axes = {"weight_decay": [1e-3], "momentum": [0.5, 0.9], "batch_size": [8, 24]}
    cells = lehr.finder.grid(learner, axes, steps=40)
    assert len(cells) == 4
    assert len({cell.sweep.losses for cell in cells}) == 4
    one = next(c for c in cells if tuple(c.settings.values()) == (1e-3, 0.9, 8))
    assert one.sweep == lehr.range_test(learner(weight_decay=1e-3), steps=40)


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
        model = models.regression(SGD(momentum=0.9, gradient_accumulation_steps=each))
        pairs = [(X[i : i + size], Y[i : i + size]) for i in range(0, 96, size)]
        sweeps.append(sweep_of(pairs, model, steps=40))
    assert sweeps[0].rates == sweeps[1].rates
    np.testing.assert_allclose(sweeps[0].losses, sweeps[1].losses, rtol=1e-4)


OTHER = models.data(40, seed=9)


@pytest.mark.parametrize("kind", ["arrays", "a list of batches", "a Dataset"])
def test_validation_loss_after_each_update(kind):
    data = {
        "arrays": lambda: OTHER,
        "a list of batches": lambda: [(OTHER[0][i : i + 8], OTHER[1][i : i + 8]) for i in (0, 8)],
        "a Dataset": as_dataset,
    }[kind]()
    arrays = {"arrays": OTHER, "a Dataset": (X, Y)}.get(kind, (OTHER[0][:16], OTHER[1][:16]))

    def evaluate(model):
        with lehr.keras.generators.preserve_rng():
            return model.evaluate(*arrays, verbose=0, return_dict=True)["loss"]

    tested = network(SGD(momentum=0.9))
    sweep = sweep_of(PAIRS, tested, steps=20, validation_data=data)
    assert sweep.objective == "validation"
    np.testing.assert_allclose(sweep.losses, expected_losses(20, evaluate), rtol=1e-4)
    assert tested.test_function is None


def test_not_compiled():
    compiled = {"jit_compile": False} if BACKEND == "jax" else {"run_eagerly": True}
    sweep = sweep_of(PAIRS, network(SGD(momentum=0.9), **compiled), steps=20)
    np.testing.assert_allclose(sweep.losses, expected_losses(20), rtol=1e-4)


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
