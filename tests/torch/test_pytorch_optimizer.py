"""Range tests and snapshots restore every optimizer of the package pytorch_optimizer.

Slow, and not part of the test dependencies: ``pip install pytorch_optimizer``, then
``pytest -m slow tests/torch/test_pytorch_optimizer.py``. Tested with version 4.1.0.
"""

import functools
import inspect
import random

import numpy as np
import pytest
import torch
from torch import nn

import lehr
import lehr.torch

package = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

X = torch.linspace(-1, 1, 64).reshape(16, 4)
DATA = X, X.sum(1, keepdim=True)
BATCHES = [(X[:8], DATA[1][:8]), (X[8:], DATA[1][8:])]
LOSS = nn.functional.mse_loss
POLICY = lehr.Policy(0.01)


def network(name):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    bias = name != "SpectralSphere"  # for matrices only
    return nn.Sequential(nn.Linear(4, 8, bias), nn.Tanh(), nn.Linear(8, 1, bias))


KINDS = {
    name: kind
    for name in dir(package)
    if isinstance(kind := getattr(package, name), type) and issubclass(kind, torch.optim.Optimizer)
}
# their step needs a closure, which not all of them show in the signature
CLOSURE = {"AliG", "BSAM", "FriendlySAM", "GSAM", "LBFGS", "LookSAM", "SAM", "WSAM"}

# not supported, with the error of the range test or of the optimizer
REJECTED = {
    "A2Grad": "lr of the optimizer must be a number, got None",  # has no learning rate
    "AliG": "lr of the optimizer must be a number, got None",  # computes its rate from the loss
    "ASGD": "lr of the optimizer must be a value that its step does not change",
    "SafeFP16Optimizer": "optimizer must be one with param_groups",
}
UNTRAINED = {
    "AdaHessian": "needs backward(create_graph=True)",
    "SophiaH": "needs backward(create_graph=True)",
    "AdaLOMO": "updates in the backward pass; step is not implemented",
    "LOMO": "updates in the backward pass; step is not implemented",
    "DeMo": "needs several processes",
    "DistributedMuon": "needs several processes",
    "GSAM": "its closure returns a pair",
}
MUON = {"AdaGO", "AdaMuon", "DistributedMuon", "Muon", "MuonClip", "NorMuon"}


def made(name, model):
    """Construct an optimizer; arguments without a default are chosen by their names."""
    arguments = inspect.signature(KINDS[name]).parameters
    base = functools.partial(torch.optim.AdamW, lr=0.01)
    chosen = {
        "params": model.parameters(),
        "model": model,
        "lr": 0.01,
        "optimizer": base(model.parameters()),
        "base_optimizer": torch.optim.AdamW,
        "num_iterations": 100,
        "num_data": 16,
    }
    if name == "GSAM":
        optimizer = base(model.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        rho = package.ProportionScheduler(schedule, 0.01, 0.0, 0.05, 0.01)
        chosen |= {"base_optimizer": optimizer, "rho_scheduler": rho}
    if name in MUON:
        matrices, others = ([p for p in model.parameters() if (p.ndim > 1) == m] for m in (1, 0))
        groups = [{"params": matrices, "use_muon": True}, {"params": others, "use_muon": False}]
        chosen["params"] = groups
    return KINDS[name](**{key: value for key, value in chosen.items() if key in arguments})


def updates(model, optimizer, count, closure):
    losses = []
    for n in range(count):
        x, y = BATCHES[n % 2]

        @torch.enable_grad()
        def evaluate(x=x, y=y):
            optimizer.zero_grad()
            loss = LOSS(model(x), y)
            loss.backward()
            losses.append(loss.item())
            return loss

        if closure:
            if hasattr(optimizer, "first_step"):  # SAM needs the gradients before its step
                evaluate()
            optimizer.step(evaluate)
        else:
            evaluate()
            optimizer.step()
    return losses


def built(name):
    model = network(name)
    optimizer = made(name, model)
    if hasattr(optimizer, "train"):
        optimizer.train()
    return model, optimizer


def result(name, tested):
    model, optimizer = built(name)
    closure = name in CLOSURE
    losses = updates(model, optimizer, 3, closure)
    if tested:
        lehr.torch.range_test(model, optimizer, LOSS, BATCHES, steps=20, closure=closure)
    losses += updates(model, optimizer, 3, closure)
    return losses, [p.tolist() for p in model.parameters()]


@pytest.mark.parametrize("name", sorted(KINDS.keys() - REJECTED.keys() - UNTRAINED.keys()))
def test_training_continues_bit_for_bit_after_a_range_test(name):
    assert result(name, False) == result(name, True)


@pytest.mark.parametrize("name", REJECTED)
def test_optimizers_without_a_settable_rate_are_rejected(name):
    model, optimizer = built(name)
    before = [p.tolist() for p in model.parameters()]
    with pytest.raises((TypeError, ValueError), match=REJECTED[name]):
        lehr.torch.range_test(model, optimizer, LOSS, BATCHES, closure=name in CLOSURE)
    assert [p.tolist() for p in model.parameters()] == before


@pytest.mark.parametrize("name", UNTRAINED)
def test_optimizers_that_a_plain_loop_does_not_train(name):
    with pytest.raises((TypeError, ValueError, RuntimeError, ImportError)):
        result(name, False)


def learner(name):
    model, optimizer = built(name)
    return lehr.torch.Learner(model, optimizer, LOSS, DATA, batch_size=8)


UNSAVED = {"Conda": "projector", "ScalableShampoo": "pre_conditioner"}  # objects in the state
SAVED = KINDS.keys() - REJECTED.keys() - UNTRAINED.keys() - UNSAVED.keys() - CLOSURE


@pytest.mark.parametrize("name", sorted(SAVED))
def test_a_snapshot_continues_bit_for_bit_in_another_learner(name, tmp_path):
    run, fresh = learner(name), learner(name)
    run.train(POLICY, 3)
    run.save(tmp_path / "run.npz")
    wanted = run.train(POLICY, 3), run.snapshot().digest()
    fresh.load(tmp_path / "run.npz")
    assert (fresh.train(POLICY, 3), fresh.snapshot().digest()) == wanted


@pytest.mark.parametrize("name", sorted(CLOSURE - {"AliG", "GSAM"}))
def test_a_learner_rejects_optimizers_that_need_a_closure(name):
    with pytest.raises(ValueError, match="optimizer must be one whose step does not require a"):
        learner(name)


@pytest.mark.parametrize("name", UNSAVED)
def test_an_object_in_the_state_that_updates_create_is_rejected_by_name(name):
    run = learner(name)
    run.train(POLICY, 1)
    match = rf"optimizer.state\[model.0.weight\]\['{UNSAVED[name]}'\] must be a tensor, number"
    with pytest.raises(TypeError, match=match):
        run.snapshot()
