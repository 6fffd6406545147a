"""Comparison with reference values, and rates of torch schedulers."""

import numpy as np
import pytest

FLOAT64, FLOAT32 = 1e-12, 4e-7


def values(s, n: int) -> list[float]:
    return [s(t) for t in range(n)]


def near(got, expected, tolerance: float) -> None:
    """Compare relative to the largest value, because schedules reach zero."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape
    worst = np.abs(got - expected).max()
    assert worst <= tolerance * np.abs(expected).max(), f"off by {worst}"


def torch_rates(n: int, make, lr: float = 0.1, name: str = "lr") -> list[float]:
    """Return the hyperparameter that a torch scheduler sets for each of the first ``n`` updates."""
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
