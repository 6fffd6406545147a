"""Compare every preset in NumPy, JAX, PyTorch, TensorFlow and Keras with plain Python."""

import importlib.util
import json
import warnings

import numpy as np
import pytest
from preset_cases import CASES, length, plain, public_presets, steps
from programs import run_python

import lehr
from lehr.schedule import Exponential, Geometric, InverseTime, Piecewise, Ramp

ULP = 2.0**-52
FLOAT32 = 4e-7
TREES = {
    "warmup and cosine": lehr.warmup(0.1, 40).then(lehr.cosine(0.1, 300, floor=1e-3)),
    "roots": lehr.cosine(1.0, 999, power=0.3).then(Ramp(0.0, 1.0, 77, "1-sqrt", 0.5)),
    "triangular2": lehr.triangular2(0.01, 0.1, 50),
    "exp_range": lehr.exp_range(0.01, 0.1, 50, 0.999),
    "restarts": lehr.cosine_restarts(0.1, 10, growth=1.5, factor=0.8, floor=1e-3, warmup=3),
    "cyclical": lehr.cyclical(0.01, 0.1, 2.5, 4.25, scale=Exponential(1.0, 0.5, 1)),
    "bent curves": lehr.tanh(0.1, 50)
    .then(lehr.cosine(0.1, 300, time_power=1.5))
    .then(Geometric(0.1, 1e-4, 99))
    .then(lehr.warmup(0.1, 40, curve="log"))
    .then(Ramp(0.1, 1e-4, 99, "sine", time_power=2.0))
    .then(lehr.rex(0.1, 70)),
    "wsd": lehr.warmup(0.1, 20)
    .then(InverseTime(0.1, 33.3, 0.7))
    .then_to(0.0, 100, curve="1-sqrt")
    .resolve(400),
    "table, reversed": lehr.table([0.1, 0.3, 0.2]).every(2.5).reverse(),
    "everything": (
        (Piecewise((10, 20), (1.0, 0.5, 0.25)) * Exponential(1.0, 0.5, 30))
        .take(60)
        .then(Geometric(0.2, 1e-4, 1000).shift(5).repeat(2))
        .clip(1e-3, 0.8)
        + 0.01
    ),
    "operators": 1 - lehr.inverse_time(1.0, 1, power=0.8) ** 2 / (1 + lehr.cosine(0.5, 30)),
    "cycles of a fraction": lehr.cosine_restarts(0.1, "20%", warmup="3%").resolve(1003),
    "tokens under a ramp": lehr.warmup(0.1, "3M tokens")
    .then(lehr.cosine(0.1, "20M tokens"))
    .resolve(tokens_per_step=lehr.linear(20_000, 100_000, 5).every(50)),
}
each_case = pytest.mark.parametrize("name", CASES)
each_tree = pytest.mark.parametrize("name", CASES | TREES)


def agree(got, wanted: np.ndarray, tolerance: float) -> None:
    """Compare with a tolerance relative to the largest value."""
    got = np.asarray(got, dtype=np.float64)
    assert got.shape == wanted.shape
    assert np.isfinite(got).all()
    off = np.abs(got - wanted)
    worst = int(np.argmax(off))
    assert off[worst] <= tolerance * np.max(np.abs(wanted)), (
        f"at place {worst}: {got[worst]}, not {wanted[worst]}"
    )


def test_every_preset_is_among_the_cases():
    assert public_presets() - {name.partition(":")[0] for name in CASES} == set()
    assert [name for name, s in CASES.items() if not s.resolved] == []


@each_case
def test_numpy(name):
    s = CASES[name]
    at = steps(s)
    got = s(at)
    assert got.dtype == np.float64
    agree(got, plain(s, at), 4 * ULP)
    n = length(s)
    agree(s(np.arange(n)), plain(s, np.arange(n)), 4 * ULP)


@each_case
def test_jax_jit(name):
    jax = pytest.importorskip("jax")
    s = CASES[name]
    at = steps(s)
    got = jax.jit(s)(at.astype(np.int32))
    assert got.dtype == np.float32
    agree(got, plain(s, at), FLOAT32)
    traced = jax.jit(s)
    few = at[[0, 1, 5, length(s) - 1, length(s), -1]]
    got = [traced(t) for t in few.astype(np.int32)]
    assert {value.shape for value in got} == {()}
    agree(got, plain(s, few), FLOAT32 * np.max(plain(s, at)) / np.max(plain(s, few)))


@each_tree
def test_torch_compile(name):
    torch = pytest.importorskip("torch")
    s = (CASES | TREES)[name]
    at = steps(s)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside dynamo
        compiled = torch.compile(lambda t: s(t), backend="eager", fullgraph=True)
        got = compiled(torch.from_numpy(at))
    assert got.dtype == torch.float32
    agree(got.numpy(), plain(s, at), FLOAT32)


@each_tree
def test_tensorflow_function(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by TensorFlow at import
        tf = pytest.importorskip("tensorflow")
    s = (CASES | TREES)[name]
    at = steps(s)
    for dtype in (tf.int32, tf.int64):
        got = tf.function(lambda t: tf.cast(s(t), tf.float32))(tf.constant(at, dtype))
        agree(got.numpy(), plain(s, at), FLOAT32)


def test_a_custom_function_is_called_with_a_tensorflow_tensor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by TensorFlow at import
        tf = pytest.importorskip("tensorflow")
    at = tf.range(9)
    product = lehr.from_function(lambda step: 0.1 * (step < 5))
    assert product(np.arange(9)).tolist() == [0.1] * 5 + [0.0] * 4
    with pytest.raises(TypeError, match="bool"):
        tf.function(lambda t: product(t))(at)
    chosen = lehr.from_function(lambda step: tf.where(step < 5, 0.1, 0.0))
    agree(tf.function(lambda t: chosen(t))(at), np.array([0.1] * 5 + [0.0] * 4), FLOAT32)


# Keras selects its backend at import, so each backend runs in a process that prints its values.
KERAS = """
import json
import keras
import lehr
from preset_cases import CASES, steps

backend = keras.backend.backend()
if backend == "jax":
    from jax import jit as graph
elif backend == "tensorflow":
    from tensorflow import function as graph
else:
    def graph(f):
        return f

rates = {name: lehr.keras.schedule(s) for name, s in CASES.items()}
compute = graph(lambda at: {name: rate(at[name]) for name, rate in rates.items()})
values = {name: [] for name in CASES}
for places in (slice(None), 0, 7):  # all steps, and two scalars
    tensors = {
        name: keras.ops.convert_to_tensor(steps(s)[places], "int32") for name, s in CASES.items()
    }
    for name, value in compute(tensors).items():
        assert keras.backend.standardize_dtype(value.dtype) == "float32", name
        values[name] += keras.ops.convert_to_numpy(value).reshape(-1).tolist()
print(json.dumps([backend, values]))
"""


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_keras(backend):
    pytest.importorskip("keras", reason="keras is not installed")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run = run_python("-c", KERAS, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3")
    used, values = json.loads(run.stdout.splitlines()[-1])
    assert used == backend
    assert set(values) == set(CASES)
    off = []
    for name, s in CASES.items():
        at = steps(s)
        try:
            agree(values[name], plain(s, np.r_[at, at[[0, 7]]]), FLOAT32)
        except AssertionError as error:
            off.append(f"{name}: {error}")
    assert off == []


@each_case
def test_optax_adamw(name):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    s = CASES[name]
    n = length(s) + 21
    driven, unit = optax.adamw(s), optax.adamw(1.0)  # both get the same gradients and parameters

    def update(carry, _):
        weight, state, unit_state = carry
        gradient = 2.0 + weight
        change, state = driven.update(gradient, state, weight)
        unit_change, unit_state = unit.update(gradient, unit_state, weight)
        return (weight + change, state, unit_state), (change, unit_change)

    @jax.jit
    def train(weight):
        start = (weight, driven.init(weight), unit.init(weight))
        return jax.lax.scan(update, start, length=n)[1]

    change, unit_change = (np.asarray(c, np.float64) for c in train(jax.numpy.float32(1e4)))
    assert np.abs(unit_change).min() > 0.1
    wanted = plain(s, np.arange(n))
    agree(change / unit_change, wanted, FLOAT32)


@each_case
def test_torch_lambda_lr(name):
    torch = pytest.importorskip("torch")
    s = CASES[name]
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, s)
    weight.grad = torch.ones(1)
    rates = []
    for _ in range(length(s) + 21):
        before = weight.item()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        assert before - weight.item() == pytest.approx(rates[-1], rel=1e-4, abs=1e-5)
        scheduler.step()
    assert rates == plain(s, np.arange(length(s) + 21)).tolist()


def test_a_schedule_in_a_lambda_lr_is_saved_and_loaded():
    torch = pytest.importorskip("torch")
    s = CASES["one_cycle: lr"]

    def fresh():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, s)

    optimizer, scheduler = fresh()
    for _ in range(9):
        optimizer.step()
        scheduler.step()
    again, resumed = fresh()
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    again.step()
    resumed.step()
    assert again.param_groups[0]["lr"] == s(10)
