"""lehr.torch.Scheduler: several optimizers, any hyperparameter, factors, groups added later."""

import copy
import io

import pytest
import torch
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Muon, RMSprop
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, SequentialLR, StepLR
from torch_models import beta1, close, drive, momentum, named, weights

import lehr
import lehr.torch

FALL = lehr.linear(1.0, 0.0, 8)
FALLS = [FALL(t) for t in range(8)]


def net():
    """A matrix for Muon and a bias for AdamW."""
    torch.manual_seed(0)
    return torch.nn.Linear(4, 3)


def muon_and_adamw(model):
    adamw = AdamW([{"params": [model.bias], "name": "bias"}], lr=0.1)
    return [Muon([{"params": [model.weight], "name": "matrix"}], lr=0.1), adamw]


def train(model, optimizers, scheduler, updates, first=0):
    """Train on a line; return the values that both optimizers used in each update."""
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    used = []
    for i in range(first, first + updates):
        batch = x[i * 4 % 64 :][:4]
        loss = (model(batch) - batch[:, :3]).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        matrix, bias = (optimizer.param_groups[0] for optimizer in optimizers)
        used.append((matrix["lr"], bias["lr"], matrix["momentum"], beta1(bias)))
        scheduler.step()
    return used


def test_muon_and_adamw_follow_one_policy():
    model = net()
    optimizers = muon_and_adamw(model)
    heat = lehr.linear(0.95, 0.85, 8)
    rates = {"matrix": FALL * 0.02, "bias": FALL * 0.001}
    policy = lehr.Policy(lr=rates, momentum=heat, extra={"beta2": {"bias": heat}})
    scheduler = lehr.torch.Scheduler(optimizers, policy)
    assert scheduler.optimizer is optimizers[0]
    used = train(model, optimizers, scheduler, 8)
    assert used == [(0.02 * f, 0.001 * f, heat(t), heat(t)) for t, f in enumerate(FALLS)]
    assert scheduler.get_last_lr() == [0.0, 0.0]
    assert optimizers[1].param_groups[0]["betas"] == (0.85, 0.85)


def test_several_optimizers_resume_exactly():
    policy = lehr.Policy(lr=FALL * 0.01, momentum=lehr.linear(0.95, 0.85, 8))

    def fresh():
        model = net()
        optimizers = muon_and_adamw(model)
        return model, optimizers, lehr.torch.Scheduler(optimizers, policy)

    uncut = fresh()
    train(*uncut, 8)
    for cut in range(1, 8):
        before, after = fresh(), fresh()
        train(*before, cut)
        after[0].load_state_dict(before[0].state_dict())
        after[2].load_state_dict(before[2].state_dict())
        for mine, saved in zip(after[1], before[1], strict=True):
            mine.load_state_dict(saved.state_dict())
        train(*after, 8 - cut, first=cut)
        assert torch.equal(after[0].weight, uncut[0].weight)
        assert torch.equal(after[0].bias, uncut[0].bias)


@pytest.mark.parametrize(
    ("make", "name", "read"),
    [
        (lambda p: SGD(p, lr=1.0, momentum=0.9), "dampening", lambda g: g["dampening"]),
        (lambda p: Adam(p), "eps", lambda g: g["eps"]),
        (lambda p: Adam(p), "beta2", lambda g: g["betas"][1]),
        (lambda p: SGD(p, lr=1.0), "weight_decay", lambda g: g["weight_decay"]),
        (lambda p: RMSprop(p), "alpha", lambda g: g["alpha"]),
        (lambda p: Adadelta(p), "rho", lambda g: g["rho"]),
        (lambda p: Adagrad(p), "lr_decay", lambda g: g["lr_decay"]),
    ],
)
def test_any_hyperparameter_follows_the_policy(make, name, read):
    optimizer, moves = make(weights()), lehr.linear(0.5, 0.25, 8)
    named = {name: moves} if name == "weight_decay" else {"extra": {name: moves}}
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, **named))
    assert drive(optimizer, scheduler, 8, read) == [moves(t) for t in range(8)]


def test_dampening_reaches_the_update():
    """Against the formula of SGD by hand."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=1.0, momentum=0.5)
    damp = lehr.linear(0.0, 0.8, 4)
    policy = lehr.Policy(lr=0.1, extra={"dampening": damp})
    drive(optimizer, lehr.torch.Scheduler(optimizer, policy), 4)
    buffer, moved = 1.0, 0.1  # torch's first buffer is the gradient, without dampening
    for t in range(1, 4):
        buffer = 0.5 * buffer + (1 - damp(t))
        moved += 0.1 * buffer
    close(-weight.item(), moved)


# Factors relative to the rate of each group.


@pytest.mark.parametrize("tensor", [False, True])
def test_p20_relative_multiplies_only_the_rate_of_each_group(tensor):
    rate = torch.tensor if tensor else float
    groups = [
        {"params": weights(), "lr": rate(0.5), "weight_decay": 0.1},
        {"params": weights(), "lr": rate(0.25), "weight_decay": 0.2, "betas": (0.5, 0.99)},
    ]
    optimizer = AdamW(groups, lr=9.0)
    policy = lehr.Policy(lr=FALL, momentum=FALL * 0.75, weight_decay=FALL)
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
    drive(optimizer, scheduler, 4)
    assert [float(rate) for rate in scheduler.get_last_lr()] == [0.25, 0.125]
    assert [beta1(group) for group in optimizer.param_groups] == [0.375, 0.375]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.5]


@pytest.mark.parametrize("order", ["made after loading", "optimizer first", "scheduler first"])
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("cut", [1, 4])
def test_relative_resumes_in_any_order(cut, tensor, order):
    policy = lehr.Policy(lr=FALL, momentum=FALL * 0.75)

    def fresh():
        rate = torch.tensor(0.5) if tensor else 0.5
        return SGD([{"params": weights()}], lr=rate, momentum=0.5)

    def resumed(state):
        optimizer = fresh()
        if order == "made after loading":
            optimizer.load_state_dict(state[0])
        scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
        if order == "optimizer first":
            optimizer.load_state_dict(state[0])
        scheduler.load_state_dict(state[1])
        if order == "scheduler first":
            optimizer.load_state_dict(state[0])
        return optimizer, scheduler

    optimizer = fresh()
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
    used = drive(optimizer, scheduler, cut)
    file = io.BytesIO()
    torch.save((optimizer.state_dict(), scheduler.state_dict()), file)
    file.seek(0)
    optimizer, scheduler = resumed(torch.load(file))
    assert momentum(optimizer.param_groups[0]) == policy.momentum(cut)
    used += drive(optimizer, scheduler, 8 - cut)
    assert used == [0.5 * fall for fall in FALLS]


def test_relative_rejects_a_rate_of_zero():
    rates = {"a": 1.0, "b": 0.0}
    optimizer = SGD([{"params": weights(), "lr": lr, "name": name} for name, lr in rates.items()])
    match = (
        r"lr of group 'b' must be above 0 for relative=True, got 0.0; construct the optimizer with "
        "a rate above 0, or omit relative"
    )
    with pytest.raises(ValueError, match=match):
        lehr.torch.Scheduler(optimizer, FALL, relative=True)
    assert "initial_lr" not in optimizer.param_groups[0]
    lehr.torch.Scheduler(optimizer, FALL)


def test_relative_accepts_hyperparameters_that_are_zero():
    groups = [{"params": weights(), "weight_decay": 0.5}, {"params": weights()}]
    optimizer = SGD(groups, lr=0.5)
    policy = lehr.Policy(
        FALL, momentum=FALL * 0.5, weight_decay=FALL, extra={"dampening": FALL * 0.25}
    )
    lehr.torch.Scheduler(optimizer, policy, relative=True).step(4)
    for group in optimizer.param_groups:
        assert group["lr"] == 0.25
        assert (group["momentum"], group["weight_decay"], group["dampening"]) == (0.25, 0.5, 0.125)


@pytest.mark.parametrize("name", ["relative", "shared"])
def test_flags_must_be_booleans(name):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got 'no'"):
        lehr.torch.Scheduler(SGD(weights(), lr=1.0), FALL, **{name: "no"})


def test_portable_names_across_two_optimizers():
    adam = Adam([{"params": weights(), "name": "b"}])
    sgd = SGD([{"params": weights(), "name": "a"}], lr=1.0)
    extra = {"beta2": {"b": 0.9}, "eps": {"b": 1e-6}}
    partial = lehr.Policy(lr=0.1, momentum={"a": 0.9}, extra=extra)
    with pytest.raises(ValueError, match=r"the optimizer's \['a', 'b'\], got \['a'\]; missing: b;"):
        lehr.torch.Scheduler([sgd, adam], partial)  # momentum also names Adam's beta1
    both = lehr.Policy(lr=0.1, momentum={"a": 0.9, "b": 0.5}, extra=extra)
    lehr.torch.Scheduler([sgd, adam], both)
    assert adam.param_groups[0]["betas"] == (0.5, 0.9)
    assert adam.param_groups[0]["eps"] == 1e-6
    with pytest.raises(ValueError, match="beta2 must be None for SGD, which has no beta2, got"):
        lehr.torch.Scheduler(SGD(weights()), lehr.Policy(0.1, extra={"beta2": 0.9}))


def test_the_same_optimizer_twice_is_rejected():
    optimizer = SGD(weights(), lr=1.0)
    rule = r"optimizer must be a list without duplicates, got \['SGD', 'SGD'\]"
    with pytest.raises(ValueError, match=rule):
        lehr.torch.Scheduler([optimizer, optimizer], FALL)


def test_relative_with_an_optimizer_state_saved_without_a_scheduler():
    """The checkpoint was saved before a scheduler was attached."""
    loaded = SGD(weights(), lr=0.25, momentum=0.5)
    optimizer = SGD(weights(), lr=1.0, momentum=0.5)
    policy = lehr.Policy(FALL, momentum=FALL * 0.5)
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
    optimizer.load_state_dict(loaded.state_dict())
    scheduler.step(2)
    assert scheduler.get_last_lr() == [0.25 * 0.75]
    assert momentum(optimizer.param_groups[0]) == 0.375


# Groups by index, and groups added later.


def test_a_group_index_counts_the_groups_of_all_optimizers():
    first = SGD([{"params": weights()}, {"params": weights(), "name": "head"}], lr=1.0)
    second = Adam(weights())
    policy = lehr.Policy(lr={0: FALL, "head": FALL * 0.5, 2: FALL * 0.25})
    scheduler = lehr.torch.Scheduler([first, second], policy)
    scheduler.step(4)
    assert scheduler.get_last_lr() == [0.5, 0.25, 0.125]


def test_parameter_names_in_groups_are_ignored():
    model = net()
    optimizer = SGD(model.named_parameters(), lr=1.0)
    assert drive(optimizer, lehr.torch.Scheduler(optimizer, lehr.Policy({0: FALL})), 8) == FALLS
    with pytest.raises(
        ValueError, match=r"; omit it; the optimizer has lr, momentum, dampening, weight_decay$"
    ):
        lehr.torch.Scheduler(optimizer, lehr.Policy(lr=1.0, extra={"nesterov": 1.0}))


def with_late_head(policy, **options):
    """Train a body for 3 updates, then add a head; return optimizer, scheduler and the weight."""
    optimizer = named(1, dtype=torch.float64)
    scheduler = lehr.torch.Scheduler(optimizer, policy, **options)
    drive(optimizer, scheduler, 3)
    (weight,) = weights(dtype=torch.float64)
    optimizer.add_param_group({"params": [weight], "lr": 50.0, "name": "head"})
    return optimizer, scheduler, weight


@pytest.mark.parametrize(
    ("policy", "options", "scale"),
    [
        (FALL, {}, 1.0),
        (lehr.Policy(lr={"g0": FALL, "head": FALL * 0.5}), {"later": ["head"]}, 0.5),
        (FALL, {"relative": True}, 50.0),
    ],
)
def test_a_late_group_uses_the_policys_value_in_its_first_update(policy, options, scale):
    optimizer, scheduler, weight = with_late_head(policy, **options)
    drive(optimizer, scheduler, 1)
    close(-weight.item(), scale * FALL(3))
    drive(optimizer, scheduler, 2)
    close(-weight.item(), scale * (FALL(3) + FALL(4) + FALL(5)))


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
def test_a_run_with_a_late_group_resumes(order):
    policy = lehr.Policy(lr={"g0": FALL, "head": FALL * 0.5})
    optimizer, scheduler, _ = with_late_head(policy, later=["head"])
    drive(optimizer, scheduler, 2)
    groups = [{"params": weights(dtype=torch.float64), "name": n} for n in ("g0", "head")]
    fresh = SGD(groups, lr=1.0)
    again = lehr.torch.Scheduler(fresh, policy)
    if order == "optimizer first":
        fresh.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    if order == "scheduler first":
        fresh.load_state_dict(optimizer.state_dict())
    assert drive(fresh, again, 3, group=1) == [0.5 * fall for fall in FALLS[5:]]


def test_a_late_group_that_shares_a_tensor_has_the_initial_base():
    optimizer = SGD(weights(), lr=torch.tensor(2.0, dtype=torch.float64))
    scheduler = lehr.torch.Scheduler(optimizer, FALL, relative=True)
    drive(optimizer, scheduler, 4)
    optimizer.add_param_group({"params": weights()})  # has the rate tensor filled by the scheduler
    assert drive(optimizer, scheduler, 2, group=1)[1] == 2.0 * FALL(5)


def test_an_unknown_group_name_is_rejected_unless_in_later():
    policy = lehr.Policy(lr={"g0": FALL, "head": FALL})
    with pytest.raises(
        ValueError, match=r"got \['g0', 'head'\]; .* list groups added later in later="
    ):
        lehr.torch.Scheduler(named(1), policy)
    lehr.torch.Scheduler(named(1), policy, later=["head"])


@pytest.mark.parametrize("policy", [FALL, lehr.Policy(lr={"g0": FALL, "head": FALL})])
def test_a_name_in_later_outside_the_policy_is_rejected(policy):
    with pytest.raises(ValueError, match=r"later must be groups that the policy .* got \['heda'\]"):
        lehr.torch.Scheduler(named(1), policy, later=["heda"])


def test_later_accepts_a_group_index():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy({0: FALL, 1: FALL * 0.5}), later=[1])
    drive(optimizer, scheduler, 2)
    optimizer.add_param_group({"params": weights()})
    drive(optimizer, scheduler, 2)
    assert scheduler.get_last_lr() == [FALL(4), 0.5 * FALL(4)]
    with pytest.raises(ValueError, match=r"later must be names with several .*got \[2\]; give the"):
        lehr.torch.Scheduler([SGD(weights()), SGD(weights())], FALL, later=[2])
    with pytest.raises(TypeError, match="later must be a list of groups, got 'head'"):
        lehr.torch.Scheduler(SGD(weights()), FALL, later="head")


def test_an_unknown_late_group_is_rejected_at_its_first_update():
    optimizer, *_ = with_late_head(lehr.Policy(lr={"g0": FALL}))
    with pytest.raises(ValueError, match=r"groups of lr must be the optimizer's \['g0', 'head'\]"):
        optimizer.step()


# One driver for each optimizer.


@pytest.mark.parametrize("first", [LambdaLR, lehr.torch.Scheduler])
def test_an_optimizer_with_a_scheduler_is_rejected(first):
    optimizer = SGD(weights(), lr=1.0)
    existing = first(optimizer, FALL)
    rule = r"optimizer must be one without another scheduler, got 'SGD .*shared=True"
    with pytest.raises(ValueError, match=rule):
        lehr.torch.Scheduler(optimizer, FALL)
    with pytest.raises(ValueError, match=rule):
        lehr.torch.Scheduler([Adam(weights()), optimizer], FALL)
    shared = lehr.torch.Scheduler(optimizer, FALL * 0.5, shared=True)
    assert shared.get_last_lr() == [0.5]
    assert existing.last_epoch == 0


def test_a_torch_scheduler_attached_later_is_rejected():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    StepLR(optimizer, 1, 0.1)
    with pytest.raises(ValueError, match=r"without another scheduler, got 'SGD .*; pass shared="):
        scheduler.step()
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)


def part_of_a_sequence():
    """lehr's scheduler for two steps, then torch's, which starts from the current rate."""
    optimizer = SGD(weights(), lr=1.0)
    policy = lehr.Policy(FALL, control=lehr.Plateau(patience=1, factor=0.5))
    ours = lehr.torch.Scheduler(optimizer, policy, shared=True)
    return optimizer, ours, SequentialLR(optimizer, [ours, ExponentialLR(optimizer, 0.5)], [2])


def test_a_late_group_does_not_change_the_rate_of_another_part():
    optimizer, _, sequence = part_of_a_sequence()
    drive(optimizer, sequence, 3)
    rate = optimizer.param_groups[0]["lr"]
    optimizer.add_param_group({"params": weights(), "lr": 0.25})
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [rate, 0.25]


def test_a_metric_does_not_change_the_rate_of_another_part():
    optimizer, ours, sequence = part_of_a_sequence()
    drive(optimizer, sequence, 3)
    rate = optimizer.param_groups[0]["lr"]
    for _ in range(2):
        ours.observe(1.0)
    assert optimizer.param_groups[0]["lr"] == rate


def test_a_metric_applies_from_the_next_step_of_its_part():
    optimizer, ours, sequence = part_of_a_sequence()
    for _ in range(2):
        ours.observe(1.0)
    assert drive(optimizer, sequence, 2) == [1.0, 0.5 * FALL(1)]


def test_a_replaced_scheduler_accepts_late_groups():
    optimizer = named(1)
    old = lehr.torch.Scheduler(optimizer, lehr.Policy({"g0": FALL}))
    policy = lehr.Policy({"g0": FALL, "head": FALL * 0.5})
    new = lehr.torch.Scheduler(optimizer, policy, later=["head"], shared=True)
    optimizer.add_param_group({"params": weights(), "name": "head"})
    drive(optimizer, new, 2)
    assert new.get_last_lr() == [FALL(2), 0.5 * FALL(2)]
    assert old.last_epoch == 0


def test_a_deleted_scheduler_does_not_block_a_new_one():
    optimizer = SGD(weights(), lr=1.0)
    lehr.torch.Scheduler(optimizer, FALL)
    assert drive(optimizer, lehr.torch.Scheduler(optimizer, FALL), 8) == FALLS


def test_a_deleted_scheduler_removes_its_hooks():
    optimizer = SGD(weights(), lr=1.0)
    existing = lehr.torch.Scheduler(optimizer, FALL)
    for _ in range(5):
        copy.deepcopy(lehr.torch.Scheduler(optimizer, FALL, shared=True))
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    assert len(optimizer._optimizer_load_state_dict_post_hooks) == 1
    del existing
    assert len(optimizer._optimizer_step_pre_hooks) == 0


def test_a_copy_drives_the_copied_optimizer_and_its_late_groups():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    drive(optimizer, scheduler, 2)
    file = io.BytesIO()
    torch.save(scheduler, file)
    file.seek(0)
    for twin in (copy.deepcopy(scheduler), torch.load(file, weights_only=False)):
        (weight,) = weights(dtype=torch.float64)
        twin.optimizer.add_param_group({"params": [weight]})
        drive(twin.optimizer, twin, 1)
        assert -weight.item() == FALL(2)
        with pytest.raises(ValueError, match="one without another scheduler"):
            lehr.torch.Scheduler(twin.optimizer, FALL)
    assert scheduler.get_last_lr() == [FALL(2)]


# Limitations of RMSprop.


@pytest.mark.parametrize("moves", [lehr.constant(0.9), lehr.linear(0.9, 0.0, 8)])
def test_rmsprop_that_trained_without_momentum_is_rejected(moves):
    optimizer = RMSprop(weights(), lr=0.1)
    drive(optimizer, lehr.torch.Scheduler(optimizer, FALL), 1)
    with pytest.raises(ValueError, match=r"trained without momentum: .*; construct a new"):
        lehr.torch.Scheduler(optimizer, lehr.Policy(lr=FALL, momentum=moves))
    for calm in (lehr.Policy(lr=FALL), lehr.Policy(lr=FALL, momentum=0.0)):
        assert drive(optimizer, lehr.torch.Scheduler(optimizer, calm), 1) == [1.0]
