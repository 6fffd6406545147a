"""PyTorch on a GPU: skipped updates, bfloat16, restored weights, CUDA graphs, range tests."""

import copy

import pytest
import torch
from torch import nn

import lehr
import lehr.torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU"),
]

X = torch.linspace(-1, 1, 32).reshape(8, 4)
Y = X.sum(1, keepdim=True)


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)
    return nn.Sequential(*layers).to("cuda", dtype)


def train(model, optimizer, updates, dtype=torch.float32, scaler=None):
    x, y = X.to("cuda", dtype), Y.to("cuda", dtype)
    for _ in range(updates):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def bits(model):
    return [tensor.cpu().clone() for tensor in model.state_dict().values()]


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_grad_scaler_skips_are_not_counted(fused):
    model = nn.Linear(4, 1).to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=fused)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(1.0, 0.0, 10))
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
    skipped, used = [], []
    for i in range(6):
        before = model.weight.detach().clone()
        overflow = torch.inf if i in (2, 4) else 1.0
        optimizer.zero_grad()
        scaler.scale(model(X.cuda()).mean() * overflow).backward()
        used.append(optimizer.param_groups[0]["lr"])
        scaler.step(optimizer)
        scale = scaler.get_scale()
        scaler.update()
        skipped.append(torch.equal(before, model.weight))
        if scaler.get_scale() >= scale:
            scheduler.step()
    assert skipped == [False, False, True, False, True, False]
    assert used == pytest.approx([1.0, 0.9, 0.8, 0.8, 0.7, 0.7])
    assert scheduler.last_epoch == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_rates_equal_those_written_by_hand(name, dtype):
    policy = lehr.warmup(0.01, 5).then(lehr.cosine(0.01, 15))
    runs = []
    for driven in (True, False):
        model = network(dtype)
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=policy(0))
        scheduler = lehr.torch.Scheduler(optimizer, policy) if driven else None
        for step in range(20):
            if driven:
                train(model, optimizer, 1, dtype)
                scheduler.step()
            else:
                optimizer.param_groups[0]["lr"] = policy(step)
                train(model, optimizer, 1, dtype)
        runs.append(bits(model))
    assert same(*runs)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_step_does_not_synchronize():
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.1, device="cuda"))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.cosine(0.1, 20))
    train(model, optimizer, 1)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(5):
            scheduler.step()
    finally:
        torch.cuda.set_sync_debug_mode(0)
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(lehr.cosine(0.1, 20)(5))


def test_restore_best_restores_the_weights_on_the_gpu():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    control = lehr.Plateau("loss", patience=1, factor=0.5, restore_best=True)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(0.01, control=control))
    train(model, optimizer, 3)
    best = bits(model)
    addresses = [p.data_ptr() for p in model.parameters()]
    scheduler.observe(1.0, model)
    saved = copy.deepcopy(scheduler.state_dict())
    train(model, optimizer, 3)
    assert not same(best, bits(model))
    scheduler.load_state_dict(saved)
    scheduler.observe(2.0, model)
    assert same(best, bits(model))
    assert [p.data_ptr() for p in model.parameters()] == addresses
    assert {p.device.type for p in model.parameters()} == {"cuda"}
    assert optimizer.param_groups[0]["lr"] == 0.005


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("kind", ["fp32", "bf16", "fp16"])
def test_a_range_test_leaves_no_trace(kind, on_disk):
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float32}[kind]
    data = [(X.to(dtype), Y.to(dtype))]
    runs = []
    for tested in (True, False):
        model = network(dtype)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cuda", init_scale=2.0**40) if kind == "fp16" else None
        train(model, optimizer, 3, dtype, scaler)
        if tested:
            options = {"device": "cuda", "steps": 30, "on_disk": on_disk}
            sweep = lehr.torch.range_test(model, optimizer, nn.functional.mse_loss, data, **options)
            assert len(sweep.losses) == len(sweep.rates)
            assert len(sweep.losses) >= 10
        train(model, optimizer, 5, dtype, scaler)
        runs.append([*bits(model), torch.cuda.get_rng_state()])
        if scaler:
            runs[-1].append(torch.tensor(scaler.get_scale()))
    assert same(*runs)


def captured(model, optimizer, x, y):
    """Return a CUDA graph of one update on ``x`` and ``y``, which must not be freed."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=False)
    with torch.cuda.graph(graph):
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        for parameter in model.parameters():
            parameter.grad.zero_()
    return graph


def test_g4_a_graph_captured_before_a_range_test_updates_the_same_tensors():
    data = [(X, Y)]
    runs = []
    for tested in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).cuda()
        rate = torch.tensor(0.01, device="cuda")
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, capturable=True)
        x, y = X.cuda(), Y.cuda()
        graph = captured(model, optimizer, x, y)
        before = [t.data_ptr() for slots in optimizer.state.values() for t in slots.values()]
        if tested:
            loss = nn.functional.mse_loss
            lehr.torch.range_test(model, optimizer, loss, data, device="cuda", steps=30)
        after = [t.data_ptr() for slots in optimizer.state.values() for t in slots.values()]
        assert before == after
        scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(0.01, 0.0, 10))
        for _ in range(5):
            graph.replay()
            scheduler.step()
        torch.cuda.synchronize()
        runs.append([*bits(model), rate.cpu()])
    assert same(*runs)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_learner_restores_and_repeats_its_updates(name, tmp_path):
    model = network()
    kind = {"SGD": {"momentum": 0.9}, "AdamW": {}}[name]
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **kind)
    loss = nn.functional.mse_loss
    learner = lehr.torch.Learner(model, optimizer, loss, (X, Y), batch_size=4, device="cuda")
    policy = lehr.Policy(lehr.linear(0.01, 0.0, 20))
    learner.train(policy, 5)
    learner.save(tmp_path / "a.npz")
    first = learner.train(policy, 10, first=5), bits(model)
    learner.load(tmp_path / "a.npz")
    second = learner.train(policy, 10, first=5), bits(model)
    assert first[0] == second[0]
    assert same(first[1], second[1])


def test_g3_a_range_test_needs_one_copy_of_the_state():
    model = nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(16)]).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.ones(8, 1024)
    model(x.cuda()).square().mean().backward()
    optimizer.step()
    state = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    added = {}
    for on_disk in (False, True):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        begun = torch.cuda.memory_allocated()
        options = {"device": "cuda", "steps": 20, "on_disk": on_disk, "high": 1e-3}
        loss = nn.functional.mse_loss
        lehr.torch.range_test(model, optimizer, loss, [(x, x)], **options)
        added[on_disk] = (torch.cuda.max_memory_allocated() - begun) / state
    print({f"on_disk={key}": f"{value:.2f} of the state" for key, value in added.items()})
    # the copy, the gradients of the test, and temporary tensors of foreach updates
    assert added[False] <= 1.8
    assert added[True] <= 0.8
