"""lehr.torch.Scheduler(start_step=...): a policy that starts at a later step."""

import io

import pytest
import torch
from torch.optim import SGD, Adam, RMSprop
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, SequentialLR
from torch_models import close, drive, momentum, weights

import lehr
import lehr.torch

FALL = lehr.linear(1.0, 0.0, 10)
POLICY = lehr.Policy(FALL, momentum=lehr.linear(0.9, 0.4, 10), values={"ema_decay": FALL * 0.5})


def fresh(policy=FALL, **options):
    optimizer = SGD(weights(dtype=torch.float64), lr=123.0)
    return optimizer, lehr.torch.Scheduler(optimizer, policy, **options)


@pytest.mark.parametrize("start", [0, 1, 7, 10, 12])
def test_the_first_update_uses_the_values_of_start_step(start):
    optimizer, scheduler = fresh(POLICY, start_step=start)
    assert scheduler.last_epoch == start
    assert scheduler.values() == POLICY(start)
    assert momentum(optimizer.param_groups[0]) == POLICY.momentum(start)
    assert drive(optimizer, scheduler, 6) == [FALL(t) for t in range(start, start + 6)]
    assert momentum(optimizer.param_groups[0]) == POLICY.momentum(start + 6)


def test_lengths_of_the_run_count_from_step_zero():
    optimizer, scheduler = fresh(lehr.linear(1.0, 0.0, "50%"), steps=20, start_step=4)
    assert drive(optimizer, scheduler, 7) == [FALL(t) for t in range(4, 11)]


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_adam_bias_correction_counts_its_updates(dtype):
    """By hand: its first update has the size of the rate, here 0.4; eps is 0."""
    (weight,) = weights(dtype=torch.float64)
    rate = 9.0 if dtype is None else torch.tensor(9.0, dtype=dtype)
    optimizer = Adam([weight], lr=rate, eps=0.0)
    scheduler = lehr.torch.Scheduler(optimizer, FALL, start_step=6)
    drive(optimizer, scheduler, 1)
    close(-weight.item(), 0.4)


def test_a_relative_rate_starts_at_start_step():
    groups = [{"params": weights(), "lr": rate} for rate in (2.0, 0.5)]
    scheduler = lehr.torch.Scheduler(SGD(groups), FALL, start_step=5, relative=True)
    assert scheduler.get_last_lr() == [1.0, 0.25]


@pytest.mark.parametrize("start_again", [0, 3])
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_the_saved_step_is_that_of_the_policy(cut, start_again):
    """A restored scheduler continues from the saved step, for any ``start_step`` argument."""
    optimizer, scheduler = fresh(start_step=3)
    used = drive(optimizer, scheduler, cut)
    assert scheduler.state_dict()["step"] == 3 + cut
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    optimizer, scheduler = fresh(start_step=start_again)
    scheduler.load_state_dict(torch.load(file, weights_only=True))
    assert scheduler.last_epoch == 3 + cut
    used += drive(optimizer, scheduler, 6 - cut)
    assert used == [FALL(t) for t in range(3, 9)]


def test_a_late_group_joins_at_the_current_step():
    optimizer, scheduler = fresh(start_step=3)
    drive(optimizer, scheduler, 2)
    (late,) = weights(dtype=torch.float64)
    optimizer.add_param_group({"params": [late], "lr": 9.0})
    drive(optimizer, scheduler, 1)
    assert -late.item() == FALL(5)


def test_inside_torchs_composed_schedulers():
    """SequentialLR calls step(0) at the start of every part after the first."""

    def ours(start):
        return lehr.torch.Scheduler(optimizer, FALL, start_step=start, shared=True)

    optimizer = SGD(weights(), lr=1.0)
    sequence = SequentialLR(optimizer, [ours(3), ours(5)], milestones=[2])
    assert drive(optimizer, sequence, 4) == [FALL(3), FALL(4), FALL(0), FALL(1)]
    optimizer = SGD(weights(), lr=1.0)
    chained = ChainedScheduler([ConstantLR(optimizer, 1.0), ours(3)])
    assert drive(optimizer, chained, 3) == [FALL(3), FALL(4), FALL(5)]


@pytest.mark.parametrize(
    ("start", "error", "rule"),
    [
        (-1, ValueError, "an integer number of steps >= 0, got -1"),
        (1.0, TypeError, "an integer number of steps >= 0, got 1.0"),
        (True, TypeError, "an integer number of steps >= 0, got True"),
        ("3", TypeError, "an integer number of steps >= 0, got '3'"),
        (
            2**31,
            ValueError,
            r"below 2\*\*31 steps, which frameworks count in int32, got 2147483648",
        ),
    ],
)
def test_a_wrong_start_step_is_rejected(start, error, rule):
    optimizer = SGD(weights(), lr=3.0)
    with pytest.raises(error, match=f"start_step must be {rule}"):
        lehr.torch.Scheduler(optimizer, FALL, start_step=start)
    assert optimizer.param_groups[0]["lr"] == 3.0


def test_rmsprop_makes_its_momentum_buffers_at_start_step():
    rising = lehr.Policy(0.1, momentum=lehr.linear(0.0, 0.9, 4).then(lehr.linear(0.9, 0.0, 4)))
    optimizer = RMSprop(weights())
    scheduler = lehr.torch.Scheduler(optimizer, rising, start_step=2)
    assert drive(optimizer, scheduler, 6, momentum) == [rising.momentum(t) for t in range(2, 8)]
    for start in (0, 8):
        match = f"momentum must be above 0 at step {start} for RMSprop, which creates its buffers"
        with pytest.raises(ValueError, match=match):
            lehr.torch.Scheduler(RMSprop(weights()), rising, start_step=start)
    again = lehr.torch.Scheduler(optimizer, rising, shared=True)  # it has buffers
    assert drive(optimizer, again, 2, momentum) == [0.0, 0.225]


def test_a_late_group_of_rmsprop_needs_momentum_at_its_first_update():
    falling = lehr.Policy(0.1, momentum=lehr.linear(0.9, 0.0, 2).then(lehr.linear(0.0, 0.9, 2)))
    optimizer = RMSprop(weights())
    scheduler = lehr.torch.Scheduler(optimizer, falling)
    drive(optimizer, scheduler, 2)
    optimizer.add_param_group({"params": weights()})
    with pytest.raises(ValueError, match="momentum must be above 0 at step 2 for RMSprop"):
        optimizer.step()
