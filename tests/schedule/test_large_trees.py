"""A3: the work of every public method is bounded by the size of a definition, not by its counts."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import large_trees
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import any_lengths, boundaries, schedules

import lehr
from lehr import Policy
from lehr.schedule import Function, inspect

SCRIPT = Path(large_trees.__file__)
SECONDS = 10  # of CPU; the failures took minutes, or all memory


@pytest.mark.parametrize(
    "group",
    ["cases", *(pytest.param(name, marks=pytest.mark.slow) for name in large_trees.WRAPS)],
)
def test_a3_every_method_of_every_large_tree_finishes(group):
    done = subprocess.run(
        [sys.executable, SCRIPT, group], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    slowest = json.loads(done.stdout)
    assert len(slowest) >= 4
    assert {name: call for name, call in slowest.items() if call[0] > SECONDS} == {}


def test_a3_json_of_160_bytes_is_shown(capsys):
    from typer.testing import CliRunner

    from lehr.cli.commands import app

    text = lehr.linear(1.0, 0.0, 2).repeat(1000).repeat(1000).repeat(1000).dumps()
    assert len(text) < 250
    result = CliRunner().invoke(app, ["show", text])
    assert result.exit_code == 0
    assert "2000000000 steps: 1 at the start" in result.output


def test_a3_values_of_the_listed_trees():
    s = lehr.linear(1.0, 0.0, 2).repeat(1000).repeat(1000).repeat(1000)
    assert s.length == 2 * 10**9
    assert [Policy(s).lr(t) for t in (0, 1, 10**9, 10**9 + 1, 2 * 10**9)] == [1, 0.5, 1, 0.5, 0]
    s = lehr.linear(1.0, 0.0, 3).repeat(10**6).every(10**7 + 1)
    assert Policy(s).lr(10**7) == 1.0
    assert Policy(s).lr(10**7 + 1) == pytest.approx(2 / 3)
    s = lehr.table([1.0, 0.5]).every(10**9)
    assert [Policy(s).lr(t) for t in (10**9 - 1, 10**9)] == [1.0, 0.5]


def test_a3_the_last_cycle_of_a_long_run_is_found():
    found = lehr.linear(1.0, 0.0, 3).repeat().lint(10**9)
    assert [finding.advice[:63] for finding in found if finding.name == "cycle cut off"] == [
        "the run ends after 1 of the 3 steps of its last cycle; use a sh"
    ]


def test_a3_shared_parts_are_counted():
    def shared(times: int) -> lehr.Schedule:
        s = lehr.linear(1.0, 0.0, 2)
        for _ in range(times):
            s = s * 0.5 + s
        return s

    with pytest.raises(ValueError, match="schedule must be composed of at most 100000 schedules"):
        shared(40)


def test_a3_the_variants_of_a_cycle_are_limited():
    s = lehr.linear(1.0, 0.0, 3).every("1.001 epochs").then(lehr.linear(1.0, 0.0, "2.33 steps"))
    with pytest.raises(ValueError, match="part must be a schedule whose cycles are rounded to"):
        s.repeat().resolve(steps_per_epoch=10.37)


@given(schedules(any_lengths, depth=3))
@settings(max_examples=100)
def test_joints_are_the_same_forward_and_backward(s):
    s = s.resolve(10_000, steps_per_epoch=100, samples_per_step=32, tokens_per_step=512)
    last = 3000
    forward = list(itertools.takewhile(lambda t: t <= last, s._joints(last)))
    assert forward == sorted(set(forward))
    backward, t = [], last + 1
    while (t := s._previous_joint(t)) is not None:
        backward.append(t)
    assert backward[::-1] == forward
    assert {t for t in boundaries(s) if t <= last} >= set(forward[:100])


@given(schedules(any_lengths, depth=3), st.integers(0, 3000), st.integers(0, 300))
@settings(max_examples=200)
def test_bounds_contain_the_values(s, first, size):
    assume(not contains(s, Function))  # bounds of a user's function are unknown
    s = s.resolve(10_000, steps_per_epoch=100, samples_per_step=32, tokens_per_step=512)
    low, high = s._bounds(first, first + size)
    values = np.array([s(t) for t in range(first, first + size + 1)])
    slack = 1e-12 * max(1.0, np.abs(values).max())
    if low == low:  # NaN: not known
        assert low - slack <= values.min()
        assert values.max() <= high + slack
    assert s._bounds(first, first) == (s(first), s(first))


def contains(s: lehr.Schedule, cls: type) -> bool:
    return isinstance(s, cls) or any(contains(part, cls) for part in s._parts())


NEGATIVE = {
    "dips between joints": lehr.linear(1.0, 0.0, 1000) ** 2
    - 0.9 * lehr.linear(1.0, 0.0, 1000)
    + 0.2,
    "bend of a product": 0.06 - lehr.linear(-0.5, 1.0, 1000) * lehr.linear(1.0, -0.5, 1000),
    "late in a long part": lehr.constant(0.1) - lehr.warmup(0.1001, 10**9),
    "one of 10**9 cycles": lehr.warmup(0.5, 2).repeat(10**9 - 1).then(lehr.constant(-0.1, 5)),
    "inside ticks": (0.3 - lehr.linear(0.0, 0.4, 5)).every(10**8),
    "taken": (0.3 - lehr.linear(0.0, 0.4, 5)).take(4),
    "reversed": (0.3 - lehr.linear(0.0, 0.4, 50).then(lehr.linear(0.4, 0.0, 50))).reverse(),
    "a later cycle": (lehr.linear(0.4, 0.0, 7).repeat() - lehr.linear(0.0, 0.1, 10**6)).take(10**6),
}


@pytest.mark.parametrize("name", NEGATIVE)
def test_a_policy_that_is_negative_between_joints_is_rejected(name):
    with pytest.raises(ValueError, match=r"^lr at step \d+ must be a number at least 0, got -"):
        Policy(NEGATIVE[name])


def test_a_part_that_is_cut_before_it_is_negative_is_accepted():
    s = lehr.linear(1.0, -1.0, 100)
    assert Policy(s.take(50)).lr(50) == 0.0
    with pytest.raises(ValueError, match=r"lr at step 51 must be a number at least 0, got -0\.02"):
        Policy(s.take(51))
    assert Policy(lehr.linear(1.0, -0.1, 11).repeat()).lr(10) == pytest.approx(0.0)


def test_values_of_a_users_curve_are_checked_inside_a_part():
    @lehr.schedule.curve("overshoot for this test")
    def overshoot(u, v, xp):
        return v - 2.0 * u * v

    try:
        with pytest.raises(ValueError, match=r"lr at step \d+ must be a number at least 0, got -"):
            Policy(lehr.schedule.Ramp(1.0, 0.0, 1000, "overshoot for this test"))
    finally:
        del lehr.schedule.curves.CURVES["overshoot for this test"]


@given(schedules(any_lengths, depth=3))
@settings(max_examples=100)
def test_the_check_of_values_does_bounded_work(s):
    s = s.resolve(10_000, steps_per_epoch=100, samples_per_step=32, tokens_per_step=512)
    assert sum(1 for _ in inspect.suspects(s, lambda value: False)) <= 1000 + 100_000
