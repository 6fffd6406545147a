"""G1: a controller decides the same in plain Python and in compiled float32, also with averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lehr
from lehr.controllers import Controller, State
from lehr.jax.state import arrays

FIELDS = ("seen", "waited", "improved", "resting", "count")
CONTROLLERS = [
    cls(
        patience=patience,
        factor=0.5,
        threshold=threshold,
        threshold_mode=threshold_mode,
        mode=mode,
        average=average,
        cooldown=cooldown,
    )
    for cls, patience, cooldown in ((lehr.Plateau, 2, 1), (lehr.Greedy, 1, 0))
    for average in (1, 2, 3, 5, 7)
    for mode in ("min", "max")
    for threshold, threshold_mode in ((0.0, "relative"), (0.1, "relative"), (0.1, "absolute"))
]


def sequences(average: int) -> dict[str, np.ndarray]:
    """Return metrics of very different magnitudes, ties, and steps at the threshold."""
    rng = np.random.default_rng(average)
    n = 60 * average
    magnitudes = 10.0 ** rng.uniform(-44, 37, n) * rng.choice([-1, 1], n)
    ties = np.repeat(rng.choice([1 / 3, 0.1, 0.7, 1e-3], n // average), average)
    ties *= 1 + rng.integers(-2, 3, n) * 2.0**-23
    falls = np.repeat(0.9 ** np.arange(n // average), average)
    near = falls * (1 + rng.integers(-1, 2, n) * 2.0**-23)
    nan = rng.choice([1.0, 0.5, np.nan, np.inf, -np.inf, 0.0, -0.0], n)
    subnormal = rng.integers(-9, 9, n) * 2.0**-149
    found = {"magnitudes": magnitudes, "ties": ties, "threshold": near, "nan": nan}
    return {name: v.astype("float32") for name, v in (found | {"subnormal": subnormal}).items()}


def plain(controller: Controller, metrics: np.ndarray) -> list[tuple[int, ...]]:
    state, seen = controller.init(), []
    for metric in metrics.tolist():
        state = controller.update(state, metric)
        seen.append((state.factor, *(getattr(state, name) for name in FIELDS)))
    return seen


def compiled(controller: Controller, metrics: np.ndarray) -> list[tuple[int, ...]]:
    def update(state, metric):
        state = controller.update(State(*state), metric)
        return tuple(arrays_of(state)), (state.factor, *(getattr(state, n) for n in FIELDS))

    _, seen = jax.jit(lambda m: jax.lax.scan(update, tuple(arrays(State())), m))(metrics)
    return list(zip(*(column.tolist() for column in seen), strict=True))


def arrays_of(state: State) -> list[jax.Array]:
    return [getattr(state, name) for name in State.__dataclass_fields__]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=repr)
def test_g1_decisions_are_those_of_plain_python(controller):
    for name, metrics in sequences(controller.average).items():
        assert compiled(controller, metrics) == plain(controller, metrics), name


def operations(jaxpr) -> set[str]:
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                found |= operations(value.jaxpr)
    return found


@pytest.mark.parametrize("controller", CONTROLLERS[::7], ids=repr)
def test_g1_no_division_is_compiled(controller):
    state = jax.tree.map(jnp.asarray, State(*arrays(State())))
    used = operations(jax.make_jaxpr(controller.update)(state, jnp.float32(0.3)).jaxpr)
    assert "sub" in used
    assert not used & {"div", "rem", "integer_pow", "pow", "rsqrt"}


def test_g1_means_that_are_equal_are_ties():
    plateau = lehr.Plateau(patience=1, factor=0.5, threshold=0.0, average=3)
    state = plateau.init()
    for metric in (0.1, 0.2, 0.4, 0.4, 0.2, 0.1):
        state = plateau.update(state, metric)
    total = np.float32(np.float32(np.float32(0.1) + np.float32(0.2)) + np.float32(0.4))
    assert state.best == float(total)
    assert state.factor == 0.5


def test_g1_keras_decides_like_plain_python():
    keras = pytest.importorskip("keras")
    control = lehr.Plateau(patience=1, factor=0.5, average=3, threshold=0.1)
    policy = lehr.Policy(0.1, control=control)
    optimizer = lehr.keras.attach(keras.optimizers.SGD(), policy)
    optimizer.build([keras.Variable(np.zeros(1))])
    state = control.init()
    for metric in sequences(3)["threshold"].tolist():
        state = control.update(state, metric)
        optimizer.observe(metric)
        assert float(optimizer.factor) == np.float32(state.factor)
