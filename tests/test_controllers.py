"""Controllers: by hand, and compared with torch, Keras, optax and Hugging Face."""

import importlib.util
import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import run_python
from strategies import controllers

from lehr import Greedy, Plateau
from lehr.controllers import State, is_best, reduced


def states(control, metrics, state=None) -> list[State]:
    state, seen = control.init() if state is None else state, []
    for metric in metrics:
        state = control.update(state, metric)
        seen.append(state)
    return seen


def factors(control, metrics, state=None) -> list[float]:
    return [after.factor for after in states(control, metrics, state)]


def test_plateau_by_hand():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.0)
    #          best  better  1    2=cut  1   better  1    2=cut
    metrics = [1.00, 0.90, 0.90, 0.95, 0.90, 0.80, 0.80, 0.80]
    assert factors(plateau, metrics) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_plateau_cooldown_ignores_its_number_of_metrics():
    plateau = Plateau(factor=0.5, patience=1, cooldown=2)
    assert factors(plateau, [1.0] * 8) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    # a better metric during the cooldown becomes the best
    state = plateau.init()
    for metric in (1.0, 1.0, 0.5):
        state = plateau.update(state, metric)
    assert state == State(factor=0.5, best=0.5, seen=3, resting=1)


def test_plateau_min_factor_and_max_mode():
    plateau = Plateau(factor=0.5, patience=1, min_factor=0.3, mode="max")
    assert factors(plateau, [0.5, 0.6, 0.6, 0.6, 0.6]) == [1, 1, 0.5, 0.3, 0.3]
    assert factors(replace(plateau, min_factor=1.0), [1.0] * 5) == [1.0] * 5


def test_a_reduction_stops_at_min_lr():
    plateau = Plateau(min_lr=0.25)
    scheduled, factor = (1.0, 1.0, 0.5, 0.2, 0.0, 0.2), (1.0, 0.125, 0.75, 0.5, 0.5, 2.0)
    expected = [1.0, 0.25, 0.375, 0.2, 0.0, 0.4]  # the user can set a factor above 1
    assert [plateau.rate(s, f) for s, f in zip(scheduled, factor, strict=True)] == expected
    arrays = plateau.rate(np.array(scheduled), np.array(factor))
    assert arrays.tolist() == expected
    narrow = plateau.rate(np.float32(0.5), np.float32(0.1))
    assert (narrow, narrow.dtype) == (0.25, np.float32)
    assert Greedy().rate(0.5, 3.0) == 1.5


def test_plateau_threshold_is_relative_to_the_best():
    plateau = Plateau(factor=0.5, patience=1, threshold=0.25)
    assert factors(plateau, [100.0, 76.0]) == [1, 0.5]  # 24 % better: below the threshold
    assert factors(plateau, [100.0, 74.0]) == [1, 1]
    assert factors(plateau, [-100.0, -124.0]) == [1, 0.5]
    assert factors(plateau, [-100.0, -126.0]) == [1, 1]
    upward = replace(plateau, mode="max")
    assert factors(upward, [100.0, 124.0]) == [1, 0.5]
    assert factors(upward, [100.0, 126.0]) == [1, 1]
    assert factors(upward, [-100.0, -76.0]) == [1, 0.5]
    assert factors(upward, [-100.0, -74.0]) == [1, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_metrics_that_are_not_finite_are_no_improvement(bad, mode):
    plateau = Plateau(factor=0.5, patience=2, mode=mode)
    assert factors(plateau, [bad] * 4) == [1, 0.5, 0.5, 0.25]
    state = plateau.init()
    for metric in (bad, 1.0, bad):
        state = plateau.update(state, metric)
    assert state == State(best=1.0, seen=1, waited=1)


def test_an_absolute_threshold_has_the_unit_of_the_metric():
    plateau = Plateau(factor=0.5, patience=1, threshold=0.25, threshold_mode="absolute")
    assert factors(plateau, [100.0, 99.5, 99.25]) == [
        1,
        1,
        0.5,
    ]  # an improvement by the threshold exactly
    assert factors(plateau, [-100.0, -100.5]) == [1, 1]
    assert factors(plateau, [0.0, -0.2]) == [1, 0.5]
    assert factors(replace(plateau, mode="max"), [0.0, 0.2, 0.5]) == [1, 0.5, 0.5]
    relative = replace(plateau, threshold_mode="relative")
    assert factors(relative, [0.0, -1e-6]) == [1, 1]  # a relative threshold of 0 is 0


@pytest.mark.parametrize("cast", [float, np.float32, np.float64, np.array])
def test_metrics_are_rounded_to_float32(cast):
    plateau = Plateau(factor=0.5, patience=1, threshold=0.0)
    assert factors(plateau, map(cast, [1.0, 1.0 - 1e-9])) == [1, 0.5]  # a tie in float32
    assert factors(plateau, map(cast, [1.0, 1.0 - 1e-7])) == [1, 1]
    assert states(plateau, [cast(0.1)])[0].best == float(np.float32(0.1))
    halfway = 2.0**-24 * (1 + 2.0**-25)  # if rounded after the sum, the small term would remain
    assert states(replace(plateau, average=2), map(cast, [1.0, halfway]))[1].best == 1.0
    assert states(plateau, [1e39])[0] == State(waited=0, factor=0.5)  # infinite in float32


def test_a_metric_at_the_threshold_is_compared_in_float32():
    """The reference is NumPy float32; in float64 some comparisons have another result."""
    plateau = Plateau(factor=0.5, patience=1, threshold=math.pi / 10)
    best = np.random.default_rng(1).random(500, np.float32)[:, None]
    near = best * np.float32(1 - math.pi / 10) + best * np.arange(-3, 4, dtype=np.float32) * 2**-24
    better = best - near > np.float32(math.pi / 10) * best
    assert np.any(better != (best.astype(float) - near > math.pi / 10 * best.astype(float)))
    ours = [
        [factors(plateau, [b, m])[1] == 1 for m in row]
        for (b,), row in zip(best, near, strict=True)
    ]
    np.testing.assert_array_equal(ours, better)


def test_the_mean_of_several_metrics_counts_as_one():
    plateau = Plateau(factor=0.5, patience=1, threshold=0.0, average=3)
    #          mean 2.0          1.0            1.0, a tie     0.5
    metrics = [1.0, 2.0, 3.0, 3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.5, 0.5, 0.5]
    assert factors(plateau, metrics) == [1] * 8 + [0.5] * 4
    seen = states(plateau, metrics)
    assert [state.seen for state in seen] == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert [state.count for state in seen] == [1, 2, 0] * 4
    assert [state.total for state in seen[:4]] == [1, 3, 0, 3]
    # a value that is not finite affects only its mean
    assert [state.seen for state in states(plateau, [math.nan, 1, 1, 1, 1, 1])][-1] == 1


def test_seen_counts_finite_metrics():
    found = [state.seen for state in states(Plateau(), [math.nan, 0.0, math.inf, 1.0, -math.inf])]
    assert found == [0, 1, 1, 2, 2]


def test_is_best_and_reduced_compare_two_states():
    plateau = Plateau(factor=0.5, patience=2, cooldown=1, min_factor=0.5, threshold=0.0)
    metrics = [math.nan, 0.0, 0.0, -1.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0]
    seen = [plateau.init(), *states(plateau, metrics)]
    pairs = list(pairwise(seen))
    best = [metric for metric, pair in zip(metrics, pairs, strict=True) if is_best(*pair)]
    assert best == [0.0, -1.0, -2.0]  # the third was observed during the cooldown
    assert [i for i, pair in enumerate(pairs) if reduced(*pair)] == [
        5
    ]  # later steps: already at min_factor


def test_a_factor_set_by_the_user_never_moves_in_the_wrong_direction():
    low, high = State(factor=0.1), State(factor=8.0)
    assert factors(Plateau(patience=1, min_factor=0.25), [1.0, 1.0], low) == [0.1, 0.1]
    greedy = Greedy(patience=1, min_factor=0.25, max_factor=4.0)
    assert factors(greedy, [3.0, 2.0, 1.0], high) == [8, 8, 8]
    assert factors(greedy, [1.0, 1.0], high) == [8, 4]


# Greedy.


def test_greedy_by_hand():
    greedy = Greedy(factor=0.5, patience=2, threshold=0.0, max_factor=4.0, min_factor=0.25)
    #          1    raise  1    raise the top     bad  lower
    metrics = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, *[0.5] * 8, 0.4, 0.5, 0.4]
    expected = [1, 2, 2, 4, 4, 4, 4, 2, 2, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert factors(greedy, metrics) == expected
    assert factors(replace(greedy, mode="max"), [-m for m in metrics]) == expected


def test_greedy_ignores_metrics_during_the_cooldown():
    greedy = Greedy(factor=0.5, patience=1, threshold=0.0, cooldown=2)
    assert factors(greedy, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]) == [2, 2, 2, 4, 4, 4]
    assert factors(greedy, [6.0, 6.0, 6.0, 6.0]) == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: Greedy(max_factor=0.5),
            ValueError,
            "max_factor must be a number at least 1, got 0.5",
        ),
        (lambda: Greedy(factor=2.0), ValueError, "factor must be a number above 0 and below 1"),
        (lambda: Greedy(average=0), ValueError, "average must be an integer >= 1, got 0"),
        (lambda: Plateau(average=1.5), TypeError, "average must be an integer >= 1, got 1.5"),
        (
            lambda: Plateau(threshold_mode="rel"),
            ValueError,
            "threshold_mode must be one of relative, absolute, got 'rel'; did you mean relative",
        ),
        (lambda: Plateau(restore_best=1), TypeError, "restore_best must be True or False, got 1"),
    ],
)
def test_invalid_arguments_are_rejected(make, error, match):
    with pytest.raises(error, match=match):
        make()


# Any controller.


# Sums and differences of these are exact in float32 and float64, so ties agree everywhere.
grid = st.integers(-128, 128).map(lambda n: n / 64)
positive = st.integers(1, 128).map(lambda n: n / 64)
rough = st.floats(-2.0, 2.0, width=32, allow_subnormal=False)


def streams(values):
    return st.lists(st.one_of(values, st.sampled_from([0.5, 1.0, math.nan])), max_size=60)


@given(controllers, streams(rough), st.integers(0, 60))
def test_a_run_resumes_from_the_state_alone(control, metrics, cut):
    full = [control.init(), *states(control, metrics)]
    cut = min(cut, len(metrics))
    saved = json.dumps(vars(full[cut]))
    rest = states(control, metrics[cut:], State(**json.loads(saved)))
    assert repr(rest) == repr(full[cut + 1 :])  # repr, because a total may be NaN
    assert all(control.min_factor <= s.factor <= getattr(control, "max_factor", 1.0) for s in full)


@given(controllers, streams(rough))
def test_maximizing_is_minimizing_the_negative(control, metrics):
    other = replace(control, mode={"min": "max", "max": "min"}[control.mode])
    assert factors(control, metrics) == factors(other, [-m for m in metrics])


EXAMPLES = [
    Plateau(factor=0.5, patience=2),
    Plateau(factor=0.5, patience=1, cooldown=3, min_factor=0.125, mode="max", threshold=0.1),
    Plateau(factor=0.5, patience=3, average=3, threshold_mode="absolute", threshold=0.01),
    Plateau(factor=0.25, patience=2, cooldown=1, average=2, threshold=0.3),
    Greedy(factor=0.5, patience=2, max_factor=4.0, min_factor=0.125),
    Greedy(factor=0.5, patience=1, cooldown=2, average=4, threshold=0.0, mode="max"),
    Greedy(factor=0.7, patience=1, cooldown=1, threshold=1e-3, threshold_mode="absolute"),
]


@pytest.mark.parametrize("control", EXAMPLES)
def test_jax_makes_the_same_decisions_in_jit_and_scan(control):
    jax = pytest.importorskip("jax")
    random = np.random.default_rng(3)
    metrics = random.normal(size=(200, 80)).astype(np.float32)
    metrics[:100] *= np.linspace(1, 0.1, 80, dtype=np.float32)
    odd = random.random(metrics.shape)
    metrics = np.where(odd < 0.3, np.round(metrics, 1), metrics)  # ties
    for i, bad in enumerate((math.nan, math.inf, -math.inf)):
        metrics[(odd > 0.9 + 0.03 * i) & (odd < 0.93 + 0.03 * i)] = bad

    def step(state, metric):
        after = vars(control.update(State(**state), metric))
        return after, after

    def follow(stream):
        begin = {name: jax.numpy.asarray(value) for name, value in vars(control.init()).items()}
        return jax.lax.scan(step, begin, stream)[1]

    found = jax.jit(jax.vmap(follow))(metrics)
    expected = [states(control, stream) for stream in metrics]
    for name in vars(control.init()):
        ours = np.array([[getattr(state, name) for state in row] for row in expected])
        if name == "factor":  # float64 in Python
            assert len(np.unique(ours)) > 2
            np.testing.assert_allclose(found[name], ours, rtol=0 if control.factor != 0.7 else 1e-6)
        else:
            np.testing.assert_array_equal(found[name], ours)


# Comparison with other libraries.


def torch_factors(plateau: Plateau, metrics) -> list[float]:
    torch = pytest.importorskip("torch")
    return stepped(torch.optim.lr_scheduler.ReduceLROnPlateau, plateau, metrics)


def stepped(scheduler_class, control, metrics, **more) -> list[float]:
    """Return the rates of a torch-like scheduler with the options of a controller."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = scheduler_class(
        optimizer,
        mode=control.mode,
        factor=control.factor,
        patience=control.patience - 1,  # torch waits for patience + 1 metrics
        threshold=control.threshold,
        threshold_mode=control.threshold_mode[:3],
        cooldown=control.cooldown,
        min_lr=control.min_factor,
        eps=0.0,
        **more,
    )
    seen = []
    for metric in metrics:
        scheduler.step(metric)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


shared = {
    "factor": st.sampled_from([0.5, 0.1]),
    "patience": st.integers(1, 4),
    "threshold": st.sampled_from([0.0, 2.0**-13, 0.125]),
    "mode": st.sampled_from(["min", "max"]),
    "min_factor": st.sampled_from([0.0, 0.2]),
}
cooldowns = st.integers(0, 3)


@given(st.builds(Plateau, cooldown=cooldowns, **shared), streams(positive))
def test_torch_makes_the_same_decisions_on_positive_metrics(plateau, metrics):
    assert factors(plateau, metrics) == torch_factors(plateau, metrics)


absolute = st.just("absolute")


@given(st.builds(Plateau, cooldown=cooldowns, threshold_mode=absolute, **shared), streams(grid))
def test_torch_makes_the_same_decisions_with_an_absolute_threshold(plateau, metrics):
    assert factors(plateau, metrics) == torch_factors(plateau, metrics)


@given(st.builds(Plateau, cooldown=cooldowns, **shared), streams(rough))
def test_torch_makes_the_same_decisions_without_a_threshold(plateau, metrics):
    plateau = replace(plateau, threshold=0.0)
    assert factors(plateau, metrics) == torch_factors(plateau, metrics)


def test_torch_counts_a_worse_negative_metric_as_an_improvement_and_lehr_does_not():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.1)
    worsening = [-1.0, -0.95, -0.92, -0.9]
    # error in torch: for a negative best, best * (1 - threshold) is worse than best
    assert torch_factors(plateau, worsening) == [1, 1, 1, 1]
    assert factors(plateau, worsening) == [1, 1, 0.5, 0.5]


def test_torch_accepts_minus_infinity_as_best_and_lehr_does_not():
    plateau, metrics = Plateau(factor=0.5, patience=2), [1.0, -math.inf, 0.9, 0.8, 0.7]
    assert torch_factors(plateau, metrics) == [1, 1, 1, 0.5, 0.5]
    assert factors(plateau, metrics) == [1, 1, 1, 1, 1]


def hugging_face_factors(greedy: Greedy, metrics) -> list[float]:
    scheduler_class = pytest.importorskip("transformers.optimization").GreedyLR
    # lehr has no reset after a time at min_factor
    more = {"warmup": greedy.cooldown, "max_lr": greedy.max_factor, "reset_start": 10**9}
    return stepped(scheduler_class, greedy, metrics, **more)


ceilings = st.sampled_from([1.0, 3.0, 10.0])


@given(st.builds(Greedy, max_factor=ceilings, **shared), streams(positive))
def test_hugging_face_greedy_makes_the_same_decisions_on_positive_metrics(greedy, metrics):
    assert factors(greedy, metrics) == hugging_face_factors(greedy, metrics)


@given(st.builds(Greedy, max_factor=ceilings, threshold_mode=absolute, **shared), streams(grid))
def test_hugging_face_greedy_makes_the_same_decisions_with_an_absolute_threshold(greedy, metrics):
    assert factors(greedy, metrics) == hugging_face_factors(greedy, metrics)


def test_hugging_face_greedy_ignores_the_best_of_a_cooldown_and_lehr_does_not():
    greedy = Greedy(factor=0.5, patience=2, cooldown=1)
    metrics = [1.0, 1.0, 1.0, 0.5, 0.9, 0.8]  # the 0.5 is observed during the cooldown of both
    assert hugging_face_factors(greedy, metrics) == [1, 1, 0.5, 0.5, 0.5, 1.0]
    assert factors(greedy, metrics) == [1, 1, 0.5, 0.5, 0.5, 0.25]


def optax_factors(plateau: Plateau, metrics: np.ndarray) -> np.ndarray:
    """Return the factors of optax for a table of streams."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    threshold = {"relative": "rtol", "absolute": "atol"}[plateau.threshold_mode]
    peer = optax.contrib.reduce_on_plateau(
        plateau.factor,
        plateau.patience,
        **{"rtol": 0.0, "atol": 0.0, threshold: plateau.threshold},
        cooldown=plateau.cooldown,
        accumulation_size=plateau.average,
        min_scale=plateau.min_factor,
    )

    def step(state, metric):
        state = peer.update(1.0, state, value=metric)[1]
        return state, state.scale

    def follow(stream):
        return jax.lax.scan(step, peer.init(jax.numpy.zeros(())), stream)[1]

    return np.asarray(jax.jit(jax.vmap(follow))(metrics.astype(np.float32)))


@pytest.mark.parametrize(
    ("threshold_mode", "least"), [("relative", 1), ("absolute", -128)]
)  # on negative metrics optax has the error of torch
def test_optax_makes_the_same_decisions(threshold_mode, least):
    random = np.random.default_rng(5)
    for patience, cooldown, average, min_factor in [
        (1, 0, 1, 0.0),
        (2, 2, 1, 0.125),
        (3, 1, 2, 0.0),
    ]:
        plateau = Plateau(
            factor=0.5,
            patience=patience,
            threshold=0.125,
            cooldown=cooldown,
            min_factor=min_factor,
            threshold_mode=threshold_mode,
            average=average,
        )
        metrics = random.integers(least, 129, size=(200, 50)) / 64
        metrics[random.random(metrics.shape) < 0.1] = math.nan
        ours = [factors(plateau, stream) for stream in metrics]
        assert len(np.unique(ours, axis=0)) > 20
        np.testing.assert_array_equal(ours, optax_factors(plateau, metrics))


def test_optax_counts_a_worse_negative_metric_as_an_improvement_and_lehr_does_not():
    worsening = np.array([[-1.0, -0.95, -0.92, -0.9]])
    plateau = Plateau(factor=0.5, patience=2, threshold=0.1)
    assert optax_factors(plateau, worsening).tolist() == [[1, 1, 1, 1]]
    assert factors(plateau, worsening[0]) == [1, 1, 0.5, 0.5]


KERAS = """
import json, sys, types
from keras.callbacks import ReduceLROnPlateau

def run(case):
    options, metrics = case
    optimizer = types.SimpleNamespace(learning_rate=1.0)
    callback = ReduceLROnPlateau(monitor="m", **options)
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    seen = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"m": metric})
        seen.append(float(optimizer.learning_rate))
    return seen

print(json.dumps([run(case) for case in json.load(sys.stdin)]))
"""


def test_keras_makes_the_same_decisions():
    if not (importlib.util.find_spec("keras") and importlib.util.find_spec("jax")):
        pytest.skip("Keras on JAX is not installed")
    random = np.random.default_rng(7)
    ours, cases = [], []
    for i in range(200):
        mode = ("min", "max")[i % 2]
        cooldown = int(random.integers(0, 4))
        plateau = Plateau(
            factor=0.5,
            patience=1 + i % 4,
            threshold=(0.0, 0.25)[i // 100],
            mode=mode,
            cooldown=cooldown,
            min_factor=0.125,
            threshold_mode="absolute",
        )
        metrics = [0.3, *random.choice([-1.0, -0.5, 0.25, 0.5, 1.0, math.nan], 40).tolist()]
        ours.append(factors(plateau, metrics))
        # Keras ends a cooldown one metric early: of 2 it ignores 1, and of 1 it ignores none
        their_cooldown = cooldown + 1 if cooldown else 0
        options = {"factor": 0.5, "patience": plateau.patience, "mode": mode, "min_lr": 0.125}
        options["min_delta"] = plateau.threshold
        cases.append((options | {"cooldown": their_cooldown}, metrics))
    improving = [math.nan, 1.0, 0.9, 0.8, 0.7]
    cases.append(({"factor": 0.5, "patience": 2, "mode": "min"}, improving))
    variables = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = run_python("-c", KERAS, stdin=json.dumps(cases), **variables)
    assert len({tuple(f) for f in ours}) > 20  # the streams lead to different decisions
    *theirs, after_nan = json.loads(done.stdout.splitlines()[-1])
    assert ours == theirs
    # error in Keras: a NaN as first metric stays the best, so later metrics never improve
    assert after_nan == [1, 1, 0.5, 0.5, 0.25]
    assert factors(Plateau(factor=0.5, patience=2), improving) == [1, 1, 1, 1, 1]
