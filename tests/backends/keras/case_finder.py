"""The range test on a user's compiled model restores the model, optimizer and generators."""

import random
import sys
import tempfile

import keras
import keras_models as models
import numpy as np
import pytest
from keras.optimizers import SGD, Adam, AdamW, LossScaleOptimizer
from keras.optimizers.schedules import ExponentialDecay
from keras_models import BACKEND, LOSS, ONE_CYCLE, PAIRS, X, Y, everything, fit, network

import lehr
import lehr.keras

BLOCKS_OF = lehr.keras.blocks.BLOCKS
PLATEAU = lehr.Policy(lr=ONE_CYCLE.lr, momentum=0.8, control=lehr.Plateau("loss"))

OPTIMIZERS = {
    "SGD": lambda: SGD(0.1, momentum=0.9),
    "AdamW": lambda: AdamW(weight_decay=0.01),
    "a schedule of Keras": lambda: Adam(ExponentialDecay(0.1, 5, 0.5)),
    "a schedule of lehr": lambda: SGD(lehr.keras.schedule(ONE_CYCLE.lr)),
    "a function": lambda: SGD(lambda: 0.05),
    "a policy": lambda: lehr.keras.attach(SGD(momentum=0.9), PLATEAU, record=8),
    "accumulating": lambda: Adam(gradient_accumulation_steps=5),  # 12 batches: 2.4 updates
    "loss scaling": lambda: LossScaleOptimizer(AdamW(ExponentialDecay(0.1, 5, 0.5))),
    "a scaled policy": lambda: LossScaleOptimizer(lehr.keras.attach(Adam(), ONE_CYCLE.lr)),
    "Muon": lambda: keras.optimizers.Muon(0.01),
}
SCHEDULE_FREE = []
if hasattr(keras.optimizers, "ScheduleFreeAdamW"):  # since Keras 3.14
    SCHEDULE_FREE = ["schedule-free"]
    OPTIMIZERS["schedule-free"] = lambda: keras.optimizers.ScheduleFreeAdamW()


def draws():
    torchs = lehr.keras.generators.generators().values()
    return random.getstate(), np.random.get_state()[1].tolist(), [a.tolist() for a in torchs]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_continues_bit_identically(name):
    tested, untouched = (network(OPTIMIZERS[name]()) for _ in range(2))
    for model in (tested, untouched):
        keras.utils.set_random_seed(2)
        fit(model)
    optimizer, function = tested.optimizer, tested.train_function
    rate, count = models.inner(tested)._learning_rate, len(optimizer.variables)
    before, drawn = everything(tested), draws()
    sweep = lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=40)
    assert len(sweep.losses) > 20
    assert tested.optimizer is optimizer
    assert tested.train_function is function
    assert models.inner(tested)._learning_rate is rate
    assert draws() == drawn
    assert len(optimizer.variables) == count
    assert models.same(before, everything(tested))
    assert_they_continue_identically(tested, untouched)


def assert_they_continue_identically(*trained):
    histories = []
    for model in trained:
        keras.utils.set_random_seed(3)
        histories.append(fit(model, validation_data=(X, Y)))
    assert histories[0] == histories[1]
    assert models.same(*map(everything, trained))


@pytest.mark.parametrize("name", ["SGD", "a policy", "accumulating", *SCHEDULE_FREE])
def test_a_model_that_never_trained(name):
    tested, untouched = (network(OPTIMIZERS[name]()) for _ in range(2))
    lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=20)
    untouched.test_on_batch(X, Y)  # builds the model as fit does, which draws an order of the rows
    untouched.optimizer.build(untouched.trainable_variables)
    assert_they_continue_identically(tested, untouched)


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
def test_low_precision(dtype):
    tested, untouched = (network(SGD(0.1, momentum=0.9), dtype=dtype) for _ in range(2))
    for model in (tested, untouched):
        keras.utils.set_random_seed(2)
        fit(model)
    for on_disk in (False, True):
        sweep = lehr.keras.range_test(tested, (X, Y), batch_size=8, steps=20, on_disk=on_disk)
        assert len(sweep.losses) == len(sweep.rates) > 10
    assert_they_continue_identically(tested, untouched)


def test_averages_are_restored():
    """After fit, weights and averages share buffers on JAX."""
    model = network(SGD(use_ema=True, momentum=0.9))
    fit(model)
    before = everything(model)
    lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert models.same(before, everything(model))
    fit(model)


def test_trainable_flags_are_unchanged():
    model = network(SGD(0.1))
    model.layers[0].trainable = False
    model.compile(SGD(0.1), loss=LOSS)
    before = model.layers[0].get_weights()
    lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    fit(model)
    assert models.same(before, model.layers[0].get_weights())
    assert [layer.trainable for layer in model.layers] == [False] + [True] * 5


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_it_restores_after_an_error_and_removes_its_files(error, on_disk, tmp_path, monkeypatch):
    def failing():
        yield from PAIRS * 2
        assert not models.same(before, everything(model))
        raise error("stop")

    model = network(OPTIMIZERS["a schedule of Keras"]())
    fit(model)
    before, rate = everything(model), model.optimizer._learning_rate
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(error, match="stop"):
        lehr.keras.range_test(model, failing(), on_disk=on_disk)
    assert models.same(before, everything(model))
    assert model.optimizer._learning_rate is rate
    assert list(tmp_path.iterdir()) == []


def test_it_restores_after_an_interruption_of_a_block(monkeypatch):
    """On JAX a block donates the buffers of the variables."""
    make = BLOCKS_OF[BACKEND]

    def interrupted(model, moved):
        def block(*args):
            make(model, moved)(*args)
            for variable in model.trainable_variables if BACKEND == "jax" else ():
                variable.value.delete()
            raise KeyboardInterrupt("stop")

        return block

    monkeypatch.setitem(BLOCKS_OF, BACKEND, interrupted)
    model = network(SGD(momentum=0.9, gradient_accumulation_steps=5))
    fit(model)
    before = everything(model)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        lehr.keras.range_test(model, (X, Y))
    assert models.same(before, everything(model))


class Noisy(keras.utils.PyDataset):
    """Draws from its NumPy generator and from Keras's global generator."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(1)

    def __len__(self):
        return len(PAIRS)

    def __getitem__(self, i):
        noise = keras.ops.convert_to_numpy(keras.random.normal((8, 5)))
        return PAIRS[i][0] + noise * self.random.random(), PAIRS[i][1]


@pytest.mark.parametrize("drawn", [False, True])
def test_generators_of_keras_and_of_the_data_are_restored(drawn):
    batches = []
    for tested in (False, True):
        keras.backend.clear_session()  # Keras 3.12 does not seed its existing generator
        keras.utils.set_random_seed(1)
        model, noisy = models.regression(SGD()), Noisy()
        if drawn:  # otherwise Keras creates its generator at the first draw
            keras.random.normal((1,))
        if tested:
            lehr.keras.range_test(model, noisy, steps=20, high=1e-3)
        batches.append([noisy[i][0] for i in range(3)])
    assert models.same(*batches)


def test_statistics_of_a_torch_module_are_restored():
    if BACKEND != "torch":
        pytest.skip("it runs in Keras on torch alone")
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
    model = keras.Sequential([keras.layers.TorchModuleWrapper(module), keras.layers.Dense(3)])
    model.compile(SGD(), loss=LOSS)
    fit(model)
    before = [buffer.clone() for buffer in module.buffers()]
    lehr.keras.range_test(model, (X, Y), steps=20)
    assert all(torch.equal(a, b) for a, b in zip(before, module.buffers(), strict=True))
    assert len(before) == 3


def test_a_loss_that_is_not_finite_ends_it():
    model = network(SGD(0.1))
    fit(model)
    before = everything(model)
    weights = np.ones((36, 8))
    weights[24] = np.nan
    bad = [(*pair, w) for pair, w in zip(PAIRS * 3, weights, strict=True)]
    sweep = lehr.keras.range_test(model, bad, high=0.01)
    assert (sweep.stopped, len(sweep.losses)) == ("not finite", 25)
    assert models.same(before, everything(model))


def test_the_example_runs():
    import doctest

    assert doctest.testmod(sys.modules["lehr.keras.finder"]).failed == 0
