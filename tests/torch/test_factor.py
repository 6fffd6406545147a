"""lehr.torch.Scheduler: the factor on the learning rate, and reductions that stop at `min_lr`."""

import copy
import io

import numpy as np
import pytest
import torch
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import ConstantLR, ReduceLROnPlateau, SequentialLR
from torch_models import drive, momentum, named, weights

import lehr
import lehr.torch

FALL = lehr.linear(1.0, 0.0, 8)
FALLS = [FALL(t) for t in range(8)]
HALVE = lehr.Plateau(patience=1, factor=0.5)


def fresh(policy=FALL, **options):
    optimizer = SGD(weights(dtype=torch.float64), lr=123.0)
    return optimizer, lehr.torch.Scheduler(optimizer, policy, **options)


# Factor.


def test_the_factor_multiplies_only_the_rate():
    policy = lehr.Policy(FALL, momentum=0.9, values={"clip_norm": 2.0})
    optimizer, scheduler = fresh(policy, factor=0.5)
    assert scheduler.factor == 0.5
    used = drive(optimizer, scheduler, 3)
    scheduler.factor = 0.25
    assert scheduler.get_last_lr() == [0.25 * FALL(3)]  # the next update uses it
    assert scheduler.values() == {"lr": 0.25 * FALL(3), "momentum": 0.9, "clip_norm": 2.0}
    used += drive(optimizer, scheduler, 2)
    scheduler.factor = 0
    used += drive(optimizer, scheduler, 1)
    scheduler.factor = 2.0
    used += drive(optimizer, scheduler, 2)
    factors = [0.5, 0.5, 0.5, 0.25, 0.25, 0.0, 2.0, 2.0]
    assert used == [f * fall for f, fall in zip(factors, FALLS, strict=True)]
    assert momentum(optimizer.param_groups[0]) == 0.9


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_the_factor_of_several_groups(dtype, relative):
    bases = {"a": 2.0, "b": 0.5}
    rates = {n: b if dtype is None else torch.tensor(b, dtype=dtype) for n, b in bases.items()}
    optimizer = SGD([{"params": weights(), "lr": rate, "name": n} for n, rate in rates.items()])
    policy = FALL if relative else lehr.Policy({n: FALL * base for n, base in bases.items()})
    scheduler = lehr.torch.Scheduler(optimizer, policy, factor=0.5, relative=relative)
    assert scheduler.get_last_lr() == [1.0, 0.25]
    assert scheduler.get_lr() == [1.0, 0.25]
    scheduler.factor = 0.25
    drive(optimizer, scheduler, 4)
    assert scheduler.get_last_lr() == [0.25, 0.0625]
    if dtype is not None:
        assert all(group["lr"] is rates[group["name"]] for group in optimizer.param_groups)


def test_a_controller_starts_from_the_factor():
    optimizer, scheduler = fresh(lehr.Policy(1.0, control=HALVE), factor=0.75)
    used = []
    for _ in range(3):
        used += drive(optimizer, scheduler, 1)
        scheduler.observe(1.0)
    scheduler.factor = 0.5
    for _ in range(2):
        used += drive(optimizer, scheduler, 1)
        scheduler.observe(1.0)
    assert used == [0.75, 0.75, 0.375, 0.5, 0.25]


@pytest.mark.parametrize("control", [None, HALVE])
def test_the_factor_is_saved_and_restored(control):
    policy = lehr.Policy(FALL, control=control)
    optimizer, scheduler = fresh(policy, factor=0.5)
    drive(optimizer, scheduler, 2)
    scheduler.factor = 0.25
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["control"]["factor"] == 0.25
    optimizer, again = fresh(policy, factor=3.0)  # the saved factor replaces it
    again.load_state_dict(state)
    assert again.factor == 0.25
    assert drive(optimizer, again, 2) == [0.25 * FALL(2), 0.25 * FALL(3)]
    assert copy.deepcopy(again).factor == 0.25
    other, longer = fresh(lehr.Policy(FALL * 0.5, control=control), on_change="continue")
    longer.load_state_dict(state)
    assert drive(other, longer, 1) == [0.125 * FALL(2)]


def test_a_factor_applies_from_the_next_step_of_a_shared_optimizer():
    optimizer = SGD(weights(), lr=1.0)
    first = lehr.torch.Scheduler(optimizer, FALL, shared=True)
    sequence = SequentialLR(optimizer, [first, ConstantLR(optimizer, 0.5, 9)], milestones=[2])
    first.factor = 0.5
    used = drive(optimizer, sequence, 3)
    first.factor = 0.25
    used += drive(optimizer, sequence, 1)
    assert used == [1.0, 0.5 * FALL(1), 0.5, 0.5]


@pytest.mark.parametrize(
    ("factor", "error"),
    [
        (-0.5, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (True, TypeError),
        ("0.5", TypeError),
        (None, TypeError),
    ],
)
def test_a_wrong_factor_is_rejected(factor, error):
    match = f"factor must be a (finite number|number at least 0), got {factor!r}"
    _, scheduler = fresh(factor=0.5)
    with pytest.raises(error, match=match):
        scheduler.factor = factor
    assert (scheduler.factor, scheduler.get_last_lr()) == (0.5, [0.5])
    with pytest.raises(error, match=match):
        fresh(factor=factor)


# Reductions that stop at min_lr: the rate is max(s * f, min(s, min_lr)).

MIN_LR = lehr.Plateau(patience=1, factor=0.5, min_lr=0.25)


def reduced(optimizer, scheduler, group=0):
    """Drive 8 updates, each with a metric that does not improve: f is 1, 1, 1/2, 1/4, ..."""
    used = []
    for _ in range(8):
        used += drive(optimizer, scheduler, 1, group=group)
        scheduler.observe(1.0)
    return used


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_reduction_stops_at_min_lr(dtype):
    """By hand for s = 1, 0.875, ..., 0.125: below 0.25 the rate is that of the schedule."""
    rate = 9.0 if dtype is None else torch.tensor(9.0, dtype=dtype)
    optimizer = SGD(weights(), lr=rate)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(FALL, control=MIN_LR))
    used = reduced(optimizer, scheduler)
    assert used == [1.0, 0.875, 0.375, 0.25, 0.25, 0.25, 0.25, 0.125]
    assert scheduler.get_last_lr() == [0.0]


@pytest.mark.parametrize(
    ("group", "wanted"),
    [
        (0, [2.0, 1.75, 0.75, 0.3125, 0.25, 0.25, 0.25, 0.25]),
        (1, [0.25 * fall for fall in FALLS]),  # never above min_lr
    ],
)
@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("relative", [False, True])
def test_min_lr_bounds_the_rate_of_each_group(relative, dtype, group, wanted):
    """``min_lr`` is a rate of the optimizer, also where the policy is relative."""
    bases = {"a": 2.0, "b": 0.25}
    groups = [
        {"params": weights(), "lr": base if dtype is None else torch.tensor(base, dtype=dtype)}
        | {"name": name}
        for name, base in bases.items()
    ]
    rates = FALL if relative else {name: FALL * base for name, base in bases.items()}
    optimizer, policy = SGD(groups), lehr.Policy(rates, control=MIN_LR)
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=relative)
    assert reduced(optimizer, scheduler, group) == wanted


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_min_lr_against_torchs_reduce_lr_on_plateau(seed, relative):
    """Torch reduces after ``patience + 1`` metrics without improvement."""
    metrics = np.random.default_rng(seed).random(60)
    of_torch, of_lehr = named(lr=0.5), named(lr=0.5)
    of_torch.param_groups[1]["lr"] = of_lehr.param_groups[1]["lr"] = 0.0625
    reference = ReduceLROnPlateau(of_torch, factor=0.3, patience=2, cooldown=1, min_lr=0.01)
    control = lehr.Plateau(factor=0.3, patience=3, cooldown=1, min_lr=0.01)
    rates = 1.0 if relative else {"g0": 0.5, "g1": 0.0625}
    policy = lehr.Policy(rates, control=control)
    scheduler = lehr.torch.Scheduler(of_lehr, policy, relative=relative)
    for metric in metrics:
        reference.step(metric)
        scheduler.observe(metric)
        wanted = [group["lr"] for group in of_torch.param_groups]
        assert scheduler.get_last_lr() == pytest.approx(wanted, rel=1e-12)
    assert scheduler.get_last_lr() == [0.01, 0.01]


def test_min_lr_bounds_a_factor_set_by_hand():
    """Also at the first update; the factor itself is not clipped."""
    optimizer, scheduler = fresh(lehr.Policy(FALL, control=MIN_LR), factor=0.125)
    assert (scheduler.factor, scheduler.get_last_lr()) == (0.125, [0.25])
    scheduler.factor = 0.5
    assert drive(optimizer, scheduler, 1) == [0.5]


def test_the_jump_to_another_policy_counts_min_lr():
    optimizer, scheduler = fresh(lehr.Policy(FALL, control=MIN_LR))
    reduced(optimizer, scheduler)
    scheduler.step(4)
    lower = lehr.Plateau(patience=1, factor=0.5, min_lr=0.125)
    with pytest.raises(ValueError, match=r"lr at step 4 would jump from 0\.25 to 0\.125;"):
        fresh(lehr.Policy(FALL, control=lower))[1].load_state_dict(scheduler.state_dict())


# Repr.


def test_repr_names_the_optimizers_the_step_and_the_policy():
    optimizer, scheduler = fresh(lehr.Policy(lehr.cosine(0.1, 10), momentum=0.9), start_step=2)
    assert repr(scheduler) == "<Scheduler of SGD at step 2: Policy(cosine(0.1, 10), momentum=0.9)>"
    drive(optimizer, scheduler, 1)
    assert str(scheduler) == "<Scheduler of SGD at step 3: Policy(cosine(0.1, 10), momentum=0.9)>"
    both = lehr.torch.Scheduler([SGD(weights()), AdamW(weights())], 0.1)
    assert repr(both) == "<Scheduler of SGD, AdamW at step 0: Policy(0.1)>"
