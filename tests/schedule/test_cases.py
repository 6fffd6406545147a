"""Cases S1 to S31: schedules from 36 codebases and 50 published policies, with variants.

Expected values are computed by hand, with integers and fractions, or by the formula of the
codebase. S19 is also a page of the documentation ("How libraries disagree").
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from oracles import FLOAT64, near, values

import lehr
from lehr import Policy
from lehr.schedule import Chain, Piecewise, Ramp


def nearest(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def approx(value):
    return pytest.approx(value, rel=FLOAT64, abs=0)


def half_cosine(u: float) -> float:
    return (1 + math.cos(math.pi * u)) / 2


def restarts_of(s, run: int) -> list[int]:
    """Return the first step of each falling cycle."""
    got = s(np.arange(run))
    return [0, *(np.flatnonzero(np.diff(got) > 0) + 1).tolist()]


# S1, S2: time constants are real numbers.


@pytest.mark.parametrize("batch", [10**8, 3 * 10**8, 7 * 10**8, 2**22, 123_456_789])
def test_s1_a_time_constant_in_tokens_is_not_rounded(batch):
    s = lehr.exponential(1.0, 0.5, "1e9 tokens").resolve(tokens_per_step=batch)
    for t in (1, 7, 10, 100):
        assert s(t) == approx(0.5 ** (t * batch / 10**9))


def test_s1_by_hand():
    s = lehr.exponential(1.0, 0.5, "1e9 tokens").resolve(tokens_per_step=3 * 10**8)
    near([s(10), s(100)], [1 / 8, 1 / 2**30], FLOAT64)
    assert s(100) == approx(2**-30)
    assert s == lehr.exponential(1.0, 0.5, "10/3 steps")
    near(values(s, 50), values(lehr.exponential(1.0, 0.5, 10 / 3), 50), FLOAT64)


@pytest.mark.parametrize(
    ("s", "run", "step", "wanted"),
    [
        (lehr.inverse_time(1.0, "1e9 tokens"), {"tokens_per_step": 3 * 10**8}, 10, 1 / 4),
        (lehr.inverse_time(2.0, "1M samples", power=2), {"samples_per_step": 400_000}, 5, 2 / 9),
        (lehr.exponential(1.0, 0.25, "1M samples"), {"samples_per_step": 300_000}, 10, 1 / 64),
        (lehr.exponential(4.0, 0.5, "2.5 epochs"), {"steps_per_epoch": 3}, 15, 1.0),
        (lehr.exponential(4.0, 0.5, "1 epoch"), {"steps_per_epoch": 2.5}, 5, 1.0),
        (
            lehr.inverse_sqrt(1.0, 4, timescale="1e9 tokens"),
            {"tokens_per_step": 3 * 10**8},
            4 + 50,
            1 / 4,
        ),
        (lehr.constant(1.0, 6).then(lehr.exponential(1.0, 0.5, "10%")), {"steps": 25}, 11, 0.25),
    ],
)
def test_s1_in_every_unit(s, run, step, wanted):
    assert s.resolve(**run)(step) == approx(wanted)


@pytest.mark.parametrize("run", [*range(1, 60), 999, 12_345])
def test_s2_a_time_constant_of_a_tenth_of_the_run(run):
    assert lehr.exponential(0.1, 0.5, "10%").resolve(run)(run) == approx(0.1 / 1024)
    assert lehr.inverse_time(0.1, "25%").resolve(run)(run) == approx(0.1 / 5)
    assert lehr.exponential(0.1, 0.5, "12.5%").resolve(run)(2 * run) == approx(0.1 / 2**16)


def test_s2_by_hand():
    assert lehr.exponential(0.1, 0.5, "10%").resolve(15) == lehr.exponential(0.1, 0.5, 1.5)
    assert lehr.exponential(0.1, 0.5, "3%").resolve(10)(3) == approx(0.1 / 1024)


# S3 to S7: repeated lengths do not drift.


@pytest.mark.parametrize(("share", "cycles"), [("20%", 5), ("25%", 4), ("10%", 10), ("12.5%", 8)])
def test_s3_a_repeated_share_restarts_once_for_each_multiple_in_the_run(share, cycles):
    for run in (*range(1000, 1100), 1234, 1999):
        s = lehr.cosine_restarts(0.1, share).resolve(run)
        # boundary k is the step nearest to k * run / cycles, halves rounded up
        wanted = [(2 * k * run + cycles) // (2 * cycles) for k in range(cycles)]
        assert restarts_of(s, run) == wanted
        assert [s(t) for t in wanted] == [0.1] * cycles
        assert lehr.cosine_restarts(0.1, share).lint(run) == []


def test_s3_restarts_by_hand():
    s = lehr.cosine_restarts(0.1, "20%").resolve(1002)
    assert restarts_of(s, 1002) == [0, 200, 401, 601, 802]
    assert [s(t) for t in (200, 401, 601, 802)] == [0.1] * 4
    assert s(999) < s(998) < 1e-4
    assert s(1001) < s(1000) < s(999)
    chain = Chain((lehr.cosine(0.1, "20%"),) * 5).resolve(1002)
    assert values(s, 1002) == values(chain, 1002)


def test_s3_with_a_warmup_and_fading():
    run, cycles = 1003, 5
    s = lehr.cosine_restarts(0.1, "20%", warmup="2%", factor=0.5).resolve(run)
    for k in range(cycles):
        first = nearest(Fraction(k * run, cycles))
        top = nearest(Fraction(k * run, cycles) + Fraction(2 * run, 100))
        assert s(first) == 0.0
        assert s(top) == approx(0.1 * 0.5**k)
        assert s(top) > max(s(top - 1), s(top + 1))


@pytest.mark.parametrize("run", [*range(995, 1010), 1999, 77])
def test_s4_counted_cycles_fill_the_run(run):
    for share, cycles in (("20%", 5), ("25%", 4), ("50%", 2)):
        s = lehr.cosine_restarts(0.1, share, cycles=cycles)
        assert s.resolve(run).length == run
        assert s.lint(run) == []
        assert s.resolve(run)(run) == 0.0
    grown = lehr.cosine_restarts(0.1, "10%", growth=2, cycles=3)
    assert grown.resolve(run).length == nearest(Fraction(7 * run, 10))


@pytest.mark.parametrize("run", [1000, 1001, 1002, 1003, 7, 31])
@pytest.mark.parametrize(("share", "times"), [("50%", 2), ("25%", 4), ("12.5%", 8), ("20%", 3)])
def test_s5_a_repeated_share_is_as_long_as_its_chain(run, share, times):
    if float(share[:-1]) * run < 100:
        return  # shorter than a step
    one = lehr.cosine(0.1, share)
    repeated, chain = one.repeat(times).resolve(run), Chain((one,) * times).resolve(run)
    assert repeated.length == chain.length == nearest(Fraction(share[:-1]) / 100 * times * run)
    assert values(repeated, run + 3) == values(chain, run + 3)


def test_s5_by_hand():
    assert lehr.cosine(0.1, "50%").repeat(2).resolve(1001).length == 1001
    s = lehr.linear(1.0, 0.0, "1 epoch").repeat(3).resolve(steps_per_epoch=10.5)
    assert [s(t) for t in (0, 11, 21, 32, 99)] == [1.0, 1.0, 1.0, 0.0, 0.0]  # 10.5, 21, 31.5
    assert s.length == 32


def test_s6_efficientnet_staircase():
    s = lehr.step_decay(1.0, 0.97, "2.4 epochs").resolve(350 * 313, steps_per_epoch=313)
    fall = [t for t in range(104_000, 106_000) if s(t) < s(t - 1)]
    assert 105_168 in fall
    assert s(105_168) == approx(0.97**140)
    assert s(105_167) == approx(0.97**139)
    milestones = [f"{24 * k}/10 epochs" for k in range(1, 146)]
    same = lehr.multi_step(1.0, 0.97, milestones).resolve(350 * 313, steps_per_epoch=313)
    assert same(105_168) == approx(0.97**140)
    assert same(105_167) == approx(0.97**139)


@pytest.mark.parametrize(
    ("length", "size", "every"),
    [
        ("2.4 epochs", {"steps_per_epoch": 313}, Fraction(7512, 10)),
        ("1.3 epochs", {"steps_per_epoch": 100.5}, Fraction(13065, 100)),
        ("1e9 tokens", {"tokens_per_step": 4_194_304}, Fraction(10**9, 4_194_304)),
        ("1M samples", {"samples_per_step": 384}, Fraction(10**6, 384)),
        (2.5, {}, Fraction(5, 2)),
    ],
)
def test_s6_stairs_fall_at_the_first_step_after_the_exact_multiple(length, size, every):
    stairs = (lehr.step_decay(1.0, 0.5, length), lambda k: 0.5**k)
    inverse = (lehr.inverse_time(1.0, length, staircase=True), lambda k: 1 / (1 + k))
    for s, wanted in (stairs, inverse):
        s = s.resolve(**size)
        for k in (1, 2, 3, 10, 139, 140, 500):
            first = math.ceil(k * every)
            assert s(first) == approx(wanted(k))
            assert s(first - 1) == approx(wanted(k - 1))
        assert s(np.array([math.ceil(140 * every)]))[0] == s(math.ceil(140 * every))


@pytest.mark.parametrize(
    ("length", "size", "thousandth"),
    [
        ("1e9 tokens", {"tokens_per_step": 4_194_304}, 238_419),  # 1e12 tokens: 238418.58
        ("1M samples", {"samples_per_step": 384}, 2_604_167),  # 2604166.67
        ("1 epoch", {"steps_per_epoch": 312.785}, 312_785),
        ("10/3 steps", {}, 3333),
        ("0.3%", {"steps": 10_001}, 30_003),
    ],
)
def test_s7_the_1000th_restart_has_not_drifted(length, size, thousandth):
    cycles = lehr.linear(1.0, 0.0, length).repeat().resolve(**size)
    assert cycles(thousandth) == 1.0
    assert cycles(thousandth - 1) < 0.5
    ticks = lehr.from_function(lambda k: k).every(length).resolve(**size)
    assert (ticks(thousandth - 1), ticks(thousandth)) == (999, 1000)
    assert ticks(np.array([thousandth - 1, thousandth])).tolist() == [999, 1000]


def test_s7_restarts_by_hand():
    s = lehr.cosine_restarts(0.1, "1e9 tokens").resolve(tokens_per_step=4_194_304)
    assert s(238_419) == 0.1
    assert s(238_418) < 1e-5
    fading = lehr.cosine_restarts(1.0, "1e9 tokens", factor=0.999)
    fading = fading.resolve(tokens_per_step=4_194_304)
    assert fading(238_419) == approx(0.999**1000)


# S8 to S17: every length argument takes every unit.


def test_s8_dawnbench_knots_in_epochs():
    s = lehr.piecewise([0, "5 epochs", "24 epochs"], [0.0, 0.4, 0.0], curve="linear")
    s = s.resolve(24 * 98, steps_per_epoch=98)
    assert s.length == 2352
    assert [s(t) for t in (0, 490, 2352, 9999)] == [0.0, 0.4, 0.0, 0.0]
    near([s(245), s(490 + 931)], [0.2, 0.2], FLOAT64)


@pytest.mark.parametrize(
    ("knots", "run", "steps"),
    [
        (["0%", "20%", "100%"], {"steps": 50}, [0, 10, 50]),
        (["10%", "20%", "70%"], {"steps": 33}, [3, 7, 23]),
        ([0, "1M tokens", "3M tokens"], {"tokens_per_step": 300_000}, [0, 3, 10]),
        ([2, "5%", "2 epochs"], {"steps": 100, "steps_per_epoch": 20.3}, [2, 5, 41]),
        ([0, "6.4K samples", "until 90%"], {"steps": 1000, "samples_per_step": 64}, [0, 100, 900]),
    ],
)
@pytest.mark.parametrize("curve", ["linear", "cosine", "geometric", "1-sqrt"])
def test_s8_knots_in_any_unit_along_any_curve(knots, run, steps, curve):
    s = lehr.piecewise(knots, [0.25, 4.0, 1.0], curve=curve)
    assert lehr.loads(s.dumps()) == s
    s = s.resolve(**run)
    assert [s(t) for t in steps] == [0.25, 4.0, 1.0]
    assert s == lehr.piecewise(steps, [0.25, 4.0, 1.0], curve=curve)
    assert (s(0), s.length) == (0.25, steps[-1])


def test_s9_berts_warmup_replaces_the_first_steps_of_the_fall():
    s = lehr.warmup(1e-4, "1%").then(lehr.linear(1e-4, 0.0).shift("-1%"))
    for run in (1000, 1049, 1_000_000):
        warm = nearest(Fraction(run, 100))
        r = s.resolve(run)
        assert r.length == run
        for t in (warm, warm + 1, run // 2, run - 1):
            assert r(t) == approx(1e-4 * (run - t) / run)
        near([r(0), r(warm // 2), r(run)], [0.0, 1e-4 * (warm // 2) / warm, 0.0], FLOAT64)


@pytest.mark.parametrize(
    ("s", "run", "falls"),
    [
        (
            lehr.multi_step(1.0, 0.5, ["30 epochs"]).shift("-5 epochs"),
            {"steps_per_epoch": 313},
            [25 * 313],
        ),
        (
            lehr.multi_step(1.0, 0.5, ["30 epochs", 10**4]).shift("5 epochs"),
            {"steps_per_epoch": 10},
            [350, 10_050],
        ),
        (
            lehr.step_decay(1.0, 0.5, "1M tokens").take("2M tokens").shift("-500K tokens"),
            {"tokens_per_step": 10_000},
            [50, 150],
        ),
        (
            lehr.constant(1.0, 8).then(lehr.multi_step(1.0, 0.5, ["20%"]).shift("10%")),
            {"steps": 100},
            [38],
        ),
    ],
)
def test_s9_shifts_in_any_unit(s, run, falls):
    s = s.resolve(**run)
    got = s(np.arange(20_000))
    assert (np.flatnonzero(np.diff(got) < 0) + 1).tolist() == falls


@pytest.mark.parametrize(
    ("length", "run", "w"),
    [
        ("5%", {"steps": 200}, 10),
        ("1 epoch", {"steps": 200, "steps_per_epoch": 12.4}, 12),
        ("8M tokens", {"steps": 200, "tokens_per_step": 10**6}, 8),
        (5, {"steps": 200}, 5),
        (1, {"steps": 200}, 1),
    ],
)
def test_s10_the_first_update_of_a_warmup_has_a_rate_above_zero(length, run, w):
    s = lehr.warmup(0.3, length, from_zero=False).then(lehr.cosine(0.3))
    s = s.resolve(**run)
    near(values(s, w), [0.3 * (n + 1) / w for n in range(w)], FLOAT64)
    assert s(w - 1) == s(w) == 0.3
    assert s.length == 200
    by_hand = lehr.constant(0.3, 1).then(lehr.cosine(0.3, 200 - w))
    if w > 1:
        by_hand = lehr.warmup(0.3, w - 1, start=0.3 / w).then(by_hand)
    near(values(s, 201), values(by_hand, 201), FLOAT64)


def test_s10_from_a_start_along_a_curve():
    s = lehr.warmup(1.0, "50%", start=0.5, curve="cosine", from_zero=False).resolve(6)
    near(values(s, 4), [0.5 + 0.125, 0.5 + 0.375, 1.0, 1.0], FLOAT64)
    squared = lehr.warmup(1.0, 4, time_power=2, from_zero=False)
    near(values(squared, 4), [1 / 16, 4 / 16, 9 / 16, 1], FLOAT64)


@pytest.mark.parametrize(
    ("until", "run", "end"),
    [
        ("until 5e12 tokens", {"tokens_per_step": 2**22}, 1_192_093),  # 1192092.896
        ("until 10T tokens", {"tokens_per_step": 2**23}, 1_192_093),
        ("until 3 epochs", {"steps_per_epoch": 1000.3}, 3001),
        ("until 90%", {"steps": 5005}, 4505),  # 4504.5
        ("until 1M samples", {"samples_per_step": 256}, 3906),  # 3906.25
        ("until 4000 steps", {}, 4000),
    ],
)
def test_s11_an_end_is_counted_from_the_start_of_the_run(until, run, end):
    s = lehr.warmup(3e-4, 2000).then(lehr.cosine(3e-4, until, floor=3e-5)).resolve(**run)
    assert s.length == end
    assert [s(2000), s(end), s(2 * end)] == [3e-4, 3e-5, 3e-5]
    assert s(end - 1) > 3e-5
    assert s.parts[1].length == end - 2000


def test_s11_deepseek_v3():
    s = (
        lehr.warmup(2.2e-4, 2000)
        .then(lehr.constant(2.2e-4, "until 10T tokens"))
        .then(lehr.cosine(2.2e-4, "4.3T tokens", floor=2.2e-5))
        .then(lehr.constant(2.2e-5, "333B tokens"))
        .then(lehr.constant(7.3e-6))
    )
    batch = 4096 * 15_360
    r = s.resolve("14.8T tokens", tokens_per_step=batch)
    ends = [Fraction(tokens * 10**9, batch) for tokens in (10_000, 14_300, 14_633)]
    first, second, third = map(nearest, ends)
    assert [r(first), r(second), r(third - 1), r(third)] == [2.2e-4, 2.2e-5, 2.2e-5, 7.3e-6]
    assert r(first - 1) == 2.2e-4
    assert 2.2e-5 < r(second - 1) < r(first + 1) < 2.2e-4


@pytest.mark.parametrize(
    ("steps", "sizes", "length"),
    [
        ("90 epochs", {"steps_per_epoch": 313}, 28_170),
        ("2e12 tokens", {"tokens_per_step": 2**22}, 476_837),
        ("90 epochs", {"steps_per_epoch": 312.785}, 28_151),  # 28150.65
        ("12.8M samples", {"samples_per_step": 256}, 50_000),
        ("1.5 epochs", {"steps_per_epoch": 101}, 152),  # halves are rounded up
    ],
)
def test_s12_the_run_in_any_unit(steps, sizes, length):
    assert lehr.cosine(0.1).resolve(steps, **sizes) == lehr.cosine(0.1, length)
    assert Policy(lehr.cosine(0.1)).resolve(steps, **sizes).lr.length == length
    assert lehr.cosine(0.1).summary(steps, **sizes).steps == length
    assert lehr.cosine(0.1, length).lint(steps, **sizes) == []


def sums(sizes, steps: int) -> list[Fraction]:
    """Return the exact running sum of sizes before each step."""
    return [*itertools.accumulate(map(Fraction, sizes), initial=Fraction(0))][: steps + 1]


def closest(done: list[Fraction], amount: Fraction) -> int:
    """Return the step whose running sum is nearest to the amount; of two, the later."""
    return min(range(len(done)), key=lambda t: (abs(done[t] - amount), -t))


@pytest.mark.parametrize("unit", ["tokens", "samples"])
def test_s13_gpt_3s_batch_size_ramp(unit):
    ramp = lehr.linear(32e3, 3.2e6, 5000)
    s = lehr.warmup(6e-5, f"3.75e8 {unit}").then(lehr.cosine(6e-5, f"2.6e11 {unit}", floor=6e-6))
    r = s.resolve(**{f"{unit}_per_step": ramp})
    # 32000 + 633.6 t before step 5000, then 3.2e6
    sizes = [32_000 + Fraction(3168, 5) * min(t, 5000) for t in range(90_000)]
    done = sums(sizes, 90_000)
    warm, end = closest(done, Fraction(375 * 10**6)), closest(done, Fraction(260_375 * 10**6))
    # by hand: 316.8 t**2 + 31683.2 t = 3.75e8 at 1039.1; (260.375 - 8.078416) / 0.0032 = 78842.7
    assert (warm, end) == (1039, 83_843)
    assert r.length == end
    assert r(warm) == max(values(r, 3000)) == 6e-5
    assert r(end) == r(10**6) == 6e-6
    # the value is a function of the token count
    assert r(warm // 2) == pytest.approx(6e-5 * float(done[warm // 2] / done[warm]), rel=1e-9)
    for t in (1500, 3000, 4999, 5000, 5001, 20_000, 50_000, 83_000):
        u = float((done[t] - done[warm]) / (done[end] - done[warm]))
        assert r(t) == pytest.approx(6e-6 + 54e-6 * half_cosine(u), rel=1e-9)


@pytest.mark.parametrize(
    "ramp",
    [
        Piecewise((50_000, 115_000), (2.0**20, 2.0**21, 2.0**22)),  # PaLM
        Piecewise((10_000, 20_000, 30_000), (2.0**21, 2.0**20, 2.0**22, 2.0**19)),
        lehr.linear(2.0**19, 2.0**22, 16).every(2500),
        lehr.table([1e6, 3e6, 5e5, 2e6]).every(7777),
    ],
    ids=["palm", "up and down", "doubling", "table"],
)
def test_s13_other_ramps(ramp):
    done = sums((ramp(t) for t in range(200_000)), 200_000)
    amounts = [10**10, 53 * 10**9, 10**11]
    parts = [lehr.linear(1.0, 0.5, f"{amounts[0]} tokens")]
    parts += [lehr.linear(1.0, 0.5, f"{b - a} tokens") for a, b in itertools.pairwise(amounts)]
    r = Chain((*parts, lehr.constant(7.0))).resolve(tokens_per_step=ramp)
    ends = [closest(done, Fraction(amount)) for amount in amounts]
    assert [r(end) for end in ends] == [1.0, 1.0, 7.0]
    for first, last in itertools.pairwise([0, *ends]):
        assert r(last - 1) == pytest.approx(0.5, abs=1e-3)
        t = (first + last) // 2
        u = float((done[t] - done[first]) / (done[last] - done[first]))
        assert r(t) == pytest.approx(1 - u / 2, rel=1e-9)
    until = lehr.constant(1.0, "until 53B tokens").then(lehr.constant(0.0))
    until = until.resolve(tokens_per_step=ramp)
    assert (until(ends[1] - 1), until(ends[1])) == (1.0, 0.0)


def test_s13_a_ramp_and_the_length_of_the_run_in_tokens():
    ramp = Piecewise((100,), (1000.0, 2000.0))
    r = lehr.warmup(1.0, "50K tokens").then(lehr.linear(1.0, 0.0))
    r = r.resolve("300K tokens", tokens_per_step=ramp)  # 100 steps and 100 steps
    assert (r.length, r.parts[0].length) == (200, 50)
    decay = lehr.exponential(1.0, 0.5, "50K tokens").resolve(200, tokens_per_step=ramp)
    assert [decay(t) for t in (50, 100, 125, 150)] == [approx(0.5**k) for k in (1, 2, 3, 4)]


def test_s14_minicpms_cooldown_in_tokens():
    s = lehr.wsd(0.01, 2000, "2e10 tokens").resolve(10_000, tokens_per_step=2**22)
    # 20e9 / 2**22 = 4768.37 steps before the end, hence from step 5231.63
    assert [part.length for part in s.parts] == [2000, 3232, 4768]
    assert [s(t) for t in (0, 1000, 2000, 5232, 10_000)] == [0.0, 0.005, 0.01, 0.01, 0.0]
    u = 2000 / 4768
    assert s(7232) == approx(0.01 * (1 - math.sqrt(u)))


def test_s14_power_scheduler_with_an_open_middle_part():
    s = lehr.warmup(0.01, "1%").then(lehr.inverse_time(0.01, 2000, power=0.51)).then_to(0.0, "10%")
    for run in (1000, 99_950):
        r = s.resolve(run)
        warm, tail = nearest(Fraction(run, 100)), nearest(Fraction(9 * run, 10))
        assert r.length == run
        for t in (warm, warm + 7, run // 2, tail):
            assert r(t) == approx(0.01 * (1 + (t - warm) / 2000) ** -0.51)
        level = 0.01 * (1 + (tail - warm) / 2000) ** -0.51
        for t in (tail + 1, run - 1):
            assert r(t) == pytest.approx(level * (run - t) / (run - tail), rel=1e-11)
        assert r(run) == 0.0


def test_s14_decay_from_an_open_policy():
    p = Policy(lehr.warmup(3e-4, "1%").then(lehr.cosine(3e-4))).decay_from(900, "10%")
    r = p.resolve(1000).lr
    level = 3e-4 * half_cosine(890 / 990)
    assert r(10) == 3e-4
    assert r(899) == approx(3e-4 * half_cosine(889 / 990))
    assert r(900) == approx(level)
    assert r(925) == approx(level / 2)  # 1 - sqrt(1/4)
    assert r(1000) == r(5000) == 0.0
    early = p.resolve(2000).lr
    assert early(900) == approx(3e-4 * half_cosine(880 / 1980))
    assert early(1100) == 0.0


@pytest.mark.parametrize(
    ("cooldown", "run", "first"),
    [
        ("20%", {"steps": 1003}, 802),  # 802.4
        ("2 epochs", {"steps": 1003, "steps_per_epoch": 50.3}, 902),  # 902.4
        ("640 samples", {"steps": 1003, "samples_per_step": 64}, 993),
        (3, {"steps": 1003}, 1000),
        (0, {"steps": 1003}, 1003),
    ],
)
def test_s14_cooldowns_in_any_unit(cooldown, run, first):
    s = lehr.wsd(1.0, 10, cooldown, curve="linear").resolve(**run)
    assert s.length == 1003
    assert s(max(first, 1002)) <= s(first) == (1.0 if first < 1003 else 0.0)
    assert s(first - 1) == 1.0
    assert [s(1003), s(9999)] == [0.0, 0.0]


def test_s15_an_open_start_is_the_value_at_the_cut_of_the_previous_part():
    s = lehr.cosine(3e-4, "5e12 tokens").take("3.9e12 tokens").then_to(0.0, "5e10 tokens")
    r = s.resolve(tokens_per_step=2**22)
    whole, cut, end = (nearest(Fraction(n, 2**22)) for n in (5 * 10**12, 39 * 10**11, 395 * 10**10))
    level = 3e-4 * half_cosine(cut / whole)
    assert r(cut) == approx(level)
    assert r((cut + end) // 2) == pytest.approx(level / 2, rel=1e-3)
    assert r(end) == 0.0
    assert r.length == end


@pytest.mark.parametrize(
    ("s", "run", "step", "wanted"),
    [
        (lehr.linear(1.0, 0.0, 100).take(50).then_to(0.1, 10), {}, 55, 0.3),
        (lehr.linear(1.0, 0.0).take("50%").then_to(2.5), {"steps": 8}, 6, 1.5),
        (lehr.exponential(8.0, 0.5, 1).take(2).then_to(4.0, 2, curve="cosine"), {}, 3, 3.0),
        (lehr.exponential(8.0, 0.5, 1).take(2).then_to(32.0, 4, curve="geometric"), {}, 4, 8.0),
        (lehr.constant(4.0, 2).then_to(2.0, 2).then_to(0.0, 2), {}, 5, 1.0),
        (lehr.exponential(8.0, 0.5, "25%").then_to(0.0, "50%"), {"steps": 8}, 6, 1.0),
    ],
)
def test_s15_open_starts(s, run, step, wanted):
    s = s.resolve(**run) if run else s
    assert s(step) == approx(wanted)
    assert eval(repr(s), vars(lehr) | {"Ramp": Ramp, **vars(lehr.schedule)}) == s


def test_s16_an_epoch_clock_over_the_run():
    s = lehr.cosine(0.01).every("1 epoch").resolve(1000, steps_per_epoch=100)
    assert s == lehr.cosine(0.01, 10).every(100)
    for t in (0, 99, 100, 555, 999):
        assert s(t) == approx(0.01 * half_cosine((t // 100) / 10))
    assert s(1000) == 0.0


@pytest.mark.parametrize(
    ("every", "run", "ticks"),
    [
        ("2 epochs", {"steps": 1000, "steps_per_epoch": 50}, 10),
        ("1 epoch", {"steps": 1000, "steps_per_epoch": 33.3}, 30),  # 30.03
        ("1 epoch", {"steps": 1000, "steps_per_epoch": 400}, 3),  # 2.5
        (250, {"steps": 1000}, 4),
        ("5%", {"steps": 1000}, 20),
        ("10M tokens", {"steps": 1000, "tokens_per_step": 10**6}, 100),
        (2.5, {"steps": 1000}, 400),
    ],
)
def test_s16_ticks_of_the_run(every, run, ticks):
    s = lehr.linear(float(ticks), 0.0).every(every).resolve(**run)
    every_tick = s.part if s.kind == "take" else s
    assert every_tick.part.length == ticks
    assert s.length == 1000
    assert s(0) == ticks
    assert s(999) == approx(1.0) or ticks in (3, 30)
    falls = np.flatnonzero(np.diff(s(np.arange(1000)))).size
    assert falls == {3: 2, 30: 30}.get(ticks, ticks - 1)


def test_s16_a_warmup_in_ticks_before_the_rest():
    s = lehr.warmup(0.1, 2).then(lehr.linear(0.1, 0.0)).every("1 epoch")
    s = s.resolve(1000, steps_per_epoch=100)
    near([s(t) for t in (0, 100, 200, 600, 999, 1000)], [0, 0.05, 0.1, 0.05, 0.0125, 0], FLOAT64)


@pytest.mark.parametrize(
    ("spelled", "same"),
    [
        (lehr.cosine(0.1, "300B tokens"), lehr.cosine(0.1, "300000000000 tokens")),
        (lehr.warmup(0.1, "2K steps"), lehr.warmup(0.1, 2000)),
        (lehr.warmup(0.1, 1e4), lehr.warmup(0.1, 10_000)),
        (lehr.multi_step(0.1, 0.1, [1e5, 3e5]), lehr.multi_step(0.1, 0.1, [100_000, 300_000])),
        (lehr.cosine(0.1).resolve(1e5), lehr.cosine(0.1, 100_000)),
        (lehr.exponential(0.1, 0.5, 1e3), lehr.exponential(0.1, 0.5, 1000)),
        (lehr.cosine_restarts(0.1, 1e4), lehr.cosine_restarts(0.1, 10_000)),
        (lehr.cosine(0.1, "12.8M samples"), lehr.cosine(0.1, "12_800_000 samples")),
        (lehr.cosine(0.1, "1.5T tokens"), lehr.cosine(0.1, "1.5e12 tokens")),
        (lehr.noam(512, 4e3), lehr.noam(512, 4000)),
        (lehr.wsd(0.1, 1e2, 2e2, steps=1e3), lehr.wsd(0.1, 100, 200, steps=1000)),
        (lehr.linear(1.0, 0.0, 10).shift(-2e0), lehr.linear(1.0, 0.0, 10).shift(-2)),
        (lehr.one_cycle(0.1, 1e3), lehr.one_cycle(0.1, 1000)),
    ],
)
def test_s17_integral_floats_and_suffixes_are_lengths(spelled, same):
    assert spelled == same
    assert repr(spelled) == repr(same)


def test_s18_a_floor_of_a_tenth_of_the_peak():
    assert lehr.cosine(6e-4, floor="10%") == lehr.cosine(6e-4, floor=6e-5)
    s = lehr.cosine(6e-4, 100, floor="10%")
    assert [s(0), s(100), s(101)] == [6e-4, 6e-5, 6e-5]
    assert s(50) == approx(3.3e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda floor: lehr.polynomial(0.3, 10, floor=floor),
        lambda floor: lehr.rex(0.3, 10, floor=floor),
        lambda floor: lehr.wsd(0.3, 5, 5, floor=floor),
        lambda floor: lehr.cosine_restarts(0.3, 10, cycles=2, floor=floor),
        lambda floor: lehr.flat_cosine(0.3, 5, 5, floor=floor),
        lambda floor: lehr.polynomial_cycles(0.3, 5, 2, floor=floor),
    ],
)
def test_s18_other_floors(make):
    assert make("10%") == make(0.03)
    assert make("33.3%") == make(0.0999)
    assert make("0%") == make(0.0)


@pytest.mark.parametrize(
    ("share", "run", "steps"),
    [("3%", 2181, 65), ("5%", 210, 11), ("5%", 209, 10), ("10%", 1005, 101), ("0.5%", 99, 0)],
)
def test_s19_shares_are_rounded_to_the_nearest_step_halves_up(share, run, steps):
    s = lehr.warmup(1e-3, share).then(lehr.cosine(1e-3)).resolve(run)
    assert [part.length for part in s.parts] == [steps, run - steps]


# S20 to S26: the algebra.


@pytest.mark.parametrize(
    ("s", "wanted"),
    [
        (1 - lehr.inverse_time(1.0, 1, power=0.8), lambda t: 1 - (1 + t) ** -0.8),
        (1 - lehr.inverse_time(1.0, 1, power=2 / 3), lambda t: 1 - (1 + t) ** (-2 / 3)),
        (
            (1 - lehr.inverse_time(1.0, 1, power=2 / 3)).minimum(0.75),
            lambda t: min(0.75, 1 - (1 + t) ** (-2 / 3)),
        ),
        (-lehr.linear(1.0, 0.0, 8), lambda t: -max(0.0, 1 - t / 8)),
        (lehr.linear(1.0, 0.0, 8) - lehr.linear(0.0, 2.0, 4), lambda t: 1 - t / 8 - t / 2),
        (lehr.linear(1.0, 0.0, 8) / 2, lambda t: (1 - t / 8) / 2),
        (2 / lehr.linear(1.0, 9.0, 8), lambda t: 2 / (1 + t)),
        (lehr.linear(1.0, 0.0, 8) ** 2, lambda t: (1 - t / 8) ** 2),
        (0.5 ** lehr.linear(0.0, 8.0, 8), lambda t: 0.5**t),
        (
            lehr.linear(1.0, 9.0, 8) ** lehr.linear(0.0, 1.0, 4),
            lambda t: (1 + t) ** (t / 4),
        ),
        (3 - 2 * lehr.linear(1.0, 0.0, 8) / 4 - 1, lambda t: 2 - (1 - t / 8) / 2),
    ],
    ids=lambda value: repr(value) if isinstance(value, lehr.Schedule) else "formula",
)
def test_s20_operators_by_their_formulas(s, wanted):
    got = values(s, 5)
    assert got == [approx(wanted(t)) for t in range(5)]
    assert s(np.arange(5)).tolist() == [approx(wanted(t)) for t in range(5)]
    assert eval(repr(s), vars(lehr) | vars(lehr.schedule)) == s
    assert lehr.loads(s.dumps()) == s


@pytest.mark.parametrize(
    ("make", "peak", "floor"),
    [
        (lambda: lehr.cosine(0.04, 100, floor=0.4), 0.04, 0.4),
        (lambda: lehr.polynomial(0.996, 100, floor=1.0), 0.996, 1.0),
        (lambda: lehr.flat_cosine(0.1, 5, floor=0.2), 0.1, 0.2),
        (lambda: lehr.cosine_restarts(0.1, 5, floor=0.2), 0.1, 0.2),
    ],
)
def test_s21_a_floor_above_the_peak_raises_an_error_with_the_fix(make, peak, floor):
    fix = rf"to rise, use warmup\({floor}, steps, start={peak}, curve='cosine'\)"
    match = rf"^floor must be at most peak \({peak}\), got {floor}; {fix}$"
    with pytest.raises(ValueError, match=match):
        make()
    rise = lehr.warmup(floor, 100, start=peak, curve="cosine")
    for t in (0, 25, 50, 100):
        assert rise(t) == approx(floor + (peak - floor) * half_cosine(t / 100))


@pytest.mark.parametrize(("w", "start"), [(10, 0.0), (8, 0.0), (100, 0.01), (3, 0.05), (2, 0.0)])
def test_s22_deepspeeds_logarithmic_warmup(w, start):
    s = lehr.warmup(0.1, w, start=start, curve="log").then(lehr.constant(0.1))
    for t in range(2 * w):
        wanted = start + (0.1 - start) * min(1.0, math.log(t + 1) / math.log(w))
        assert s(t) == pytest.approx(wanted, rel=FLOAT64, abs=1e-17)
    assert s(w - 1) == s(w) == 0.1


def test_s22_by_hand_and_in_a_run():
    s = lehr.warmup(3.0, 8, curve="log")
    near([s(0), s(1), s(3), s(7)], [0, 1, 2, 3], FLOAT64)
    run = lehr.warmup(3.0, "8%", curve="log").then(lehr.constant(3.0)).resolve(100)
    assert values(run, 8) == values(s, 8)


def katsura(t, length, peak, low, warm, gamma):
    """Return the value of CosineAnnealingWarmupRestarts with cycles of equal length."""
    cycle, gone = divmod(t, length)
    top = peak * gamma**cycle
    if gone < warm:
        return low + (top - low) * gone / warm
    return low + (top - low) * half_cosine((gone - warm) / (length - warm))


@pytest.mark.parametrize(
    ("length", "warm", "gamma"), [(20, 5, 0.5), (30, 10, 0.9), (7, 1, 0.75), (12, 6, 1.0)]
)
def test_s23_katsuras_equal_cycles_are_one_line(length, warm, gamma):
    s = lehr.cosine_restarts(1.0, length, warmup=warm) * lehr.step_decay(0.1, gamma, length)
    wanted = [katsura(t, length, 0.1, 0.0, warm, gamma) for t in range(5 * length)]
    near(values(s, 5 * length), wanted, FLOAT64)


def test_s23_cosine_restarts_counts_the_warmup_in_the_period_and_has_a_fixed_floor():
    s = lehr.cosine_restarts(0.1, 20, growth=2, factor=0.5, floor=0.001, warmup=5)
    tops, starts = [5, 25, 65], [0, 20, 60, 140]  # cycles of 20, 40, 80
    near([s(t) for t in tops], [0.1, 0.001 + 0.099 * 0.5, 0.001 + 0.099 * 0.25], FLOAT64)
    near([s(t) for t in starts], [0.001] * 4, FLOAT64)
    doc = lehr.cosine_restarts.__doc__
    assert "katsura-jp" in doc
    assert "espnet" in doc
    assert "fairseq" in doc


def test_s24_the_end_value_is_used_once():
    s = lehr.linear(0.1, 0.01, 15).with_end().then(lehr.constant(0.08, 34))
    assert [s(t) for t in (0, 15, 16, 49)] == [0.1, 0.01, 0.08, 0.08]
    assert s(14) > 0.01
    assert s.length == 50


@pytest.mark.parametrize(
    ("s", "run", "wanted"),
    [
        (  # WSD-S: two cool-downs
            lehr.constant(4.0, 1)
            .then_to(2.0, 2)
            .with_end()
            .then(lehr.constant(4.0, 1))
            .then_to(0.0, 2)
            .with_end(),
            {},
            [4, 4, 3, 2, 4, 4, 2, 0, 0],
        ),
        (  # resolved in a run, where the end is unknown at construction
            lehr.linear(1.0, 0.0, "40%").with_end().then(lehr.constant(5.0)),
            {"steps": 10},
            [1, 0.75, 0.5, 0.25, 0, 5, 5],
        ),
        (  # the rest of the run, then one step
            lehr.linear(1.0, 0.0).with_end(),
            {"steps": 5},
            [1, 0.75, 0.5, 0.25, 0, 0],
        ),
        (  # a product
            (lehr.linear(4.0, 0.0, 2) * 0.5 + 1).with_end().then(lehr.constant(9.0)),
            {},
            [3, 2, 1, 9],
        ),
        (  # Keras's cycle=True has the floor at each horizon
            lehr.linear(1.0, 0.0, 2).with_end().then(lehr.linear(0.25, 0.0, 1)).with_end(),
            {},
            [1, 0.5, 0, 0.25, 0, 0],
        ),
    ],
)
def test_s24_other_joints(s, run, wanted):
    text = repr(s)
    assert "with_end()" in text or not run
    assert eval(text, vars(lehr) | vars(lehr.schedule)) == s
    r = s.resolve(**run) if run else s
    assert values(r, len(wanted)) == approx(wanted)
    assert eval(repr(r), vars(lehr) | vars(lehr.schedule)) == r


def test_s25_one_cycle_can_be_continued_and_scaled():
    p = lehr.one_cycle(0.1, 90).then(lehr.constant(1e-4, 10))
    assert p(90) == p(99) == {"lr": 1e-4, "momentum": 0.95}
    assert p(27) == {"lr": 0.1, "momentum": 0.85}
    scaled = lehr.one_cycle(1.0, 10) * 0.4
    assert scaled(3) == {"lr": 0.4, "momentum": 0.85}
    assert (0.4 * lehr.one_cycle(1.0)).resolve(10) == scaled


def test_s25_two_cycles_in_a_run():
    p = lehr.one_cycle(0.4, "50%", start=0.2, curve="linear", rise=0.5).then(lehr.one_cycle(0.1))
    r = p.resolve(40)
    # the second cycle rises for 30% of the run
    assert [r(t)["lr"] for t in (0, 5, 10, 15, 20, 32)] == approx([0.2, 0.3, 0.4, 0.2, 0.004, 0.1])
    assert [r(t)["momentum"] for t in (0, 10, 20, 32)] == approx([0.95, 0.85, 0.95, 0.85])
    assert (r(40)["lr"], r.lr.length) == (0.0, 40)
    cooled = lehr.one_cycle(0.4, 10).then(lehr.linear(0.01, 0.0, 4))
    assert [cooled(t)["lr"] for t in (10, 12, 14)] == approx([0.01, 0.005, 0.0])


DINO = lehr.warmup(1.0, 100, start=0.996, curve="cosine")


@pytest.mark.parametrize(
    "given",
    [
        {"momentum": DINO},
        {"momentum": {"head": DINO, "body": 0.9}},
        {"momentum": 1.0},
        {"extra": {"beta2": DINO}},
    ],
)
def test_s26_a_teacher_momentum_is_rejected_as_an_optimizer_momentum(given):
    fix = r"pass a teacher's momentum as values=\{'ema_decay': \.\.\.\}$"
    with pytest.raises(ValueError, match=rf"must be a number .* below 1, got 1\.0; {fix}"):
        Policy(0.1, **given)


# S27 to S31: loop values, lint, text, milestones, fractions.


def test_s27_values_read_by_the_training_loop():
    p = Policy(0.1, values={"ema_decay": DINO})
    assert p.read(0) == {"ema_decay": 0.996}
    assert p.read(50) == {"ema_decay": approx(0.998)}
    assert p.read(100) == p.read(500) == {"ema_decay": 1.0}
    assert p.written(100) == {"lr": 0.1}
    assert lehr.loads(p.dumps()) == p


@pytest.mark.parametrize(
    ("values", "step", "wanted"),
    [
        ({"batch_size": lehr.piecewise(["50%"], [256, 512])}, 50, {"batch_size": 512.0}),
        ({"clip_norm": lehr.warmup(1.0, "10%", start=0.5)}, 5, {"clip_norm": 0.75}),
        ({"temperature": lehr.linear(0.04, 0.07, "1 epoch")}, 10, {"temperature": 0.07}),
        ({"epsilon_greedy": lehr.linear(1.0, 0.1)}, 50, {"epsilon_greedy": 0.55}),
        ({"window": lehr.table([128, 256]).every("1 epoch")}, 99, {"window": 256.0}),
        ({"a": 3, "b": lehr.constant(-1.0)}, 0, {"a": 3.0, "b": -1.0}),
    ],
)
def test_s27_values_of_other_loops(values, step, wanted):
    p = Policy(lehr.cosine(0.1), values=values).resolve(100, steps_per_epoch=10)
    assert p.read(step) == approx(wanted)
    assert p.written(step).keys() == {"lr"}
    assert p(step) == approx({**p.written(step), **wanted})


def test_s28_lint_accepts_the_sizes_named_in_its_errors():
    with pytest.raises(ValueError, match="pass tokens_per_step="):
        lehr.cosine(0.1, "1e9 tokens").lint(100)
    assert lehr.cosine(0.1, "1e9 tokens").lint(100, tokens_per_step=10**7) == []
    (found,) = lehr.cosine(0.1, "1e9 tokens").lint(100, tokens_per_step=10**6)
    assert found.name == "too long"


@pytest.mark.parametrize(
    ("length", "size"),
    [
        ("1e9 tokens", {"tokens_per_step": 10**7}),
        ("6.4K samples", {"samples_per_step": 64}),
        ("10 epochs", {"steps_per_epoch": 10}),
        ("1e9 tokens", {"tokens_per_step": lehr.constant(1e7)}),
    ],
)
def test_s28_every_method_accepts_the_sizes_of_a_run(length, size):
    ((name, _),) = size.items()
    wanted = lehr.cosine(0.1, 100)
    for s in (lehr.cosine(0.1, length), Policy(lehr.cosine(0.1, length), momentum=0.9)):
        with pytest.raises(ValueError, match=f"pass {name}="):
            s.resolve(100)
        assert s.lint(100, **size) == []
        assert s.draw(100, **size).splitlines()[-1].endswith("100")
        assert s.summary(100, **size)
        assert len(s.plot(100, **size).axes) >= 1
    assert lehr.cosine(0.1, length).summary(100, **size) == wanted.summary()


def test_s28_text_form_by_hand():
    s = lehr.parse("warmup(6e-4, 3.75e8 tokens) then cosine(6e-4, 2.6e11 tokens)")
    r = s.resolve(100_000, tokens_per_step=3_200_000)
    # 3.75e8 / 3.2e6 = 117.19; 260.375e9 / 3.2e6 = 81367.19
    assert [part.length for part in r.parts] == [117, 81_367 - 117]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("warmup(1, 10) * cosine(0.1)", lehr.warmup(1, 10) * lehr.cosine(0.1)),
        ("multi-step(0.1, 0.1, [30, 60])", lehr.multi_step(0.1, 0.1, [30, 60])),
        (
            "piecewise([0, 5 epochs, 24 epochs], [0, 0.4, 0], curve=linear)",
            lehr.piecewise([0, "5 epochs", "24 epochs"], [0, 0.4, 0], curve="linear"),
        ),
        ("cosine(0.1).minimum(0.05)", lehr.cosine(0.1).minimum(0.05)),
        ("linear(1, 0, 100).shift(-5%)", lehr.linear(1, 0, 100).shift("-5%")),
        ("cosine(0.1).every(1 epoch)", lehr.cosine(0.1).every("1 epoch")),
        ("1 - inverse_time(1, 1, power=0.8)", 1 - lehr.inverse_time(1, 1, power=0.8)),
        (
            "warmup(0.1, 5%) then constant(0.1) then linear(0.1, 0, 2K steps)",
            lehr.wsd(0.1, "5%", 2000, curve="linear"),
        ),
        (
            "constant(2, until 10T tokens).then_to(1, 4.3T tokens, curve=cosine)",
            lehr.constant(2, "until 10T tokens").then_to(1, "4.3T tokens", curve="cosine"),
        ),
        (
            "(warmup(1, 10) then constant(1)) / 2 + -cosine(1, 9) ** 2",
            lehr.warmup(1, 10).then(lehr.constant(1)) / 2 + -(lehr.cosine(1, 9) ** 2),
        ),
    ],
)
def test_s29_the_algebra_as_text(text, wanted):
    assert lehr.parse(text) == wanted
    assert lehr.parse(repr(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "cosine.__class__", "lambda: 1", "open('x')", "cosine(0.1).dumps()"],
)
def test_s29_text_is_never_evaluated(text):
    with pytest.raises(ValueError, match=r"^[\w .]+ must "):
        lehr.parse(text)


@pytest.mark.parametrize(
    ("s", "run", "first"),
    [
        (lehr.multi_step(0.1, 0.1, ["30 epochs", "60 epochs"]), 400, 600),
        (lehr.multi_step(0.1, 0.1, ["30 epochs", "40 epochs"]), 400, 400),
        (lehr.piecewise([100, 500, 700], [4, 3, 2, 1]), 400, 500),
        (lehr.warmup(0.1, 100).then(lehr.multi_step(0.1, 0.1, [200, 300])), 400, 400),
        (lehr.multi_step(0.1, 0.1, ["1M tokens", "5M tokens"]) * 0.5, 400, 500),
    ],
)
def test_s30_milestones_beyond_the_run_are_found(s, run, first):
    found = s.lint(run, steps_per_epoch=10, tokens_per_step=10**4)
    assert [finding.name for finding in found] == ["never reached"]
    assert f"from step {first} on are never used, as the run has {run} steps" in found[0].advice
    assert s.lint(first + 1000, steps_per_epoch=10, tokens_per_step=10**4) == []


@pytest.mark.parametrize(
    ("s", "fraction", "wanted"),
    [
        (lehr.cosine(0.1), 0.5, 0.05),
        (lehr.cosine(0.1), 1 / 3, 0.075),
        (lehr.cosine(0.1), 0, 0.1),
        (lehr.cosine(0.1), 1, 0.0),
        (lehr.linear(1.0, 0.0, "70%"), 0.35, 0.5),  # Stable-Baselines3
        (lehr.linear(1.0, 0.0, "70%"), 0.9, 0.0),
        (lehr.warmup(1.0, "10%").then(lehr.linear(1.0, 0.0)), 0.05, 0.5),
        (lehr.warmup(1.0, "10%").then(lehr.linear(1.0, 0.0)), 0.55, 0.5),
        (lehr.wsd(1.0, "20%", "50%", curve="linear"), 0.75, 0.5),
        (lehr.linear(1.0, 0.0, 80), 0.25, 0.75),
        (lehr.piecewise(["25%", "75%"], [4.0, 2.0, 1.0]), 0.75, 1.0),
    ],
)
def test_s31_values_at_a_fraction_of_the_run(s, fraction, wanted):
    assert s.at_fraction(fraction) == pytest.approx(wanted, rel=1e-8, abs=1e-9)


def test_s31_a_fraction_is_one():
    for wrong in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="fraction must be a number at least 0 and at most 1"):
            lehr.cosine(0.1).at_fraction(wrong)
