"""lehr.jax with a controller in the graph: its decisions, saving and resuming a run."""

import json
from dataclasses import asdict, astuple, fields

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_models import close

import lehr
import lehr.jax
from lehr.controllers import State

PLATEAU = lehr.Plateau(patience=2, factor=0.5)
POLICY = lehr.Policy(lr=lehr.linear(1.0, 0.0, 10), momentum=0.9, control=PLATEAU)
WARM = lehr.warmup(0.1, steps=4).then(lehr.cosine(0.1, steps=12))


@np.errstate(over="ignore")
def streams(rng, controller, count, length):
    """Random metrics; in some rows each differs from the threshold by at most one rounding step."""
    table = np.empty((count, length), np.float32)
    for row in table:
        kind = rng.choice(["normal", "negative", "ties", "edge", "huge"])
        row[:] = {
            "normal": rng.normal(size=length),
            "negative": -abs(rng.normal(100.0, 1.0, length)),
            "ties": rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], length),
            "edge": rng.normal(size=length),
            "huge": rng.normal(0.0, 1e38, length),
        }[kind]
        if kind == "edge":
            for i in range(1, length):
                size = abs(row[i - 1]) if controller.threshold_mode == "relative" else 1.0
                direction = -1 if controller.mode == "min" else 1
                edge = np.float32(row[i - 1] + direction * np.float32(controller.threshold) * size)
                row[i] = np.nextafter(edge, np.float32(rng.choice([-9.0, 0.0, 9.0])))
        odd = rng.random(length) < 0.04
        row[odd] = rng.choice([np.nan, np.inf, -np.inf], odd.sum())
    return table


@pytest.mark.parametrize("case", range(24))
def test_decisions_equal_plain_python(case):
    """100 streams of metrics in a scan, each step compared with the Python state machine."""
    rng = np.random.default_rng(case)
    kind = (lehr.Plateau, lehr.Greedy)[case % 2]
    controller = kind(
        factor=rng.choice([0.1, 0.3, 0.5]),
        patience=int(rng.integers(1, 4)),
        threshold=rng.choice([0.0, 1e-4, 0.01, 0.3]),
        mode=("min", "max")[case // 2 % 2],
        cooldown=int(rng.integers(0, 4)),
        min_factor=rng.choice([0.0, 0.01, 0.5]),
        threshold_mode=("relative", "absolute")[case // 4 % 2],
        average=int(rng.choice([1, 1, 2, 3])),
    )
    tx = lehr.jax.drive(optax.sgd, lehr.Policy(lr=0.1, control=controller))
    state = tx.init(jnp.zeros(()))

    def observe(state, metric):
        state = tx.observe(state, metric)
        return state, state.control

    metrics = streams(rng, controller, 100, 60)
    scanned = jax.jit(jax.vmap(lambda row: jax.lax.scan(observe, state, row)[1]))(metrics)
    plain = []
    for row in metrics:
        control = controller.init()
        for metric in row:
            plain.append(control := controller.update(control, float(metric)))
    for field in fields(State):
        actual = np.asarray(getattr(scanned, field.name)).ravel()
        expected = np.array([getattr(state, field.name) for state in plain])
        if field.name == "factor":
            close(actual, expected)
        else:
            np.testing.assert_array_equal(actual, expected.astype(actual.dtype), field.name)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_metrics_at_the_threshold_are_rounded_once(mode):
    """Metrics that improve by 0.3 of the best if rounded once, but not if rounded twice."""
    best = np.random.default_rng(0).uniform(1, 2, 20_000).astype("float32")
    once, twice = np.float32(0.3 * best.astype(float)), np.float32(0.3) * best
    gain = np.maximum(once, twice)
    metric = best - gain if mode == "min" else best + gain
    exact = abs(metric.astype(float) - best) == gain
    best, metric = best[exact & (once != twice)], metric[exact & (once != twice)]
    assert len(best) > 100
    policy = lehr.Policy(lr=0.1, control=lehr.Plateau(threshold=0.3, mode=mode))

    def waited(best, metric):
        tx = lehr.jax.drive(optax.sgd, policy)
        state = tx.init(jnp.zeros(()))
        for value in (best, metric):
            state = tx.observe(state, value)
        return state.control.waited

    plain = []
    for pair in zip(best.tolist(), metric.tolist(), strict=True):
        control = State()
        for value in pair:
            control = policy.control.update(control, value)
        plain.append(control.waited)
    np.testing.assert_array_equal(jax.jit(jax.vmap(waited))(best, metric), plain)


def test_warmup_schedule_and_plateau_in_one_scan():
    """Moves of a weight with gradient one, compared with the Python plateau and schedule."""
    policy = lehr.Policy(lr=WARM, control=PLATEAU)
    tx = lehr.jax.drive(optax.sgd, policy)
    losses = np.float32([3, 2, 2, 2, 1, 2, 2, 2, 2, 2, np.nan, 0, 0, 0, 0, 0])

    def step(carry, loss):
        weight, state = carry
        updates, state = tx.update(jnp.ones(()), state, weight)
        state = tx.observe(state, loss)
        return (optax.apply_updates(weight, updates), state), -updates

    carry = (jnp.zeros(()), tx.init(jnp.zeros(())))
    (_, state), scanned = jax.jit(lambda c: jax.lax.scan(step, c, losses))(carry)
    looped, jitted = [], jax.jit(step)
    for loss in losses:
        carry, moved = jitted(carry, loss)
        looped.append(moved)
    control, wanted = PLATEAU.init(), []
    for t, loss in enumerate(losses):
        wanted.append(WARM(t) * control.factor)
        control = PLATEAU.update(control, float(loss))
    assert control.factor == 1 / 64
    close(scanned, wanted)
    np.testing.assert_array_equal(scanned, np.stack(looped))
    assert tuple(v.item() for v in state.control) == astuple(control)
    assert jitted._cache_size() == 1


def test_eager_jit_and_cond_agree():
    tx = lehr.jax.drive(optax.sgd, POLICY)
    eager = jitted = chosen = tx.init(jnp.zeros(()))
    observe_all = jax.jit(lambda state, metric: tx.observe(state, metric))

    @jax.jit
    def at_epochs_end(state, metric, step):
        end = step % 3 == 2
        return jax.lax.cond(end, lambda s: tx.observe(s, metric), lambda s: s, state)

    for step in range(15):
        chosen = at_epochs_end(chosen, 1.0, step)
        if step % 3 == 2:
            eager, jitted = tx.observe(eager, 1.0), observe_all(jitted, 1.0)
    jax.tree.map(np.testing.assert_array_equal, eager, jitted)
    jax.tree.map(np.testing.assert_array_equal, eager, chosen)
    assert float(eager.control.factor) == 0.25
    for state in (eager, chosen, tx.init(jnp.zeros(()))):
        kinds = [v.dtype.kind for v in jax.tree.leaves(state.control)]
        assert kinds == [np.dtype(type(v)).kind for v in astuple(State())]


def test_the_factor_applies_from_the_next_update():
    tx = lehr.jax.drive(optax.sgd, POLICY)
    update, state = jax.jit(tx.update), tx.init(jnp.zeros(()))
    used, momentum = [], []
    for _ in range(6):
        _, state = update(jnp.ones(()), state)
        used.append(lehr.jax.hyperparams(state)["lr"])
        momentum.append(lehr.jax.hyperparams(state)["momentum"])
        state = tx.observe(state, 1.0)
    close(used, [1.0, 0.9, 0.8, 0.35, 0.3, 0.125])
    close(momentum, [0.9] * 6)


@pytest.mark.parametrize(
    "around",
    [
        lambda tx: optax.chain(optax.clip(9.0), tx),
        lambda tx: optax.MultiSteps(tx, 1),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.multi_transform({"on": tx, "off": optax.set_to_zero()}, {"w": "on"}),
    ],
)
def test_the_driven_part_is_found_inside_another_state(around):
    policy = lehr.Policy(lr=0.5, control=lehr.Plateau(patience=1, factor=0.1))
    driver = lehr.jax.drive(optax.sgd, policy)
    tx = around(driver)
    weight = {"w": jnp.zeros(())}
    state = tx.init(weight)
    for _ in range(2):
        state = driver.observe(state, 1.0)
    updates, state = jax.jit(tx.update)({"w": jnp.ones(())}, state, weight)
    close(-updates["w"], 0.05)
    close(lehr.jax.hyperparams(state)["lr"], 0.05)
    updates, _ = tx.update({"w": jnp.ones(())}, driver.with_factor(state, 2.0), weight)
    close(-updates["w"], 1.0)
    saved = driver.state_dict(state)
    fresh = driver.load_state_dict(tx.init(weight), saved)
    assert driver.state_dict(fresh) == saved
    assert saved["step"] == 1


def test_one_controller_moves_all_groups():
    policy = lehr.Policy(
        lr={"head": 0.5, "body": 0.05}, momentum=0.0, control=lehr.Plateau(patience=1)
    )
    tx = lehr.jax.drive(optax.sgd, policy, groups={"a": "head", "b": "body"})
    weights = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    state = tx.init(weights)
    for _ in range(2):
        state = tx.observe(state, 1.0)
    updates, state = tx.update(jax.tree.map(jnp.ones_like, weights), state)
    close([-updates["a"], -updates["b"]], [0.25, 0.025])
    close(lehr.jax.hyperparams(state)["momentum"] + 1.0, 1.0)


def test_micro_batches_share_a_rate_and_skipped_updates_do_not_count():
    policy = lehr.Policy(lr=lehr.linear(0.5, 0.1, 4), control=lehr.Plateau(patience=1))
    driver = lehr.jax.drive(optax.sgd, policy)
    accumulated = optax.MultiSteps(driver, 2)
    tx = optax.apply_if_finite(accumulated.gradient_transformation(), 9)
    state, moved = tx.init(jnp.zeros(())), []
    for i, gradient in enumerate([1, 1, 1, np.nan, 1, 1, 1, 1]):
        updates, state = jax.jit(tx.update)(jnp.float32(gradient), state, jnp.zeros(()))
        moved.append(-float(updates))
        if i in (2, 4):  # in the middle of an accumulation
            state = driver.observe(state, 1.0)
    close(moved, [0, 0.5, 0, 0, 0.4, 0, 0.3 / 2, 0])


def test_seeds_in_one_vmap_have_independent_controllers():
    policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1))
    tx = lehr.jax.drive(optax.sgd, policy)
    weights = jnp.zeros(4)
    state = jax.vmap(tx.init)(weights)
    observe_all = jax.vmap(lambda state, metric: tx.observe(state, metric))
    for metrics in ([1.0, 1.0, 1.0, np.nan], [1.0, 0.5, 2.0, np.nan]):
        state = observe_all(state, jnp.array(metrics))
    updates, state = jax.vmap(tx.update)(jnp.ones(4), state)
    # with only NaN there is no best metric: two metrics without improvement
    close(-updates, [0.05, 0.1, 0.05, 0.025])
    assert tx.with_factor(state, 0.5).control.factor.tolist() == [0.5] * 4


def test_a_reduction_restores_the_best_weights():
    policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=2))
    tx = lehr.jax.drive(optax.sgd, policy)
    state = tx.init(jnp.zeros(()))

    def epoch(carry, seen):
        loss, weight = seen
        before, best = carry
        after = tx.observe(before, loss)
        params, best = lehr.jax.restored(before, after, {"w": weight}, best)
        return (after, best), params["w"]

    losses = jnp.array([0.5, 0.3, 0.4, 0.4, 0.2, 0.9, np.nan])
    weights = jnp.arange(7.0)
    _, restored = jax.jit(lambda c, s: jax.lax.scan(epoch, c, s))(
        (state, {"w": jnp.asarray(-1.0)}), (losses, weights)
    )
    assert restored.tolist() == [0, 1, 2, 1, 4, 5, 4]
    before, best = state, {"w": -1.0}
    for loss, weight, wanted in zip(losses, weights, restored, strict=True):
        (before, best), eager = epoch((before, best), (loss, weight))
        assert float(eager) == float(wanted)


@pytest.mark.parametrize(
    ("policy", "metric", "match"),
    [
        (lehr.Policy(lr=0.1), 1.0, r"control must be a controller .*Policy\(\.\.\., control="),
        (0.1, 1.0, "control must be a controller to observe a metric, got None"),
        (POLICY, "x", "metric must be a scalar, got 'x'"),
        (POLICY, None, "metric must be a scalar, got None"),
        (POLICY, jnp.zeros(3), r"metric must be a scalar, got 'shape \(3,\)'; pass its mean"),
    ],
)
def test_observe_rejects_wrong_policies_and_metrics(policy, metric, match):
    tx = lehr.jax.drive(optax.sgd, policy)
    with pytest.raises((TypeError, ValueError), match=match):
        tx.observe(tx.init(jnp.zeros(())), metric)


TX = lehr.jax.drive(optax.sgd, POLICY)


@pytest.mark.parametrize(
    "call",
    [
        lehr.jax.hyperparams,
        TX.values,
        lambda state: TX.observe(state, 1.0),
        lambda state: TX.with_factor(state, 0.5),
        TX.factor,
        TX.state_dict,
        lambda state: lehr.jax.restored(state, state, 0.0, 0.0),
    ],
    ids=["hyperparams", "values", "observe", "with_factor", "factor", "state_dict", "restored"],
)
def test_a_state_must_have_one_driven_part(call):
    two = optax.chain(lehr.jax.drive(optax.sgd, 0.5), lehr.jax.drive(optax.sgd, 0.1))
    for state, got in ((two.init(0.0), "2 of them"), (optax.sgd(0.1).init(0.0), "tuple")):
        match = f"state must be a state created by lehr.jax.drive, got '{got}'; pass the"
        with pytest.raises(ValueError, match=match):
            call(state)


@pytest.mark.parametrize(
    "call",
    [
        lambda state: TX.observe(0.5, state),
        lambda state: TX.with_factor(0.5, state),
        lambda state: TX.load_state_dict(TX.state_dict(state), state),
    ],
    ids=["observe", "with_factor", "load_state_dict"],
)
def test_swapped_arguments_are_rejected(call):
    with pytest.raises(ValueError, match=r"state must be a state created by .*; pass the result"):
        call(TX.init(0.0))


@pytest.mark.parametrize(
    ("factor", "match"),
    [(-0.5, "factor must be a number at least 0, got -0.5"), (np.nan, "factor must be a number")],
)
def test_a_factor_is_checked(factor, match):
    with pytest.raises(ValueError, match=match):
        TX.with_factor(TX.init(0.0), factor)
    with pytest.raises(ValueError, match=r"factor must be a scalar, got 'shape \(3,\)'"):
        TX.with_factor(TX.init(0.0), jnp.ones(3))
    with pytest.raises(ValueError, match=match):
        lehr.jax.drive(optax.sgd, 0.1, factor=factor)


def test_start_step_and_factor_of_a_new_run():
    tx = lehr.jax.drive(optax.adam, lehr.linear(1.0, 0.0, 10), start_step=4, factor=0.5)
    state = tx.init(jnp.zeros(()))
    assert float(tx.values(state)["lr"]) == pytest.approx(0.3)
    updates, state = tx.update(jnp.ones(()), state, jnp.zeros(()))
    # Adam starts its own count at 0: the size of its first update is the rate
    assert float(-updates) == pytest.approx(0.3, rel=1e-5)
    assert tx.state_dict(state)["step"] == 5
    state = jax.jit(tx.with_factor)(state, 2.0)
    assert float(tx.factor(state)) == 2.0
    close(tx.values(state)["lr"], 1.0)
    with pytest.raises(ValueError, match="start_step must be an integer number of steps >= 0"):
        lehr.jax.drive(optax.sgd, 0.1, start_step=-1)


def test_a_reduction_stops_at_min_lr():
    """The rate is max(s f, min(s, 0.25)); by hand, for s = 1, 0.75, ... and f = 1, 0.5, ..."""
    control = lehr.Plateau(patience=1, factor=0.5, min_lr=0.25)
    tx = lehr.jax.drive(optax.sgd, lehr.Policy(lehr.linear(1.0, 0.0, 8), control=control))
    state, used = tx.init(jnp.zeros(())), []
    for _ in range(8):
        used.append(float(tx.values(state)["lr"]))
        _, state = jax.jit(tx.update)(jnp.ones(()), state)
        state = tx.observe(state, 1.0)
    close(used, [1.0, 0.875, 0.375, 0.25, 0.25, 0.25, 0.25, 0.125])
    assert float(tx.values(state)["lr"]) == 0.0


def trained(tx, state, metrics, first=0):
    """Moves of a weight with gradient one, with a metric observed after each update."""
    moved = []
    for metric in metrics[first:]:
        updates, state = tx.update(jnp.ones(()), state)
        moved.append(-float(updates))
        if tx.policy.control is not None:
            state = tx.observe(state, metric)
    return moved, state


METRICS = [1.0, 1.0, 1.0, 0.5, 0.7, 0.7, 0.7, 0.2]
PLAIN = lehr.Policy(lr=lehr.linear(1.0, 0.0, 10), control=PLATEAU)
GREEDY = lehr.Policy(lr=WARM, control=lehr.Greedy(patience=1, average=2))


@pytest.mark.parametrize("policy", [PLAIN, GREEDY, lehr.Policy(lr=WARM)])
def test_the_state_resumes_the_values_at_every_cut(policy):
    tx = lehr.jax.drive(optax.sgd, policy)
    start = tx.init(jnp.zeros(()))
    uncut, _ = trained(tx, start, METRICS)
    for cut in range(len(METRICS)):
        before, state = trained(tx, start, METRICS[:cut])
        saved = json.loads(json.dumps(tx.state_dict(state)))
        assert saved.keys() == {"step", "control", "policy"}
        again = tx.load_state_dict(start, saved)
        assert before + trained(tx, again, METRICS, cut)[0] == uncut


def test_a_factor_set_by_hand_is_saved_without_a_controller():
    tx = lehr.jax.drive(optax.sgd, 0.5)
    saved = tx.state_dict(tx.with_factor(tx.init(jnp.zeros(())), 0.1))
    state = tx.load_state_dict(tx.init(jnp.zeros(())), saved)
    close(-tx.update(jnp.ones(()), state)[0], 0.05)


def test_another_policy_is_rejected_with_the_jump_or_accepted():
    tx = lehr.jax.drive(optax.sgd, PLAIN)
    _, state = trained(tx, tx.init(jnp.zeros(())), METRICS[:4])
    saved = tx.state_dict(state)
    assert saved["control"] == asdict(State(factor=0.5, best=0.5, seen=4, improved=1))
    other = lehr.Policy(lr=lehr.linear(2.0, 0.0, 10), control=PLATEAU)
    match = (
        r"lr was linear\(1\.0, 0\.0, 10\) and is linear\(2\.0, .*; lr at step 4 would jump from "
        r"0\.3 to 0\.6; .*on_change='continue'"
    )
    with pytest.raises(ValueError, match=match):
        lehr.jax.drive(optax.sgd, other).load_state_dict(state, saved)
    accepting = lehr.jax.drive(optax.sgd, other, on_change="continue")
    moved, _ = trained(accepting, accepting.load_state_dict(state, saved), [0.1])
    close(moved, [0.6])
    open_loop = lehr.jax.drive(optax.sgd, lehr.linear(1.0, 0.0, 10), on_change="continue")
    moved, _ = trained(open_loop, open_loop.load_state_dict(state, saved), [0.1])
    close(moved, [0.6])  # the factor of the removed controller is dropped
    with pytest.raises(ValueError, match="on_change must be one of refuse, continue, got 'go'"):
        lehr.jax.drive(optax.sgd, PLAIN, on_change="go")
    with pytest.raises(ValueError, match="state must be the state of a lehr driver, with step"):
        tx.load_state_dict(state, {"step": 3})


@pytest.mark.parametrize("steps", [2, 4])
def test_a_trunk_is_cooled_down_at_several_lengths(steps):
    trunk = lehr.Policy(lr=lehr.warmup(0.1, steps=2).then(lehr.constant(0.1)))
    tx = lehr.jax.drive(optax.sgd, trunk)
    _, state = trained(tx, tx.init(jnp.zeros(())), [0.0] * 6)
    branch = trunk.decay_from(6, steps=steps, curve="linear")
    cooling = lehr.jax.drive(optax.sgd, branch, on_change="continue")
    state = cooling.load_state_dict(state, tx.state_dict(state))
    moved, _ = trained(cooling, state, [0.0] * (steps + 1))
    close(moved, [0.1 * (1 - t / steps) for t in range(steps + 1)])


def test_the_state_stores_the_resolved_policy():
    policy = lehr.one_cycle(0.1)
    tx = lehr.jax.drive(optax.sgd, policy, steps=200)
    saved = tx.state_dict(tx.init(0.0))
    assert lehr.loads(saved["policy"]) == policy.resolve(200)
    assert int(tx.load_state_dict(tx.init(0.0), saved | {"step": 7}).step) == 7
