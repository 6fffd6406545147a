"""A5: step counts of 2**31 and more, and steps in narrow or invalid types, in every framework."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

import lehr
from lehr.schedule import (
    Chain,
    Every,
    Exponential,
    Geometric,
    InverseTime,
    Piecewise,
    Ramp,
    Repeat,
    Reverse,
    Shift,
    Take,
    Window,
)
from lehr.schedule.codec import KINDS

LAST = 2**31 - 1
ramp = lehr.linear(1.0, 0.0, 10)
# for each field that counts steps: a function of the count, and whether it may be larger
FIELDS: dict[tuple[str, str], Any] = {
    ("Ramp", "steps"): lambda n: Ramp(1.0, 0.0, n),
    ("Geometric", "steps"): lambda n: Geometric(1.0, 0.5, n),
    ("Window", "steps"): lambda n: Window(Ramp(1.0, 0.0), n, 0.0, 1e12),
    ("Take", "steps"): lambda n: Take(lehr.constant(1.0), n),
    ("Shift", "steps"): lambda n: Shift(lehr.constant(1.0), n),
    ("Every", "steps"): lambda n: Every(ramp, n),
    ("Repeat", "times"): lambda n: Repeat(ramp, n),
    ("Piecewise", "boundaries"): lambda n: Piecewise((100, n), (1.0, 0.5, 0.1)),
}
# real numbers, not counts: a time constant may be longer than every run
REAL = {("Exponential", "timescale"), ("InverseTime", "timescale"), ("Window", "offset")}
REAL |= {("Window", "span"), ("Every", "phase"), ("Repeat", "phase")}
COUNTS = ("int", "Length", "tuple[Length, ...]", "float | str")


def test_every_field_that_counts_steps_is_in_the_walk():
    found = {
        (cls.__name__, field.name)
        for cls in KINDS.values()
        if issubclass(cls, lehr.Schedule)
        for field in dataclasses.fields(cls)
        if field.init and any(str(field.type).startswith(kind) for kind in COUNTS)
    }
    found = {(name, field) for name, field in found if field not in ("power", "values")}
    assert found - REAL == set(FIELDS)


@pytest.mark.parametrize("field", FIELDS, ids=" ".join)
@pytest.mark.parametrize("n", [2**31, 2**32 + 5, 2**53, 2**63, 10**30], ids=str)
def test_a5_step_counts_beyond_int32_are_rejected(field, n):
    with pytest.raises(ValueError, match=rf"^{field[1]} must be .*2\*\*(31|53).*, got \d+"):
        FIELDS[field](n)
    FIELDS[field](LAST)


def test_a5_the_listed_policy_is_rejected():
    with pytest.raises(ValueError, match=r"^boundaries must be below 2\*\*31 steps"):
        lehr.piecewise([100, 2**31], [1.0, 0.5, 0.1])


def test_a5_parts_that_are_too_long_are_rejected():
    long = Chain((Ramp(1.0, 0.5, LAST), Ramp(0.5, 0.0, 5)))
    with pytest.raises(ValueError, match=r"part must be shorter than 2\*\*31 steps to be reversed"):
        Reverse(long)
    with pytest.raises(ValueError, match=r"part must be shorter than 2\*\*62 steps to be repeated"):
        ramp.repeat(LAST).repeat(LAST).repeat(2)
    with pytest.raises(ValueError, match=r"part must be shorter than 2\*\*31 steps to be moved"):
        Shift(Chain((long, long, Ramp(1.0, 0.0, 5))), -5)


LONG = {
    "repeat": ramp.repeat(2**30),
    "repeat, floored": ramp.repeat(LAST).maximum(0.2),
    "cycles of a fraction": lehr.linear(1.0, 0.0, "2.5 steps").repeat(LAST),
    "cycles of a long part": Repeat(Chain((Ramp(1.0, 0.5, LAST), Ramp(0.5, 0.0, 5))), 3),
    "cycles of cycles": ramp.repeat(LAST).repeat(LAST),
    "triangular": lehr.triangular(0.0, 1.0, LAST),
    "every": ramp.every(LAST),
    "every of cycles": ramp.repeat(10**6).every(10**7 + 1),
    "chain after cycles": ramp.repeat(2**30).then(lehr.linear(0.5, 0.0, 5)),
    "far chain": Chain((ramp.repeat(LAST), *[lehr.linear(0.5, 0.25, LAST).repeat(LAST)] * 5)),
    "taken": ramp.repeat(2**30).take(LAST),
    "earlier": ramp.repeat(2 * 10**8).shift(-(10**9)),
}
AT = [0, 1, 9, 10, 11, 10**6, 10**7 + 1, 10**9 + 7, LAST - 1, LAST]


def arrays(name: str, values: list[int], dtype: str) -> Any:
    if name == "numpy":
        return np.array(values, dtype)
    if name == "torch":
        torch = pytest.importorskip("torch")
        return torch.tensor(values).to(getattr(torch, dtype))
    if name == "jax":
        jax = pytest.importorskip("jax")
        return jax.numpy.asarray(np.array(values), dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by TensorFlow at import
        tf = pytest.importorskip("tensorflow")
    return tf.cast(tf.constant(values), dtype)


def numbers(values: Any) -> np.ndarray:
    return np.array([float(value) for value in values])


FRAMEWORKS = ["numpy", "torch", "jax", "tensorflow"]


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a5_long_compositions_have_the_values_of_plain_python(framework, name):
    s = LONG[name]
    wanted = [s(t) for t in AT]
    for dtype in ("int32", "int64") if framework != "jax" else ("int32",):
        got = numbers(s(arrays(framework, AT, dtype)))
        np.testing.assert_allclose(got, wanted, atol=4e-7)


SHAPES = {
    "linear": lehr.linear(1.0, 0.0, 40_000),
    "every": lehr.linear(1.0, 0.0, 400).every(100.5),
    "cycles": lehr.linear(1.0, 0.0, 1000).repeat(),
    "cycles of a fraction": lehr.linear(1.0, 0.0, "1000.5 steps").repeat(30),
    "pieces": Piecewise((100, 70_000), (1.0, 0.5, 0.1)),
    "many pieces": Piecewise(tuple(range(7, 50_000, 999)), tuple(1 / n for n in range(1, 53))),
    "shift": lehr.linear(1.0, 0.0, 40_000).shift(-20_000),
    "delay": lehr.linear(1.0, 0.0, 40_000).shift(20_000),
    "reverse": lehr.linear(1.0, 0.0, 40_000).reverse(),
    "time constant": Exponential(1.0, 0.5, 70_000.5),
    "inverse time": InverseTime(1.0, 300),
    "stairs": lehr.step_decay(1.0, 0.9, 3.5),
    "take": Exponential(1.0, 0.5, 300).take(40_000),
    "chain": lehr.warmup(1.0, 50_000).then(lehr.cosine(1.0, 50_000)),
    "table": lehr.table([1 / n for n in range(1, 40_000)]),
    "window": Window(Ramp(1.0, 0.0), 40_000, 2.5, 50_000.0),
    "sum": lehr.warmup(0.5, 40_000) + lehr.cosine(0.5, 300),
}
LARGEST = {"int8": 127, "uint8": 255, "int16": 32_767, "uint16": 65_535}
WIDE = ("int32", "uint32", "int64", "uint64", "float32", "float64")


@pytest.mark.parametrize("dtype", [*LARGEST, *WIDE])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a5_narrow_types_are_widened(framework, dtype):
    if framework == "jax" and "64" in dtype:
        pytest.skip("JAX has no 64-bit types by default")
    top = LARGEST.get(dtype, 100_000)
    at = sorted({0, 1, 2, min(100, top), top // 2, top - 1, top})
    for name, s in SHAPES.items():
        got = numbers(s(arrays(framework, at, dtype)))
        np.testing.assert_allclose(got, [s(t) for t in at], atol=1e-6, err_msg=name)
        one = s(arrays(framework, [top], dtype)[0])
        assert float(one) == pytest.approx(s(top), abs=1e-6), name


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_a5_narrow_types_are_widened_in_graphs(dtype):
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    top = LARGEST[dtype]
    for name, s in SHAPES.items():
        got = jax.jit(s)(arrays("jax", [top], dtype))
        assert float(got[0]) == pytest.approx(s(top), abs=1e-6), name
    s = SHAPES["chain"]
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside dynamo
        compiled = torch.compile(lambda t: s(t), backend="eager", fullgraph=True)
        assert float(compiled(arrays("torch", [top], dtype))[0]) == pytest.approx(s(top), abs=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "bool", "complex64"])
def test_a5_types_that_do_not_represent_steps_are_rejected(framework, dtype):
    if framework == "numpy" and dtype in ("bfloat16", "float16"):
        pytest.skip("NumPy's float16 steps are converted, if they are integers")
    rule = "an integer or an array" if framework == "numpy" else "an array of int32, int64, float32"
    with pytest.raises(TypeError, match=f"^step must be {rule}"):
        SHAPES["chain"](arrays(framework, [0, 1], dtype))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_invalid_steps_are_rejected_where_their_values_are_known(framework):
    for dtype in ("int32", "float32"):
        with pytest.raises(ValueError, match=r"^step must be at least 0, got -5"):
            ramp(arrays(framework, [3, -5], dtype))
    half = arrays(framework, [5], "float32") / 2
    with pytest.raises(ValueError, match=r"^step must be an integer, got 2\.5"):
        ramp(half)
    with pytest.raises(ValueError, match=r"^step must be an integer, got 2\.5"):
        lehr.Policy(ramp)(half[0])
    with pytest.raises(ValueError, match=r"^step must be an integer, got inf"):
        ramp(arrays(framework, [float("inf")], "float32"))


def test_steps_inside_traced_functions_are_not_checked():
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    assert float(jax.jit(ramp)(5)) == 0.5
    assert jax.vmap(ramp)(jax.numpy.arange(3)).tolist() == pytest.approx([1.0, 0.9, 0.8])
    assert torch.func.vmap(ramp)(torch.arange(3)).tolist() == pytest.approx([1.0, 0.9, 0.8])
    needs_gradient = torch.tensor(5.0, requires_grad=True)
    assert ramp(needs_gradient).item() == 0.5


@pytest.mark.parametrize("step", [2**63, 10**400, np.uint64(2**63), np.array([2.0**63])])
def test_steps_beyond_int64_are_rejected(step):
    with pytest.raises(ValueError, match=r"^step must be below 2\*\*63, got "):
        ramp(step)
    assert ramp(2**63 - 1) == 0.0


def test_a_variable_of_tensorflow_in_a_graph_is_a_step():
    """Its value is not known while the graph is traced."""
    tf = pytest.importorskip("tensorflow")
    step, s = tf.Variable(3, dtype=tf.int64), lehr.linear(1.0, 0.0, 4)
    assert float(tf.function(lambda: s(step))()) == 0.25
    assert float(tf.function(lambda: s(tf.constant(3)))()) == 0.25
    with tf.device("CPU"), pytest.raises(ValueError, match="step must be at least 0, got -1"):
        s(tf.Variable(-1))
