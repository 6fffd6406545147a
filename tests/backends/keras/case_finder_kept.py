"""The range test keeps its compiled updates for the next one, and nothing else of the user's."""

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

COMPILES = pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled there")


class Counting(keras.Sequential):
    """Counts how often Python runs its step: when it is traced."""

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


def compile_again(model):
    model.compile(model.optimizer, loss=LOSS)


def freeze(model):
    model.layers[0].trainable = False
    model.compile(SGD(0.1, momentum=0.9), loss=LOSS)


def other_optimizer(model):
    model.optimizer = SGD(0.1, momentum=0.9)


def other_momentum(model):
    model.optimizer.momentum = 0.5


@COMPILES
@pytest.mark.parametrize("rate", [0.1, ExponentialDecay(0.1, 5, 0.5)], ids=["number", "schedule"])
def test_a_second_test_compiles_nothing(rate):
    model = counting(SGD(rate, momentum=0.9))
    assert traced_by(model) > 0
    assert traced_by(model, low=1e-3, seed=3) == 0
    fit(model)
    assert traced_by(model) == 0


@COMPILES
@pytest.mark.parametrize("change", [compile_again, freeze, other_optimizer, other_momentum])
def test_what_changes_the_graph_makes_another(change):
    model = counting(SGD(0.1, momentum=0.9))
    traced_by(model)
    change(model)
    assert traced_by(model) > 0
    assert traced_by(model) == 0


NAMES = ["SGD", "a schedule of Keras", "a policy", "accumulating", "a scaled policy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_later_test_is_as_the_first_would_be(name):
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
def test_a_model_that_was_tested_can_be_forgotten(name):
    model = network(OPTIMIZERS[name]())
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_an_old_optimizer_is_forgotten_when_the_model_is_compiled_anew():
    model = network(SGD(ExponentialDecay(0.1, 5, 0.5)))
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    gone = weakref.ref(model.optimizer)
    model.compile(SGD(0.1), loss=LOSS)
    gc.collect()
    assert gone() is None


def test_nothing_is_written_on_the_users_objects():
    model = network(SGD(0.1))
    fit(model)
    optimizer = models.inner(model)
    before = [dict(vars(thing)) for thing in (model, optimizer)]
    lehr.keras.range_test(model, (X, Y), steps=20, batch_size=8)
    for thing, had in zip((model, optimizer), before, strict=True):
        assert vars(thing).keys() == had.keys()
        assert all(vars(thing)[name] is value for name, value in had.items())
