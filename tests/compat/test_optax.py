"""lehr.compat.optax: signatures and values are those of optax, in every framework."""

import ast
import inspect
import random
from pathlib import Path

import numpy as np
import pytest
from programs import run_python

optax = pytest.importorskip("optax")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from compat_optax import DEFAULTS, N, parameters, theirs, values  # noqa: E402

import lehr  # noqa: E402
import lehr.compat.optax as compat  # noqa: E402
from lehr.schedule import Schedule  # noqa: E402

NAMES = [*DEFAULTS, "join_schedules"]
SEEDS, FEW = range(50), range(12)
SOURCE = Path(compat.__file__).parent


def size(arguments, expected) -> float:
    """Return the largest number of a run: optax subtracts the values of the arguments."""
    cycles = arguments.get("cosine_kwargs", [arguments])
    ends = [abs(cycle.get(name, 0.0) or 0.0) for cycle in cycles for name in ENDS]
    return max(np.abs(expected).max(), *ends)


ENDS = ("init_value", "peak_value", "end_value")


# Names and signatures.


def test_the_names_are_all_schedule_functions_of_optax():
    functions = {
        name
        for name, value in vars(optax.schedules).items()
        if inspect.isfunction(value) and not name.startswith("inject_")
    }
    assert functions == set(NAMES) == set(compat.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_and_defaults_are_those_of_optax(name):
    ours, peer = (
        inspect.signature(getattr(module, name)).parameters.values() for module in (compat, optax)
    )
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in peer
    ]


def test_optax_is_not_imported():
    names = "{'optax', 'jax', 'torch', 'numpy'}"
    code = f"import sys, lehr.compat.optax; print(sorted({names} & {{*sys.modules}}))"
    assert run_python("-c", code).stdout.strip() == "[]"


def test_a_function_has_at_most_20_lines():
    found = {}
    for path in [*SOURCE.glob("*.py"), SOURCE.parent / "sections.py"]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = node.end_lineno - node.body[0].end_lineno
    assert found.keys() >= set(NAMES)
    assert max(found.values()) <= 20


# Values. The oracle is optax in float64.


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_run_with_all_defaults_is_optaxs(name):
    schedule = getattr(compat, name)(**DEFAULTS[name])
    expected = theirs(name, DEFAULTS[name])
    ours = np.array([schedule(t) for t in range(N)])
    assert isinstance(schedule, Schedule)
    assert np.abs(ours - expected).max() <= 1e-14 * size(DEFAULTS[name], expected)


@pytest.mark.parametrize("name", DEFAULTS)
def test_runs_with_random_parameters_are_optaxs(name):
    for seed in SEEDS:
        arguments = parameters(name, random.Random(seed))
        schedule = getattr(compat, name)(**arguments)
        expected = theirs(name, arguments)
        ours = np.array([schedule(t) for t in range(N)])
        worst = np.abs(ours - expected).max()
        assert worst <= 1e-13 * size(arguments, expected), (seed, arguments)
        assert schedule(np.arange(N)) == pytest.approx(
            ours, rel=1e-15, abs=1e-15 * np.abs(ours).max()
        )


@pytest.mark.parametrize("warmup", [-1, -7, -2.5, -41])
@pytest.mark.parametrize(
    "name", ["warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule"]
)
def test_after_a_negative_warmup_the_decay_has_begun_as_in_optax(name, warmup):
    for staircase in (False, True) if "exponential" in name and warmup == int(warmup) else (None,):
        arguments = DEFAULTS[name] | {"warmup_steps": warmup}
        if staircase is not None:
            arguments |= {"staircase": staircase, "transition_steps": 7}
        ours = getattr(compat, name)(**arguments)
        expected = theirs(name, arguments)
        assert [ours(t) for t in range(N)] == pytest.approx(list(expected), rel=1e-12, abs=1e-15)


def in_jit(schedule):
    return jax.jit(schedule)(jnp.arange(N))


def in_scan(schedule):
    return jax.lax.scan(lambda count, _: (count + 1, schedule(count)), 0, length=N)[1]


def in_vmap(schedule):
    return jax.vmap(schedule)(jnp.arange(N))


def in_torch(schedule):
    torch = pytest.importorskip("torch")
    return schedule(torch.arange(N)).numpy()


def in_tensorflow(schedule):
    tensorflow = pytest.importorskip("tensorflow")
    return tensorflow.function(schedule)(tensorflow.range(N)).numpy()


@pytest.mark.parametrize("evaluate", [in_jit, in_scan, in_vmap, in_torch, in_tensorflow])
@pytest.mark.parametrize("name", DEFAULTS)
def test_values_in_a_framework_are_those_of_python(name, evaluate):
    for seed in range(3):
        arguments = parameters(name, random.Random(seed))
        schedule = getattr(compat, name)(**arguments)
        expected = np.array([schedule(t) for t in range(N)])
        found = np.asarray(evaluate(schedule))
        assert found.shape == (N,)
        assert np.abs(found - expected).max() <= 4e-7 * size(arguments, expected), arguments


@pytest.mark.parametrize("length", [10**6, 2**31 + 5, 10**10])
def test_runs_of_any_length_are_optaxs(length):
    steps = [0, 1, 1000, 10**6 - 1, 10**6, 10**9, 2**31 - 2]
    for name, arguments in (
        ("linear_schedule", {"init_value": 1.0, "end_value": 0.0, "transition_steps": length}),
        ("cosine_decay_schedule", {"init_value": 1.0, "decay_steps": length}),
        ("exponential_decay", DEFAULTS["exponential_decay"] | {"transition_steps": length}),
        ("warmup_cosine_decay_schedule", DEFAULTS["warmup_cosine_decay_schedule"]
         | {"warmup_steps": 1000, "decay_steps": length}),
        ("piecewise_constant_schedule",
         {"init_value": 1.0, "boundaries_and_scales": {length: 0.1}}),
    ):  # fmt: skip
        schedule = getattr(compat, name)(**arguments)
        expected = theirs(name, arguments, steps)
        assert [schedule(t) for t in steps] == pytest.approx(list(expected), rel=1e-9, abs=1e-13)


def test_every_stair_starts_at_its_step():
    late_in_optax = {41, 47, 55, 61, 82, 83}  # in jit, in float32
    for length in range(1, 300):
        schedule = compat.exponential_decay(1.0, length, 0.5, staircase=True)
        steps = np.array([k * length - early for k in range(1, 8) for early in (0, 1)])
        expected = 0.5 ** (steps // length)
        assert schedule(steps) == pytest.approx(expected)
        if length in late_in_optax:
            assert np.asarray(jax.jit(schedule)(jnp.asarray(steps))) == pytest.approx(expected)


@pytest.mark.parametrize("bound", [None, 5.0])
def test_growth_without_end_remains_finite(bound):
    schedule = compat.exponential_decay(1.0, 1, 2.0, end_value=bound)
    steps = [0, 2, 100, 5000, 2**31 - 1]
    found = [schedule(t) for t in steps]
    if bound:
        assert found == pytest.approx([1.0, 4.0, 5.0, 5.0, 5.0])
    else:
        assert found[:3] == pytest.approx([1.0, 4.0, 2.0**100])
        assert found[3] == found[4] < np.inf


# Joined schedules.


def joined(module, seed):
    """Return random schedules and boundaries: too few, unsorted, negative and equal ones."""
    draw = random.Random(seed)
    names = draw.choices([*DEFAULTS], k=draw.randint(1, 5))
    parts = [getattr(module, name)(**parameters(name, random.Random(seed))) for name in names]
    return parts, [draw.randint(-10, 100) for _ in range(draw.randint(0, 5))]


@pytest.mark.parametrize("parts", ["lehr", "optax", "functions"])
def test_joined_schedules_are_optaxs(parts):
    for seed in FEW if parts == "functions" else SEEDS:
        schedules, boundaries = joined(optax, seed)
        if seed % 2:
            boundaries.sort()
        steps = list(range(N))
        with jax.enable_x64(True):
            expected = values(optax.join_schedules(schedules, boundaries), steps)
            if parts == "lehr":
                schedules, _ = joined(compat, seed)
            elif parts == "functions":
                schedules = [lambda t, f=f: np.asarray(f(t), dtype=float) for f in schedules]
            schedule = compat.join_schedules(schedules, boundaries)
            found = [schedule(t) for t in steps]
        largest = max(1.0, np.abs(expected).max())
        assert found == pytest.approx(list(expected), rel=0, abs=1e-12 * largest), seed


def test_a_joined_schedule_of_optaxs_functions_runs_in_jit():
    parts = [optax.linear_schedule(0.0, 1.0, 10), lambda t: 1.0 / (1.0 + t)]
    schedule = compat.join_schedules(parts, [10])
    expected = values(optax.join_schedules(parts, [10]), range(N))
    assert np.asarray(in_jit(schedule)) == pytest.approx(expected, rel=1e-6)


# The results are lehr's schedules.


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_schedule_can_be_printed_and_saved(name):
    for seed in FEW:
        schedule = getattr(compat, name)(**parameters(name, random.Random(seed)))
        assert Schedule.from_dict(schedule.to_dict()) == schedule
        assert eval(repr(schedule), {**vars(lehr.schedule), **public()}) == schedule


def public() -> dict:
    return {name: getattr(lehr, name) for name in lehr.__all__}


def test_common_schedules_are_those_that_a_person_would_write():
    schedule = compat.warmup_cosine_decay_schedule(0.0, 0.1, 500, 10_000, end_value=0.01)
    assert schedule == lehr.warmup(0.1, 500).then(lehr.cosine(0.1, 9500, floor=0.01))
    assert compat.linear_schedule(1.0, 0.0, 100) == lehr.linear(1.0, 0.0, 100)
    assert compat.piecewise_constant_schedule(1.0, {30: 0.5}) == lehr.piecewise([30], [1.0, 0.5])


# Use with optax.


@pytest.mark.parametrize("use", ["chain", "inject_hyperparams"])
def test_an_optimizer_makes_the_same_updates(use):
    def train(module):
        schedule = module.warmup_cosine_decay_schedule(0.0, 0.3, 5, 30)
        if use == "inject_hyperparams":
            optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=schedule)
        else:
            optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(schedule))
        weights = jnp.ones(3)
        state = optimizer.init(weights)

        @jax.jit
        def update(weights, state):
            gradients = jax.grad(lambda w: ((w - jnp.arange(3.0)) ** 2).sum())(weights)
            updates, state = optimizer.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state

        for _ in range(30):
            weights, state = update(weights, state)
        return np.asarray(weights)

    assert train(compat) == pytest.approx(train(optax), rel=1e-4)


# Values and errors.


def test_numbers_may_be_arrays_of_one_number():
    expected = compat.linear_schedule(0.5, 0.25, 8)
    for array in (np.float32, np.array, jnp.float32, jnp.asarray):
        assert compat.linear_schedule(array(0.5), array(0.25), np.int64(8)) == expected


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: compat.cosine_decay_schedule(1.0, 0), ValueError, "requires positive decay_steps"),
        (
            lambda: compat.warmup_cosine_decay_schedule(0.0, 1.0, 10, 10),
            ValueError,
            "requires positive decay_steps",
        ),
        (
            lambda: compat.piecewise_constant_schedule(1.0, {3: -1.0}),
            ValueError,
            "`piecewise_constant_schedule` expects non-negative scale factors",
        ),
        (
            lambda: compat.piecewise_interpolate_schedule("linear", 1.0, {3: -1.0}),
            ValueError,
            "`piecewise_interpolate_schedule` expects non-negative scale factors",
        ),
        (
            lambda: compat.piecewise_interpolate_schedule("quadratic", 1.0, {3: 1.0}),
            ValueError,
            "must be either 'cosine' or 'linear'",
        ),
        (lambda: compat.linear_onecycle_schedule(0, 1.0), ValueError, "A linear .* non-positive"),
        (lambda: compat.cosine_onecycle_schedule(-1, 1.0), ValueError, "A cosine .* non-positive"),
        (lambda: compat.polynomial_schedule(1.0, 0.0, -2, 5), ValueError, "power must be .* above"),
        (lambda: compat.exponential_decay(1.0, 5, -0.1), ValueError, "decay_rate must be .* least"),
        (
            lambda: compat.exponential_decay(1.0, 5, 0.5, 0.5, staircase=True),
            ValueError,
            "transition_begin must be an integer for a staircase, got 0.5",
        ),
        (lambda: compat.join_schedules([lehr.constant(1.0)] * 2, [1.5]), ValueError, "got 1.5"),
        (lambda: compat.join_schedules([], []), ValueError, "schedules must be a list of at least"),
        (lambda: compat.join_schedules([1.0, 2.0], [3]), TypeError, "f must be a function"),
        (lambda: compat.sgdr_schedule([]), ValueError, "cosine_kwargs must be a list of at least"),
        (lambda: compat.sgdr_schedule([{"peak": 1.0}]), TypeError, "peak"),
        (lambda: compat.constant_schedule(np.ones(2)), TypeError, "value must be a finite number"),
        (lambda: compat.constant_schedule(np.inf), ValueError, "value must be a finite number"),
        (
            lambda: jax.jit(lambda v: compat.constant_schedule(v)(0))(1.0),
            TypeError,
            "value must be a finite number, .* pass a Python number",
        ),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_rejected(call, error, match):
    with pytest.raises(error, match=match):
        call()
