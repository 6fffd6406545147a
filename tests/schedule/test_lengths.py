"""Lengths in any unit: sums of parts, nearest-step boundaries, curves in tokens.

Expected values come from integer and fraction arithmetic on running sums, written from the rules.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import any_lengths, schedules

import lehr
from lehr.schedule import Chain, Constant, Exponential, Piecewise, Ramp
from lehr.schedule.length import REST

SPE, TOKENS, SAMPLES = Fraction("312.785"), 1_572_864, 384
RUN_SIZES = {"steps_per_epoch": 312.785, "tokens_per_step": TOKENS, "samples_per_step": SAMPLES}
FLOAT32 = 4e-7


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


@st.composite
def known_lengths(draw):
    """Draw a length and a function from the run to its exact number of steps."""
    n = draw(st.integers(0, 400))
    return draw(
        st.sampled_from(
            [
                (n, lambda run: Fraction(n)),
                (f"{n / 100} epochs", lambda run: Fraction(n, 100) * SPE),
                (f"{n / 10}%", lambda run: Fraction(n, 1000) * run / 4),
                (f"{n}M tokens", lambda run: Fraction(n * 10**6, TOKENS)),
                (f"{n}K samples", lambda run: Fraction(n * 1000, SAMPLES)),
            ]
        )
    )


def share(length, exact):
    """Return the length; a percentage is divided by four."""
    if isinstance(length, str) and length.endswith("%"):
        return f"{float(length[:-1]) / 4}%", exact
    return length, exact


@given(
    st.lists(known_lengths(), max_size=4),
    st.lists(known_lengths(), max_size=4),
    st.integers(1, 10**6),
    st.booleans(),
)
def test_parts_add_up_to_the_run_with_the_open_part_at_any_position(before, after, run, endless):
    before = [share(*length) for length in before]
    after = [share(*length) for length in after]
    assume(before or after)
    taken = sum((exact(Fraction(run)) for _, exact in before + after), Fraction(0))
    middle = Constant(0.5) if endless and after else Ramp(1.0, 0.5)
    parts = [Ramp(0.0, 1.0, length) for length, _ in before]
    parts += [middle, *(Ramp(0.5, 0.0, length) for length, _ in after)]
    s = Chain(tuple(parts))
    assert s.length == REST
    if taken > run:
        with pytest.raises(ValueError, match=r"steps must be at least|ends after step"):
            s.resolve(run, **RUN_SIZES)
        return
    resolved = s.resolve(run, **RUN_SIZES)
    assert resolved.length == run
    # every boundary is the step nearest to its exact position
    exact = [Fraction(0)]
    for _, length in before:
        exact.append(exact[-1] + length(Fraction(run)))
    from_end = [Fraction(run)]
    for _, length in reversed(after):
        from_end.append(from_end[-1] - length(Fraction(run)))
    exact += from_end[::-1]
    got = list(itertools.accumulate((part.length for part in resolved.parts), initial=0))
    assert got == [half_up(x) for x in exact]


@given(schedules(any_lengths, depth=2, ends=True), st.integers(0, 3000), st.sampled_from("tfreep"))
def test_a_tree_and_an_open_part_fill_the_run(tree, spare, where):
    length = tree.resolve(10_000, steps_per_epoch=100, samples_per_step=32, tokens_per_step=512)
    assume(length.length <= 10_000 - spare)
    rest = {
        "t": Constant(0.5),
        "f": Ramp(1.0, 0.0),
        "r": Exponential(1.0, 0.5, "10%"),
        "e": Ramp(1.0, 0.0).every("0.37 epochs"),
        "p": Exponential(1.0, 0.5, "10%") * Ramp(1.0, 0.0),
    }[where]
    s = Chain((rest, tree, Ramp(0.0, 1.0, spare)))
    sizes = {"steps_per_epoch": 100, "samples_per_step": 32, "tokens_per_step": 512}
    resolved = s.resolve(10_000, **sizes)
    assert resolved.length == 10_000


@pytest.mark.parametrize("where", [0, 1, 2])
def test_warm_up_stable_decay_in_any_position(where):
    parts = [lehr.warmup(0.1, 100), lehr.constant(0.1, 500), lehr.linear(0.1, 0.0, 400)]
    open_parts = [lehr.Schedule, lehr.constant(0.1), lehr.linear(0.1, 0.0)]
    if where == 0:
        open_parts[0] = Ramp(0.0, 0.1)
    parts[where] = open_parts[where]
    resolved = Chain(tuple(parts)).resolve(1000)
    assert [resolved(t) for t in (0, 50, 100, 599, 600, 800, 1000)] == pytest.approx(
        [0.0, 0.05, 0.1, 0.1, 0.1, 0.05, 0.0]
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Ramp(0.0, 1.0), Ramp(1.0, 0.0)), "a chain must have at most one part without a length"),
        ((Constant(1.0), Ramp(1.0, 0.0)), "part 1 .never ends. and part 2 .takes the rest"),
        ((Ramp(1.0, 0.0), Constant(0.0)), "a chain must have at most one part without a length"),
        ((lehr.wsd(0.1, 5, 5), Ramp(1.0, 0.0)), "part 2 .never ends. and part 4"),
    ],
)
def test_two_open_lengths_are_rejected(parts, message):
    with pytest.raises(ValueError, match=message):
        Chain(parts)


def test_each_factor_of_a_product_may_be_open():
    s = lehr.warmup(1.0, "10%").then(lehr.constant(1.0)) * lehr.cosine(0.1)
    assert s.resolve(1000)(100) == lehr.cosine(0.1, 1000)(100)


# A length of 0.


def test_p19_a_part_of_length_0_stays_and_has_no_effect():
    s = lehr.warmup(0.1, 0).then(lehr.cosine(0.1, 100))
    assert repr(s) == "warmup(0.1, 0).then(cosine(0.1, 100))"
    assert [s(t) for t in range(101)] == [lehr.cosine(0.1, 100)(t) for t in range(101)]
    assert lehr.loads(s.dumps()) == s
    assert s.length == 100


def test_the_end_value_of_a_final_part_of_length_0_holds():
    s = lehr.constant(0.1, 3).then(lehr.linear(0.1, 0.02, 0))
    assert [s(t) for t in range(5)] == [0.1, 0.1, 0.1, 0.02, 0.02]
    assert s(np.arange(5)).tolist() == [0.1, 0.1, 0.1, 0.02, 0.02]


def test_a_share_that_rounds_to_0_has_no_step():
    s = lehr.warmup(0.1, "5%").then(lehr.cosine(0.1)).resolve(5)
    assert s(0) == 0.1
    assert s.length == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lehr.cosine(0.1, 0).repeat(), "part must be at least 1 step long"),
        (lambda: lehr.cosine(0.1).every(0), "steps must be .*above 0"),
        (lambda: lehr.exponential(0.1, 0.5, 0), "every must be .*above 0"),
        (lambda: lehr.cosine(0.1, "0.01%").repeat().resolve(50), "at least 1 step long"),
        (lambda: lehr.cosine(0.1).every("0.1%").resolve(100), "at least 1 step, not 0.1"),
    ],
)
def test_repeated_lengths_reject_0(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Repeated lengths.


@given(
    st.sampled_from(["20%", "1 epoch", "1.7 epochs", "3.3%", "1B tokens", "10/3 steps"]),
    st.integers(100, 50_000),
    st.integers(0, 60),
    st.sampled_from(["0%", "0.37 epochs", "7%", 3]),
)
@settings(max_examples=300)
def test_cycle_k_begins_at_the_nearest_step_to_k_times_the_exact_length(length, run, k, first):
    size = {
        "20%": Fraction(run, 5),
        "1 epoch": SPE,
        "1.7 epochs": SPE * Fraction(17, 10),
        "3.3%": Fraction(33 * run, 1000),
        "1B tokens": Fraction(10**9, TOKENS),
        "10/3 steps": Fraction(10, 3),
    }[length]
    begun = {
        "0%": Fraction(0),
        "0.37 epochs": SPE * Fraction(37, 100),
        "7%": Fraction(7 * run, 100),
        3: Fraction(3),
    }[first]
    s = lehr.constant(0.0, first).then(lehr.linear(1.0, 0.0, length).repeat())
    s = s.resolve(run, **RUN_SIZES)
    at = half_up(begun + k * size)
    assert s(at) == 1.0
    assert s(at + 1) < 1.0 or size < 2
    assert s(np.array([at, at]))[0] == 1.0
    every = lehr.constant(-1.0, first).then(lehr.table([*range(200)]).every(length))
    every = every.resolve(run, **RUN_SIZES)
    assert every(at) == k
    if k:
        assert every(at - 1) == k - 1


@given(st.integers(100, 10**6), st.sampled_from([2, 3, 4, 5, 7, 8, 10, 16]))
def test_equal_shares_of_the_run_repeated_are_the_chain_of_them(run, cycles):
    exact = f"{Fraction(100, cycles)} %" if 100 % cycles else f"{100 // cycles}%"
    one = lehr.cosine(0.1, exact)
    repeated = one.repeat().resolve(run)
    chain = Chain((one,) * cycles).resolve(run)
    at = np.unique(np.r_[np.linspace(0, run - 1, 300).astype(int), run - 3 : run])
    assert repeated(at).tolist() == chain(at).tolist()
    assert one.repeat(cycles).resolve(run).length == run


@pytest.mark.parametrize("steps", ["238.4185791015625 steps", "10/3 steps", 751.2, "22/7 steps"])
def test_fractional_boundaries_are_the_same_in_int32_graphs(steps):
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    far = [0, 1, 2**24, 2**24 + 1, 10**8, 10**9, 2**31 - 2]
    at = np.unique(np.clip(np.array([t + d for t in far for d in range(-8, 9)]), 0, 2**31 - 2))
    exact = Fraction(str(steps).removesuffix(" steps"))
    ticks = lehr.table([*range(100)]).every(steps)
    stairs = Exponential(1.0, 0.5, steps, staircase=True)
    tree = lehr.linear(1.0, 0.0, f"{exact} steps").repeat()
    wanted = [(2 * (int(t) + 1) * exact.denominator - exact.denominator - 1) for t in at]
    wanted = [w // (2 * exact.numerator) for w in wanted]
    assert [ticks(int(t)) for t in at] == [min(k, 99) for k in wanted]
    for s in (ticks, stairs, tree):
        plain = np.array([s(int(t)) for t in at])
        size = plain.max()
        for got in (
            s(at),
            jax.jit(s)(at.astype(np.int32)),
            s(torch.from_numpy(at)),
            s(torch.from_numpy(at.astype(np.int32))),
        ):
            assert np.abs(np.asarray(got, float) - plain).max() <= FLOAT32 * size


def test_a_staircase_falls_at_the_floor_of_the_exact_fraction():
    s = lehr.step_decay(1.0, 0.97, "2.4 epochs").resolve(steps_per_epoch=313)
    every = Fraction(24, 10) * 313
    for k in (1, 2, 5, 139, 140):
        first = math.ceil(k * every)
        assert (s(first - 1), s(first)) == pytest.approx((0.97 ** (k - 1), 0.97**k), rel=1e-12)


# Time constants are real numbers.


@given(
    st.sampled_from([lehr.exponential, "inverse"]),
    st.integers(10**5, 10**9),
    st.integers(1, 10**6),
)
def test_a_time_constant_in_tokens_is_not_rounded(kind, tokens, per_step):
    assume(tokens > per_step)
    ratio = tokens / per_step
    if kind == "inverse":
        s, wanted = (
            lehr.inverse_time(1.0, f"{tokens} tokens", power=0.7),
            lambda t: (1 + t / ratio) ** -0.7,
        )
    else:
        s, wanted = lehr.exponential(1.0, 0.5, f"{tokens} tokens"), lambda t: 0.5 ** (t / ratio)
    s = s.resolve(tokens_per_step=per_step)
    for t in (0, 1, 10, int(3 * ratio)):
        assert s(t) == pytest.approx(wanted(t), rel=1e-11)


# Ends measured from the start of the run, and the run itself.


@given(st.integers(0, 5000), st.integers(1, 99), st.integers(10_000, 10**6))
def test_until_is_measured_from_the_start_of_the_run(first, percent, run):
    s = lehr.warmup(0.1, first).then(lehr.cosine(0.1, f"until {percent}%"))
    end = half_up(Fraction(percent * run, 100))
    if end < first:
        with pytest.raises(ValueError, match="ends after step"):
            s.resolve(run)
        return
    assert s.resolve(run).length == end
    tail = s.then(lehr.linear(0.0, 0.0)).resolve(run)
    assert tail.length == run


@pytest.mark.parametrize(
    ("steps", "sizes", "length"),
    [
        ("90 epochs", {"steps_per_epoch": 313}, 28_170),
        ("90 epochs", {"steps_per_epoch": 312.785}, 28_151),  # 28150.65
        ("2T tokens", {"tokens_per_step": 2**22}, 476_837),
        ("12.8M samples", {"samples_per_step": 256}, 50_000),
        (1e5, {}, 100_000),
        ("2K steps", {}, 2_000),
    ],
)
def test_the_length_of_the_run_in_any_unit(steps, sizes, length):
    assert lehr.cosine(0.1).resolve(steps, **sizes).length == length


@pytest.mark.parametrize(
    ("steps", "sizes", "message"),
    [
        ("90 epochs", {}, "steps_per_epoch must be given to resolve the length '90 epochs'"),
        ("50%", {}, "steps must be the length of the run in steps, epochs"),
        (0, {}, "steps must be at least 1 step"),
        (2**31, {}, r"below 2\*\*31"),
        ("2T tokens", {"tokens_per_step": 1}, "from 1 to 2"),
        (100, {"steps_per_epoch": 0}, "steps_per_epoch must be a number above 0"),
        (100, {"tokens_per_step": lehr.linear(0.0, 1.0, 5)}, "tokens_per_step at step 0 must be"),
        (
            100,
            {"tokens_per_step": lehr.exponential(9.0, 0.5, 5)},
            "a schedule that becomes constant",
        ),
    ],
)
def test_a_wrong_run_is_rejected(steps, sizes, message):
    with pytest.raises(ValueError, match=message):
        lehr.cosine(0.1).resolve(steps, **sizes)


# A curve in tokens: the same value at the same token count.

CURVES = {
    "cosine": lehr.warmup(1.0, "40M tokens").then(lehr.cosine(1.0, "900M tokens", floor=0.1)),
    "exponential": lehr.exponential(1.0, 0.5, "150M tokens"),
    "inverse_time": lehr.inverse_time(1.0, "150M tokens", power=0.6),
    "inverse_sqrt": lehr.inverse_sqrt(1.0, "40M tokens"),
    "piecewise": lehr.piecewise([0, "300M tokens", "900M tokens"], [0.5, 1.0, 0.1], curve="linear"),
    "geometric": lehr.warmup(1.0, "600M tokens", start=0.01, curve="geometric"),
    "polynomial": lehr.polynomial(1.0, "900M tokens", power=2.0, time_power=1.5),
}
RAMPS = {
    "three sizes": Piecewise((1000, 2500), (100_000.0, 200_000.0, 400_000.0)),
    "doubling": lehr.linear(50_000.0, 400_000.0, 8).every(300),
    "each step": lehr.linear(100_000.0, 400_000.0, 2000),
}


def running_sum(ramp, steps) -> np.ndarray:
    """Return the token count before each step."""
    sizes = np.full(steps, float(ramp)) if isinstance(ramp, int) else ramp(np.arange(steps))
    return np.r_[0.0, np.cumsum(sizes)]


def one_step(s, steps) -> np.ndarray:
    """Return the larger of the changes in value just before and just after each step."""
    change = np.abs(np.diff(s(np.arange(steps + 1))))
    return np.maximum(np.r_[change[0], change[:-1]], change)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("ramp", [60_000, 100_000, 250_000, *RAMPS])
def test_a_curve_in_tokens_has_the_same_value_at_the_same_count(name, ramp):
    sizes = RAMPS.get(ramp, ramp)
    fine = CURVES[name].resolve(tokens_per_step=1000)  # 1000 tokens a step: nearly continuous
    s = CURVES[name].resolve(tokens_per_step=sizes)
    steps = 5000
    wanted = fine(np.round(running_sum(sizes, steps)[:steps] / 1000).astype(int))
    got = s(np.arange(steps))
    assert (np.abs(got - wanted) <= one_step(s, steps) * 1.01 + 2e-6).all()
    assert got[0] == fine(0)


@pytest.mark.parametrize("ramp", RAMPS)
@given(tokens=st.integers(10**6, 9 * 10**8))
@settings(max_examples=40)
def test_a_boundary_in_tokens_is_the_step_with_the_nearest_running_sum(ramp, tokens):
    done = running_sum(RAMPS[ramp], 6000)
    s = lehr.constant(1.0, f"{tokens} tokens").then(lehr.constant(0.0))
    s = s.resolve(tokens_per_step=RAMPS[ramp])
    first = next(t for t in range(6000) if s(t) == 0.0)
    assert abs(done[first] - tokens) <= np.abs(done - tokens).min() * (1 + 1e-9)


def test_a_ramp_that_changes_too_often_is_rejected_with_the_fix():
    ramp = lehr.linear(1e5, 4e5, 200_000)
    with pytest.raises(ValueError, match=r"batch-size ramp must be .* \.every\(n\)"):
        lehr.cosine(1.0, "30B tokens").resolve(tokens_per_step=ramp)
    assert lehr.cosine(1.0, "30B tokens").resolve(
        tokens_per_step=lehr.linear(1e5, 4e5, 200).every(1000)
    )


def test_repeats_in_tokens_under_a_ramp():
    ramp = Piecewise((100,), (1000.0, 2000.0))
    s = lehr.linear(1.0, 0.0, "50K tokens").repeat().resolve(300, tokens_per_step=ramp)
    # 50 steps each at first, then 25
    assert [t for t in range(300) if s(t) == 1.0] == [0, 50, *range(100, 300, 25)]
    stairs = lehr.step_decay(1.0, 0.5, "50K tokens").resolve(200, tokens_per_step=ramp)
    assert [stairs(t) for t in (49, 50, 99, 100, 124, 125)] == pytest.approx(
        [1.0, 0.5, 0.5, 0.25, 0.25, 0.125], rel=1e-14
    )


# `then_to`, `with_end`, `from_zero`.


@given(schedules(any_lengths, depth=2, ends=True), st.floats(0.0, 1.0))
def test_then_to_continues_from_the_final_value(tree, end):
    sizes = {"steps_per_epoch": 100, "samples_per_step": 32, "tokens_per_step": 512}
    s = tree.then_to(end, 10).resolve(10_000, **sizes)
    before = tree.resolve(10_000, **sizes)
    n = before.length
    assert s(n) == before(n)
    assert s(n + 10) == end
    assert s(n + 5) == pytest.approx((before(n) + end) / 2, rel=1e-12)
    held = tree.with_end().then(lehr.constant(7.0)).resolve(10_000, **sizes)
    assert [held(n), held(n + 1)] == [before(n), 7.0]


def test_the_rest_before_with_end_is_one_step_shorter():
    s = lehr.linear(1.0, 0.0).with_end().resolve(11)
    assert [s(t) for t in (0, 5, 9, 10, 11)] == pytest.approx([1.0, 0.5, 0.1, 0.0, 0.0])


def test_a_chain_cannot_begin_with_an_open_start():
    with pytest.raises(ValueError, match="part 1 of a chain must be a schedule with a start"):
        Chain((Ramp(None, 0.0, 5), Constant(0.0)))
    with pytest.raises(ValueError, match="in integer steps before it is used"):
        Ramp(None, 0.0, 5)(0)


@pytest.mark.parametrize("curve", ["linear", "cosine", "1-sqrt", "geometric"])
def test_the_first_update_of_a_warmup_without_from_zero_has_a_rate_above_its_start(curve):
    start = 0.01 if curve == "geometric" else 0.0
    late = lehr.warmup(1.0, 20, start=start, curve=curve)
    s = lehr.warmup(1.0, 20, start=start, curve=curve, from_zero=False)
    assert [s(t) for t in range(30)] == [late(t + 1) for t in range(30)]
    shared = lehr.warmup(1.0, "20%", start=start, curve=curve, from_zero=False).resolve(100)
    assert shared == s
    assert s.length == 20


def test_an_endless_factor_of_an_open_last_part():
    s = lehr.warmup(1.0, 100).then(lehr.step_decay(1.0, 0.5, 300) * lehr.linear(1.0, 0.0))
    s = s.resolve(900)
    assert [s(t) for t in (100, 500, 900)] == [1.0, 0.5 * 0.5, 0.0]


def test_ticks_in_tokens_under_a_ramp():
    ramp = Piecewise((100,), (1000.0, 2000.0))
    s = lehr.table([4.0, 3.0, 2.0, 1.0]).every("50K tokens").resolve(300, tokens_per_step=ramp)
    assert [s(t) for t in (0, 49, 50, 99, 100, 124, 125, 299)] == [4, 4, 3, 3, 2, 2, 1, 1]
    with pytest.raises(ValueError, match="in steps, epochs or shares where a ramp of tokens"):
        lehr.cosine(0.1, "50K tokens").every(10).resolve(300, tokens_per_step=ramp)


def test_cycles_of_any_real_length():
    third = lehr.triangular(0.0, 1.0, 10 / 3)
    assert [t for t in range(30) if third(t) == 0.0] == [0, 7, 13, 20, 27]  # 6.67, 13.33 ...
    assert lehr.cosine_restarts(1.0, 333.3333)(333) == 1.0
    mixed = lehr.cyclical(0.0, 1.0, 2.5, "10%").resolve(75)
    assert [t for t in range(31) if mixed(t) == 0.0] == [0, 10, 20, 30]


def test_powers_and_quotients_with_undefined_values_are_rejected():
    with pytest.raises(ValueError, match="base of a power must be at least 0"):
        (lehr.linear(1.0, -1.0, 10) ** 0.5)(8)
    with pytest.raises(ValueError, match="divisor must be a number other than 0"):
        lehr.cosine(0.1) / 0


def test_k17_integer_scalars_of_frameworks_are_lengths():
    """Such as the cardinality of a tf.data.Dataset, a scalar tensor."""
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    for count in (np.int64(7), np.array(7), torch.tensor(7)):
        assert lehr.cosine(0.1, count) == lehr.cosine(0.1, 7)
        assert lehr.cosine(0.1).resolve(count).length == 7
    for wrong in (np.array([7]), np.array(7.5), torch.tensor([7, 8]), [7]):
        with pytest.raises(TypeError, match="steps must be a length: an integer number of steps"):
            lehr.cosine(0.1, wrong)
