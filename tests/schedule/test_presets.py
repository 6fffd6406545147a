"""Compare presets with fractions, formulas of papers, and peers; runs of 1 to 50 steps."""

import itertools
import math
import random
import warnings
from fractions import Fraction

import numpy as np
import pytest
from oracles import FLOAT32, FLOAT64, near, torch_rates, values
from preset_cases import public_presets

import lehr
from lehr.schedule import Exponential

SEEDS = range(5)


# Cycles.


@pytest.mark.parametrize(("up", "down"), [(2.5, 2.0), (0.25, 0.5), (1.2, 3.4), (3, 4), (1, 1)])
@pytest.mark.parametrize("per", ["cycle", "step"])
def test_cyclical_by_fractions(up, down, per):
    rise, fall = Fraction(str(up)), Fraction(str(down))

    def scale(n):
        return 1.0 / (n if per == "cycle" else 1 + n)  # cycles are counted from 1, steps from 0

    if per == "cycle" and rise + fall < 1:
        match = r"^up and down must be at least 1 step together with a scale per cycle, got 0\.75$"
        with pytest.raises(ValueError, match=match):
            lehr.cyclical(0.25, 1.25, up, down, scale=scale, per=per)
        return
    s = lehr.cyclical(0.25, 1.25, up, down, scale=scale, per=per)
    plain = lehr.cyclical(0.25, 1.25, up, down)
    for t in [*range(100), 10**6, 10**6 + 1]:
        cycle = math.floor(t / (rise + fall))
        gone = t - cycle * (rise + fall)
        wave = float(gone / rise if gone < rise else 1 - (gone - rise) / fall)
        assert plain(t) == pytest.approx(0.25 + wave, rel=FLOAT64)
        factor = scale(cycle + 1 if per == "cycle" else t)
        assert s(t) == pytest.approx(0.25 + wave * factor, rel=FLOAT64)
    near(s(np.arange(100)), values(s, 100), 1e-15)


def test_cyclical_has_the_three_policies_of_smith():
    halved = lehr.cyclical(0.1, 1.0, 7, scale=Exponential(1.0, 0.5, 1))
    near(values(halved, 100), values(lehr.triangular2(0.1, 1.0, 7), 100), FLOAT64)
    assert lehr.cyclical(0.1, 1.0, 7) == lehr.triangular(0.1, 1.0, 7)
    by_step = lehr.cyclical(0.1, 1.0, 7, scale=Exponential(1.0, 0.9, 1), per="step")
    near(values(by_step, 100), values(lehr.exp_range(0.1, 1.0, 7, 0.9), 100), FLOAT64)
    epochs = lehr.cyclical(0.0, 1.0, "0.5 epochs", scale=Exponential(1.0, 0.5, 1))
    assert epochs.resolve(steps_per_epoch=4)(np.arange(9)).tolist() == [
        *(0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25, 0)
    ]


def test_a_scale_is_called_with_cycles_from_1_or_steps_from_0():
    called = []

    def scale(n):
        called.append(n)
        return 0.5

    s = lehr.cyclical(0.0, 1.0, 2, scale=scale)
    assert called == [*range(1, 101)]  # checked at construction
    called.clear()
    assert [s(t) for t in (0, 3, 4, 9)] == [0.0, 0.25, 0.0, 0.25]
    assert called == [1, 1, 2, 3]
    s = lehr.cyclical(0.0, 1.0, 2, scale=scale, per="step")
    called.clear()
    s(0), s(7)
    assert called == [0, 7]
    # a schedule is called with ticks from 0
    s = lehr.cyclical(0.0, 1.0, 1, scale=lehr.table([1.0, 0.25, 0.75]))
    assert [s(t) for t in (1, 3, 5, 7)] == [1.0, 0.25, 0.75, 0.75]


@pytest.mark.parametrize(
    ("scale", "cycle", "value"),
    [
        (lambda cycle: 2.0 / cycle, 1, r"2\.0"),
        (lambda cycle: 0.5 * 1.5**cycle, 2, r"1\.125"),
        (lambda cycle: 1 - cycle / 64, 65, r"-0\.015625"),
        (lambda cycle: 1.5 if cycle == 100 else 1.0, 100, r"1\.5"),
        (lehr.table([1.0, 0.5, 3.0]), 3, r"3\.0"),
        (lehr.linear(1.0, -1.0, 64), 34, r"-0\.03125"),
    ],
)
def test_a_scale_outside_0_to_1_is_rejected_at_construction(scale, cycle, value):
    match = (
        rf"^scale of cycle {cycle} must be a number at least 0 and at most 1, got {value}; "
        "a function of the cycle is called with 1 for the first one$"
    )
    for up in (2, 2.5, "1 epoch"):
        with pytest.raises(ValueError, match=match):
            lehr.cyclical(0.0, 1.0, up, scale=scale)


def test_a_scale_is_not_clipped_beyond_the_checked_cycles():
    s = lehr.cyclical(0.0, 1.0, 1, scale=lambda cycle: cycle / 100)
    assert [s(2 * cycle - 1) for cycle in (1, 100, 250)] == [0.01, 1.0, 2.5]


# Formulas of the papers that the presets cite. allennlp is not installed; its formula is from
# training/learning_rate_schedulers/slanted_triangular.py.


def draws(seed: int):
    r = random.Random(seed)
    return r, r.uniform(1e-3, 2.0), r.randint(20, 400)


@pytest.mark.parametrize("seed", SEEDS)
def test_noam(seed):
    r, _, warmup = draws(seed)
    model = r.choice([64, 512, 1000])
    at = [*range(3 * warmup), 10**6]
    wanted = [0.7 * model**-0.5 * min(max(t, 1) ** -0.5, max(t, 1) * warmup**-1.5) for t in at]
    near([lehr.noam(model, warmup, scale=0.7)(t) for t in at], wanted, FLOAT64)


@pytest.mark.parametrize("curve", ["1-sqrt", "linear", "cosine"])
def test_wsd_with_a_warmup_in_steps_has_the_same_trunk_for_all_run_lengths(curve):
    s = lehr.wsd(1.0, 7, "20%", curve=curve, floor=0.1, start=0.2)
    runs = {n: s.resolve(steps=n) for n in (30, 57, 200)}
    for n, run in runs.items():
        known = lehr.wsd(1.0, 7, "20%", steps=n, curve=curve, floor=0.1, start=0.2)
        assert [run(t) for t in range(n + 3)] == [known(t) for t in range(n + 3)]
    trunk = [[run(t) for t in range(24)] for run in runs.values()]
    assert trunk[0] == trunk[1] == trunk[2]
    assert lehr.loads(s.dumps()) == s


def test_wsd_over_a_run():
    s = lehr.wsd(1.0, "5%", "20%", floor=0.1).resolve(steps=200)
    assert s.length == 200
    near([s(t) for t in (5, 185)], [0.5, 0.1 + 0.9 * (1 - (25 / 40) ** 0.5)], FLOAT64)
    assert [s(t) for t in (0, 10, 160, 200)] == [0, 1, 1, 0.1]
    near([s(170)], [0.55], FLOAT64)
    assert lehr.wsd(1.0, "5%", "20%", steps=200, floor=0.1) == s


@pytest.mark.parametrize("run", [2100, 2101, 10_000])
def test_wsd_fills_the_run_exactly(run):
    """Both ends have their steps, also in a driver's run; the rest of the run is constant."""
    s = lehr.wsd(0.1, 100, 2000)
    assert len(s.parts) == 3
    resolved = lehr.Policy(s).resolve(run).lr
    assert [part.length for part in resolved.parts] == [100, run - 2100, 2000]
    assert [resolved(t) for t in (0, 50, 100, run - 2000, run)] == [0.0, 0.05, 0.1, 0.1, 0.0]
    near([resolved(run - 1500)], [0.05], FLOAT64)
    assert lehr.wsd(0.1, 100, 2000, steps=run) == resolved


def test_wsd_with_a_changing_middle_part_is_a_chain():
    stable = lehr.inverse_time(1.0, 10, power=0.5)
    s = lehr.warmup(1.0, 10).then(stable).then_to(0.0, 20).resolve(60)
    assert [s(t) for t in (10, 25, 40)] == [1.0, stable(15), 0.5]
    near([s(50)], [0.25], FLOAT64)
    assert s(60) == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_slanted_triangular_agrees_with_allennlp(seed):
    r, peak, n = draws(seed)
    cut_frac, ratio = r.uniform(0.05, 0.9), r.uniform(1, 64)
    cut = int(n * cut_frac)
    wanted = []
    for t in range(n + 1):
        p = t / cut if t < cut else 1 - (t - cut) / (n - cut)
        wanted.append(peak * (1 + p * (ratio - 1)) / ratio)
    s = lehr.slanted_triangular(peak, n, rise=cut_frac, start=peak / ratio)
    near(values(s, n + 1), wanted, FLOAT64)
    near(values(lehr.slanted_triangular(peak, n), 1), [peak / 32], FLOAT64)


# PyTorch with random arguments.


@pytest.mark.parametrize("seed", SEEDS)
def test_torch_agrees_on_random_arguments(seed):
    r, peak, n = draws(seed)
    floor, gamma, size = peak * r.random(), r.uniform(0.1, 1), r.randint(1, 30)
    power, growth = r.uniform(0.3, 4), r.choice([1, 2, 3])
    at = tuple(sorted(r.sample(range(1, n), 4)))
    up, down = r.choice([(3, 7), (12, 5), (2.5, 4), (1, 9)])
    pairs = [
        (lehr.cosine(peak, 2 * n, floor=floor), lambda m, o: m.CosineAnnealingLR(o, 2 * n, floor)),
        (lehr.linear(peak / 4, peak, n), lambda m, o: m.LinearLR(o, 0.25, 1.0, n)),
        (lehr.exponential(peak, gamma, 1), lambda m, o: m.ExponentialLR(o, gamma)),
        (
            lehr.linear(peak / 4, peak, size).then(lehr.cosine(peak, 2 * n)),
            lambda m, o: m.SequentialLR(
                o, [m.LinearLR(o, 0.25, 1.0, size), m.CosineAnnealingLR(o, 2 * n)], [size]
            ),
        ),
        (lehr.step_decay(peak, gamma, size), lambda m, o: m.StepLR(o, size, gamma)),
        (lehr.multi_step(peak, gamma, at), lambda m, o: m.MultiStepLR(o, at, gamma)),
        (lehr.polynomial(peak, n, power=power), lambda m, o: m.PolynomialLR(o, n, power)),
        (
            lehr.cosine_restarts(peak, size, growth=growth, floor=floor),
            lambda m, o: m.CosineAnnealingWarmRestarts(o, size, growth, floor),
        ),
        (
            lehr.cyclical(floor, peak, up, down),
            lambda m, o: m.CyclicLR(o, floor, peak, up, down, cycle_momentum=False),
        ),
        (
            lehr.triangular2(floor, peak, size),
            lambda m, o: m.CyclicLR(o, floor, peak, size, mode="triangular2", cycle_momentum=False),
        ),
        (
            lehr.exp_range(floor, peak, size, gamma),
            lambda m, o: m.CyclicLR(
                o, floor, peak, size, mode="exp_range", gamma=gamma, cycle_momentum=False
            ),
        ),
        (
            lehr.cyclical(floor, peak, up, down, scale=lambda cycle: 1 / cycle),
            lambda m, o: m.CyclicLR(
                o,
                *(floor, peak, up, down),
                scale_fn=lambda cycle: 1 / cycle,
                scale_mode="cycle",
                cycle_momentum=False,
            ),
        ),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR raises a warning about its internal calls
        for s, make in pairs:
            near(values(s, 2 * n), torch_rates(2 * n, make, peak), FLOAT64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_torch_one_cycle_of_three_phases_is_one_step_shorter(curve, seed):
    r, peak, _ = draws(seed)
    n, rise = 10 * r.randint(3, 30), r.choice([0.1, 0.3, 0.4])

    def make(m, o):
        return m.OneCycleLR(
            o,
            peak,
            total_steps=n,
            pct_start=rise,
            three_phase=True,
            anneal_strategy=curve[:3] if curve == "cosine" else curve,
        )

    top, back, last = round(rise * n) - 1, round(2 * rise * n) - 2, n - 1
    p = lehr.one_cycle(
        peak,
        last,
        end=peak / 25 / 1e4,
        rise=top / last,
        tail=(last - back) / last,
        momentum=(0.95, 0.85),
        curve=curve,
    )
    near(values(p.lr, n), torch_rates(n, make), FLOAT64)
    near(values(p.momentum, n), torch_rates(n, make, name="momentum"), FLOAT64)


def test_one_cycle_agrees_with_the_book_of_geron():
    p = lehr.one_cycle(1.0, 1000, start=0.1, end=0.001, rise=0.45, tail=0.1, curve="linear")
    near(
        [p.lr(t) for t in (0, 225, 450, 675, 900, 950, 1000)],
        [0.1, 0.55, 1, 0.55, 0.1, 0.0505, 0.001],
        1e-15,
    )
    assert [p.momentum(t) for t in (0, 450, 900, 1000)] == [0.95, 0.85, 0.95, 0.95]
    for length, run in ((None, {"steps": 400}), ("4 epochs", {"steps_per_epoch": 100})):
        whole = lehr.one_cycle(1.0, length, rise=0.45, tail=0.1)
        assert whole.resolve(**run) == lehr.one_cycle(1.0, 400, rise=0.45, tail=0.1)


def test_optax_linear_one_cycle():
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    peer = optax.linear_onecycle_schedule(200, 0.5, 0.3, 0.85, 25.0, 1e4)
    p = lehr.one_cycle(0.5, 200, rise=0.3, tail=0.15, end=0.5 / 25 / 1e4, curve="linear")
    wanted = jax.vmap(peer)(np.arange(220))
    near(p.lr(np.arange(220)), wanted, FLOAT32)


# Runs of 1 to 50 steps with extreme arguments: (schedule of n steps, floor, peak, last value).

TINY = {
    "linear": lambda n, f, e: (lehr.linear(1.0, f, n), f, f),
    "polynomial": lambda n, f, e: (
        lehr.polynomial(1.0, n, floor=f, power=(0.1, 1.0, 8.0)[e]),
        f,
        f,
    ),
    "cosine": lambda n, f, e: (lehr.cosine(1.0, n, floor=f, power=(0.1, 1.0, 8.0)[e]), f, f),
    "cosine, bent": lambda n, f, e: (
        lehr.cosine(1.0, n, floor=f, time_power=(0.01, 1.5, 9.0)[e]),
        f,
        f,
    ),
    "rex": lambda n, f, e: (lehr.rex(1.0, n, floor=f), f, f),
    "tanh": lambda n, f, e: (lehr.tanh(1.0, n, floor=f), f, f),
    "exponential": lambda n, f, e: (lehr.exponential(1.0, (1e-300, 0.5, 1)[e], n), 0.0, None),
    "inverse_time": lambda n, f, e: (lehr.inverse_time(1.0, n, power=(0.01, 1, 99)[e]), 0.0, None),
    "step_decay": lambda n, f, e: (lehr.step_decay(1.0, (1e-300, 0.5, 1)[e], n), 0.0, None),
    "multi_step": lambda n, f, e: (
        lehr.multi_step(1.0, 0.5, [*range(1, n)][:9]),
        0.0,
        0.5 ** min(n - 1, 9),
    ),
    "piecewise": lambda n, f, e: (lehr.piecewise((0, n), (1.0, f), curve="cosine"), f, f),
    "warmup": lambda n, f, e: (
        lehr.warmup(1.0, n, start=f, curve=("linear", "cosine", "1-sqrt")[e]),
        f,
        1.0,
    ),
    "warmup, other curves": lambda n, f, e: (
        lehr.warmup(1.0, n, start=f, curve=("log", "sine", "geometric" if f else "rex")[e]),
        f,
        1.0,
    ),
    "warmup, the first update moves": lambda n, f, e: (
        lehr.warmup(1.0, n, start=f, curve=("linear", "cosine", "log")[e], from_zero=False),
        f,
        1.0,
    ),
    "warmup, of no step": lambda n, f, e: (
        lehr.warmup(1.0, 0).then(lehr.cosine(1.0, (n, 0, 1)[e], floor=f)),
        f,
        f,
    ),
    "inverse_sqrt": lambda n, f, e: (lehr.inverse_sqrt(1.0, n, start=0.0), 0.0, None),
    "noam": lambda n, f, e: (lehr.noam(1, n, scale=n**0.5), 0.0, None),
    "flat_cosine": lambda n, f, e: (
        lehr.flat_cosine(1.0, (0, (n + 1) // 2, n)[e], n, floor=f),
        f,
        f,
    ),
    "wsd": lambda n, f, e: (
        lehr.wsd(
            1.0,
            (0, (n + 2) // 3, n // 2)[e],
            (0, (n + 2) // 3, n - n // 2)[e],
            steps=n,
            floor=f,
            start=f,
        ),
        f,
        f,
    ),
    "wsd of a run": lambda n, f, e: (
        lehr.wsd(1.0, "20%", "30%", floor=f, start=f).resolve(n),
        f,
        f,
    ),
    "slanted_triangular": lambda n, f, e: (
        lehr.slanted_triangular(1.0, n, rise=(1e-9, 0.5, 1 - 1e-9)[e]),
        1 / 32,
        1 / 32,
    ),
    "cosine_restarts": lambda n, f, e: (
        lehr.cosine_restarts(1.0, n, growth=(0.5, 1.0, 10.0)[e], factor=0.5, floor=f, cycles=3),
        f,
        f,
    ),
    "cosine_restarts, endless": lambda n, f, e: (
        lehr.cosine_restarts(1.0, n, growth=(1.3, 1.0, 10.0)[e], factor=(1, 1e-9, 0.5)[e], floor=f),
        f,
        None,
    ),
    "cosine_restarts, warm": lambda n, f, e: (
        lehr.cosine_restarts(
            1.0, n, growth=(0.5, 1.0, 2.0)[e], floor=f, cycles=3, warmup=max(n - 1, 0)
        ),
        f,
        f,
    ),
    "cosine_restarts, real": lambda n, f, e: (
        lehr.cosine_restarts(1.0, n / 4, growth=(1.5, 1.0, 0.75)[e], factor=0.5, floor=f, cycles=4),
        f,
        f,
    ),
    "cyclical": lambda n, f, e: (
        lehr.cyclical(f, 1.0, n / 8, (n, 1, 0.25)[e], scale=Exponential(1.0, 0.5, 1)),
        f,
        None,
    ),
    "polynomial_cycles": lambda n, f, e: (
        lehr.polynomial_cycles(1.0, n, (1, 2, 5)[e], floor=f, power=(0.5, 1.0, 3.0)[e]),
        f,
        f,
    ),
    "warmup_untuned": lambda n, f, e: (
        lehr.warmup_untuned(1.0, beta2=(0.0, 0.5, 1 - 1 / n / 2)[e]),
        0.0,
        1.0,
    ),
    "warmup_untuned, exponential": lambda n, f, e: (
        lehr.warmup_untuned(1.0, beta2=(0.0, 0.5, 1 - 1 / n / 2)[e], curve="exponential"),
        0.0,
        None,
    ),
    "warmup_radam": lambda n, f, e: (
        lehr.warmup_radam(1.0, beta2=(0.6 + 0.3 / n, 0.9, 1 - 1e-4 / n)[e]),
        0.0,
        None,
    ),
    "triangular": lambda n, f, e: (lehr.triangular(f, 1.0, n), f, None),
    "triangular2": lambda n, f, e: (lehr.triangular2(f, 1.0, n), f, None),
    "exp_range": lambda n, f, e: (lehr.exp_range(f, 1.0, n, (1e-300, 0.9, 1)[e]), f, None),
    "one_cycle": lambda n, f, e: (
        lehr.one_cycle(1.0, n, start=f, end=f / 2, rise=(0.001, 0.3, 0.999)[e]).lr,
        f / 2,
        f / 2,
    ),
    "one_cycle, three phases": lambda n, f, e: (
        lehr.one_cycle(1.0, n, start=f, end=f / 2, rise=(0.001, 0.45, 0.9)[e], tail=0.0999).lr,
        f / 2,
        f / 2,
    ),
    "table": lambda n, f, e: (lehr.table([1.0] * n + [f]), f, f),
}


def test_every_preset_is_in_the_tiny_runs():
    here = {name.partition(",")[0].partition(" ")[0] for name in TINY}
    assert here == public_presets() - {"constant", "from_function"}


@pytest.mark.parametrize("name", TINY)
def test_runs_of_1_to_50_steps(name):
    made, refused = 0, []
    for n, floor, edge in itertools.product(range(1, 51), (0.0, 1e-3, 1.0), range(3)):
        try:
            s, low, last = TINY[name](n, floor, edge)
        except ValueError as error:
            refused.append((n, str(error)))
            continue
        made += 1
        got = s(np.arange(4 * n + 3))
        assert np.isfinite(got).all()
        assert got.min() >= max(0.0, np.nextafter(low, -1))
        assert got.max() <= 1.0 + 2**-52
        assert got[: n + 3].tolist() == pytest.approx(values(s, n + 3), rel=0, abs=4 * 2.0**-52)
        if last is not None:
            end = s.length if isinstance(s.length, int) else n
            assert s(end) == s(end + 1) == s(10**9) == last
            if end <= 4 * n + 2:
                assert (got[end:] == last).all()
    assert made > 400
    # too few steps for the phases: rejected at construction
    assert all(n < 6 and " must be " in message for n, message in refused)


@pytest.mark.parametrize(
    ("period", "power", "floor"), [(7, 1.0, 0.0), (10, 2.0, 0.1), (3, 0.5, 0.2)]
)
def test_polynomial_cycles_are_keras_polynomial_decay_with_cycle(period, power, floor):
    """At a horizon Keras returns the floor for one step, lehr the first value of the next cycle."""
    s = lehr.polynomial_cycles(1.0, period, cycles=6, floor=floor, power=power)
    for t in range(1, 6 * period):
        horizon = period * math.ceil(t / period)
        if t == horizon:
            i = t // period
            height = 1 - i / (i + 1)
        else:
            height = 1 - t / horizon
        assert s(t) == pytest.approx(floor + (1 - floor) * height**power, rel=1e-12)
    assert s(6 * period) == s(10**6) == floor
