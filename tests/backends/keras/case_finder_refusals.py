"""Input that the range test rejects, and the fix that each error names."""

import inspect

import keras
import keras_models as models
import pytest
from keras.optimizers import SGD, LossScaleOptimizer
from keras_models import BACKEND, PAIRS, X, Y, everything, fit, network

import lehr
import lehr.keras


class CustomStep(keras.Sequential):
    def train_step(self, *args):
        logs = super().train_step(*args)
        if BACKEND == "jax":
            return {"mine": logs[0]["loss"]}, logs[1]
        return {"mine": logs["loss"]}


class CustomLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((y_pred - x[:, :1]) ** 2)


def built(cls, optimizer=None, loss=None):
    model = cls([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile(optimizer or SGD(), loss=loss)
    return model


def test_data_without_targets_for_a_model_with_a_custom_loss():
    sweep = lehr.keras.range_test(built(CustomLoss), (X,), steps=20)
    assert len(sweep.losses) == 20
    lehr.keras.range_test(built(CustomLoss), [X[:8], X[8:16]], steps=20, validation_data=(X,))


def multi():
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(SGD()))


MODELS = {
    "not compiled": (lambda: keras.Sequential(), r"model must be compiled.*model\.compile"),
    "no loss": (lambda: built(CustomStep, loss="mse"), r"the batch as 'loss', got \['mine'\]"),
}
if hasattr(keras.optimizers, "MultiOptimizer"):  # since Keras 3.15
    MODELS |= {
        "scaled, two optimizers": (
            lambda: built(keras.Sequential, LossScaleOptimizer(multi()), "mse"),
            "optimizer must be an optimizer with one rate",
        ),
        "two optimizers": (
            lambda: built(keras.Sequential, multi(), "mse"),
            "optimizer must be an optimizer with one rate",
        ),
    }


@pytest.mark.parametrize("case", MODELS)
def test_unsupported_models_are_rejected(case):
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
    "unequal": ({"data": (X, Y[:9])}, r"arrays of the same length, above 0, got \[9, 96\]"),
    "empty arrays": ({"data": (X[:0], Y[:0])}, r"of the same length, above 0, got \[0\]"),
    "empty": ({"data": []}, r"data must be an iterable with a batch for each update, .*, got \[\]"),
    "a short generator": ({"data": iter(PAIRS)}, "data must be an iterable with a batch for each"),
    "a longer batch": ({"data": LONG}, "data must be batches of one shape: 8 rows of .*got '96"),
    "a narrower batch": ({"data": WIDE}, "data must be batches of one shape.*pad them"),
    "a large batch": ({"batch_size": 97}, "batch_size must be at most the 96 training rows"),
    "no batch": ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
    "one pass": ({"validation_data": iter(PAIRS)}, "validation_data must be .*pass a list"),
    "unlike": (
        {"validation_data": (X[:, :4], Y)},
        r"validation_data must be data with rows of shape.*\(4,\)",
    ),
    "validation without targets": ({"validation_data": (X,)}, "validation_data must be .*of 1"),
    "empty validation": ({"validation_data": []}, "validation_data must be an iterable with"),
    "a folder": ({"on_disk": "x"}, "on_disk must be True or False, got 'x'"),
    "an option": ({"high": 1e-9}, "high must be above low"),
}


def test_the_shared_arguments_have_the_defaults_of_every_range_test():
    shared = inspect.signature(lehr.range_test).parameters
    own = inspect.signature(lehr.keras.range_test).parameters
    for name in ("low", "high", "steps", "spacing", "divergence"):
        assert own[name] == shared[name]


@pytest.mark.parametrize("case", DATA)
def test_bad_arguments_are_rejected_and_the_model_is_unchanged(case):
    options, message = DATA[case]
    model = network(SGD(0.1))
    fit(model)
    before = everything(model)
    with pytest.raises((TypeError, ValueError), match=message):
        lehr.keras.range_test(model, **({"data": (X, Y)} | options))
    assert models.same(before, everything(model))
