"""Cases of PyTorch users that failed once, by their numbers: P10 to P22."""

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.optim import SGD, Adam

import lehr
import lehr.torch

# a checkpoint of one process warns that there is one process
one_process = pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")


def weights(count=1):
    return [torch.nn.Parameter(torch.ones(2)) for _ in range(count)]


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def test_p10_a_relative_rate_in_a_tensor_of_one_element():
    optimizer = Adam(weights(), lr=torch.ones(1) * 0.5)
    tensor = optimizer.param_groups[0]["lr"]
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 4), relative=True)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is tensor
    assert tensor.tolist() == [0.375]


@pytest.mark.parametrize("relative", [False, True])
def test_p11_a_replaced_group_without_a_schedule_is_rejected(relative):
    groups = [{"params": weights(), "name": name} for name in ("body", "head1")]
    optimizer = SGD(groups, lr=0.5)
    policy = lehr.Policy({"body": 0.1, "head1": 0.2})
    scheduler = lehr.torch.Scheduler(optimizer, policy, relative=relative)
    optimizer.param_groups.pop()
    optimizer.add_param_group({"params": weights(), "name": "head2", "lr": 0.5})
    with pytest.raises(ValueError, match=r"groups of lr must be .*\['body', 'head2'\].*: head2"):
        scheduler.step()


def test_p12_a_replaced_group_has_its_own_base_rate():
    optimizer = SGD([{"params": weights(), "name": "a"}, {"params": weights()}], lr=1.0)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 4), relative=True)
    optimizer.param_groups.pop()
    optimizer.add_param_group({"params": weights(), "lr": 0.5})
    scheduler.step()
    assert rates(optimizer) == [0.75, 0.375]
    optimizer.param_groups = [{"params": weights(), "lr": 0.1}, {"params": weights(), "lr": 0.2}]
    scheduler.step()
    assert rates(optimizer) == [0.05, 0.1]


class Wrapper(SGD):
    """An optimizer without hooks for loading, as the wrappers of pytorch_optimizer."""

    def __init__(self, params):
        super().__init__(params, lr=1.0)
        del self._optimizer_load_state_dict_post_hooks


def test_p13_an_optimizer_without_load_hooks_is_driven():
    optimizer = Wrapper(weights())
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(0.5, 0.0, 2))
    assert rates(optimizer) == [0.5]
    scheduler.step()
    assert rates(optimizer) == [0.25]


def plateau_run():
    model = torch.nn.Linear(1, 1)
    control = lehr.Plateau(patience=1, restore_best=True)
    policy = lehr.Policy(0.1, control=control)
    return model, lehr.torch.Scheduler(SGD(model.parameters(), lr=1.0), policy)


@one_process
def test_p14_the_best_weights_are_in_a_distributed_checkpoint(tmp_path):
    model, scheduler = plateau_run()
    scheduler.observe(1.0, model)
    best = model.weight.clone()
    dcp.save({"sched": scheduler}, checkpoint_id=tmp_path)
    model, resumed = plateau_run()
    dcp.load({"sched": resumed}, checkpoint_id=tmp_path)
    resumed.observe(2.0, model)
    assert torch.equal(model.weight, best)
    assert resumed.factor == 0.5


@one_process
def test_p14_without_best_weights_yet(tmp_path):
    _, scheduler = plateau_run()
    assert scheduler.state_dict()["best"] is None
    dcp.save({"sched": scheduler}, checkpoint_id=tmp_path)
    _, resumed = plateau_run()
    dcp.load({"sched": resumed}, checkpoint_id=tmp_path)
    assert resumed.state_dict() == scheduler.state_dict()


@one_process
def test_p15_a_distributed_checkpoint_of_another_policy(tmp_path):
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), lehr.cosine(0.1, 10))
    scheduler.step()
    dcp.save({"sched": scheduler}, checkpoint_id=tmp_path)
    other = lehr.warmup(0.2, 2).then(lehr.linear(0.2, 0.0, 8))
    resumed = lehr.torch.Scheduler(SGD(weights(), lr=1.0), other, on_change="continue")
    dcp.load({"sched": resumed}, checkpoint_id=tmp_path)
    assert resumed.get_last_lr() == [0.1]
    refusing = lehr.torch.Scheduler(SGD(weights(), lr=1.0), other)
    with pytest.raises(Exception, match="lr at step 1 would jump from"):
        dcp.load({"sched": refusing}, checkpoint_id=tmp_path)


@pytest.mark.parametrize("error", [TypeError])
def test_p17_a_metric_passed_to_step(error):
    scheduler = lehr.torch.Scheduler(SGD(weights(), lr=1.0), 0.1)
    with pytest.raises(error, match=r"got 0.25; pass a metric to scheduler.observe\(metric\)"):
        scheduler.step(0.25)


@pytest.mark.parametrize("relative", [False, True])
def test_p22_groups_with_lr_scale(relative):
    """Layer-wise rates as in timm and MAE: rate times lr_scale."""
    groups = [{"params": weights(), "lr_scale": scale} for scale in (0.25, 0.5, 1.0)]
    optimizer = SGD(groups, lr=0.5)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 4), relative=relative)
    base = 0.5 if relative else 1.0
    assert rates(optimizer) == [0.25 * base, 0.5 * base, base]
    scheduler.step()
    assert rates(optimizer) == [0.1875 * base, 0.375 * base, 0.75 * base]
    assert scheduler.values() == {"lr": dict(zip("012", rates(optimizer), strict=True))}
    scheduler.factor = 0.5
    assert rates(optimizer)[2] == 0.375 * base


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_p22_a_wrong_lr_scale_is_rejected(scale):
    optimizer = SGD([{"params": weights(), "lr_scale": scale}], lr=0.5)
    with pytest.raises(ValueError, match=r"lr_scale of group 0 must be a .*number"):
        lehr.torch.Scheduler(optimizer, 0.1)


def test_p22_a_range_test_scales_each_group():
    """The rates that a group with lr_scale has under a Scheduler, and is tested with."""
    seen = []

    class Recording(SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    model = torch.nn.Linear(2, 1)
    groups = [{"params": [model.weight], "lr_scale": 0.25}, {"params": [model.bias]}]
    optimizer = Recording(groups, lr=0.5)
    lehr.torch.Scheduler(optimizer, 0.5)  # has multiplied the rate
    data = [(torch.ones(4, 2), torch.ones(4, 1))]
    loss = torch.nn.functional.mse_loss
    lehr.torch.range_test(model, optimizer, loss, data, steps=20, high=0.1)
    assert [low / high for low, high in seen] == pytest.approx([0.25] * len(seen))


def test_p22_a_learner_rejects_lr_scale():
    model = torch.nn.Linear(2, 1)
    optimizer = SGD([{"params": model.parameters(), "lr_scale": 0.5}], lr=0.1)
    x, loss = torch.ones(4, 2), torch.nn.functional.mse_loss
    with pytest.raises(ValueError, match="lr_scale of the groups must be absent in a Learner"):
        lehr.torch.Learner(model, optimizer, loss, (x, torch.ones(4, 1)))


def test_k2_an_optimizer_that_does_not_train_is_rejected():
    """The class of K2 in PyTorch: its rate would have no effect."""
    model, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    optimizer, before = SGD(other.parameters(), lr=0.1), model.weight.detach().clone()
    x, y, loss = torch.ones(4, 2), torch.ones(4, 1), torch.nn.functional.mse_loss
    match = "optimizer must be one whose parameters receive gradients, got 'SGD'"
    for closure in (False, True):
        with pytest.raises(ValueError, match=match):
            lehr.torch.range_test(model, optimizer, loss, [(x, y)], closure=closure)
    learner = lehr.torch.Learner(model, optimizer, loss, (x, y), batch_size=4)
    with pytest.raises(ValueError, match=match):
        learner.train(lehr.Policy(0.1), 1)
    real = SGD(model.parameters(), lr=0.1)

    def step(model, batch):
        value = loss(model(batch[0]), batch[1])
        value.backward()
        real.step()
        real.zero_grad()
        return value.detach().requires_grad_()

    learner = lehr.torch.Learner(
        model, SGD(model.parameters(), lr=0.1), None, (x, y), batch_size=4, step=step
    )
    assert torch.equal(model.weight, before)
    with pytest.raises(ValueError, match=match):
        learner.train(lehr.Policy(0.1), 1)
