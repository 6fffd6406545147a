"""The cache of compiled updates of the range test, and the lifetime of the user's objects."""

import gc
import weakref

import keras
import keras_models as models
import pytest
from case_finder import OPTIMIZERS
from keras.optimizers import SGD
from keras.optimizers.schedules import ExponentialDecay
from keras_models import BACKEND, LOSS, X, Y, fit, network

import lehr
import lehr.keras

COMPILED = pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled there")


class Counting(keras.Sequential):
    """Counts the traces: how often Python runs `train_step`."""

    traced = 0

    def train_step(self, *args):
        Counting.traced += 1
        return super().train_step(*args)


def counting(optimizer):
    layers = [keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    model = Counting([keras.layers.Input((5,)), *layers])
    model.compile(optimizer, loss=LOSS)
    return model


def traced_by(model, **options):
    before = Counting.traced
    lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20, **options)
    return Counting.traced - before


def recompile(model):
    model.compile(model.optimizer, loss=LOSS)


def freeze(model):
    model.layers[0].trainable = False
    model.compile(SGD(0.1, momentum=0.9), loss=LOSS)


def other_optimizer(model):
    model.optimizer = SGD(0.1, momentum=0.9)


def other_momentum(model):
    model.optimizer.momentum = 0.5


@COMPILED
@pytest.mark.parametrize("rate", [0.1, ExponentialDecay(0.1, 5, 0.5)], ids=["number", "schedule"])
def test_a_second_test_reuses_the_compiled_updates(rate):
    model = counting(SGD(rate, momentum=0.9))
    assert traced_by(model) > 0
    assert traced_by(model, low=1e-3, seed=3) == 0
    fit(model)
    assert traced_by(model) == 0


@COMPILED
@pytest.mark.parametrize("change", [recompile, freeze, other_optimizer, other_momentum])
def test_a_change_of_the_graph_compiles_again(change):
    model = counting(SGD(0.1, momentum=0.9))
    traced_by(model)
    change(model)
    assert traced_by(model) > 0
    assert traced_by(model) == 0


NAMES = ["SGD", "a schedule of Keras", "a policy", "accumulating", "a scaled policy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_second_test_gives_the_same_curve_as_a_first(name):
    tested, untouched = (network(OPTIMIZERS[name]()) for _ in range(2))
    sweeps = []
    for model in (tested, untouched):
        keras.utils.set_random_seed(2)
        fit(model)
        if model is tested:
            lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
        fit(model)
        keras.utils.set_random_seed(3)
        sweeps.append(lehr.keras.range_test(model, (X, Y), batch_size=8, steps=40))
    assert sweeps[0] == sweeps[1]
    assert len(sweeps[0].losses) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_tested_model_can_be_garbage_collected(name):
    model = network(OPTIMIZERS[name]())
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    reference = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert reference() is None


def test_compiling_the_model_releases_the_old_optimizer():
    model = network(SGD(ExponentialDecay(0.1, 5, 0.5)))
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    reference = weakref.ref(model.optimizer)
    model.compile(SGD(0.1), loss=LOSS)
    gc.collect()
    assert reference() is None


def test_the_users_objects_get_no_attributes():
    model = network(SGD(0.1))
    fit(model)
    optimizer = models.inner(model)
    before = [dict(vars(owner)) for owner in (model, optimizer)]
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    for owner, attributes in zip((model, optimizer), before, strict=True):
        assert vars(owner).keys() == attributes.keys()
        assert all(vars(owner)[name] is value for name, value in attributes.items())
