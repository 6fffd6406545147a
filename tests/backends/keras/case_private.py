"""lehr.keras._private: each private name exists, and a version without it raises one error.

Verified with Keras 3.12.0 and 3.15.1.
"""

import inspect
import re
import sys
from pathlib import Path

import keras
import keras_models as models
import numpy as np
import pytest
from keras.layers import Layer
from keras.optimizers import SGD
from keras_models import network, number

import lehr.keras
from lehr.keras import _private

ROOT = Path(__file__).parents[3]
DATA = models.data()


def test_the_error_names_the_versions_that_the_project_supports():
    oldest, newest = _private.SUPPORTED
    assert f'"keras>={oldest.removesuffix(".0")}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\nkeras=={newest}\n" in (ROOT / "constraints.txt").read_text()
    assert f"\nkeras=={oldest}\n" in (ROOT / "constraints-lowest.txt").read_text()


@pytest.fixture
def gone(monkeypatch):
    """Return a function that deletes a name from its class or object; it returns the message."""

    def take(owner, name, purpose):
        kind = type(owner).__name__
        for place in (owner, *type(owner).__mro__):
            if name in vars(place):
                monkeypatch.delattr(place, name)
        assert not hasattr(owner, name)
        monkeypatch.setattr(keras, "__version__", "9.9")
        rule = f"Keras must be a version with {kind}.{name}, which lehr uses to {purpose}"
        return rf"{re.escape(rule)}.*, got '9\.9'; install keras>=3\.\d+\.0,<=3\.15"

    return take


def refuses(message):
    return pytest.raises(RuntimeError, match=message)


def test_flatten_returns_all_layers_of_a_model(gone):
    inner = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dropout(0.5)])
    model = keras.Sequential([keras.layers.Input((5,)), inner, keras.layers.Dense(2)])
    found = _private.flatten_layers(model)
    assert model in found
    assert inner.layers[-1] in found
    assert model.layers[-1] in found
    with refuses(gone(model, "_flatten_layers", "find all layers")):
        lehr.keras.MonteCarlo(model)


def test_flatten_returns_layers_inside_a_layer(gone):
    class Pair(Layer):
        def __init__(self):
            super().__init__()
            self.dense, self.drop = keras.layers.Dense(2), keras.layers.Dropout(0.5)

    pair = Pair()
    assert _private.sublayers(pair) == [pair.dense, pair.drop]
    assert _private.sublayers(pair.dense) == []
    with refuses(gone(pair, "_layers", "find the layers inside")):
        _private.sublayers(pair)


def test_a_training_argument_of_call_is_detected(gone):
    class Without(keras.Model):
        def call(self, x):
            return x

    model = network(SGD())
    assert _private.takes_training(model)
    assert not _private.takes_training(Without())
    message = gone(model, "_call_has_training_arg", "call a model with or without")
    with refuses(message):
        lehr.keras.MonteCarlo(model).predict(DATA[0], 2)


def unbuilt():
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(SGD(), loss="sparse_categorical_crossentropy")
    return model


def test_a_model_is_built_as_fit_does(gone):
    model = unbuilt()
    _private.symbolic_build(model, DATA)
    assert model.built
    model = unbuilt()
    with refuses(gone(model, "_symbolic_build", "build a model")):
        lehr.keras.range_test(model, DATA, steps=20)
    assert not model.built


def test_each_compile_creates_a_config_object():
    model = network(SGD())
    first = _private.compile_config(model)
    assert first is not None
    assert _private.compile_config(model) is first
    model.compile(SGD(), loss="mse")
    assert _private.compile_config(model) not in (None, first)


def test_without_a_config_object_range_tests_do_not_cache():
    from lehr.keras.compiled_cache import compiled_cache

    def tested():
        model = network(SGD())
        return model, lehr.keras.range_test(model, DATA, steps=20)

    _, wanted = tested()
    model, _ = tested()
    del model._compile_config
    assert compiled_cache(model) is not compiled_cache(model)
    model = network(SGD())
    del model._compile_config
    assert lehr.keras.range_test(model, DATA, steps=20).losses == wanted.losses


def test_learning_rate_returns_the_schedule_or_variable(gone):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert _private.learning_rate(SGD(schedule)) is schedule
    assert isinstance(_private.learning_rate(SGD(0.1)), keras.Variable)
    optimizer = SGD(0.1)
    with refuses(gone(optimizer, "_learning_rate", "find the source of")):
        lehr.keras.attach(optimizer, 0.5)


def test_the_count_of_batches_includes_those_without_an_update():
    optimizer, weight = SGD(0.1, gradient_accumulation_steps=2), keras.Variable(0.0)
    for _ in range(3):
        optimizer.apply([keras.ops.ones(())], [weight])
    assert int(_private.batches_applied(optimizer)) == 3
    assert int(optimizer.iterations) == 1
    with pytest.raises(RuntimeError, match=r"with object\._iterations, which lehr uses to count"):
        _private.batches_applied(object())


def test_a_count_outside_the_trace_is_detected(gone):
    optimizer = lehr.keras.attach(SGD(), 0.1)
    assert not _private.stale_count(optimizer)
    if keras.backend.backend() == "jax":
        import jax

        assert jax.jit(lambda: _private.stale_count(optimizer))()
        with refuses(gone(optimizer, "_iterations", "read the update count")):
            optimizer.values()


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("_track_variable", "add a variable to an optimizer"),
        ("_untrack_variable", "remove a variable from an optimizer"),
    ],
)
def test_a_variable_can_be_tracked_and_untracked(gone, name, purpose):
    optimizer, variable = SGD(), keras.Variable(1.0)
    before = len(optimizer.variables)
    _private.track_variable(optimizer, variable)
    assert any(v is variable for v in optimizer.variables)
    _private.untrack_variable(optimizer, variable)
    assert len(optimizer.variables) == before
    model = network(SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)))
    model.optimizer.build(model.trainable_variables)
    with refuses(gone(optimizer, name, purpose)):
        lehr.keras.range_test(model, DATA, steps=20)


@pytest.mark.parametrize("name", ["_iterations", "_accumulated_gradients"])
def test_accumulation_is_reset(gone, name):
    model = network(SGD(gradient_accumulation_steps=4))
    optimizer = model.optimizer
    model.fit(*DATA, batch_size=16, verbose=0)  # 6 micro-batches
    assert number(optimizer._iterations) == 6
    assert any(np.any(keras.ops.convert_to_numpy(g)) for g in optimizer._accumulated_gradients)
    _private.reset_accumulation(optimizer)
    assert number(optimizer._iterations) == 4
    assert not any(np.any(keras.ops.convert_to_numpy(g)) for g in optimizer._accumulated_gradients)
    saved = vars(optimizer)[name]
    with refuses(gone(optimizer, name, "discard accumulated gradients")):
        _private.reset_accumulation(optimizer)
    vars(optimizer)[name] = saved


@pytest.fixture
def unchecked():
    """Check the names again in this test, and after it."""
    _private._check_exclusions.cache_clear()
    yield
    _private._check_exclusions.cache_clear()


def test_weights_excluded_from_decay_stay_excluded(unchecked, monkeypatch):
    def optimizer():
        made = SGD(weight_decay=0.1)
        made.exclude_from_weight_decay(var_names=["bias"])
        return made

    attached = lehr.keras.attach(optimizer(), 0.1)
    model = network(attached)
    attached.build(model.trainable_variables)
    decaying = [v.name for v in model.trainable_variables if attached._use_weight_decay(v)]
    assert "kernel" in decaying
    assert "bias" not in decaying
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        _private._check_exclusions.cache_clear()
        monkeypatch.setattr(_private, "_EXCLUSIONS", (name + "_gone",))
        message = f"a version with Optimizer.{name}_gone, which .* the weights that do not decay"
        with refuses(message):
            lehr.keras.attach(optimizer(), 0.1)


def test_the_check_of_exclusions_does_not_change_later_optimizer_names(unchecked):
    keras.backend.clear_session()
    _private._check_exclusions()
    assert SGD().name.lower() == "sgd"


def test_the_global_seed_generator_is_read_and_set(monkeypatch):
    keras.utils.set_random_seed(1)
    _private.set_global_seed_generator(None)
    assert _private.global_seed_generator() is None
    keras.random.uniform((1,))
    first = _private.global_seed_generator()
    assert isinstance(first, keras.random.SeedGenerator)
    _private.set_global_seed_generator(None)
    keras.random.uniform((1,))
    assert _private.global_seed_generator() is not first
    module = "keras.src.backend.common"
    monkeypatch.delattr(sys.modules[module], "global_state")
    monkeypatch.setitem(sys.modules, f"{module}.global_state", None)
    with refuses(r"a version with keras\.src\.backend\.common\.global_state, which lehr uses"):
        lehr.keras.range_test(network(SGD()), DATA, steps=20)


def test_driven_optimizers_do_not_shadow_private_names_of_keras():
    from lehr.keras.driver import Driven
    from lehr.keras.hyperparameters import _Hyper

    of_keras = {
        Driven: {*dir(SGD), *vars(SGD())},
        _Hyper: {*dir(keras.Variable), *vars(keras.Variable(0.1))},
    }
    for kind, names in of_keras.items():
        for cls in kind.__mro__:
            if cls.__module__.startswith("lehr."):
                of_lehr = {*vars(cls), *re.findall(r"\bself\.(\w+)", inspect.getsource(cls))}
                assert not {name for name in of_lehr & names if is_private(name)}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")
