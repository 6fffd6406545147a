"""lehr.compat.tensorflow_addons: values, steps of all types, serialization and training."""

import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
from compat_keras import smith
from keras import ops
from keras_models import BLOCKS, Weights, fit_one_weight, moved, number, one_weight

import lehr.compat.tensorflow_addons as tfa
from lehr.compat.tensorflow_addons.optimizers import (
    CyclicalLearningRate,
    ExponentialCyclicalLearningRate,
    Triangular2CyclicalLearningRate,
    TriangularCyclicalLearningRate,
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "compat" / "tfa_tutorial.py"
BUILT_IN = [
    TriangularCyclicalLearningRate,
    Triangular2CyclicalLearningRate,
    ExponentialCyclicalLearningRate,
]


@keras.saving.register_keras_serializable("cases")
def inverse(cycle):
    return 1.0 / cycle


def check(schedule, steps, oracle):
    found = ops.convert_to_numpy(schedule(steps))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, oracle, rtol=0, atol=4e-7 * np.abs(oracle).max())


def random_rates(random):
    low = random.uniform(0.0, 0.1)
    return low, random.choice([low + random.uniform(0.0, 1.0), low / 2])


@pytest.mark.parametrize("seed", range(60))
def test_the_values_are_those_of_the_formula(seed):
    random = np.random.default_rng(seed)
    low, high = random_rates(random)
    sizes = [int(random.integers(1, 3000)), random.uniform(0.2, 60.0), random.integers(1, 99) / 4]
    size = sizes[seed % 3]
    steps = np.r_[0:2000, random.integers(0, 10**6, 200)]
    gamma = random.uniform(0.99, 1.00001)
    arguments = low, high, size

    def one(x):
        return 1.0

    def halved(x):
        return 0.5 ** (x - 1)

    def power(x):
        return gamma**x

    def custom(x):
        return 1.5 / x

    check(TriangularCyclicalLearningRate(*arguments), steps, smith(steps, *arguments, one, True))
    check(
        Triangular2CyclicalLearningRate(*arguments), steps, smith(steps, *arguments, halved, True)
    )
    for mode in ("cycle", "iterations"):
        schedule = ExponentialCyclicalLearningRate(*arguments, mode, gamma)
        check(schedule, steps, smith(steps, *arguments, power, mode == "cycle"))
    check(CyclicalLearningRate(*arguments, custom), steps, smith(steps, *arguments, custom, True))


def test_values_by_hand():
    schedule = CyclicalLearningRate(0.25, 1.25, 2, lambda step: step * 0.25, "iterations")
    assert [float(schedule(t)) for t in range(6)] == [0.25, 0.375, 0.75, 0.625, 0.25, 0.875]
    schedule = CyclicalLearningRate(0.0, 1.0, 1.5, lambda cycle: cycle)
    wanted = [0.0, 2 / 3, 2 / 3, 0.0, 4 / 3, 4 / 3, 0.0]
    assert [float(schedule(t)) for t in range(7)] == pytest.approx(wanted, rel=1e-6)


def test_defaults_and_names_are_those_of_tensorflow_addons():
    schedule = ExponentialCyclicalLearningRate(0.1, 0.2, 5)
    assert (schedule.scale_mode, schedule.gamma) == ("iterations", 1.0)
    assert schedule.name == "ExponentialCyclicalLearningRate"
    schedule = TriangularCyclicalLearningRate(0.1, 0.2, 5)
    assert (schedule.scale_mode, schedule.name) == ("cycle", "TriangularCyclicalLearningRate")
    schedule = Triangular2CyclicalLearningRate(0.1, 0.2, 5, "cycle", "mine")
    assert (schedule.scale_mode, schedule.name) == ("cycle", "mine")
    schedule = CyclicalLearningRate(0.1, 0.2, 5, inverse)
    assert (schedule.scale_mode, schedule.name) == ("cycle", "CyclicalLearningRate")
    assert tfa.optimizers.CyclicalLearningRate is CyclicalLearningRate


@pytest.mark.parametrize("kind", ["int32", "int64", "float32", "float64"])
def test_steps_of_all_types(kind):
    if kind.endswith("64") and keras.backend.backend() == "jax":
        pytest.skip("JAX has no 64-bit types by default")
    schedule = TriangularCyclicalLearningRate(0.0, 1.0, 4)
    variable = keras.Variable(6, trainable=False, dtype=kind)
    steps = (variable, np.array(6, kind), ops.cast(6, kind), np.dtype(kind).type(6), 6)
    for step in steps:
        value = schedule(step)
        assert ops.is_tensor(value)
        assert ops.shape(value) == ()
        assert float(value) == 0.5
        if keras.backend.backend() == "tensorflow":
            assert value.numpy() == 0.5
    assert ops.convert_to_numpy(schedule(np.arange(6, dtype=kind).reshape(2, 3))).tolist() == [
        [0.0, 0.25, 0.5],
        [0.75, 1.0, 0.75],
    ]


def test_real_and_negative_steps():
    schedule = TriangularCyclicalLearningRate(0.0, 1.0, 2)
    assert [float(schedule(step)) for step in (0.5, 2.5, 4.5, -0.5, -1)] == [
        *(0.25, 0.75, 0.25, 0.25),
        0.5,
    ]


def test_rates_as_tensors():
    low, size = ops.convert_to_tensor(0.25), ops.convert_to_tensor(2.0)
    high = keras.Variable(0.75, trainable=False)
    schedule = TriangularCyclicalLearningRate(low, high, size)
    assert [float(schedule(step)) for step in range(4)] == [0.25, 0.5, 0.75, 0.5]
    high.assign(1.25)
    assert float(schedule(1)) == 0.75


def test_float64_rates():
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has no 64-bit types by default")
    value = TriangularCyclicalLearningRate(np.array(0.25), 0.75, 2)(1)
    assert keras.backend.standardize_dtype(value.dtype) == "float64"
    assert float(value) == 0.5


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_config_and_a_serialized_schedule_give_an_equal_one(kind):
    more = {"gamma": 0.5} if kind is ExponentialCyclicalLearningRate else {}
    schedule = kind(0.1, 0.5, 2.5, scale_mode="other", **more)
    config = {"initial_learning_rate": 0.1, "maximal_learning_rate": 0.5, "step_size": 2.5}
    assert schedule.get_config() == {**config, "scale_mode": "other", **more}
    saved = keras.saving.serialize_keras_object(schedule)
    assert saved["registered_name"] == f"Addons>{kind.__name__}"
    for other in (
        kind.from_config(schedule.get_config()),
        keras.saving.deserialize_keras_object(saved),
        keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule)),
    ):
        assert type(other) is kind
        assert dir(other) == dir(schedule)
        assert other.get_config() == schedule.get_config()
        steps = np.arange(20)
        assert ops.convert_to_numpy(other(steps)).tolist() == (
            ops.convert_to_numpy(schedule(steps)).tolist()
        )


def test_the_config_has_the_scale_function_itself():
    schedule = CyclicalLearningRate(0.1, 0.5, 2, inverse)
    assert schedule.get_config()["scale_fn"] is inverse
    assert CyclicalLearningRate.from_config(schedule.get_config()).scale_fn is inverse
    saved = keras.saving.serialize_keras_object(schedule)
    assert keras.saving.deserialize_keras_object(saved).scale_fn is inverse
    with pytest.warns(UserWarning, match="includes a `lambda`"):
        saved = keras.saving.serialize_keras_object(
            CyclicalLearningRate(0.0, 1.0, 2, lambda x: x / 2)
        )
    with pytest.raises(ValueError, match="safe_mode=False"):
        keras.saving.deserialize_keras_object(saved, safe_mode=True)
    assert float(keras.saving.deserialize_keras_object(saved, safe_mode=False)(2)) == 0.5


@pytest.mark.parametrize("block", BLOCKS)
def test_training_uses_the_rate_of_each_step_and_a_saved_model_continues(block, tmp_path):
    schedule = CyclicalLearningRate(0.25, 1.0, 2.5, inverse)
    compiled = {} if block == 1 else {"steps_per_execution": block}
    model = one_weight(keras.optimizers.SGD(schedule), **compiled)
    weights = Weights()
    fit_one_weight(model, 32, callbacks=[weights])
    wanted = moved(smith(np.arange(64), 0.25, 1.0, 2.5, inverse, True))
    np.testing.assert_allclose(weights.seen, wanted[block - 1 : 32 : block], rtol=2e-6)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    fit_one_weight(model, 32)
    assert number(model.weights[0]) == pytest.approx(wanted[-1], rel=2e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((None, 1.0, 2), TypeError, "initial_learning_rate must be a number or a tensor, got None"),
        ((0.1, "1", 2), TypeError, "maximal_learning_rate must be a number or a tensor"),
        ((0.1, 1.0, [2]), TypeError, "step_size must be a number or a tensor"),
        ((0.1, 1.0, 0), ValueError, "step_size must be a number above 0"),
        ((0.1, 1.0, -2.5), ValueError, "step_size must be a number above 0"),
        ((0.1, 1.0, float("nan")), ValueError, "step_size must be"),
    ],
)
def test_a_wrong_argument_is_rejected(arguments, error, text):
    with pytest.raises(error, match=text):
        TriangularCyclicalLearningRate(*arguments)


def test_a_wrong_scale_is_rejected():
    with pytest.raises(TypeError, match=r"scale_fn must be a function, got 0\.5"):
        CyclicalLearningRate(0.1, 1.0, 2, 0.5)
    with pytest.raises(ValueError, match="gamma must be a number above 0, got 0"):
        ExponentialCyclicalLearningRate(0.1, 1.0, 2, gamma=0.0)


def test_the_example(capsys, monkeypatch):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    rates = [float(line.split()[-1]) for line in printed.splitlines() if line.startswith("step")]
    wanted = smith(np.arange(0, 80, 4), 1e-4, 1e-2, 16, lambda x: 0.5 ** (x - 1), True)
    np.testing.assert_allclose(rates, wanted, rtol=1e-5)
    assert printed.count("accuracy") == 2
