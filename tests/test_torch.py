"""lehr.torch: real training; what each update really used; resuming to the bit."""

import copy
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

import lehr
import lehr.torch
from lehr.learner import Snapshot

torch.set_num_threads(1)  # tiny models: more threads only stand in each other's way

STEPS = 20
CYCLE = lehr.one_cycle(0.1, steps=STEPS)


def weights(n=1, **options):
    return [torch.nn.Parameter(torch.zeros(1, **options)) for _ in range(n)]


def beta1(group):
    return group["betas"][0]


def momentum(group):
    return group["momentum"]


def drive(optimizer, scheduler, updates, read=lambda group: group["lr"], group=0):
    """Make updates by gradients of 1; return what stood in the optimizer before each."""
    used = []
    for _ in range(updates):
        used.append(float(read(optimizer.param_groups[group])))
        for part in optimizer.param_groups:
            for weight in part["params"]:
                weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
    return used


def close(used, wanted, rel=1e-12):
    """Relative to the peak: 1e-12 where the rate is a number, 4e-7 in a float32 tensor."""
    assert np.abs(np.subtract(used, wanted)).max() <= rel * np.max(np.abs(wanted))


# The scheduler


def test_every_update_uses_the_policys_rate():
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=123.0)
    used = drive(optimizer, lehr.torch.Scheduler(optimizer, CYCLE.lr), STEPS + 3)
    wanted = [CYCLE.lr(t) for t in range(STEPS + 3)]
    assert used == wanted
    close(-weight.item(), sum(wanted))


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda p: SGD(p, lr=1.0, momentum=0.5), momentum),
        (lambda p: SGD(p, lr=1.0), momentum),  # momentum 0 until the policy moves it
        (lambda p: SGD(p, lr=1.0, momentum=0.5, nesterov=True), momentum),
        (lambda p: RMSprop(p), momentum),
        (lambda p: Adam(p), beta1),
        (lambda p: AdamW(p), beta1),
    ],
)
def test_one_cycle_moves_momentum_against_the_rate(make, read):
    optimizer = make(weights())
    used = drive(optimizer, lehr.torch.Scheduler(optimizer, CYCLE), STEPS, read)
    assert used == [CYCLE.momentum(t) for t in range(STEPS)]
    assert min(used) == 0.85
    assert max(used) == 0.95
    if read is beta1:
        assert optimizer.param_groups[0]["betas"][1] == 0.999


@pytest.mark.parametrize("rise", [lehr.linear(0.0, 0.9, 4), lehr.linear(0.9, 0.0, 4)])
def test_momentum_of_sgd_may_begin_or_end_at_zero(rise):
    """The update itself, against the formula by hand."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=1.0)
    drive(optimizer, lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, momentum=rise)), 8)
    moved, buffer = 0.0, None
    for t in range(8):
        step = 1.0
        if rise(t):
            buffer = 1.0 if buffer is None else rise(t) * buffer + 1.0
            step = buffer
        moved += 0.1 * step
    close(-weight.item(), moved)


def test_weight_decay_follows_the_policy():
    decay = lehr.linear(0.1, 0.0, STEPS)
    optimizer = AdamW(weights())
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, weight_decay=decay))
    used = drive(optimizer, scheduler, STEPS, lambda group: group["weight_decay"])
    assert used == [decay(t) for t in range(STEPS)]


def named(n=2, lr=1.0, cls=SGD, **options):
    groups = [{"params": weights(), "name": f"g{i}"} for i in range(n)]
    return cls(groups, lr=lr, **options)


PER_GROUP = {"g0": lehr.linear(1.0, 0.0, STEPS), "g1": lehr.linear(0.1, 0.0, STEPS)}


@pytest.mark.parametrize("group", [0, 1])
def test_groups_follow_their_own_schedules(group):
    optimizer = named()
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=PER_GROUP))
    used = drive(optimizer, scheduler, STEPS, group=group)
    assert used == [PER_GROUP[f"g{group}"](t) for t in range(STEPS)]


def test_groups_may_have_their_own_momentum():
    optimizer = named(cls=AdamW)
    own = {"g0": lehr.constant(0.8), "g1": lehr.linear(0.9, 0.5, 4)}
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, momentum=own))
    assert drive(optimizer, scheduler, 3, beta1, group=1) == [0.9, 0.8, 0.7]
    assert beta1(optimizer.param_groups[0]) == 0.8


@pytest.mark.parametrize("given", [{"g0": 0.1}, {"g0": 0.1, "g1": 0.1, "g2": 0.1}])
def test_groups_must_be_the_optimizers(given):
    names = r"groups of lr must be the optimizer's \['g0', 'g1'\], got \['g0'"
    with pytest.raises(ValueError, match=names):
        lehr.torch.Scheduler(named(), lehr.Policy(lr=given))
    nameless = r"the optimizer's \[None\], got \['g0'.*; give every parameter group a 'name'"
    with pytest.raises(ValueError, match=nameless):
        lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.Policy(lr=given))


def test_a_late_group_is_driven_from_the_next_write_on():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 10))
    drive(optimizer, scheduler, 3)
    optimizer.add_param_group({"params": weights(), "lr": 5.0})
    scheduler.step()
    assert scheduler.get_last_lr() == [0.6, 0.6]


def test_a_late_group_without_a_name_is_refused_where_groups_have_their_own():
    optimizer = named()
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=PER_GROUP))
    optimizer.add_param_group({"params": weights()})
    with pytest.raises(ValueError, match=r"the optimizer's \['g0', 'g1', None\], got \['g0', 'g1'"):
        scheduler.step()


def test_a_tensor_rate_is_filled_never_replaced():
    rate = torch.tensor(1.0)
    (weight,) = weights()
    optimizer = SGD([weight], lr=rate)
    used = drive(optimizer, scheduler := lehr.torch.Scheduler(optimizer, CYCLE.lr), STEPS)
    assert optimizer.param_groups[0]["lr"] is rate
    close(used, [CYCLE.lr(t) for t in range(STEPS)], 4e-7)
    close(-weight.item(), sum(CYCLE.lr(t) for t in range(STEPS)), STEPS * 6e-8)
    (copied,) = scheduler.get_last_lr()
    copied.fill_(7.0)
    assert scheduler.get_last_lr() == [rate]


def test_a_rate_of_another_type_after_loading_is_written_by_its_type():
    optimizer = SGD(weights(), lr=torch.tensor(1.0))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 4))
    optimizer.load_state_dict(SGD(weights(), lr=5.0).state_dict())
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.75
    optimizer.load_state_dict(SGD(weights(), lr=torch.tensor(5.0)).state_dict())
    scheduler.step()
    assert torch.equal(optimizer.param_groups[0]["lr"], torch.tensor(0.5))


def test_groups_that_share_a_tensor_get_their_own():
    optimizer = named(lr=torch.tensor(1.0))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=PER_GROUP))
    first = [group["lr"] for group in optimizer.param_groups]
    drive(optimizer, scheduler, 4)
    close(scheduler.get_last_lr(), [0.8, 0.08], 4e-7)
    assert all(a is g["lr"] for a, g in zip(first, optimizer.param_groups, strict=True))


def test_tensor_betas_are_written_as_tensors():
    optimizer = Adam(weights(), betas=(torch.tensor(0.9), torch.tensor(0.999)))
    lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, momentum=0.5))
    assert torch.equal(beta1(optimizer.param_groups[0]), torch.tensor(0.5))


def test_it_is_a_torch_scheduler_and_patches_nothing():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, CYCLE.lr)
    assert isinstance(scheduler, LRScheduler)
    assert "step" not in vars(optimizer)
    assert not hasattr(optimizer.step, "_wrapped_by_lr_sched")
    assert not hasattr(scheduler, "total_steps")
    assert scheduler.base_lrs == [1.0]
    assert scheduler._last_lr == scheduler.get_last_lr() == [CYCLE.lr(0)]
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)
    scheduler.step()
    assert (scheduler.last_epoch, scheduler._step_count) == (1, 2)


@pytest.mark.parametrize("first", [False, True])
def test_inside_sequential_lr(first):
    optimizer = SGD(weights(), lr=1.0)
    ours = lehr.linear(0.5, 0.0, 10)
    if first:
        parts = [lehr.torch.Scheduler(optimizer, ours), ConstantLR(optimizer, 0.25, 100)]
    else:
        parts = [LinearLR(optimizer, 0.25, total_iters=4), lehr.torch.Scheduler(optimizer, ours)]
    used = drive(optimizer, SequentialLR(optimizer, parts, milestones=[4]), 8)
    falls = [ours(t) for t in range(4)]
    close(used, [*falls, *[0.25] * 4] if first else [0.25, 0.4375, 0.625, 0.8125, *falls])


def test_two_of_ours_inside_sequential_lr():
    def run():
        optimizer = SGD(weights(), lr=1.0)
        parts = [
            lehr.torch.Scheduler(optimizer, lehr.warmup(0.5, 4)),
            lehr.torch.Scheduler(optimizer, lehr.cosine(0.5, 6)),
        ]
        return optimizer, SequentialLR(optimizer, parts, milestones=[4])

    whole = lehr.warmup(0.5, 4).then(lehr.cosine(0.5, 6))
    optimizer, sequence = run()
    used = drive(optimizer, sequence, 3)
    for _ in range(3):  # saved and resumed before, at and after the milestone
        saved, state = sequence.state_dict(), optimizer.state_dict()
        optimizer, sequence = run()
        optimizer.load_state_dict(state)
        sequence.load_state_dict(saved)
        used += drive(optimizer, sequence, 1)
    used += drive(optimizer, sequence, 4)
    assert used == [whole(t) for t in range(10)]


def test_inside_chained_scheduler():
    optimizer = SGD(weights(), lr=1.0)
    chained = ChainedScheduler(
        [ConstantLR(optimizer, 0.5, 100), lehr.torch.Scheduler(optimizer, CYCLE.lr)]
    )
    assert drive(optimizer, chained, STEPS) == [CYCLE.lr(t) for t in range(STEPS)]


def test_a_schedule_is_a_factor_for_lambda_lr():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = LambdaLR(optimizer, CYCLE.lr)
    assert drive(optimizer, scheduler, STEPS) == [CYCLE.lr(t) for t in range(STEPS)]


PLATEAU = lehr.Plateau(patience=2, factor=0.5)


def test_a_plateau_acts_on_the_next_update():
    policy = lehr.Policy(lr=lehr.linear(1.0, 0.0, 8), momentum=0.9, control=PLATEAU)
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, policy)
    used = drive(optimizer, scheduler, 2)
    for loss in (1.0, 1.0):
        scheduler.observe(loss)
    used += drive(optimizer, scheduler, 1)
    scheduler.observe(torch.tensor(1.0))
    assert scheduler.get_last_lr() == [0.3125]  # written at once: the next update uses it
    used += drive(optimizer, scheduler, 3)
    assert used == [1.0, 0.875, 0.75, 0.3125, 0.25, 0.1875]
    assert momentum(optimizer.param_groups[0]) == 0.9


def test_a_plateau_acts_on_every_group():
    scheduler = lehr.torch.Scheduler(
        named(), lehr.Policy(lr={"g0": 1.0, "g1": 0.1}, control=PLATEAU)
    )
    for _ in range(3):
        scheduler.observe(1.0)
    assert scheduler.get_last_lr() == [0.5, 0.05]


def test_observe_without_a_controller_is_refused():
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), CYCLE)
    with pytest.raises(ValueError, match=r"control must be a controller to observe.*Plateau\(\)"):
        scheduler.observe(1.0)


@pytest.mark.parametrize("cut", [0, 1, 7, 19, 25])
def test_resuming_goes_on_exactly(cut):
    policy = lehr.Policy(lr=CYCLE.lr, momentum=CYCLE.momentum, control=PLATEAU)
    metric = [1.0, 0.5, 0.7, 0.7, 0.6, 0.1] * 5

    def run(optimizer, scheduler, metrics):
        used = []
        for value in metrics:
            used += drive(optimizer, scheduler, 1)
            used.append(momentum(optimizer.param_groups[0]))
            scheduler.observe(value)
        return used

    def fresh():
        optimizer = SGD(weights(), lr=1.0)
        return optimizer, lehr.torch.Scheduler(optimizer, policy)

    whole = run(*fresh(), metric)
    optimizer, scheduler = fresh()
    used = run(optimizer, scheduler, metric[:cut])
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state == json.loads(json.dumps(state))
    assert state.keys() == {"step", "control", "policy"}
    assert state["step"] == cut
    assert lehr.loads(json.dumps(state["policy"])) == policy
    optimizer, scheduler = fresh()
    scheduler.load_state_dict(state)
    assert used + run(optimizer, scheduler, metric[cut:]) == whole


def test_the_state_without_a_controller():
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), 0.1)
    policy = json.loads(lehr.Policy(lr=0.1).dumps())
    assert scheduler.state_dict() == {"step": 0, "control": None, "policy": policy}


def test_a_copied_scheduler_goes_on_alike():
    optimizer = SGD(weights(), lr=1.0)
    twin = copy.deepcopy(lehr.torch.Scheduler(optimizer, CYCLE))
    assert drive(twin.optimizer, twin, STEPS) == [CYCLE.lr(t) for t in range(STEPS)]


@pytest.mark.parametrize(
    ("new", "match"),
    [
        (
            lehr.linear(1.0, 0.0, 20),
            r"policy.lr.steps must be the saved 10, got 20: lr at step 5 would jump from "
            r"0.5 to 0.75; to go on under the new policy call step\(5\) instead",
        ),
        (lehr.constant(0.5), "policy.lr.kind must be the saved 'ramp', got 'constant': no value"),
        (
            lehr.Policy(lr=lehr.linear(1.0, 0.0, 10), momentum=0.9),
            "policy.momentum.kind must be the saved None, got 'constant': no value jumps; to go on",
        ),
    ],
)
def test_resuming_another_policy_is_refused(new, match):
    old = lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.linear(1.0, 0.0, 10))
    old.step(5)
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, new)
    with pytest.raises(ValueError, match=match):
        scheduler.load_state_dict(old.state_dict())
    scheduler.step(5)  # the way out
    assert drive(optimizer, scheduler, 1) == [lehr.policy.as_policy(new).lr(5)]


def test_the_jump_of_each_group_is_named():
    old = lehr.torch.Scheduler(named(), lehr.Policy(lr={"g0": 1.0, "g1": 0.1}))
    new = lehr.torch.Scheduler(named(), lehr.Policy(lr={"g0": 1.0, "g1": 0.2}))
    jump = "lr.groups.g1.value must be .* 0.1, got 0.2: lr.g1 at step 0 would jump from 0.1 to 0.2"
    with pytest.raises(ValueError, match=jump):
        new.load_state_dict(old.state_dict())


def test_the_state_of_another_scheduler_is_refused():
    optimizer = SGD(weights(), lr=1.0)
    other = LambdaLR(optimizer, CYCLE.lr).state_dict()
    with pytest.raises(ValueError, match="state_dict must be a lehr scheduler's, with step, cont"):
        lehr.torch.Scheduler(optimizer, CYCLE).load_state_dict(other)


def test_lengths_are_resolved_or_refused():
    optimizer = SGD(weights(), lr=1.0)
    with pytest.raises(ValueError, match=r"policy must be in whole steps .* pass steps="):
        lehr.torch.Scheduler(optimizer, lehr.cosine(1.0))
    used = drive(optimizer, lehr.torch.Scheduler(optimizer, lehr.cosine(1.0), 10), 10)
    assert used == [lehr.cosine(1.0, 10)(t) for t in range(10)]
    epochs = lehr.torch.Scheduler(optimizer, lehr.cosine(1.0, "2 epochs"), steps_per_epoch=5)
    assert drive(optimizer, epochs, 10) == used


@pytest.mark.parametrize(
    ("make", "policy", "error", "match"),
    [
        (
            lambda: torch.optim.Adagrad(weights(), lr=3.0),
            CYCLE,
            ValueError,
            "momentum must be None for Adagrad, which has no momentum, got .*; leave momentum out",
        ),
        (
            lambda: torch.optim.Rprop(weights(), lr=3.0),
            lehr.Policy(lr=0.1, weight_decay=0.1),
            ValueError,
            "weight_decay must be None for Rprop, which has no weight_decay, got",
        ),
        (
            lambda: RMSprop(weights(), lr=3.0),
            lehr.Policy(lr=0.1, momentum=lehr.linear(0.0, 0.9, 4)),
            ValueError,
            "momentum must be above 0 at step 0 for RMSprop, which makes its buffers there, got",
        ),
        (lambda: SGD(weights(), lr=3.0), "0.1", TypeError, "policy must be a schedule or a number"),
    ],
)
def test_refused_and_the_optimizer_left_alone(make, policy, error, match):
    optimizer = make()
    with pytest.raises(error, match=match):
        lehr.torch.Scheduler(optimizer, policy)
    assert optimizer.param_groups[0]["lr"] == 3.0


def test_only_a_torch_optimizer_is_driven():
    with pytest.raises(TypeError, match=r"optimizer must be a torch.optim.Optimizer, got \[\]"):
        lehr.torch.Scheduler([], CYCLE)


# The learner


def data(rows=100, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 6)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int64)


def optimizers(name, params):
    return {
        "sgd": lambda: SGD(params, lr=0.1, momentum=0.9),
        "adamw": lambda: AdamW(params, lr=0.1),
        "nadam": lambda: NAdam(params, lr=0.1),
        "tensor rate": lambda: AdamW(params, lr=torch.tensor(0.1, dtype=torch.float64)),
    }[name]()


def net(kind="dense"):
    torch.manual_seed(3)
    if kind == "channels last":
        layers = [
            torch.nn.Unflatten(1, (2, 3, 1)),
            torch.nn.Conv2d(2, 8, 3, padding=1),
            torch.nn.Flatten(),
        ]
        model = torch.nn.Sequential(*layers, torch.nn.Dropout(0.3), torch.nn.Linear(24, 2))
        return model.to(memory_format=torch.channels_last)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 16),
        torch.nn.BatchNorm1d(16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(16, 2),
    ).to({"dense": torch.float32, "double": torch.float64, "bfloat16": torch.bfloat16}[kind])


def accuracy(output, y):
    return (output.argmax(1) == y).double().mean()


def learner(optimizer="sgd", kind="dense", seed=0, **options):
    model = net(kind)
    x, y = data()
    x = torch.as_tensor(x).to(next(model.parameters()).dtype)
    test = (x[:50], torch.as_tensor(y[:50]))
    return lehr.torch.Learner(
        model,
        optimizers(optimizer, model.parameters()),
        torch.nn.functional.cross_entropy,
        (x, y),
        **{"validation": test, "test": test, "batch_size": 8, "seed": seed} | options,
    )


CALM = lehr.Policy(lr=lehr.linear(0.05, 0.0, 60), momentum=lehr.linear(0.95, 0.85, 60))
WILD = lehr.Policy(lr=lehr.linear(0.1, 50.0, 20), momentum=0.5)


def same_state(a, b):
    assert a.digest() == b.digest()
    assert a.arrays.keys() == b.arrays.keys()
    for name, array in a.arrays.items():
        np.testing.assert_array_equal(array, b.arrays[name], err_msg=name)


CASES = [
    ("sgd", "dense"),
    ("adamw", "dense"),
    ("nadam", "double"),
    ("adamw", "bfloat16"),
    ("nadam", "bfloat16"),
    ("tensor rate", "dense"),
    ("adamw", "channels last"),
]


@pytest.mark.parametrize("before", [0, 7, 15])  # 15 is in the second epoch
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("optimizer", "kind"), CASES)
def test_the_update_after_a_restore_is_bit_identical(optimizer, kind, stored, before, tmp_path):
    run, calm = learner(optimizer, kind), learner(optimizer, kind)
    torch.manual_seed(11)
    run.train(CALM, before)
    snapshot, path = run.snapshot(), tmp_path / "run.npz"
    run.save(path)

    torch.manual_seed(11)
    calm.train(CALM, before)
    same_state(snapshot, calm.snapshot())
    wanted = calm.train(CALM, 20, first=before)

    for _ in range(2):  # twice: a snapshot is not used up
        run.train(WILD, 20)
        torch.rand(5)
        if stored:
            run.load(path)
        else:
            run.restore(snapshot)
        same_state(snapshot, run.snapshot())
        got = run.train(CALM, 20, first=before)
        assert got.losses == wanted.losses
        assert got.rates == wanted.rates
        same_state(run.snapshot(), calm.snapshot())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_range_test_leaves_no_trace(optimizer):
    run, calm = learner(optimizer), learner(optimizer)
    traces = []
    for tested in (run, calm):
        torch.manual_seed(11)
        tested.train(CALM, 3)
        if tested is run:
            lehr.range_test(tested, low=1e-4, high=10.0, steps=30)
        traces.append(tested.train(CALM, 20, first=3))
    assert traces[0] == traces[1]
    same_state(run.snapshot(), calm.snapshot())


def test_a_snapshot_goes_to_another_learner(tmp_path):
    run, other = learner("adamw"), learner("adamw")
    run.train(CALM, 5)
    run.save(tmp_path / "run.npz")
    wanted = run.train(CALM, 5, first=5)
    other.load(tmp_path / "run.npz")
    assert other.train(CALM, 5, first=5) == wanted
    betas = other.optimizer.param_groups[0]["betas"]
    assert isinstance(betas, tuple)
    assert betas[1] == 0.999


def test_a_snapshot_is_a_copy_and_its_file_the_same(tmp_path):
    run = learner("adamw", "bfloat16")
    run.train(CALM, 3)
    snapshot = run.snapshot()
    digest = snapshot.digest()
    run.train(WILD, 3)
    assert snapshot.digest() == digest
    snapshot.save(tmp_path / "run.npz")
    assert Snapshot.load(tmp_path / "run.npz").digest() == digest


def test_what_cannot_be_written_down_is_refused():
    run = learner()
    run.optimizer.param_groups[0]["note"] = object()
    with pytest.raises(TypeError, match="state/optimizer/param_groups/0/note must be a tensor, nu"):
        run.snapshot()


def test_one_seed_gives_identical_losses_and_another_other_ones():
    def run(seed):
        torch.manual_seed(0)
        return learner(seed=seed).train(CALM, 30)

    assert run(0) == run(0)
    assert run(0).losses != run(1).losses


def test_learners_see_every_row_once_an_epoch():
    run = learner()
    assert run.steps_per_epoch == 12
    rows = np.concatenate([run.rows(step) for step in range(12)])
    assert len(set(rows)) == 96
    assert not np.array_equal(run.rows(0), run.rows(12))


def test_losses_are_those_of_each_batch():
    """Against a loop written by hand."""
    run, model = learner(), net()
    torch.manual_seed(5)
    trace = run.train(CALM, 20)
    optimizer = optimizers("sgd", model.parameters())
    scheduler = lehr.torch.Scheduler(optimizer, CALM)
    x, y = map(torch.as_tensor, data())
    torch.manual_seed(5)
    for step in range(20):
        rows = run.rows(step)
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        assert loss.item() == trace.losses[step]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()


def test_rates_are_read_back_from_the_optimizer():
    run = learner("adamw")
    trace = run.train(CALM, 20, first=10, factor=0.5)
    assert trace.rates == {
        "lr": [CALM.lr(t) * 0.5 for t in range(10, 30)],
        "momentum": [CALM.momentum(t) for t in range(10, 30)],
    }
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: optimizer.param_groups[0].update(lr=0.25)
    )
    assert run.train(CALM, 3).rates["lr"] == [0.25] * 3


def test_rates_of_groups_and_of_tensors():
    model = net()
    named = [{"params": model[i].parameters(), "name": n} for i, n in ((0, "body"), (4, "head"))]
    sgd = SGD(named, lr=torch.tensor(1.0, dtype=torch.float64))
    own = {"head": lehr.linear(0.1, 0.0, 20), "body": lehr.linear(0.01, 0.0, 20)}
    run = lehr.torch.Learner(model, sgd, torch.nn.functional.cross_entropy, data())
    trace = run.train(lehr.Policy(lr=own), 20)
    assert trace.rates == {f"lr/{name}": [s(t) for t in range(20)] for name, s in own.items()}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_until_is_asked_every_16_updates_and_at_the_end():
    asked = []
    run = learner()
    assert len(run.train(CALM, 40, until=lambda t: asked.append(len(t.losses))).losses) == 40
    assert asked == [16, 32, 40]
    assert len(run.train(CALM, 40, until=lambda t: len(t.losses) >= 20).losses) == 32


def test_training_leaves_modes_and_gradients_as_they_were():
    run = learner()
    run.model.eval()
    run.model[4].train()
    modes = [module.training for module in run.model.modules()]
    run.train(CALM, 3)
    run.evaluate()
    assert [module.training for module in run.model.modules()] == modes
    assert all(parameter.grad is None for parameter in run.model.parameters())


def test_evaluation_changes_nothing():
    draws = {"draws": lambda output, y: torch.rand(()).item()}
    quiet, asked = learner(), learner(metrics=draws)
    torch.manual_seed(5)
    wanted = [quiet.train(CALM, 10), quiet.train(CALM, 10, first=10)]
    torch.manual_seed(5)
    first = asked.train(CALM, 10)
    assert asked.evaluate() == asked.evaluate()
    assert [first, asked.train(CALM, 10, first=10)] == wanted
    same_state(quiet.snapshot(), asked.snapshot())


def test_metrics_are_averaged_over_the_rows():
    run = learner(metrics={"accuracy": accuracy})
    run.train(CALM, 30)
    x, y = map(torch.as_tensor, data())
    run.model.eval()
    with torch.no_grad():
        output = run.model(x[:50])
    metrics = run.evaluate("test")
    assert metrics.keys() == {"loss", "accuracy"}
    assert metrics["accuracy"] == pytest.approx(accuracy(output, y[:50]).item(), rel=1e-12)
    loss = torch.nn.functional.cross_entropy(output, y[:50]).item()
    assert metrics["loss"] == pytest.approx(loss, rel=1e-6)


def test_data_may_be_read_only_and_is_not_copied_else():
    x, y = data()
    given = (x, y)
    run = lehr.torch.Learner(
        model := net(), SGD(model.parameters(), lr=0.1), torch.nn.functional.cross_entropy, given
    )
    assert run._splits["train"][0].data_ptr() == x.ctypes.data
    x.flags.writeable = False
    frozen = lehr.torch.Learner(
        model := net(), SGD(model.parameters(), lr=0.1), torch.nn.functional.cross_entropy, given
    )
    assert torch.equal(frozen._splits["train"][0], run._splits["train"][0])


def test_a_missing_split_is_refused():
    run = learner(validation=None)
    with pytest.raises(ValueError, match=r"split must be one of .*'test'.*; pass validation=\(x"):
        run.evaluate()


def test_a_loss_that_is_no_scalar_is_refused():
    run = learner()
    run.loss = lambda output, y: torch.nn.functional.cross_entropy(output, y, reduction="none")
    with pytest.raises(ValueError, match=r"loss must be a scalar, got 'shape \(8,\)'; return its"):
        run.train(CALM, 1)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"validation": data()[0]}, TypeError, r"validation must be a pair \(x, y\) of tensors"),
        ({"test": (data()[0], [1])}, ValueError, r"test must be x and y of equally.*\(100, 1\)"),
        ({"batch_size": 101}, ValueError, "batch_size must be at most the 100 training rows"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_a_learner_that_cannot_be_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        learner(**options)


def test_a_learner_refuses_what_its_optimizer_lacks():
    model = net()
    adagrad = torch.optim.Adagrad(model.parameters())
    run = lehr.torch.Learner(model, adagrad, torch.nn.functional.cross_entropy, data())
    with pytest.raises(ValueError, match="momentum must be None for Adagrad"):
        run.train(CALM, 1)
    with pytest.raises(ValueError, match="policy must be in whole steps"):
        run.train(lehr.Policy(lr=lehr.cosine(0.1)), 1)


def test_a_missing_framework_is_named():
    code = "import sys; sys.modules['torch'] = None; import lehr.torch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stderr.strip().splitlines()[-1] == (
        "ImportError: lehr.torch needs PyTorch and NumPy: pip install 'lehr[torch]'"
    )
