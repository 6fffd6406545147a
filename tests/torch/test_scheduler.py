"""lehr.torch.Scheduler: real training; the values used in each update."""

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)
from torch_models import beta1, close, drive, momentum, named, weights

import lehr
import lehr.torch

STEPS = 20
CYCLE = lehr.one_cycle(0.1, steps=STEPS)


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
        (lambda p: SGD(p, lr=1.0), momentum),  # momentum is 0 until the policy sets it
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
def test_momentum_of_sgd_may_start_or_end_at_zero(rise):
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
def test_groups_must_be_those_of_the_optimizer(given):
    wrong = "missing: g1;" if len(given) == 1 else "extra: g2;"
    names = rf"groups of lr must be the optimizer's \['g0', 'g1'\], got \['g0'.*\]; {wrong} the"
    with pytest.raises(ValueError, match=names):
        lehr.torch.Scheduler(named(), lehr.Policy(lr=given))
    nameless = (
        r"got \['g0'.*; missing: 0; extra: g0.*; the name of a group is its 'name' or its index"
    )
    with pytest.raises(ValueError, match=nameless):
        lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.Policy(lr=given))


def test_a_late_group_is_driven_from_the_next_step():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 10))
    drive(optimizer, scheduler, 3)
    optimizer.add_param_group({"params": weights(), "lr": 5.0})
    scheduler.step()
    assert scheduler.get_last_lr() == [0.6, 0.6]


def test_an_unnamed_late_group_is_rejected_with_schedules_by_group():
    optimizer = named()
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=PER_GROUP))
    optimizer.add_param_group({"params": weights()})
    with pytest.raises(ValueError, match=r"the optimizer's \['g0', 'g1', '2'\], got \['g0', 'g1'"):
        scheduler.step()


def test_a_tensor_rate_is_filled_in_place():
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


def test_a_rate_loaded_with_another_type_is_set_by_its_type():
    optimizer = SGD(weights(), lr=torch.tensor(1.0))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 4))
    optimizer.load_state_dict(SGD(weights(), lr=5.0).state_dict())
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.75
    optimizer.load_state_dict(SGD(weights(), lr=torch.tensor(5.0)).state_dict())
    scheduler.step()
    assert torch.equal(optimizer.param_groups[0]["lr"], torch.tensor(0.5))


def test_groups_that_share_a_tensor_get_separate_tensors():
    optimizer = named(lr=torch.tensor(1.0))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=PER_GROUP))
    first = [group["lr"] for group in optimizer.param_groups]
    drive(optimizer, scheduler, 4)
    close(scheduler.get_last_lr(), [0.8, 0.08], 4e-7)
    assert all(a is g["lr"] for a, g in zip(first, optimizer.param_groups, strict=True))


def test_tensor_betas_are_filled_in_place():
    betas = torch.tensor(0.9), torch.tensor(0.999)
    optimizer = Adam(weights(), betas=betas)
    lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, momentum=0.5))
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert [float(beta) for beta in betas] == [0.5, float(torch.tensor(0.999))]


def test_groups_that_share_betas_get_separate_tensors():
    betas = torch.tensor(0.9), torch.tensor(0.999)
    optimizer = named(cls=Adam, betas=betas)
    own = {"g0": lehr.constant(0.5), "g1": lehr.constant(0.25)}
    lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, momentum=own))
    assert [float(beta1(group)) for group in optimizer.param_groups] == [0.5, 0.25]


def test_it_is_a_torch_scheduler_without_patches():
    optimizer = SGD(weights(), lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, CYCLE.lr)
    assert isinstance(scheduler, LRScheduler)
    assert "step" not in vars(optimizer)
    assert not hasattr(optimizer.step, "_wrapped_by_lr_sched")
    assert not hasattr(scheduler, "total_steps")
    assert scheduler.base_lrs == [1.0]
    assert scheduler._last_lr == scheduler.get_last_lr() == [CYCLE.lr(0)]
    assert scheduler.get_lr() == [CYCLE.lr(0)]  # torch's method would raise
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)
    scheduler.step()
    assert (scheduler.last_epoch, scheduler._step_count) == (1, 2)


@pytest.mark.parametrize("first", [False, True])
def test_inside_sequential_lr(first):
    optimizer = SGD(weights(), lr=1.0)
    ours = lehr.linear(0.5, 0.0, 10)
    if first:
        ours_first = lehr.torch.Scheduler(optimizer, ours, shared=True)
        parts = [ours_first, ConstantLR(optimizer, 0.25, 100)]
    else:
        parts = [
            LinearLR(optimizer, 0.25, total_iters=4),
            lehr.torch.Scheduler(optimizer, ours, shared=True),
        ]
    used = drive(optimizer, SequentialLR(optimizer, parts, milestones=[4]), 8)
    falls = [ours(t) for t in range(4)]
    close(used, [*falls, *[0.25] * 4] if first else [0.25, 0.4375, 0.625, 0.8125, *falls])


def test_two_lehr_schedulers_inside_sequential_lr():
    def run():
        optimizer = SGD(weights(), lr=1.0)
        parts = [
            lehr.torch.Scheduler(optimizer, lehr.warmup(0.5, 4)),
            lehr.torch.Scheduler(optimizer, lehr.cosine(0.5, 6), shared=True),
        ]
        return optimizer, SequentialLR(optimizer, parts, milestones=[4])

    schedule = lehr.warmup(0.5, 4).then(lehr.cosine(0.5, 6))
    optimizer, sequence = run()
    used = drive(optimizer, sequence, 3)
    for _ in range(3):  # saved and resumed before, at and after the milestone
        saved, state = sequence.state_dict(), optimizer.state_dict()
        optimizer, sequence = run()
        optimizer.load_state_dict(state)
        sequence.load_state_dict(saved)
        used += drive(optimizer, sequence, 1)
    used += drive(optimizer, sequence, 4)
    assert used == [schedule(t) for t in range(10)]


def test_inside_chained_scheduler():
    optimizer = SGD(weights(), lr=1.0)
    chained = ChainedScheduler(
        [ConstantLR(optimizer, 0.5, 100), lehr.torch.Scheduler(optimizer, CYCLE.lr, shared=True)]
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
    assert scheduler.get_last_lr() == [0.3125]  # set immediately: the next update uses it
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


@pytest.mark.parametrize(
    ("epoch", "error"), [(0.53, TypeError), (1.0, TypeError), (-1, ValueError)]
)
def test_a_metric_does_not_count_as_a_step(epoch, error):
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), CYCLE)
    match = rf"epoch must be an integer >= 0, got {epoch}; pass a metric to scheduler\.observe"
    with pytest.raises(error, match=match):
        scheduler.step(epoch)
    assert scheduler.last_epoch == 0


def test_observe_rejects_a_policy_without_controller():
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), CYCLE)
    with pytest.raises(
        ValueError, match=r"a controller to observe a metric, got None; .*Plateau\(\)"
    ):
        scheduler.observe(1.0)


@pytest.mark.parametrize("metric", ["0.5", "x", None, torch.ones(3), [1.0], 1j])
def test_observe_rejects_values_that_are_not_a_metric(metric):
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.Policy(1.0, control=PLATEAU))
    with pytest.raises(TypeError, match="metric must be one number, got "):
        scheduler.observe(metric)
    assert scheduler.control == PLATEAU.init()


@pytest.mark.parametrize("metric", [1, np.float32(1.0), np.array(1.0), torch.ones(1)])
def test_one_number_of_any_kind_is_a_metric(metric):
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.Policy(1.0, control=PLATEAU))
    scheduler.observe(metric)
    assert scheduler.control.best == 1.0


def test_a_policy_that_cannot_be_saved_is_rejected():
    optimizer = SGD(weights(), lr=1.0)
    unnamed = lehr.from_function(lambda t: 0.5**t)
    with pytest.raises(
        ValueError, match=r"name must be given to .*; use from_function\(f, name=...\)"
    ):
        lehr.torch.Scheduler(optimizer, unnamed)


def test_get_lr_uses_last_epoch_and_does_not_set_the_rate():
    optimizer = named(lr=0.5)
    policy = lehr.Policy(lr=PER_GROUP, control=PLATEAU)
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
    scheduler.last_epoch = 10
    assert scheduler.get_lr() == [0.25, 0.025]
    assert scheduler.get_last_lr() == [0.5, 0.05]


def test_ignite_simulates_the_scheduler():
    param_scheduler = pytest.importorskip("ignite.handlers.param_scheduler")
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.linear(1.0, 0.0, 4))
    simulated = param_scheduler.LRScheduler.simulate_values(4, scheduler)
    assert [rate for _, rate in simulated] == [1.0, 0.75, 0.5, 0.25]
    assert scheduler.get_last_lr() == [1.0]


def test_lengths_are_resolved_or_rejected():
    optimizer = SGD(weights(), lr=1.0)
    with pytest.raises(ValueError, match=r"policy must be in integer steps .* pass steps="):
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
            "momentum must be None for Adagrad, which has no momentum, .* has lr, lr_decay, eps",
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
            "momentum must be above 0 at step 0 for RMSprop, which creates its buffers",
        ),
        (
            lambda: SGD(weights(), lr=3.0),
            "0.1",
            TypeError,
            "policy must be a policy, a schedule or a number",
        ),
    ],
)
def test_wrong_arguments_leave_the_optimizer_unchanged(make, policy, error, match):
    optimizer = make()
    with pytest.raises(error, match=match):
        lehr.torch.Scheduler(optimizer, policy)
    assert optimizer.param_groups[0]["lr"] == 3.0


def test_only_a_torch_optimizer_is_accepted():
    for wrong in ([], None, [SGD(weights(), lr=1.0), None]):
        with pytest.raises(TypeError, match=r"optimizer must be a torch.optim.Optimizer or a list"):
            lehr.torch.Scheduler(wrong, CYCLE)


def test_a_wrong_state_or_list_of_groups_is_rejected():
    optimizer = SGD(weights(), lr=3.0)
    with pytest.raises(TypeError, match="later must be a list of groups, got 3"):
        lehr.torch.Scheduler(optimizer, CYCLE, later=3)
    scheduler = lehr.torch.Scheduler(optimizer, 0.5)
    with pytest.raises(TypeError, match=r"state must be the state of a lehr driver, .*, got None"):
        scheduler.load_state_dict(None)


class Wrapper(torch.optim.Optimizer):
    """Stores its optimizer as `optim`, as PostLocalSGDOptimizer does, and has no hooks."""

    def __init__(self, optim):
        self.optim = optim
        self.param_groups = optim.param_groups


def test_a_wrapper_without_an_optimizer_attribute_is_rejected():
    wrapper = Wrapper(SGD(weights(), lr=1.0))
    rule = r"with hooks, or a wrapper .* as .optimizer, got 'Wrapper'; pass the wrapped"
    with pytest.raises(TypeError, match=rule):
        lehr.torch.Scheduler(wrapper, CYCLE)
    lehr.torch.Scheduler(wrapper.optim, CYCLE.lr)
