"""A snapshot of a learner has everything that the next update depends on; case P7."""

import functools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import run_python
from torch import nn
from torch_states import Counting, History, Inner, Lookahead, Replacing, Swapping, Unfreezing

import lehr
import lehr.torch
from lehr.learner import Snapshot

X = torch.linspace(-1, 1, 96).reshape(24, 4)
DATA = X, X.sum(1, keepdim=True)
POLICY = lehr.Policy(lehr.linear(0.02, 0.0, 20))
WILD = lehr.Policy(0.5)

OPTIMIZERS = {
    name: getattr(torch.optim, name)
    for name in torch.optim.__all__
    if name not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")  # closure, sparse, matrices only
    and isinstance(getattr(torch.optim, name), type)
}
OWN = {kind.__name__: kind for kind in (Inner, Lookahead, History, Replacing, Unfreezing)} | {
    "Swapping": functools.partial(Swapping, lr=0.1, momentum=0.9)
}
VARIANTS = {
    "SGD, momentum": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "AdamW, amsgrad, tensor": functools.partial(
        torch.optim.AdamW, lr=torch.tensor(0.1), amsgrad=True, foreach=False
    ),
    "RMSprop, centered": functools.partial(torch.optim.RMSprop, centered=True, momentum=0.5),
    "Adam, capturable": functools.partial(torch.optim.Adam, fused=True),
}
MAKERS = OPTIMIZERS | OWN | VARIANTS


def learner(make=torch.optim.AdamW, model=Counting, **options):
    torch.manual_seed(0)
    model = model()
    optimizer = make(model.parameters())
    loss = nn.functional.mse_loss
    return lehr.torch.Learner(model, optimizer, loss, DATA, batch_size=8, **options)


def seeded(seed=7):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def state_of(run):
    snapshot = run.snapshot()
    return snapshot.metadata, {name: array.tobytes() for name, array in snapshot.arrays.items()}


@pytest.mark.parametrize("trained", [0, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_p7_a_snapshot_continues_bit_for_bit_in_another_learner(name, trained, tmp_path):
    run = learner(MAKERS[name])
    seeded()
    run.train(POLICY, trained)
    saved = state_of(run)
    run.save(tmp_path / "run.npz")
    wanted = run.train(POLICY, 6, first=trained), state_of(run)

    fresh, used = learner(MAKERS[name]), learner(MAKERS[name])
    used.train(WILD, 5)
    addresses = [p.data_ptr() for p in used.model.parameters()]
    for other in (fresh, used, run):
        other.load(tmp_path / "run.npz")
        assert state_of(other) == saved
        assert (other.train(POLICY, 6, first=trained), state_of(other)) == wanted
    if "Swapping" not in name:
        assert [p.data_ptr() for p in used.model.parameters()] == addresses


def test_p7_slots_are_restored_in_place():
    run = learner()
    run.train(POLICY, 2)
    snapshot = run.snapshot()
    slots = [t for state in run.optimizer.state.values() for t in state.values()]
    run.train(WILD, 2)
    run.restore(snapshot)
    after = [t for state in run.optimizer.state.values() for t in state.values()]
    assert all(a is b for a, b in zip(slots, after, strict=True))


SCRIPT = """
import json, pathlib, sys
sys.path.insert(0, {folder!r})
import test_saved as t
run, path = t.learner(t.MAKERS[sys.argv[1]]), pathlib.Path(sys.argv[2])
t.seeded()
print(run.snapshot().digest())
run.train(t.POLICY, 3)
print(run.snapshot().digest())
run.load(path) if path.exists() else run.save(path)
print(json.dumps([run.train(t.POLICY, 6, first=3).losses, run.snapshot().digest()]))
"""


@pytest.mark.parametrize("name", ["Lookahead", "History", "AdamW"])
def test_p7_a_snapshot_does_not_depend_on_the_process(name, tmp_path):
    """Neither on the order of sets, nor on the addresses of objects."""
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    path, printed = tmp_path / "run.npz", []
    for seed in ("1", "2"):
        run = run_python("-c", script, name, path, PYTHONHASHSEED=seed)
        printed.append(run.stdout.splitlines())
        assert path.exists()
    assert len(printed[0]) == 3
    assert printed[0] == printed[1]


class Token:
    def __init__(self):
        self.value = 1


class Changing(nn.Linear):
    """A layer whose forward pass makes a change."""

    def __init__(self, change):
        super().__init__(4, 1)
        self.change = change

    def forward(self, x):
        self.change(self)
        return super().forward(x)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: setattr(m, "token", Token()), "model.token must be .*, got 'Token'"),
        (lambda m: setattr(m, "tokens", [{"a": Token()}]), r"model.tokens\[0\]\['a'\] must be"),
        (lambda m: setattr(m, "act", torch.relu), "model.act must be a tensor, number, text or"),
        (lambda m: setattr(m, "rows", iter([1])), "model.rows must be"),
        (lambda m: setattr(m, "view", m.weight.data[0]), "model.view must be .* share memory with"),
        (lambda m: setattr(m, "sparse", torch.eye(2).to_sparse()), "model.sparse must be a dense"),
        (lambda m: setattr(m, "names", np.array([{}])), "model.names must be .*, got 'ndarray'"),
        (lambda m: setattr(m, "set", {torch.ones(1)}), "a member of model.set must be"),
        (lambda m: setattr(m, "new", nn.Parameter(torch.ones(1))), "model.new must be"),
    ],
    ids=["object", "nested", "function", "iterator", "view", "sparse", "objects", "set", "weight"],
)
def test_p7_an_object_that_cannot_be_saved_is_rejected_by_name(change, match):
    run = learner(model=lambda: Changing(change))
    run.train(POLICY, 1)
    with pytest.raises(TypeError, match=match):
        run.snapshot()


def test_p7_disjoint_parts_of_one_memory_are_saved():
    """As the norms of Lamb, and the values of foreach functions."""

    def change(layer):
        layer.parts = torch.stack([layer.weight.data[0], layer.weight.data[0] * 2]).unbind()

    run, fresh = (learner(model=lambda: Changing(change)) for _ in range(2))
    run.train(POLICY, 1)
    fresh.restore(run.snapshot())
    assert all(map(torch.equal, run.model.parts, fresh.model.parts))
    assert run.train(POLICY, 2) == fresh.train(POLICY, 2)


def test_p7_an_object_that_existed_before_the_learner_is_restored():
    def change(layer):
        layer.change.token.value += 1
        layer.change.token.tensors.append(layer.weight.detach().clone())
        layer.change.token.kind = layer.change.token.kind or torch.float64

    def make():
        layer = Changing(functools.partial(change))
        layer.change.token = Token()
        layer.change.token.tensors, layer.change.token.kind = [], None
        return layer

    run, fresh = learner(model=make), learner(model=make)
    run.train(POLICY, 2)
    snapshot = run.snapshot()
    fresh.restore(snapshot)
    token = fresh.model.change.token
    assert (token.value, len(token.tensors), token.kind) == (3, 2, torch.float64)
    run.train(POLICY, 2)
    token, before = run.model.change.token, run.model.change.token.tensors[:2]
    run.restore(snapshot)
    assert token.value == 3
    assert [a is b for a, b in zip(token.tensors, before, strict=True)] == [True, True]


def sequence(*layers):
    return lambda: nn.Sequential(nn.Linear(4, 2), *layers)


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        (torch.optim.AdamW, sequence(nn.ReLU(), nn.Linear(2, 1), nn.Linear(1, 1)), "model.3"),
        (torch.optim.AdamW, sequence(nn.Tanh(), nn.Linear(2, 1)), "model.1"),
        (torch.optim.AdamW, sequence(nn.ReLU(), nn.Linear(2, 3)), "model.2.weight"),
        (torch.optim.AdamW, lambda: sequence(nn.ReLU(), nn.Linear(2, 1))().double(), "model.0"),
        (torch.optim.SGD, sequence(nn.ReLU(), nn.Linear(2, 1)), "optimizer"),
    ],
)
def test_a_snapshot_of_another_model_or_optimizer_is_rejected(make, model, name):
    run = learner(model=sequence(nn.ReLU(), nn.Linear(2, 1)))
    run.train(POLICY, 1)
    other = learner(make, model)
    before = other.model.state_dict()["0.weight"].clone()
    match = f"snapshot must be one of a learner with the same model and optimizer, .*{name}"
    with pytest.raises(ValueError, match=match):
        other.restore(run.snapshot())
    assert torch.equal(other.model.state_dict()["0.weight"], before)


def test_a_snapshot_of_an_older_version_is_rejected(tmp_path):
    Snapshot({"state/model/weight": np.ones(4)}, {"step": 3, "state": {}}).save(tmp_path / "a.npz")
    match = r"snapshot must be saved by this version of lehr, got \['state', 'step'\]; train again"
    with pytest.raises(ValueError, match=match):
        learner().load(tmp_path / "a.npz")


def test_a_lazy_parameter_is_rejected_and_later_saved():
    run, fresh = (learner(model=lambda: nn.Sequential(nn.LazyLinear(1))) for _ in range(2))
    with pytest.raises(ValueError, match=r"model.0.weight must be an initialized parameter"):
        run.snapshot()
    run.train(POLICY, 1)
    with pytest.raises(ValueError, match=r"snapshot must be one of .*'model.0.weight'"):
        fresh.restore(run.snapshot())
    fresh.train(WILD, 1)
    fresh.restore(run.snapshot())
    assert fresh.train(POLICY, 3) == run.train(POLICY, 3)


def test_hooks_are_not_part_of_a_snapshot():
    """The keys of hooks are numbers that differ between processes."""
    calls = []

    def make():
        layer = nn.utils.spectral_norm(nn.Linear(4, 1))
        layer.register_forward_hook(lambda *_: calls.append("first")).remove()
        return layer

    run = learner(model=make)
    run.train(POLICY, 2)
    handle = run.model.register_forward_hook(lambda *_: calls.append("later"))
    snapshot = run.snapshot()
    wanted = run.train(POLICY, 2)
    assert calls == ["later"] * 2
    fresh = learner(model=make)
    fresh.restore(snapshot)
    assert fresh.train(POLICY, 2) == wanted
    run.restore(snapshot)
    handle.remove()
    run.train(POLICY, 2)
    assert calls == ["later"] * 2


class Scaled(nn.Module):
    """A loss with a parameter, and a counter that affects it."""

    def __init__(self):
        super().__init__()
        self.scale, self.calls = nn.Parameter(torch.ones(())), 0

    def forward(self, output, y):
        self.calls += 1
        return (self.scale * output - y).square().mean() / self.calls


@pytest.mark.parametrize("inside", [False, True])
def test_p1_a_learner_trains_and_restores_the_parameters_of_the_loss(inside):
    """The same losses as with the parameter in the model."""

    def make():
        torch.manual_seed(0)
        model, loss = nn.Linear(4, 1), Scaled()
        optimizer = torch.optim.SGD([*model.parameters(), loss.scale], lr=0.1, momentum=0.9)
        if inside:
            model.scale = loss.scale
        return lehr.torch.Learner(model, optimizer, loss, DATA, batch_size=8)

    run, fresh = make(), make()
    first = run.train(POLICY, 3)
    snapshot = run.snapshot()
    assert run.loss.scale.grad is None
    wanted = run.train(POLICY, 3)
    fresh.restore(snapshot)
    assert fresh.loss.calls == 3
    assert fresh.train(POLICY, 3) == wanted
    model, scale = make().model, nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1, momentum=0.9)
    losses = []
    for step in range(3):  # a hand-written loop
        rows = run.rows(step)
        optimizer.param_groups[0]["lr"] = POLICY.lr(step)
        optimizer.zero_grad()
        loss = (scale * model(X[rows]) - DATA[1][rows]).square().mean() / (step + 1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == first.losses


def test_p9_a_learner_rejects_optimizers_that_need_a_closure():
    with pytest.raises(ValueError, match=r"optimizer must be one whose step .*, got 'LBFGS'; use "):
        learner(torch.optim.LBFGS)


def test_python_and_numpy_generators_are_restored():
    def noise(layer):
        with torch.no_grad():
            layer.bias += random.random() + np.random.random() + torch.rand(())

    run, fresh = learner(model=lambda: Changing(noise)), learner(model=lambda: Changing(noise))
    seeded()
    run.train(POLICY, 2)
    snapshot = run.snapshot()
    wanted = run.train(POLICY, 2)
    seeded(3)
    fresh.restore(snapshot)
    assert fresh.train(POLICY, 2) == wanted
