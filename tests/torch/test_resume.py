"""lehr.torch.Scheduler: resuming, changing the policy, best weights, several processes."""

import copy
import io
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, SequentialLR
from torch_models import close, drive, momentum, named, weights

import lehr
import lehr.torch
from lehr.controllers import State

STEPS = 20
CYCLE = lehr.one_cycle(0.1, steps=STEPS)
PLATEAU = lehr.Plateau(patience=2, factor=0.5)
FALL = lehr.linear(1.0, 0.0, 10)


def fresh(policy, **options):
    optimizer = SGD(weights(dtype=torch.float64), lr=123.0)
    return optimizer, lehr.torch.Scheduler(optimizer, policy, **options)


# The same policy again.


@pytest.mark.parametrize("cut", range(30))
@pytest.mark.parametrize("control", [PLATEAU, lehr.Greedy(patience=2, average=2)])
def test_the_state_resumes_exactly(control, cut):
    policy = lehr.Policy(lr=CYCLE.lr, momentum=CYCLE.momentum, control=control)
    metric = [1.0, 0.5, 0.7, 0.7, 0.6, 0.1] * 5

    def run(optimizer, scheduler, metrics):
        used = []
        for value in metrics:
            used += drive(optimizer, scheduler, 1)
            used.append(momentum(optimizer.param_groups[0]))
            scheduler.observe(value)
        return used

    uncut = run(*fresh(policy), metric)
    optimizer, scheduler = fresh(policy)
    used = run(optimizer, scheduler, metric[:cut])
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state == json.loads(json.dumps(state))
    assert state.keys() == {"step", "control", "policy"}
    assert state["step"] == cut
    assert lehr.loads(state["policy"]) == policy
    optimizer, scheduler = fresh(policy)
    scheduler.load_state_dict(state)
    assert used + run(optimizer, scheduler, metric[cut:]) == uncut


def test_the_state_without_a_controller():
    state = {"step": 0, "control": asdict(State()), "policy": lehr.Policy(lr=0.1).dumps()}
    assert fresh(0.1)[1].state_dict() == state


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("cut", range(1, 8))
def test_a_part_of_a_torch_sequence_does_not_change_the_other_part(cut, ours_first, order):
    def run():
        optimizer = SGD(weights(), lr=1.0)
        makers = [
            lambda: lehr.torch.Scheduler(optimizer, FALL, shared=True),
            lambda: ExponentialLR(optimizer, 0.5),  # starts from the current rate
        ]
        parts = [make() for make in (makers if ours_first else reversed(makers))]
        return optimizer, SequentialLR(optimizer, parts, milestones=[4])

    uncut = drive(*run(), 8)
    optimizer, sequence = run()
    used = drive(optimizer, sequence, cut)
    again, resumed = run()
    parts = [(again, optimizer), (resumed, sequence)]
    for part, saved in parts if order == "optimizer first" else reversed(parts):
        part.load_state_dict(saved.state_dict())
    assert used + drive(again, resumed, 8 - cut) == uncut


# Another policy.


def at_step(policy, step):
    scheduler = fresh(policy)[1]
    scheduler.step(step)
    return scheduler.state_dict()


@pytest.mark.parametrize(
    ("new", "match"),
    [
        (
            lehr.linear(1.0, 0.0, 20),
            r"lr was linear\(1.0, 0.0, 10\) and is linear\(1.0, 0.0, 20\); lr at step 5 would jump "
            r"from 0.5 to 0.75; pass on_change='continue'",
        ),
        (lehr.constant(0.5), r"and is constant\(0.5\); no value would jump; pass"),
        (
            lehr.Policy(lr=FALL, momentum=0.9),
            r"momentum was not set and is constant\(0.9\); momentum would be set to 0.9; pass on",
        ),
        (
            lehr.Policy(lr=FALL, control=PLATEAU),
            r"control was not set and is Plateau\(.*\); no value would jump; pass on",
        ),
    ],
)
def test_another_policy_is_rejected_or_continued(new, match):
    optimizer, scheduler = fresh(new)
    with pytest.raises(ValueError, match=match):
        scheduler.load_state_dict(at_step(FALL, 5))
    assert scheduler.last_epoch == 0
    assert scheduler.get_last_lr() == [scheduler.policy.lr(0)]
    optimizer, scheduler = fresh(new, on_change="continue")
    scheduler.load_state_dict(at_step(FALL, 5))
    assert drive(optimizer, scheduler, 2) == [scheduler.policy.lr(t) for t in (5, 6)]


def test_the_jump_includes_the_controller_factor():
    old = fresh(lehr.Policy(lr=1.0, control=PLATEAU))[1]
    for _ in range(3):
        old.observe(1.0)
    with pytest.raises(ValueError, match=r"lr at step 0 would jump from 0.5 to 1;"):
        fresh(lehr.constant(1.0))[1].load_state_dict(old.state_dict())
    optimizer, scheduler = fresh(lehr.Policy(lr=0.1, control=PLATEAU), on_change="continue")
    scheduler.load_state_dict(old.state_dict())
    assert drive(optimizer, scheduler, 1) == [0.05]


def test_the_jump_of_each_group_is_named():
    old = lehr.torch.Scheduler(named(), lehr.Policy(lr={"g0": 1.0, "g1": 0.1}))
    new = lehr.torch.Scheduler(named(), lehr.Policy(lr={"g0": 1.0, "g1": 0.2}))
    jump = r"lr/g1 was constant\(0\.1\) and is .*; lr/g1 at step 0 would jump from 0\.1 to 0\.2"
    with pytest.raises(ValueError, match=jump):
        new.load_state_dict(old.state_dict())


def test_the_state_of_another_scheduler_is_rejected():
    other = LambdaLR(SGD(weights(), lr=1.0), CYCLE.lr).state_dict()
    with pytest.raises(
        ValueError, match="state must be the state of a lehr driver, with step, control"
    ):
        fresh(CYCLE)[1].load_state_dict(other)


def test_a_wrong_on_change_is_rejected():
    with pytest.raises(ValueError, match="on_change must be one of refuse, continue, got 'go'"):
        fresh(CYCLE, on_change="go")


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
def test_a_loaded_optimizer_does_not_restore_the_old_policys_rate(order):
    old_optimizer, old = fresh(FALL)
    drive(old_optimizer, old, 4)
    optimizer, scheduler = fresh(FALL * 0.5, on_change="continue")
    parts = [(optimizer, old_optimizer), (scheduler, old)]
    for part, saved in parts if order == "optimizer first" else reversed(parts):
        part.load_state_dict(saved.state_dict())
    assert drive(optimizer, scheduler, 2) == [FALL(4) * 0.5, FALL(5) * 0.5]


def test_a_checkpoint_of_a_trunk_is_cooled_down_at_several_lengths():
    """Weight by hand: 30 updates of the trunk, then those of each branch."""
    trunk = lehr.Policy(lr=lehr.warmup(0.1, steps=10).then(lehr.constant(0.1)), momentum=0.5)
    optimizer, scheduler = fresh(trunk)
    drive(optimizer, scheduler, 30)
    state = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    for steps in (2, 5, 20):
        branch, cooled = fresh(trunk.decay_from(30, steps, curve="linear"), on_change="continue")
        branch.load_state_dict(copy.deepcopy(state[0]))
        cooled.load_state_dict(state[1])
        assert momentum(branch.param_groups[0]) == 0.5
        close(drive(branch, cooled, steps), [0.1 * (1 - i / steps) for i in range(steps)])
        assert cooled.get_last_lr() == [0.0]
        (buffer,) = (slots["momentum_buffer"] for slots in branch.state.values())
        close(buffer.item(), 2.0 - 0.5 ** (29 + steps))  # includes the updates of the trunk
    assert drive(optimizer, scheduler, 5) == [0.1] * 5


def test_a_finished_run_is_extended():
    optimizer, scheduler = fresh(lehr.cosine(0.1, 8, floor=0.01))
    drive(optimizer, scheduler, 8)
    longer = lehr.cosine(0.1, 8, floor=0.01).then(lehr.linear(0.01, 0.0, 4))
    branch, extended = fresh(longer, on_change="continue")
    extended.load_state_dict(scheduler.state_dict())
    assert drive(branch, extended, 5) == [0.01, 0.0075, 0.005, 0.0025, 0.0]


# The best weights.


RESTORING = lehr.Policy(lr=FALL, control=lehr.Plateau(patience=2, factor=0.5, restore_best=True))


def observed_weights(scheduler, model, metrics, first=0):
    """Set the weight to 0, 1, 2, ... before each metric; return the weight after each metric."""
    weights_after = []
    for i, metric in enumerate(metrics, first):
        with torch.no_grad():
            model.weight.fill_(float(i))
        scheduler.observe(metric, model)
        weights_after.append(model.weight.item())
    return weights_after


def restoring():
    model = torch.nn.Linear(1, 1, bias=False)
    return lehr.torch.Scheduler(SGD(model.parameters(), lr=1.0), RESTORING), model


def test_a_reduction_restores_the_best_weights():
    metrics = [0.5, 0.25, 0.5, 0.5, torch.nan, 0.125, 0.5, 0.5]
    assert observed_weights(*restoring(), metrics) == [0, 1, 2, 1, 4, 5, 6, 5]


@pytest.mark.parametrize("cut", range(1, 4))
def test_the_best_weights_are_saved_and_resumed(cut):
    metrics = [0.5, 0.25, 0.5, 0.5]
    scheduler, model = restoring()
    observed_weights(scheduler, model, metrics[:cut])
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    again, model = restoring()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert observed_weights(again, model, metrics[cut:], first=cut)[-1] == 1


def test_a_reduction_without_best_weights_is_accepted():
    assert observed_weights(*restoring(), [torch.nan] * 4) == [0, 1, 2, 3]


def test_restore_best_requires_the_model():
    scheduler, model = restoring()
    with pytest.raises(ValueError, match=r"restore_best, got None; call observe\(metric, model\)"):
        scheduler.observe(1.0)
    # the rejected metric was not counted
    assert observed_weights(scheduler, model, [1.0, 1.0, 1.0]) == [0, 1, 0]


# Processes.


def test_ranks_with_different_metrics_have_the_same_rate(tmp_path):
    script = Path(__file__).parents[1] / "helpers" / "torch_ranks.py"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "meet")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [(*rank.communicate(), rank.returncode) for rank in ranks]
    assert [code for *_, code in outputs] == [0, 0], outputs
    first, second = (json.loads(out) for out, *_ in outputs)
    assert first == second
    # the means: 1.0, 0.5, 0.75, 0.75 (reduced), 0.75, NaN (reduced); single ranks would differ
    assert first["factors"] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    assert first["rates"] == [0.1 * factor for factor in first["factors"]]
    assert first["steps"] == 6
