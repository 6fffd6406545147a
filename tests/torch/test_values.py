"""lehr.torch.Scheduler: values read by the loop, and runs in tokens, samples and epochs."""

import io
import json

import pytest
import torch
from torch.optim import SGD, AdamW
from torch_models import drive, weights

import lehr
import lehr.torch

DECAY = lehr.linear(0.5, 1.0, 10)
POLICY = lehr.Policy(
    lehr.linear(1.0, 0.0, 10), momentum=0.5, values={"ema_decay": DECAY, "clip_norm": 2}
)


def fresh(policy=POLICY, *steps, **options):
    optimizer = SGD(weights(dtype=torch.float64), lr=123.0)
    return optimizer, lehr.torch.Scheduler(optimizer, policy, *steps, **options)


# Current values.


def test_values_of_the_loop_are_read_at_each_update_and_not_written():
    """S27: an average of the weights with the policy's decay, by hand."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=123.0, momentum=0.5)
    keys = set(optimizer.param_groups[0])
    scheduler = lehr.torch.Scheduler(optimizer, POLICY)
    average, seen = weight.detach().clone(), []
    for _ in range(12):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        decay = scheduler.values()["ema_decay"]
        average = decay * average + (1 - decay) * weight.detach()
        seen.append(scheduler.values())
        scheduler.step()
    assert seen == [POLICY(t) for t in range(12)]
    assert [values["ema_decay"] for values in seen[8:]] == pytest.approx([0.9, 0.95, 1.0, 1.0])
    assert seen[3] == pytest.approx({"lr": 0.7, "momentum": 0.5, "ema_decay": 0.65, "clip_norm": 2})
    at, velocity, by_hand = 0.0, 0.0, 0.0
    for t in range(12):
        velocity = 0.5 * velocity + 1.0
        at -= max(1 - t / 10, 0) * velocity
        share = min(0.5 + t / 20, 1.0)
        by_hand = share * by_hand + (1 - share) * at
    assert average.item() == pytest.approx(by_hand, rel=1e-12)
    assert set(optimizer.param_groups[0]) - keys == {"initial_lr"}


def test_values_have_the_groups_of_the_policy():
    policy = lehr.Policy({"a": DECAY, "b": 0.1}, values={"k": 3})
    groups = [{"params": weights(), "name": name} for name in "ab"]
    scheduler = lehr.torch.Scheduler(SGD(groups, lr=1.0), policy)
    assert scheduler.values() == {"lr": {"a": 0.5, "b": 0.1}, "k": 3.0} == policy(0)


def test_the_factor_of_a_controller_scales_only_the_rate():
    policy = lehr.Policy(0.5, values={"k": 3}, control=lehr.Plateau(patience=1, factor=0.5))
    _, scheduler = fresh(policy)
    for metric in (1.0, 1.0):
        scheduler.observe(metric)
    assert scheduler.values() == {"lr": 0.25, "k": 3.0}
    assert scheduler.get_last_lr() == [0.25]


def test_rates_of_a_relative_policy_are_those_of_each_group():
    own = {"a": {"lr": 0.1, "weight_decay": 0.0}, "b": {"lr": 0.2, "weight_decay": 0.5}}
    groups = [{"params": weights(), "name": name} | values for name, values in own.items()]
    policy = lehr.Policy({"a": DECAY, "b": 1.0}, weight_decay=DECAY, values={"ema_decay": DECAY})
    optimizer = AdamW(groups)
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=True)
    assert scheduler.values() == {
        "lr": {"a": 0.05, "b": 0.2},
        "weight_decay": 0.5,
        "ema_decay": 0.5,
    }
    drive(optimizer, scheduler, 10)
    assert scheduler.values()["lr"] == {"a": 0.1, "b": 0.2}
    assert list(scheduler.values()["lr"].values()) == scheduler.get_last_lr()


def test_values_use_the_step_that_torch_sets():
    _, scheduler = fresh()
    scheduler.step(7)
    assert scheduler.values() == POLICY(7)
    scheduler.last_epoch = -1  # the state of a SequentialLR part before its first step
    assert scheduler.values() == POLICY(0)


# Saving and resuming.


@pytest.mark.parametrize("cut", [0, 1, 7, 12])
def test_values_of_the_loop_resume_exactly(cut):
    def run(optimizer, scheduler, updates):
        seen = []
        for _ in range(updates):
            seen.append(scheduler.values())
            drive(optimizer, scheduler, 1)
        return seen

    optimizer, scheduler = fresh()
    before = run(optimizer, scheduler, cut)
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert lehr.loads(json.loads(json.dumps(state))["policy"]) == POLICY
    optimizer, scheduler = fresh()
    scheduler.load_state_dict(state)
    assert scheduler.values() == POLICY(cut)
    assert before + run(optimizer, scheduler, 13 - cut) == [POLICY(t) for t in range(13)]


def changed(**values):
    return lehr.Policy(POLICY.lr, momentum=0.5, values=values)


@pytest.mark.parametrize(
    ("new", "match"),
    [
        (
            changed(ema_decay=DECAY * 0.5, clip_norm=2),
            r"ema_decay was .* and is .*; ema_decay at step 4 would jump from 0.7 to 0.35; pass on",
        ),
        (
            changed(ema_decay=DECAY, clip_norm=3),
            r"clip_norm was constant\(2\.0\) and is constant\(3\.0\); clip_norm at step 4 would "
            "jump from 2 to 3; pass on",
        ),
        (changed(ema_decay=DECAY), r"is not set; clip_norm would not be set any more; pass"),
        (lehr.Policy(POLICY.lr, momentum=0.5), r"ema_decay was .* and is not set.*; pass on"),
    ],
)
def test_another_value_of_the_loop_is_rejected_or_continued(new, match):
    optimizer, scheduler = fresh()
    drive(optimizer, scheduler, 4)
    saved = scheduler.state_dict()
    with pytest.raises(ValueError, match=match):
        fresh(new)[1].load_state_dict(saved)
    _, going_on = fresh(new, on_change="continue")
    going_on.load_state_dict(saved)
    assert going_on.values() == new(4)


def test_a_value_that_cannot_be_saved_is_rejected():
    policy = lehr.Policy(0.1, values={"k": lehr.from_function(lambda step: 0.5)})
    with pytest.raises(ValueError, match="from_function"):
        fresh(policy)


def test_a_learner_omits_values_of_the_loop():
    def trained(policy):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 1)
        sgd = SGD(model.parameters(), lr=0.1, momentum=0.9)
        x = torch.arange(64.0).reshape(16, 4) / 64
        loss = torch.nn.functional.mse_loss
        learner = lehr.torch.Learner(model, sgd, loss, (x, x[:, :1]), batch_size=4)
        return learner.train(policy, 12)

    trace = trained(POLICY)
    assert list(trace.rates) == ["lr", "momentum"]
    assert trace == trained(lehr.Policy(POLICY.lr, momentum=0.5))


# Lengths in every unit.

RAMP = lehr.piecewise([2], [4, 8])  # 8 after two steps, 16 after three, 24 after four
RUNS = {
    "steps": (lehr.linear(1.0, 0.0, 8), (), {}),
    "the rest": (lehr.linear(1.0, 0.0), (8.0,), {}),
    "percent": (lehr.linear(1.0, 0.0, "50%"), ("16 steps",), {}),
    "epochs": (lehr.linear(1.0, 0.0, "2 epochs"), (), {"steps_per_epoch": 4.1}),
    "run in epochs": (lehr.linear(1.0, 0.0), ("2 epochs",), {"steps_per_epoch": 4}),
    "samples": (lehr.linear(1.0, 0.0, "2K samples"), (), {"samples_per_step": 250}),
    "run in samples": (lehr.linear(1.0, 0.0), ("2K samples",), {"samples_per_step": 250.0}),
    "tokens": (lehr.linear(1.0, 0.0, "2T tokens"), (), {"tokens_per_step": 2.5e11}),
    "run in tokens": (lehr.linear(1.0, 0.0), ("2T tokens",), {"tokens_per_step": 2.5e11}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_length_may_use_any_unit(name):
    policy, steps, sizes = RUNS[name]
    _, scheduler = fresh(policy, *steps, **sizes)
    assert scheduler.policy.lr == lehr.linear(1.0, 0.0, 8)


@pytest.mark.parametrize("unit", ["samples", "tokens"])
def test_the_rate_follows_a_ramp_of_the_batch_size(unit):
    falls = lehr.linear(1.0, 0.0, f"24 {unit}")
    policy = lehr.Policy(falls, values={"k": lehr.piecewise([f"16 {unit}"], [0, 1])})
    optimizer, scheduler = fresh(policy, **{f"{unit}_per_step": RAMP})
    read = [scheduler.values()["k"]]
    used = []
    for _ in range(6):
        used += drive(optimizer, scheduler, 1)
        read.append(scheduler.values()["k"])
    assert used == pytest.approx([1, 20 / 24, 16 / 24, 8 / 24, 0, 0], abs=1e-15)
    assert read == [0, 0, 0, 1, 1, 1, 1]


def test_a_missing_size_can_be_passed():
    """S28: passing the size that the error names is accepted."""
    policy = lehr.cosine(0.1, "1B tokens")
    with pytest.raises(
        ValueError, match=r"in lr: tokens_per_step must be given.*; pass tokens_per"
    ):
        fresh(policy, 100)
    assert fresh(policy, 100, tokens_per_step=1e7)[1].policy.lr.length == 100


@pytest.mark.parametrize("policy", [0.1, lehr.cosine(0.1, 10), lehr.cosine(0.1)])
@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ({"steps": -1}, "steps must be an integer number of steps >= 0, got -1"),
        ({"steps": 2.5}, "steps must be a length: .*, got 2.5"),
        ({"steps": "50%"}, "steps must be the length of the run in steps, epochs, samples or tok"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be a number above 0, got 0"),
        ({"samples_per_step": -1}, "samples_per_step must be a number above 0, got -1"),
        ({"tokens_per_step": lehr.linear(0.0, 1.0, 5)}, "tokens_per_step at step 0 must be .*abov"),
        ({"tokens_per_step": lehr.exponential(1.0, 0.5, 5)}, "tokens_per_step must be a schedule"),
    ],
)
def test_wrong_sizes_are_rejected_even_if_unused(policy, sizes, match):
    with pytest.raises(ValueError, match=match):
        fresh(policy, **{"steps": 10} | sizes)


def test_a_learner_requires_a_resolved_policy():
    model = torch.nn.Linear(1, 1)
    data = torch.zeros(4, 1), torch.zeros(4, 1)
    loss = torch.nn.functional.mse_loss
    learner = lehr.torch.Learner(model, SGD(model.parameters()), loss, data, batch_size=4)
    match = r"policy must be in integer steps before training, .*; call .resolve\(steps, ...\)"
    with pytest.raises(ValueError, match=match):
        learner.train(lehr.cosine(0.1, "1B tokens"), 5)
