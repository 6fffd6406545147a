"""How values are compared with what they should be, and how peers are driven."""

import numpy as np
import pytest

FLOAT64, FLOAT32 = 1e-12, 4e-7


def values(s, n: int) -> list[float]:
    return [s(t) for t in range(n)]


def near(got, wanted, tolerance: float) -> None:
    """Hold the error against the largest value: schedules reach zero."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape
    worst = np.abs(got - wanted).max()
    assert worst <= tolerance * np.abs(wanted).max(), f"off by {worst}"


def torch_rates(n: int, make, lr: float = 0.1, name: str = "lr") -> list[float]:
    """Return what a torch scheduler writes into an optimizer for the first ``n`` updates."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for t in range(n):
        rates.append(optimizer.param_groups[0][name])
        if t + 1 < n:
            optimizer.step()
            scheduler.step()
    return rates
