"""CUDA graphs and the memory of a range test; cases G2, G3 and G4. Needs a GPU."""

import pytest
import torch
from torch import nn

import lehr
import lehr.torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
FALL = lehr.linear(0.1, 0.0, 20)


def captured(make):
    """Return a model, its optimizer, and a function that replays one captured update."""
    torch.manual_seed(0)
    model = nn.Linear(8, 1).cuda()
    optimizer = make(model.parameters())
    x = torch.ones(4, 8, device="cuda")

    def update():
        optimizer.zero_grad(set_to_none=False)
        model(x).square().mean().backward()
        optimizer.step()

    def capture():
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                update()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            update()
        return graph

    return model, optimizer, capture


def adamw(params):
    return torch.optim.AdamW(params, lr=torch.tensor(0.1, device="cuda"), capturable=True)


def test_g2_a_captured_update_reads_the_scheduled_rate():
    model, optimizer, capture = captured(adamw)
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    graph = capture()
    scheduler.step(20)  # a rate of 0
    before = model.weight.clone()
    graph.replay()
    assert torch.equal(model.weight, before)
    scheduler.step(5)
    graph.replay()
    assert not torch.equal(model.weight, before)


@pytest.mark.parametrize(
    ("make", "policy", "match"),
    [
        (adamw, lehr.one_cycle(0.1, 20), "momentum of group '0' must be a tensor during the cap"),
        (lambda p: torch.optim.AdamW(p, lr=0.1, capturable=True), FALL, "lr of group '0' must be"),
    ],
)
def test_g2_a_capture_that_would_repeat_a_number_is_rejected(make, policy, match):
    _, optimizer, capture = captured(make)
    scheduler = lehr.torch.Scheduler(optimizer, policy)  # a driver that is not stored is deleted
    with pytest.raises(ValueError, match=match):
        capture()
    assert scheduler.last_epoch == 0


def test_g4_a_graph_captured_before_a_range_test_trains_the_same_tensors():
    data = [(torch.ones(4, 8, device="cuda"), torch.zeros(4, 1, device="cuda"))]
    results = []
    for tested in (False, True):
        model, optimizer, capture = captured(adamw)
        graph = capture()
        if tested:
            lehr.torch.range_test(model, optimizer, nn.functional.mse_loss, data, steps=20)
        for _ in range(3):
            graph.replay()
        results.append(model.weight.tolist())
    assert results[0] == results[1]


@pytest.mark.parametrize("on_disk", [False, True])
def test_g3_the_memory_of_a_range_test(on_disk):
    """One copy of parameters and optimizer state; none on the GPU with on_disk."""
    model = nn.Linear(4096, 4096, bias=False).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    data = [(torch.ones(1, 4096, device="cuda"), torch.zeros(1, 4096, device="cuda"))]
    size = model.weight.numel() * 4
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(data[0][0]), data[0][1]).backward()
        optimizer.step()
    optimizer.zero_grad()
    before = torch.cuda.memory_allocated()
    peaks = []
    for tested in (False, True):
        torch.cuda.reset_peak_memory_stats()
        if tested:
            options = {"steps": 20, "on_disk": on_disk}
            lehr.torch.range_test(model, optimizer, nn.functional.mse_loss, data, **options)
        else:
            for _ in range(3):
                optimizer.zero_grad()
                nn.functional.mse_loss(model(data[0][0]), data[0][1]).backward()
                optimizer.step()
            optimizer.zero_grad()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    copies = 0 if on_disk else 2
    assert (peaks[1] - peaks[0]) / size == pytest.approx(copies, abs=0.5)
