"""Controllers: by hand, and beside torch's, Keras's, optax's and Hugging Face's."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lehr import Plateau
from lehr.control import State


def factors(plateau: Plateau, metrics) -> list[float]:
    state, seen = plateau.init(), []
    for metric in metrics:
        state = plateau.update(state, metric)
        seen.append(state.factor)
    return seen


def test_plateau_by_hand():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.0)
    #          best  better  1    2=cut  1   better  1    2=cut
    metrics = [1.00, 0.90, 0.90, 0.95, 0.90, 0.80, 0.80, 0.80]
    assert factors(plateau, metrics) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_plateau_cooldown_ignores_as_many_metrics_as_it_says():
    plateau = Plateau(factor=0.5, patience=1, cooldown=2)
    assert factors(plateau, [1.0] * 8) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    # a better metric during the cooldown is remembered
    state = plateau.init()
    for metric in (1.0, 1.0, 0.5):
        state = plateau.update(state, metric)
    assert state == State(factor=0.5, best=0.5, seen=3, resting=1)


def test_plateau_floor_and_max_mode():
    plateau = Plateau(factor=0.5, patience=1, floor=0.3, mode="max")
    assert factors(plateau, [0.5, 0.6, 0.6, 0.6, 0.6]) == [1, 1, 0.5, 0.3, 0.3]
    assert factors(replace(plateau, floor=1.0), [1.0] * 5) == [1.0] * 5


def test_plateau_threshold_is_relative_to_the_best():
    plateau = Plateau(factor=0.5, patience=1, threshold=0.25)
    assert factors(plateau, [100.0, 76.0]) == [1, 0.5]  # 24 % better: not enough
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
def test_what_is_not_finite_never_improves_and_is_never_the_best(bad, mode):
    plateau = Plateau(factor=0.5, patience=2, mode=mode)
    assert factors(plateau, [bad] * 4) == [1, 0.5, 0.5, 0.25]
    state = plateau.init()
    for metric in (bad, 1.0, bad):
        state = plateau.update(state, metric)
    assert state == State(best=1.0, seen=1, waited=1)


streams = st.lists(
    st.one_of(st.floats(0.01, 2.0), st.sampled_from([0.5, 1.0, 1.0, math.nan])),
    min_size=1,
    max_size=60,
)


@given(streams)
def test_the_same_metrics_give_the_same_decisions_and_the_state_is_all(metrics):
    plateau = Plateau(factor=0.5, patience=2, cooldown=1)
    whole = factors(plateau, metrics)
    assert whole == factors(plateau, [np.float32(m) for m in metrics]) or any(
        np.float32(m) != m for m in metrics if m == m
    )
    half = len(metrics) // 2
    state = plateau.init()
    for metric in metrics[:half]:
        state = plateau.update(state, metric)
    resumed = State(**json.loads(json.dumps(vars(state))))
    rest = []
    for metric in metrics[half:]:
        resumed = plateau.update(resumed, metric)
        rest.append(resumed.factor)
    assert rest == whole[half:]


def torch_factors(plateau: Plateau, metrics) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode=plateau.mode,
        factor=plateau.factor,
        patience=plateau.patience - 1,  # torch waits for one metric more than it is told
        threshold=plateau.threshold,
        cooldown=plateau.cooldown,
        min_lr=plateau.floor,
        eps=0.0,
    )
    seen = []
    for metric in metrics:
        scheduler.step(metric)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


settings_that_peers_share = st.builds(
    Plateau,
    factor=st.sampled_from([0.5, 0.1]),
    patience=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 2.0**-13, 0.125]),  # exact, so that ties are ties to both
    mode=st.sampled_from(["min", "max"]),
    cooldown=st.integers(0, 3),
    floor=st.sampled_from([0.0, 0.2]),
)


@given(settings_that_peers_share, streams)
def test_torch_decides_alike_on_positive_metrics(plateau, metrics):
    assert factors(plateau, metrics) == torch_factors(plateau, metrics)


@given(settings_that_peers_share, streams)
def test_torch_decides_alike_on_negative_metrics_without_a_threshold(plateau, metrics):
    plateau = replace(plateau, threshold=0.0)
    negative = [-m for m in metrics]
    assert factors(plateau, negative) == torch_factors(plateau, negative)


def test_torch_takes_a_worse_negative_metric_for_a_better_one_and_we_do_not():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.1)
    worsening = [-1.0, -0.95, -0.92, -0.9]
    # torch's fault: best * (1 - threshold) lies on the wrong side of a negative best
    assert torch_factors(plateau, worsening) == [1, 1, 1, 1]
    assert factors(plateau, worsening) == [1, 1, 0.5, 0.5]


KERAS = """
import json, sys, types
from keras.callbacks import ReduceLROnPlateau

def run(case):
    options, metrics = case
    optimizer = types.SimpleNamespace(learning_rate=1.0)
    callback = ReduceLROnPlateau(monitor="m", min_delta=0.0, **options)
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    seen = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"m": metric})
        seen.append(float(optimizer.learning_rate))
    return seen

print(json.dumps([run(case) for case in json.load(sys.stdin)]))
"""


def test_keras_decides_alike():
    if not (importlib.util.find_spec("keras") and importlib.util.find_spec("jax")):
        pytest.skip("Keras on JAX is not installed")
    random = np.random.default_rng(7)
    ours, cases = [], []
    for i in range(200):
        mode = ("min", "max")[i % 2]
        cooldown = int(random.integers(0, 4))
        plateau = Plateau(
            factor=0.5, patience=1 + i % 4, threshold=0.0, mode=mode, cooldown=cooldown, floor=0.125
        )
        metrics = [0.3, *random.choice([-1.0, -0.5, 0.25, 0.5, 1.0, math.nan], 40).tolist()]
        ours.append(factors(plateau, metrics))
        # Keras ends a cooldown one metric early: of 2 it ignores 1, and of 1 it ignores none
        their_cooldown = cooldown + 1 if cooldown else 0
        options = {"factor": 0.5, "patience": plateau.patience, "mode": mode, "min_lr": 0.125}
        cases.append((options | {"cooldown": their_cooldown}, metrics))
    improving = [math.nan, 1.0, 0.9, 0.8, 0.7]
    cases.append(({"factor": 0.5, "patience": 2, "mode": "min"}, improving))
    done = subprocess.run(
        [sys.executable, "-c", KERAS],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len({tuple(f) for f in ours}) > 20  # the streams do lead to different decisions
    *theirs, after_nan = json.loads(done.stdout.splitlines()[-1])
    assert ours == theirs
    # Keras's fault: a NaN that comes first is its best for ever, and nothing improves on it
    assert after_nan == [1, 1, 0.5, 0.5, 0.25]
    assert factors(Plateau(factor=0.5, patience=2), improving) == [1, 1, 1, 1, 1]
