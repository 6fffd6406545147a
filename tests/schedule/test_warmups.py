"""Compare warm-ups from Adam's beta2 with exact fractions, mpmath and torch.optim.RAdam."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from oracles import FLOAT32, FLOAT64, near, values

import lehr
from lehr.schedule import RAdam

ULP = 2.0**-52
BETAS = [0.0, 0.5, 0.9, 0.95, 0.98, 0.987, 0.99, 0.999, 0.9999]
FAR = (2**24 - 1, 2**24 + 1, 10**9, 2**31 - 2, 2**31 - 1)
mpmath.mp.dps = 60


def typed(beta2: float) -> mpmath.mpf:
    """Return the decimal of the shortest repr."""
    return mpmath.mpf(repr(beta2))


# Untuned: the formulas of the paper, with updates counted from 1 as in Adam.


@pytest.mark.parametrize("beta2", BETAS)
def test_the_untuned_warmup_agrees_with_its_paper(beta2):
    s = lehr.warmup_untuned(0.3, beta2=beta2)
    updates = 2 / (1 - Fraction(repr(beta2)))
    at = range(int(updates) + 20)
    wanted = [float(Fraction(0.3) * min(Fraction(1), (t + 1) / updates)) for t in at]
    near(s(np.arange(len(at))), wanted, 4 * ULP)
    assert s.length == next(t for t in at if t + 1 >= updates)
    assert s(s.length) == 0.3 > s(s.length - 1)
    assert lehr.loads(s.dumps()) == s


@pytest.mark.parametrize("beta2", BETAS)
def test_the_exponential_untuned_warmup_agrees_with_its_paper(beta2):
    jax = pytest.importorskip("jax")
    s = lehr.warmup_untuned(0.3, beta2=beta2, curve="exponential")
    at = np.array([*range(3000), 10**5, *FAR])
    wanted = [float(0.3 * -mpmath.expm1(-(int(t) + 1) * (1 - typed(beta2)))) for t in at]
    near([s(int(t)) for t in at], wanted, 4 * ULP)
    near(s(at), wanted, 4 * ULP)
    near(jax.jit(s)(at.astype(np.int32)), wanted, FLOAT32)
    assert 0 < s(0) < s(1)
    assert s(10**9) == 0.3
    assert s.length == math.inf
    assert lehr.loads(s.dumps()) == s


@pytest.mark.parametrize("curve", ["linear", "exponential"])
@pytest.mark.parametrize("beta2", [1.0, 1.5, -0.1, float("nan")])
def test_the_untuned_warmup_rejects_an_invalid_beta2(beta2, curve):
    with pytest.raises(ValueError, match="beta2 must be a number at least 0 and below 1"):
        lehr.warmup_untuned(0.3, beta2=beta2, curve=curve)


# RAdam.


def rho(n: int, beta2):
    power = beta2**n
    return 2 / (1 - beta2) - 1 - 2 * n * power / (1 - power)


def first_update(beta2: float) -> int:
    """Return the first update with rho > 4, computed with fractions."""
    exact = Fraction(repr(beta2))
    return next(n for n in range(1, 1000) if rho(n, exact) > 4)


def rectified(n: int, beta2: float) -> float:
    """Return r(n) of the paper."""
    now, last = rho(n, typed(beta2)), 2 / (1 - typed(beta2)) - 1
    return float(mpmath.sqrt((now - 4) * (now - 2) * last / ((last - 4) * (last - 2) * now)))


@pytest.mark.parametrize(
    "beta2",
    [0.6001, 0.65, 0.692255, 0.7, 0.7734375, 0.9, 0.9427, 0.95, 0.99, 0.999, 0.9999, 1 - 1e-7],
)
def test_radam_agrees_with_its_paper(beta2):
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    s, first = lehr.warmup_radam(0.3, beta2=beta2), first_update(beta2)
    near_ones = range(0, 40_000 if beta2 > 0.999 else 4_000, 7)
    at = np.array([*range(400), *near_ones, 10**5, *FAR])
    wanted = [0.3 * rectified(int(t) + first, beta2) for t in at]
    near([s(int(t)) for t in at], wanted, FLOAT64)
    near(s(at), wanted, FLOAT64)
    near(jax.jit(s)(at.astype(np.int32)), wanted, FLOAT32)
    near(s(torch.from_numpy(at)), wanted, FLOAT32)
    assert s(2**60) == pytest.approx(0.3, rel=4 * ULP)
    assert s.length == math.inf


def test_radams_first_updates_by_hand():
    # rho(1) is 1 and rho(n) is below n, so the first update is 5 or later for every beta2
    assert [first_update(b) for b in (0.61, 0.7, 0.9, 0.99, 0.999)] == [11, 6, 5, 5, 5]
    for beta2 in (0.61, 0.7, 0.9, 0.99, 0.999):
        s, first = lehr.warmup_radam(1.0, beta2=beta2), first_update(beta2)
        assert rho(first - 1, Fraction(repr(beta2))) <= 4
        assert s(0) == pytest.approx(rectified(first, beta2), rel=1e-9)
        assert 0 < s(0) < s(1) < s(2)
    # rho(4) is 4 - 5e-9 here, beyond the accuracy of float64
    assert lehr.warmup_radam(1.0, beta2=1 - 1e-9)(0) == pytest.approx(
        rectified(5, 1 - 1e-9), rel=1e-6
    )


@pytest.mark.parametrize("beta2", [0.7, 0.9, 0.99, 0.999])
def test_radam_agrees_with_the_optimizer_of_torch(beta2):
    """With gradient 1, eps 0 and rate 1, each update changes the weight by r(n)."""
    torch = pytest.importorskip("torch")
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.RAdam([weight], lr=1.0, betas=(0.9, beta2), eps=0.0)
    s, first, last = lehr.warmup_radam(1.0, beta2=beta2), first_update(beta2), 3000
    moved = []
    for _ in range(last):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        moved.append(-weight.item())
        weight.data.zero_()
    # up to rho = 5 torch makes an update of plain momentum, which has size 1
    begins = next(n for n in range(1, last) if rho(n, Fraction(repr(beta2))) > 5)
    assert moved[: begins - 1] == pytest.approx([1.0] * (begins - 1), rel=1e-12)
    wanted = moved[begins - 1 :]
    near(values(s, last - first + 1)[begins - first :], wanted, FLOAT64)


@pytest.mark.parametrize("make", [lehr.warmup_radam, RAdam], ids=["preset", "class"])
def test_radam_rejects_a_beta2_without_a_rectification(make):
    for beta2 in (0.6, 0.5, 0.0, -1.0, 1.0, 2.0, math.nan):
        with pytest.raises(ValueError, match=r"beta2 must be a number above 0\.6 and below 1, got"):
            make(1.0, beta2=beta2)


def test_radam_multiplies_a_schedule_of_the_run():
    s = lehr.warmup_radam(1.0, beta2=0.99)
    assert (s * lehr.cosine(1.0)).resolve(500)(499) == s(499) * lehr.cosine(1.0, 500)(499)


def test_the_untuned_warmup_rejects_other_curves():
    with pytest.raises(ValueError, match="curve must be one of linear, exponential, got 'cosine'"):
        lehr.warmup_untuned(0.3, beta2=0.9, curve="cosine")
