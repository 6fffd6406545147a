"""Every error has the form ``<field> must be <rule>, got <value!r>[; <fix>]``."""

import math
import re

import numpy as np
import pytest
from error_cases import cases

import lehr
from lehr import Plateau, Policy
from lehr.schedule import (
    Chain,
    Constant,
    Exponential,
    Geometric,
    InverseTime,
    Piecewise,
    Quotient,
    Ramp,
    Repeat,
    Take,
    Window,
)

GRAMMAR = re.compile(r"(in [^:]+: )?[\w. '-]+ must (be|have) .+, got .+", re.DOTALL)


def rejects(error: type[Exception], message: str, make) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        make()
    assert type(caught.value) is error
    assert GRAMMAR.fullmatch(str(caught.value)), str(caught.value)


NAN, INF = math.nan, math.inf
ramp = lehr.linear(1.0, 0.0, 10)
NAMES = {"lehr": lehr, "NAN": NAN, "INF": INF, "np": np, **vars(lehr), **vars(lehr.schedule)}

NUMBERS = {
    "constant value": ("value", lambda v: lehr.constant(v)),
    "linear start": ("start", lambda v: lehr.linear(v, 0.0, 5)),
    "linear end": ("end", lambda v: lehr.linear(0.0, v, 5)),
    "cosine peak": ("peak", lambda v: lehr.cosine(v, 5)),
    "cosine floor": ("floor", lambda v: lehr.cosine(1.0, 5, floor=v)),
    "cosine power": ("power", lambda v: lehr.cosine(1.0, 5, power=v)),
    "cosine time_power": ("time_power", lambda v: lehr.cosine(1.0, 5, time_power=v)),
    "exponential peak": ("peak", lambda v: lehr.exponential(v, 0.5, 5)),
    "exponential factor": ("factor", lambda v: lehr.exponential(1.0, v, 5)),
    "polynomial peak": ("peak", lambda v: lehr.polynomial(v, 5)),
    "polynomial power": ("power", lambda v: lehr.polynomial(1.0, 5, power=v)),
    "rex floor": ("floor", lambda v: lehr.rex(1.0, 5, floor=v)),
    "tanh floor": ("floor", lambda v: lehr.tanh(1.0, 5, floor=v)),
    "inverse_time peak": ("peak", lambda v: lehr.inverse_time(v, 5)),
    "inverse_time power": ("power", lambda v: lehr.inverse_time(1.0, 5, power=v)),
    "step_decay peak": ("peak", lambda v: lehr.step_decay(v, 0.5, 5)),
    "step_decay factor": ("factor", lambda v: lehr.step_decay(1.0, v, 5)),
    "multi_step peak": ("peak", lambda v: lehr.multi_step(v, 0.5, (5,))),
    "multi_step factor": ("factor", lambda v: lehr.multi_step(1.0, v, (5,))),
    "inverse_sqrt peak": ("peak", lambda v: lehr.inverse_sqrt(v, 5)),
    "inverse_sqrt start": ("start", lambda v: lehr.inverse_sqrt(1.0, 5, start=v)),
    "noam scale": ("scale", lambda v: lehr.noam(512, 5, scale=v)),
    "flat_cosine floor": ("floor", lambda v: lehr.flat_cosine(1.0, 5, 5, floor=v)),
    "wsd peak": ("peak", lambda v: lehr.wsd(v, 1, 1, steps=5)),
    "wsd start": ("start", lambda v: lehr.wsd(1.0, 1, 1, start=v)),
    "wsd floor": ("floor", lambda v: lehr.wsd(1.0, 1, 1, steps=5, floor=v)),
    "wsd power": ("power", lambda v: lehr.wsd(1.0, 1, 1, power=v)),
    "slanted peak": ("peak", lambda v: lehr.slanted_triangular(v, 5)),
    "slanted start": ("start", lambda v: lehr.slanted_triangular(1.0, 5, start=v)),
    "slanted rise": ("rise", lambda v: lehr.slanted_triangular(1.0, 5, rise=v)),
    "restarts peak": ("peak", lambda v: lehr.cosine_restarts(v, 5)),
    "restarts growth": ("growth", lambda v: lehr.cosine_restarts(1.0, 5, growth=v)),
    "restarts factor": ("factor", lambda v: lehr.cosine_restarts(1.0, 5, factor=v)),
    "restarts floor": ("floor", lambda v: lehr.cosine_restarts(1.0, 5, floor=v)),
    "polynomial_cycles peak": ("peak", lambda v: lehr.polynomial_cycles(v, 5, 2)),
    "polynomial_cycles floor": ("floor", lambda v: lehr.polynomial_cycles(1.0, 5, 2, floor=v)),
    "polynomial_cycles power": ("power", lambda v: lehr.polynomial_cycles(1.0, 5, 2, power=v)),
    "cyclical floor": ("floor", lambda v: lehr.cyclical(v, 1.0, 5)),
    "cyclical peak": ("peak", lambda v: lehr.cyclical(0.0, v, 5)),
    "table": ("values", lambda v: lehr.table([0.1, v])),
    "one_cycle tail": ("tail", lambda v: lehr.one_cycle(1.0, 10, tail=v)),
    "Window offset": ("offset", lambda v: Window(Ramp(1.0, 0.0), 5, v, 5.0)),
    "Window span": ("span", lambda v: Window(Ramp(1.0, 0.0), 5, 0.0, v)),
    "warmup peak": ("peak", lambda v: lehr.warmup(v, 5)),
    "warmup start": ("start", lambda v: lehr.warmup(1.0, 5, start=v)),
    "warmup power": ("power", lambda v: lehr.warmup(1.0, 5, power=v)),
    "warmup time_power": ("time_power", lambda v: lehr.warmup(1.0, 5, time_power=v)),
    "warmup_untuned peak": ("peak", lambda v: lehr.warmup_untuned(v)),
    "warmup_untuned beta2": ("beta2", lambda v: lehr.warmup_untuned(1.0, beta2=v)),
    "warmup_radam peak": ("peak", lambda v: lehr.warmup_radam(v)),
    "warmup_radam beta2": ("beta2", lambda v: lehr.warmup_radam(1.0, beta2=v)),
    "triangular floor": ("floor", lambda v: lehr.triangular(v, 1.0, 5)),
    "triangular peak": ("peak", lambda v: lehr.triangular(0.0, v, 5)),
    "triangular2 floor": ("floor", lambda v: lehr.triangular2(v, 1.0, 5)),
    "triangular2 peak": ("peak", lambda v: lehr.triangular2(0.0, v, 5)),
    "exp_range floor": ("floor", lambda v: lehr.exp_range(v, 1.0, 5, 0.9)),
    "exp_range peak": ("peak", lambda v: lehr.exp_range(0.0, v, 5, 0.9)),
    "exp_range factor": ("factor", lambda v: lehr.exp_range(0.0, 1.0, 5, v)),
    "one_cycle peak": ("peak", lambda v: lehr.one_cycle(v, 10)),
    "one_cycle start": ("start", lambda v: lehr.one_cycle(1.0, 10, start=v)),
    "one_cycle end": ("end", lambda v: lehr.one_cycle(1.0, 10, end=v)),
    "one_cycle rise": ("rise", lambda v: lehr.one_cycle(1.0, 10, rise=v)),
    "one_cycle momentum": ("momentum", lambda v: lehr.one_cycle(1.0, 10, momentum=(v, 0.8))),
    "Ramp power": ("power", lambda v: Ramp(1.0, 0.0, 5, power=v)),
    "Piecewise values": ("values", lambda v: Piecewise((5,), (1.0, v))),
    "piecewise knots": ("values", lambda v: Piecewise((0, 5), (1.0, v), "cosine")),
    "Exponential peak": ("peak", lambda v: Exponential(v, 0.5, 5)),
    "InverseTime peak": ("peak", lambda v: InverseTime(v, 5)),
    "Geometric end": ("end", lambda v: Geometric(1.0, v, 5)),
    "then_to end": ("end", lambda v: ramp.then_to(v, 5)),
    "at_fraction": ("fraction", lambda v: ramp.at_fraction(v)),
    "Plateau factor": ("factor", lambda v: Plateau(factor=v)),
    "Plateau threshold": ("threshold", lambda v: Plateau(threshold=v)),
    "Plateau min_factor": ("min_factor", lambda v: Plateau(min_factor=v)),
    "Policy lr": ("lr", lambda v: Policy(lr=v)),
    "Policy momentum": ("momentum", lambda v: Policy(lr=0.1, momentum=v)),
    "Policy weight decay": ("weight_decay", lambda v: Policy(lr=0.1, weight_decay=v)),
    "Policy group": ("lr of group 'head'", lambda v: Policy(lr={"head": v})),
    "Policy values": (r"values\['ema'\]", lambda v: Policy(lr=0.1, values={"ema": v})),
    "Policy factor": ("factor", lambda v: Policy(lr=0.1) * v),
    "factor of a product": ("factor", lambda v: ramp * v),
    "term of a sum": ("term", lambda v: ramp + v),
    "term of a difference": ("term", lambda v: ramp - v),
    "divisor": ("divisor", lambda v: ramp / v),
    "exponent": ("exponent", lambda v: ramp**v),
    "other of a minimum": ("other", lambda v: ramp.minimum(v)),
    "other of a maximum": ("other", lambda v: ramp.maximum(v)),
    "part of a chain": ("part 1", lambda v: Chain((v, ramp))),
    "part of a quotient": ("part 2", lambda v: Quotient((ramp, v))),
    "steps_per_epoch": ("steps_per_epoch", lambda v: ramp.resolve(steps_per_epoch=v)),
    "samples_per_step": ("samples_per_step", lambda v: ramp.resolve(samples_per_step=v)),
    "tokens_per_step": ("tokens_per_step", lambda v: ramp.resolve(tokens_per_step=v)),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [NAN, INF, -INF, 10**400], ids=["nan", "inf", "-inf", "huge"])
def test_numbers_are_finite(name, value):
    field, make = NUMBERS[name]
    with pytest.raises(ValueError, match=rf"^{field} must be a .*number.*, got {repr(value)[:99]}"):
        make(value)


SHARE = "a number, or a share of the peak from '0%' to '100%'"
SHARES = ("cosine", "rex", "tanh", "flat_cosine", "wsd", "restarts", "polynomial_cycles")
SHARES += ("triangular", "triangular2", "exp_range", "cyclical")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [True, "0.1", [0.1], 1j, object(), np.array([1.0])], ids=lambda v: type(v).__name__
)
def test_numbers_are_numbers(name, value):
    field, make = NUMBERS[name]
    rule = "(a finite number|a schedule or a number)"
    if value == "0.1" and field == "floor" and name.removesuffix(" floor") in SHARES:
        with pytest.raises(ValueError, match=rf"^floor must be {SHARE}, got '0\.1'$"):
            make(value)
        return
    with pytest.raises(TypeError, match=rf"^{field} must be {rule}, got {re.escape(repr(value))}"):
        make(value)


@pytest.mark.parametrize("name", SHARES)
def test_a_floor_may_be_a_share_of_the_peak(name):
    _, make = NUMBERS[f"{name} floor"]
    assert make("25%") == make("25.0 %") == make(0.25)
    assert make("0%") == make(0.0)
    assert make("100%") == make(1.0)
    for wrong in ("-5%", "100.5%", "until 10%", "5 steps", "3 epochs", "", "10", "ten%"):
        with pytest.raises(ValueError, match=rf"^floor must be {SHARE}, got '{wrong}'$"):
            make(wrong)


LENGTHS = {
    "constant": ("steps", lambda n: lehr.constant(0.1, n)),
    "linear": ("steps", lambda n: lehr.linear(1.0, 0.0, n)),
    "cosine": ("steps", lambda n: lehr.cosine(1.0, n)),
    "polynomial": ("steps", lambda n: lehr.polynomial(1.0, n)),
    "rex": ("steps", lambda n: lehr.rex(1.0, n)),
    "tanh": ("steps", lambda n: lehr.tanh(1.0, n)),
    "warmup": ("steps", lambda n: lehr.warmup(1.0, n)),
    "multi_step": ("milestones", lambda n: lehr.multi_step(1.0, 0.5, [n])),
    "piecewise": ("boundaries", lambda n: lehr.piecewise([n, n], [1.0, 0.5], curve="linear")),
    "flat_cosine": ("hold", lambda n: lehr.flat_cosine(1.0, n)),
    "inverse_sqrt": ("warmup", lambda n: lehr.inverse_sqrt(1.0, n, timescale=2.5)),
    "wsd": ("warmup", lambda n: lehr.wsd(1.0, n, 3)),
    "wsd's cooldown": ("cooldown", lambda n: lehr.wsd(1.0, 3, n)),
    "Ramp": ("steps", lambda n: Ramp(1.0, 0.0, n)),
    "Geometric": ("steps", lambda n: Geometric(1.0, 0.5, n)),
    "Piecewise": ("boundaries", lambda n: Piecewise((n,), (1.0, 0.5))),
    "Take": ("steps", lambda n: Take(Constant(1.0), n)),
    "take": ("steps", lambda n: lehr.constant(1.0).take(n)),
    "then_to": ("steps", lambda n: ramp.then_to(0.5, n)),
    "decay_from": ("step", lambda n: Policy(1.0).decay_from(n)),
    "decay_from's decay": ("steps", lambda n: Policy(1.0).decay_from(5, n)),
}
ABOVE_ZERO = {
    "one_cycle": ("steps", lambda n: lehr.one_cycle(1.0, n)),
    "slanted_triangular": ("steps", lambda n: lehr.slanted_triangular(1.0, n)),
    "polynomial_cycles": ("period", lambda n: lehr.polynomial_cycles(1.0, n, 2)),
    "resolve": ("steps", lambda n: ramp.resolve(n)),
}
ALL_LENGTHS = LENGTHS | ABOVE_ZERO
SPELLINGS = [
    *("", "5", "1e3", "5 %%", "3 weeks", "nan epochs", "1e99%", "1e-30%", "5/0 steps", "5k tokens"),
    *("until", "until 5", "5 K", "5 % tokens", "5KM tokens", "_5 steps", "1..5%", "\u0665 steps!"),
]


@pytest.mark.parametrize("name", ALL_LENGTHS)
@pytest.mark.parametrize("n", SPELLINGS)
def test_lengths_have_a_unit(name, n):
    field, make = ALL_LENGTHS[name]
    message = (
        rf"^{field} must be a length: an integer number of steps, .*, got {re.escape(repr(n))}$"
    )
    with pytest.raises(ValueError, match=message):
        make(n)


@pytest.mark.parametrize("name", ALL_LENGTHS)
def test_lengths_are_not_negative(name):
    field, make = ALL_LENGTHS[name]
    for n in (-1, -(10**30)):
        with pytest.raises(ValueError, match=rf"^{field} must be an .* of steps >= 0, got {n}$"):
            make(n)
    for n in (-1.0, -2e6):
        with pytest.raises(
            ValueError, match=rf"^{field} must be an .* of steps >= 0, got {n:.0f}$"
        ):
            make(n)
    for n in ("-5%", "-1 steps", "until -5%", "-1e9 tokens", "-3/2 epochs"):
        with pytest.raises(
            ValueError, match=rf"^{field} must be a length of at least 0, got '{n}'$"
        ):
            make(n)


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_may_be_0(name):
    _, make = LENGTHS[name]
    zeros = (0, 0.0, -0.0, "0 steps", "0%", "0 epochs", "0 tokens", "until 0%")
    for n in zeros[:-1] if name == "wsd's cooldown" else zeros:
        make(n)
    assert make(0) == make(0.0) == make("0 steps")


@pytest.mark.parametrize("name", ABOVE_ZERO)
def test_lengths_that_need_a_step_are_above_0(name):
    field, make = ABOVE_ZERO[name]
    for n in (0, 0.0, "0 steps"):
        with pytest.raises(ValueError, match=rf"^{field} must be (at least|an integer >=) \d"):
            make(n)


@pytest.mark.parametrize("name", ALL_LENGTHS)
@pytest.mark.parametrize("n", [2.5, 1e-9, 1e5 + 0.25, np.float32(0.5)], ids=repr)
def test_fractional_steps_are_rejected_with_a_fix(name, n):
    field, make = ALL_LENGTHS[name]
    fix = rf"round it, or write '{n} steps' where parts add up to the run$"
    with pytest.raises(ValueError, match=rf"^{field} must be a length: .*, got .*{n}\)?; {fix}"):
        make(n)


@pytest.mark.parametrize("name", ALL_LENGTHS)
def test_lengths_are_finite(name):
    field, make = ALL_LENGTHS[name]
    for n in (NAN, INF, -INF):
        with pytest.raises(ValueError, match=rf"^{field} must be a length: .*, got {n}$"):
            make(n)


@pytest.mark.parametrize("name", ALL_LENGTHS)
@pytest.mark.parametrize(
    "n", [True, [3], 2j, b"5%", object(), np.array([5])], ids=lambda n: type(n).__name__
)
def test_lengths_are_numbers_or_strings(name, n):
    field, make = ALL_LENGTHS[name]
    message = (
        rf"^{field} must be a length: an integer number of steps, .*, got {re.escape(repr(n))}$"
    )
    with pytest.raises(TypeError, match=message):
        make(n)


@pytest.mark.parametrize("name", ALL_LENGTHS)
def test_lengths_have_one_canonical_form(name):
    _, make = ALL_LENGTHS[name]
    for n in (5, 5.0, "5 steps", "5steps", " 5.0 steps ", "0.5e1 steps", np.int8(5), np.float16(5)):
        assert make(n) == make(5)
    assert make(2e3) == make("2K steps") == make("2_000 steps") == make(2000)
    if name == "resolve":
        return
    spellings = ("12.8M samples", "12_800_000 samples", "1.28e7 samples", "12800 K samples")
    for n in spellings:
        assert make(n) == make(spellings[0])
        assert repr(make(n)) == repr(make(spellings[0]))
    assert make("1 epochs") == make("1 epoch") == make("1.0 epoch") == make("2/2 epochs")
    assert make("1T tokens") == make("1000B tokens") == make("1e12 tokens") == make("1 T token")


UNTIL = LENGTHS.keys() - {"piecewise"}


@pytest.mark.parametrize("name", sorted(UNTIL))
def test_every_length_accepts_until(name):
    if name == "wsd's cooldown":
        return  # it ends at the end of the run
    _, make = LENGTHS[name]
    for n in ("until 90%", "until 10T tokens", "until 3 epochs", "until 5 steps"):
        s = make(n)
        assert not s.resolved
        assert lehr.loads(s.dumps()) == s


@pytest.mark.parametrize("name", ALL_LENGTHS)
@pytest.mark.parametrize("n", [2**31, 1e10, 10**400, "2147483648 steps"], ids=lambda n: str(n)[:9])
def test_lengths_are_counted_in_int32(name, n):
    field, make = ALL_LENGTHS[name]
    match = rf"^{field} must be below 2\*\*31 steps, which frameworks count in int32, got \d+"
    with pytest.raises(ValueError, match=match):
        make(n)


INTERVALS = {
    "exponential": ("every", lambda n: lehr.exponential(1.0, 0.5, n)),
    "step_decay": ("every", lambda n: lehr.step_decay(1.0, 0.5, n)),
    "inverse_time": ("timescale", lambda n: lehr.inverse_time(1.0, n)),
    "Exponential": ("timescale", lambda n: Exponential(1.0, 0.5, n)),
    "cosine_restarts": ("period", lambda n: lehr.cosine_restarts(1.0, n)),
    "cyclical": ("up", lambda n: lehr.cyclical(0.0, 1.0, n)),
    "triangular": ("half_cycle", lambda n: lehr.triangular(0.0, 1.0, n)),
    "triangular2": ("half_cycle", lambda n: lehr.triangular2(0.0, 1.0, n)),
    "exp_range": ("half_cycle", lambda n: lehr.exp_range(0.0, 1.0, n, 0.9)),
    "every": ("steps", lambda n: ramp.every(n)),
}


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_and_time_constants_are_real_numbers_above_0(name):
    field, make = INTERVALS[name]
    assert make(2.5).resolved
    assert make(5) == make(5.0) == make("5 steps") == make(np.int8(5))
    assert make("2.5 steps") == make(2.5) == make("5/2 steps")
    for wrong in (NAN, INF, -INF, 0.0, -2.5):
        with pytest.raises(ValueError, match=rf"^{field} must be a number above 0, got {wrong}$"):
            make(wrong)
    texts = ("0%", "0 epochs", "-5%", "until 90%", "0 steps", "-1 steps", "until 5 steps")
    for wrong in (0, -1, *texts):
        with pytest.raises(
            ValueError,
            match=rf"^{field} must be a length (above 0|without 'until'), got {wrong!r}$",
        ):
            make(wrong)
    for wrong in SPELLINGS:
        with pytest.raises(
            ValueError, match=rf"^{field} must be a length: an integer number of st"
        ):
            make(wrong)
    for wrong in (True, [3], 2j, b"5%"):
        with pytest.raises(
            TypeError, match=rf"^{field} must be a length: an integer number of ste"
        ):
            make(wrong)
    with pytest.raises(ValueError, match=rf"^{field} must be a length such as 1000, 2\.5 or '30 e"):
        make(None)


V, T = ValueError, TypeError

VALUE_ERRORS = cases("""
lehr.cosine(0.1, 5, floor=0.2)
    floor must be at most peak (0.1), got 0.2; to rise, use warmup(0.2, steps, start=0.1,
    curve='cosine')
lehr.cosine(0.1, 5, floor=-0.1)
    floor must be a number at least 0, got -0.1
lehr.cosine(0, 5)
    peak must be a number above 0, got 0
lehr.warmup(-1.0, 5)
    peak must be a number above 0, got -1.0
lehr.cosine(0.1, 5, power=0)
    power must be a number above 0, got 0
lehr.cosine(0.1, 5, time_power=-1)
    time_power must be a number above 0, got -1
lehr.warmup(0.1, 5, start=0.2)
    start must be at most peak (0.1), got 0.2
lehr.warmup(0.1, None)
    steps must be a length such as 500 or '5%', got None
lehr.flat_cosine(0.1, None)
    hold must be a length such as 500 or '5%', got None
lehr.inverse_sqrt(0.1, None)
    warmup must be a length such as 500 or '5%', got None
lehr.inverse_sqrt(0.1, 0)
    timescale must be given with the warm-up 0, got None
lehr.inverse_sqrt(0.1, '0%')
    timescale must be given with the warm-up '0%', got None
lehr.inverse_sqrt(0.1, 'until 10%')
    timescale must be given with the warm-up 'until 10%', got None
lehr.noam(512, '5%')
    warmup must be an integer number of steps, which determines the peak, got '5%'
lehr.noam(512, 0)
    warmup must be an integer >= 1, got 0
lehr.noam(512, None)
    warmup must be a number of steps such as 4000, got None
lehr.triangular(0.0, 0.1, None)
    half_cycle must be a length such as 1000, 2.5 or '30 epochs', got None
lehr.exponential(0.1, 0.5, None)
    every must be a length such as 1000, 2.5 or '30 epochs', got None
lehr.exponential(0.1, 1.5, 5)
    factor must be a number above 0 and at most 1, got 1.5; to grow, use warmup(...,
    curve='geometric')
lehr.exponential(-0.1, 0.5, 5)
    peak must be a number above 0, got -0.1
lehr.step_decay(0.1, 0.5, 0.5)
    timescale must be at least 1 step for a staircase, got 0.5
lehr.multi_step(0.1, 0.1, [10, 5])
    milestones must be increasing, got (10, 5)
lehr.multi_step(0.1, 0.1, [10, None])
    milestones must be lengths from step 0, got None
lehr.multi_step(0.0, 0.1, [10])
    peak must be a number above 0, got 0.0
lehr.exp_range(0.0, 0.1, 5, 0)
    factor must be a number above 0 and at most 1, got 0
lehr.triangular2(0.2, 0.1, 5)
    floor must be at most peak (0.1), got 0.2; swap floor and peak
lehr.triangular(-0.2, 0.1, 5)
    floor must be a number at least 0, got -0.2
lehr.warmup(0.1, 5, curve='cosin')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'cosin'; did
    you mean cosine or sine?
lehr.warmup(0.1, 5, curve='geometri')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'geometri';
    did you mean geometric?
lehr.warmup(0.1, 5, curve='x')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'x'
lehr.warmup(0.1, 5, curve='lin')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'lin'; did
    you mean linear?
lehr.warmup(0.1, 5, curve='sqrt')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'sqrt'; did
    you mean 1-sqrt
Ramp(1.0, 0.0, 5, None)
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, got None
Ramp(1.0, 0.5, 5, 'geometric')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, got 'geometric'; use
    Geometric
Ramp(1.0, 0.0, 5, power=0)
    power must be a number above 0, got 0
lehr.warmup(0.1, 5, start=0.01, curve='geometric', power=2.0)
    power must be 1 with the curve 'geometric', got 2.0
lehr.warmup(0.1, 5, start=0.01, curve='geometric', time_power=2.0)
    time_power must be 1 with the curve 'geometric', got 2.0
Geometric(1.0, 0.0, 5)
    end must be a number above 0, got 0.0
lehr.warmup(0.1, 5, curve='geometric')
    start must be a number above 0, got 0.0
lehr.wsd(0.1, 5, 5, curve='geometric')
    end must be a number above 0, got 0.0
Window(lehr.linear(1.0, 0.0, 5), 5, 0.0, 5.0)
    shape must be a Ramp or Geometric without steps, got linear(1.0, 0.0, 5)
Window(lehr.constant(1.0), 5, 0.0, 5.0)
    shape must be a Ramp or Geometric without steps, got constant(1.0)
Window(Ramp(1.0, 0.0, from_zero=False), 5, 0.0, 5.0)
    shape must be a Ramp or Geometric without steps, got Ramp(1.0, 0.0, from_zero=False)
Window(lehr.linear(1.0, 0.0), 5, 2.0, 2.0)
    span must be a number above 2, got 2.0
Window(lehr.linear(1.0, 0.0), 5, -1.0, 2.0)
    offset must be a number at least 0, got -1.0
Window(lehr.linear(1.0, 0.0), -5, 0.0, 2.0)
    steps must be an integer number of steps >= 0, got -5
ramp.every(0.5)
    steps must be at least 1 step, got 0.5
ramp.every('0.5 steps')
    steps must be at least 1 step, got '0.5 steps'
ramp.every('0.1%').resolve(500)
    steps must be at least 1 step, not 0.5, got '0.1%'
lehr.linear(1.0, 0.0, 'until 50%').every(5).resolve(100)
    steps must be a length without 'until' inside .every(...), got 'until 50%'
lehr.constant(0.1).reverse()
    part must be a schedule that ends, got constant(0.1); give it an end with .take
Reverse(ramp.reverse())
    part must be a schedule that is not reversed, got linear(1.0, 0.0, 10).reverse(); use its .part
lehr.piecewise((1, 2), (1.0,), curve='linear')
    values must be one for each of at least 2 boundaries (1, 2), got (1.0,)
lehr.piecewise((1,), (1.0,), curve='linear')
    values must be one for each of at least 2 boundaries (1,), got (1.0,)
lehr.piecewise((6, 5), (1.0, 0.5), curve='linear')
    boundaries must be increasing, got (6, 5)
lehr.piecewise((0, 5), (0.0, 0.5), curve='geometric')
    start must be a number above 0, got 0.0
lehr.piecewise((0, 5), (1.0, 0.5), curve='line')
    curve must be one of constant, linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got
    'line'; did you mean linear
lehr.wsd(1.0, 6, 5, steps=10)
    warmup and cooldown must be lengths in steps or percent that add up to at most 10
    steps, got (6, 5)
lehr.wsd(1.0, '3 epochs', 5, steps=10)
    warmup and cooldown must be lengths in steps or percent that add up to at most 10
    steps, got ('3 epochs', 5)
lehr.wsd(1.0, 5, 5, steps='10 epochs')
    steps must be an integer number of steps, got '10 epochs'; omit it and resolve the schedule
lehr.wsd(1.0, None, 5)
    warmup must be a length such as 500 or '5%', got None
lehr.wsd(1.0, 5, None)
    cooldown must be a length such as 500 or '5%', got None
lehr.wsd(1.0, '60%', '50%').resolve(1000)
    steps must be at least 1100, the sum of the lengths in the chain, got 1000
lehr.wsd(1.0, 5, 'until 95%')
    a part after the rest of the run must be without 'until', got 'until 95%'; use 'until ...'
    for the preceding part, and a plain length for this one
lehr.cosine_restarts(1.0, 5, warmup=5)
    warmup must be below the period (5), got 5
lehr.cosine_restarts(1.0, 5, warmup=None)
    warmup must be a length, or 0 for none, got None
lehr.cosine_restarts(1.0, 5, factor=0)
    factor must be a number above 0 and at most 1, got 0
lehr.cosine_restarts(1.0, 5, cycles=0)
    cycles must be an integer >= 1, got 0
lehr.cosine_restarts(1.0, '1 epoch', growth=0.5)
    cycles must be given, at most 200, if 200 cycles do not cover the longest run, got None
lehr.cosine_restarts(1.0, 5, growth=1.001)
    cycles must be given, at most 200, if 200 cycles do not cover the longest run, got None
lehr.polynomial_cycles(1.0, None, 3)
    period must be a length such as 1000 or '30 epochs', got None
lehr.polynomial_cycles(1.0, 5, 201)
    cycles must be at most 200, got 201
lehr.polynomial_cycles(1.0, 'until 50%', 3)
    length must be a length without 'until' where it is divided into parts, got 'until 50%'
lehr.one_cycle(1.0, 'until 50%')
    length must be a length without 'until' where it is divided into parts, got 'until 50%'
lehr.slanted_triangular(1.0, 'until 50%')
    length must be a length without 'until' where it is divided into parts, got 'until 50%'
lehr.slanted_triangular(1.0, None)
    steps must be a length such as 1000 or '100%', got None
lehr.slanted_triangular(1.0, 5, start=2.0)
    start must be at most peak (1), got 2.0
lehr.slanted_triangular(1.0, 5, rise=1)
    rise must be a number above 0 and below 1, got 1
lehr.cyclical(0.0, 1.0, '1 epoch', '2%', scale=lehr.constant(0.5))
    down must be in epochs, as up is, with a scale per cycle, got '2%'
lehr.cyclical(0.0, 1.0, 2, per='epoch')
    per must be one of cycle, step, got 'epoch'
lehr.cyclical(0.0, 1.0, 2, scale=2.0 * ramp)
    scale of cycle 1 must be a number at least 0 and at most 1, got 2.0; a function of the cycle is
    called with 1 for the first one
lehr.one_cycle(0.1, 10, rise=0.7, tail=0.3)
    tail must be below 1 - rise (0.3), got 0.3
lehr.one_cycle(0.1, 2, tail=0.1)
    steps must be at least 3, one for each phase, got 2
lehr.piecewise([1], [0.1])
    values must be a list of 2 items for 1 boundary, got (0.1,)
Piecewise((6, 5), (1.0, 0.5, 0.1))
    boundaries must be increasing, got (6, 5)
Piecewise((5, 6), (1.0, 0.5))
    values must be a list of 3 items for 2 boundaries, got (1.0, 0.5)
Piecewise((None,), (1.0, 0.5))
    boundaries must be lengths from step 0, got None
Piecewise(('1%', '0.5%'), (1.0, 0.5, 0.1)).resolve(1000)
    boundaries must be increasing, got (10, 5)
lehr.cosine(0.1).then(lehr.cosine(0.2))
    a chain must have at most one part without a length, got
    part 1 (takes the rest of the run) and part 2 (takes the rest of the run); give all but one of
    them a length, or an end with .take(steps)
lehr.constant(0.1).then(lehr.cosine(0.1, 5)).then(lehr.exponential(0.1, 0.5, 5))
    a chain must have at most one part without a length, got
    part 1 (never ends) and part 3 (never ends); give all but one of them a length, or an end
    with .take(steps)
ramp.repeat().then(ramp).then(lehr.cosine(0.1))
    a chain must have at most one part without a length, got
    part 1 (never ends) and part 3 (takes the rest of the run); give all but one of them a length
(ramp * Exponential(1.0, 0.5, 5)).then(ramp * lehr.cosine(0.1))
    a chain must have at most one part without a length, got
    part 1 (never ends) and part 2 (takes the rest of the run)
ramp.then(lehr.constant(0.1).then(ramp)).then(lehr.cosine(0.1) + ramp)
    a chain must have at most one part without a length, got
    part 2 (never ends) and part 4 (takes the rest of the run)
lehr.cosine(0.1).shift(5).then(ramp.then(lehr.table([1.0]).then(lehr.constant(0.1)) * 0.5))
    a chain must have at most one part without a length, got
    part 1 (takes the rest of the run) and part 3 (never ends)
lehr.constant(0.1).then(ramp).shift(3).then(lehr.cosine(0.1))
    a chain must have at most one part without a length, got
    part 1 (takes the rest of the run) and part 2 (takes the rest of the run)
Chain((ramp,))
    parts must be a list of at least 2 schedules, got (linear(1.0, 0.0, 10),)
Chain(())
    parts must be a list of at least 2 schedules, got ()
Sum([])
    parts must be a list of at least 2 schedules, got []
Product((ramp,))
    parts must be a list of at least 2 schedules, got (linear(1.0, 0.0, 10),)
Min((ramp,))
    parts must be a list of at least 2 schedules, got (linear(1.0, 0.0, 10),)
Max((NAN,))
    part 1 must be a finite number, got nan
Quotient((ramp,))
    parts must be two schedules, got (linear(1.0, 0.0, 10),)
Quotient((ramp, 2, 3))
    parts must be two schedules, got (linear(1.0, 0.0, 10), 2, 3)
Power(ramp)
    parts must be two schedules, got linear(1.0, 0.0, 10)
Chain((Constant(None), ramp))
    part 1 of a chain must be a schedule with a start, got constant(None)
Chain((Ramp(None, 1.0, 5), ramp))
    part 1 of a chain must be a schedule with a start, got Ramp(None, 1.0, 5)
Constant(None).resolve(10)
    value must be a number, unless another part precedes it in a chain, got None
lehr.constant(0.1).repeat()
    part must be a schedule that ends, got constant(0.1); give it an end with .take(steps)
lehr.cosine(0.1).repeat(3)
    part must be a schedule that ends, got cosine(0.1); give it an end with .take(steps)
lehr.constant(0.1).then(ramp).repeat(3)
    part must be a schedule that ends, got constant(0.1).then(linear(1.0, 0.0, 10)); give it an end
lehr.cosine(0.1).take(5).repeat(3)
    part must be a schedule without omitted lengths, got cosine(0.1).take(5); give every
    part a length
ramp.repeat(0)
    times must be an integer >= 1, got 0
lehr.warmup(0.1, 0).repeat()
    part must be at least 1 step long to be repeated, not 0, got warmup(0.1, 0)
lehr.cosine(0.1, '0.01%').repeat().resolve(1000)
    part must be at least 1 step long to be repeated, not 0.1, got
lehr.cosine(0.1, 'until 5%').repeat().resolve(1000)
    steps must be a length without 'until' in a repeated part, got 'until 5%'
Shift(ramp, -11)
    steps must be at least -10, minus the length of the part, got -11
ramp.shift('until 5%')
    steps must be a length without 'until', got 'until 5%'
ramp.shift(None)
    steps must be a length such as '5%', got None
ramp.shift(0.5)
    , got 0.5; round it, or write '0.5 steps' where parts add up to the run
ramp.at_fraction(1.5)
    fraction must be a number at least 0 and at most 1, got 1.5
lehr.constant(0.1).at_fraction(0.5)
    schedule must be finite, or in shares of the run, got constant(0.1); give it an
    end with .take(steps)
lehr.cosine(0.1, '3 epochs').at_fraction(0.5)
    schedule must be in shares of the run, or resolved, got cosine(0.1, '3 epochs'); call
    .resolve(...) first
ramp.clip(0.5, 0.25)
    floor must be at most ceiling (0.25), got 0.5
ramp.then_to(0.0, 5, curve='geometric')
    end must be a number above 0, got 0.0
ramp.then_to(0.5, 5, curve='geometric')
    start must be a number above 0, got 0.0
lehr.one_cycle(0.1, 1)
    steps must be at least 2, one for each phase, got 1
lehr.one_cycle(0.1, 9, start=0.2)
    start must be at most peak (0.1), got 0.2
lehr.one_cycle(0.1, 9, end=0.01)
    end must be at most start (0.004), got 0.01
lehr.one_cycle(0.1, 9, rise=1)
    rise must be a number above 0 and below 1, got 1
lehr.one_cycle(0.1, 9, momentum=0.9)
    momentum must be a pair (high, low) or None, got 0.9
lehr.one_cycle(0.1, 9, momentum=(1.0, 0.8))
    momentum must be a number at least 0 and below 1, got 1.0
lehr.one_cycle(0.1, 9, momentum=(0.8, 0.9))
    low momentum must be at most high momentum (0.8), got 0.9
lehr.one_cycle(0.1, 9, curve='line')
    curve must be one of linear, cosine, sine, 1-sqrt, rex, tanh, log, geometric, got 'line'; did
    you mean linear
Policy(lr=-0.1)
    lr must be a number at least 0, got -0.1
Policy(lr=0.1, momentum=1.0)
    momentum must be a number at least 0 and below 1, got 1.0; pass a teacher's momentum as
    values={'ema_decay': ...}
Policy(lr=0.1, weight_decay=-1.0)
    weight_decay must be a number at least 0, got -1.0
Policy(lr={})
    lr must be a schedule, or a dict from parameter groups' names or indices to schedules, got {}
Policy(lr={1.5: 0.1})
    lr must be a schedule, or a dict from parameter groups' names or indices to schedules, got
    {1.5: 0.1}
Plateau(factor=1.0)
    factor must be a number above 0 and below 1, got 1.0
Plateau(factor=0)
    factor must be a number above 0 and below 1, got 0
Plateau(patience=0)
    patience must be an integer >= 1, got 0
Plateau(threshold=-0.1)
    threshold must be a number at least 0, got -0.1
Plateau(mode='auto')
    mode must be one of min, max, got 'auto'
Plateau(cooldown=-1)
    cooldown must be an integer >= 0, got -1
Plateau(min_factor=2)
    min_factor must be a number at least 0 and at most 1, got 2
lehr.cosine(0.1).resolve()
    steps must be given to resolve the rest of the run, got None; pass steps=
lehr.warmup(0.1, '5%').resolve(steps_per_epoch=10)
    steps must be given to resolve the length '5%', got None; pass steps=
lehr.cosine(0.1, '3 epochs').resolve(steps=100)
    steps_per_epoch must be given to resolve the length '3 epochs', got None; pass steps_per_epoch=
lehr.cosine(0.1, '100 tokens').resolve(steps=100)
    tokens_per_step must be given to resolve the length '100 tokens', got None
lehr.cosine(0.1, 'until 100 tokens').resolve(steps=100)
    tokens_per_step must be given to resolve the length 'until 100 tokens', got None
lehr.cosine(0.1, '100 samples').resolve(steps=100)
    samples_per_step must be given to resolve the length '100 samples', got None
lehr.cosine(0.1).resolve('3 epochs')
    steps_per_epoch must be given to resolve the length '3 epochs', got None; pass steps_per_epoch=
lehr.cosine(0.1).resolve('50%')
    steps must be the length of the run in steps, epochs, samples or tokens, got '50%'
lehr.cosine(0.1).resolve('until 3 epochs', steps_per_epoch=5)
    steps must be the length of the run in steps, epochs, samples or tokens, got 'until 3 epochs'
lehr.cosine(0.1).resolve('0.1 epochs', steps_per_epoch=4)
    steps must be from 1 to 2**31 - 1 steps, not 0, got '0.1 epochs'
ramp.then(lehr.cosine(0.1, '3 epochs')).resolve(steps=100)
    in Chain part 2: steps_per_epoch must be given
ramp.then(ramp.then(lehr.cosine(0.1, '3 epochs')) * 2.0).resolve(steps=100)
    in Chain part 2: steps_per_epoch must be given
lehr.constant(0.1).then(ramp).then(lehr.cosine(0.1, '3 epochs')).resolve(steps=100)
    in Chain part 3: steps_per_epoch must be given
ramp.then(lehr.cosine(0.1)).resolve(5)
    steps must be at least 10, the sum of the lengths in the chain, got 5
ramp.then(lehr.cosine(0.1)).then(ramp).resolve(19)
    steps must be at least 20, the sum of the lengths in the chain, got 19
ramp.then(lehr.cosine(0.1).then(ramp) * 0.5).resolve(15)
    in Chain part 2: steps must be at least 20, the sum of the lengths in the chain, got 15
ramp.then(lehr.cosine(0.1, 'until 5%')).resolve(100)
    in Chain part 2: steps must be a length that ends after step 10, got 'until 5%'; shorten the
    preceding parts or lengthen the run
lehr.cosine(0.1).resolve(0)
    steps must be at least 1 step, got 0
ramp.resolve(-5)
    steps must be an integer number of steps >= 0, got -5
ramp.resolve(10, steps_per_epoch=0)
    steps_per_epoch must be a number above 0, got 0
ramp.resolve(10, samples_per_step=-1.5)
    samples_per_step must be a number above 0, got -1.5
ramp.resolve(10, tokens_per_step=lehr.linear(-1.0, 5.0, 3))
    tokens_per_step at step 0 must be a number above 0, got -1.0
ramp.resolve(10, tokens_per_step=lehr.exponential(9.0, 0.5, 3))
    tokens_per_step must be a schedule that becomes constant, got exponential(9.0, 0.5, 3);
    limit it with
ramp.resolve(10, tokens_per_step=lehr.linear(1.0, 2.0, 6_000_000))
    tokens_per_step must be a schedule that is constant after 5000000 steps, got
lehr.linear(1.0, 0.0, '90K tokens').resolve(tokens_per_step=lehr.linear(1.0, 10.0, 20_000))
    batch-size ramp must be a schedule that changes at most 1000 times, or 10000 times in single
    steps, during a curve in samples or tokens, got
lehr.exponential(1.0, 0.5, '9 tokens').resolve(tokens_per_step=lehr.linear(1.0, 2.0, 20_000))
    batch-size ramp must be a schedule that changes at most 1000 times, or 10000 times in single
    steps, during a curve in samples or tokens, got
lehr.linear(1.0, 0.0, 5).every('9 tokens').resolve(tokens_per_step=lehr.linear(1.0, 2.0, 20))
    steps must be given to resolve the rest of the run, got None; pass steps=
Policy(lr=0.1, momentum=lehr.linear(0.9, 0.8, '5%')).resolve()
    in momentum: steps must be given to resolve the length '5%', got None
lehr.linear(1.0, 0.0, '10%').shift(-20).resolve(100)
    steps must be at least -10, minus the length of the part, got -20
lehr.linear(1.0, 0.0, '10%').shift('-20%').resolve(100)
    steps must be at least -10, minus the length of the part, got -20
""")
TYPE_ERRORS = cases("""
lehr.table([])
    values must be a list of at least one number, got ()
lehr.from_function(3)
    f must be a function of the step, got 3
lehr.from_function(abs, name=3)
    name must be a text, got 3
lehr.multi_step(1.0, 0.1, 5)
    milestones must be a list, got 5
lehr.cyclical(0.0, 1.0, 2, scale='x')
    scale must be a function of the cycle or a schedule, got 'x'
lehr.warmup(1.0, 5, from_zero=0)
    from_zero must be True or False, got 0
Exponential(1.0, 0.5, 5, staircase=1)
    staircase must be True or False, got 1
Piecewise(5, (1.0, 0.5))
    boundaries must be a list, got 5
Piecewise((5,), '12')
    values must be a list, got '12'
ramp.then('x')
    other must be a schedule or a number, got 'x'
ramp - 'x'
    term must be a schedule or a number, got 'x'
'x' / ramp
    dividend must be a schedule or a number, got 'x'
None ** ramp
    base must be a schedule or a number, got None
ramp.clip('x')
    floor must be a schedule or a number, got 'x'
Chain(ramp)
    parts must be a list of schedules, got linear(1.0, 0.0, 10)
Product((ramp, 'x'))
    part 2 must be a schedule or a number, got 'x'
Min((True,))
    part 1 must be a schedule or a number, got True
ramp.repeat(1.5)
    times must be an integer >= 1, got 1.5
Take(None, 5)
    part must be a schedule or a number, got None
Policy(lr=None)
    lr must be a schedule or a number, got None
Policy(lr=Policy(lr=0.1))
    lr must be a schedule or a number, got Policy(
Policy(lr=0.1, control='plateau')
    control must be a controller, Plateau() or Greedy(), or None, got 'plateau'
Plateau(patience=0.5)
    patience must be an integer >= 1, got 0.5
Plateau(patience=True)
    patience must be an integer >= 1, got True
Plateau(monitor='')
    monitor must be the name of a metric, got ''
Plateau(monitor=3)
    monitor must be the name of a metric, got 3
lehr.cosine(0.1).resolve([5])
    steps must be a length: an integer number of steps,
lehr.cosine(0.1, '1 epoch').resolve(steps_per_epoch=True)
    steps_per_epoch must be a finite number, got True
lehr.cosine(0.1, '1 epoch').resolve(steps_per_epoch='10')
    steps_per_epoch must be a finite number, got '10'
lehr.cosine(0.1, '1 epoch').resolve(steps_per_epoch=lehr.constant(5))
    steps_per_epoch must be a finite number, got constant(5.0)
""")


@pytest.mark.parametrize("code", [*VALUE_ERRORS, *TYPE_ERRORS])
def test_rejected(code):
    error, message = (V, VALUE_ERRORS[code]) if code in VALUE_ERRORS else (T, TYPE_ERRORS[code])
    rejects(error, message, lambda: eval(code, NAMES | {"ramp": ramp}))


STEPS = [
    (V, "step must be at least 0, got -1", -1),
    (V, "step must be at least 0, got -1", -1.0),
    (V, "step must be an integer, got 1.5", 1.5),
    (V, "step must be an integer, got nan", NAN),
    (V, "step must be an integer, got inf", INF),
    (T, "step must be an integer or an array of them, got True", True),
    (T, "step must be an integer or an array of them, got '3'", "3"),
    (T, "step must be an integer or an array of them, got None", None),
    (T, "step must be an integer or an array of them, got [1, 2]", [1, 2]),
    (V, "step must be at least 0, got -3", np.array([1, -3, -2])),
    (V, "step must be at least 0, got -1", np.int8(-1)),
    (V, "step must be an integer, got 0.5", np.array([1.0, 0.5])),
    (V, "step must be an integer, got nan", np.array([1.0, NAN])),
    (V, "step must be an integer, got 1.5", np.float64(1.5)),
    (T, "step must be an integer or an array of them, got array([ True])", np.array([True])),
    (T, "step must be an integer or an array of them, got array(['1']", np.array(["1"])),
]


@pytest.mark.parametrize(("error", "message", "step"), STEPS, ids=lambda v: repr(v)[:30])
@pytest.mark.parametrize(
    "s",
    [ramp, lehr.constant(0.1), Piecewise((3,), (1.0, 0.1)), lehr.triangular2(0.0, 1.0, 3)],
    ids=lambda s: s.kind,
)
def test_steps_are_integers_of_at_least_0(s, error, message, step):
    rejects(error, message, lambda: s(step))


UNRESOLVED = [
    lehr.cosine(0.1),
    lehr.warmup(0.1, "5%").then(ramp),
    lehr.triangular2(0.0, 0.1, "1 epoch"),
    Piecewise(("3 epochs",), (1.0, 0.1)),
    lehr.exponential(0.1, 0.5, "1e6 tokens"),
    Repeat(lehr.cosine(0.1, "5%"), 3),
]


@pytest.mark.parametrize("s", UNRESOLVED, ids=repr)
@pytest.mark.parametrize("step", [0, 3.0, np.arange(3)], ids=repr)
def test_unresolved_schedules_cannot_be_called(s, step):
    message = f"schedule must be in integer steps before it is used, got {repr(s)[:60]}"
    rejects(ValueError, message, lambda: s(step))
    with pytest.raises(ValueError, match=r"; call \.resolve\(steps=\.\.\., steps_per_epoch="):
        s(step)


def test_schedules_are_frozen():
    with pytest.raises(AttributeError, match="cannot assign to field 'start'"):
        ramp.start = 2.0


def test_a_long_value_is_truncated_in_the_error():
    with pytest.raises(TypeError, match=r"^value must be a finite number, got ") as caught:
        lehr.constant(list(range(10**5)))
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match=r"^steps must be below .* got <int object"):
        lehr.linear(0.0, 1.0, 10**5000)
