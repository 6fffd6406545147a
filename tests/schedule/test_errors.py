"""Every refusal speaks one grammar: ``<field> must be <rule>, got <value!r>[; <way out>]``."""

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

GRAMMAR = re.compile(r"(in [^:]+: )?[\w. ']+ must be .+, got .+", re.DOTALL)


def refuses(error: type[Exception], message: str, make) -> None:
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
    "Plateau floor": ("floor", lambda v: Plateau(floor=v)),
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


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [True, "0.1", [0.1], 1j, object(), np.array([1.0])], ids=lambda v: type(v).__name__
)
def test_numbers_are_numbers(name, value):
    field, make = NUMBERS[name]
    rule = "(a finite number|a schedule or a number)"
    with pytest.raises(TypeError, match=rf"^{field} must be {rule}, got {re.escape(repr(value))}"):
        make(value)


LENGTHS = {
    "constant": ("steps", lambda n: lehr.constant(0.1, n)),
    "linear": ("steps", lambda n: lehr.linear(1.0, 0.0, n)),
    "cosine": ("steps", lambda n: lehr.cosine(1.0, n)),
    "step_decay": ("every", lambda n: lehr.step_decay(1.0, 0.5, n)),
    "polynomial": ("steps", lambda n: lehr.polynomial(1.0, n)),
    "rex": ("steps", lambda n: lehr.rex(1.0, n)),
    "flat_cosine": ("flat", lambda n: lehr.flat_cosine(1.0, n)),
    "inverse_sqrt": ("warmup", lambda n: lehr.inverse_sqrt(1.0, n)),
    "wsd": ("warmup", lambda n: lehr.wsd(1.0, n, 3, steps=10)),
    "every": ("steps", lambda n: lehr.linear(1.0, 0.0, 5).every(n)),
    "warmup": ("steps", lambda n: lehr.warmup(1.0, n)),
    "triangular": ("half_cycle", lambda n: lehr.triangular(0.0, 1.0, n)),
    "triangular2": ("half_cycle", lambda n: lehr.triangular2(0.0, 1.0, n)),
    "exp_range": ("half_cycle", lambda n: lehr.exp_range(0.0, 1.0, n, 0.9)),
    "one_cycle": ("steps", lambda n: lehr.one_cycle(1.0, n)),
    "Ramp": ("steps", lambda n: Ramp(1.0, 0.0, n)),
    "Piecewise": ("boundaries", lambda n: Piecewise((n,), (1.0, 0.5))),
    "Take": ("steps", lambda n: Take(Constant(1.0), n)),
    "take": ("steps", lambda n: lehr.constant(1.0).take(n)),
}
SPELLINGS = [
    "",
    "5",
    "-5%",
    "0%",
    "0 epochs",
    "5 %%",
    "3 weeks",
    "1.5 steps",
    "nan epochs",
    "1e99%",
]


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("n", [0, -1, -(10**30), *SPELLINGS])
def test_lengths_are_at_least_one_step(name, n):
    field, make = LENGTHS[name]
    message = rf"^{field} must be a whole number of steps >= 1.*, got {re.escape(repr(n))}$"
    with pytest.raises(ValueError, match=message):
        make(n)


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("n", [1.0, 2.5, NAN, INF, True, [3], 2j, b"5%"], ids=repr)
def test_lengths_are_whole(name, n):
    field, make = LENGTHS[name]
    message = rf"^{field} must be a whole number of steps >= 1, got {re.escape(repr(n))}$"
    with pytest.raises(TypeError, match=message):
        make(n)


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize(
    "n", [2**53 + 1, 10**400, f"{2**53 + 1} steps"], ids=["2**53", "huge", "s"]
)
def test_lengths_are_exact_floats(name, n):
    field, make = LENGTHS[name]
    with pytest.raises(ValueError, match=rf"^{field} must be at most 2\*\*53 steps, .*, got \d+"):
        make(n)


TIME_CONSTANTS = {
    "exponential": ("steps", lambda n: lehr.exponential(1.0, 0.5, n)),
    "inverse_time": ("steps", lambda n: lehr.inverse_time(1.0, n)),
    "cosine_restarts": ("period", lambda n: lehr.cosine_restarts(1.0, n)),
    "cyclical": ("up", lambda n: lehr.cyclical(0.0, 1.0, n)),
}


@pytest.mark.parametrize("name", TIME_CONSTANTS)
def test_time_constants_need_not_be_whole(name):
    field, make = TIME_CONSTANTS[name]
    assert make(2.5).resolved
    for wrong in (NAN, INF, 0.0, -2.5):
        with pytest.raises(ValueError, match=rf"^{field} must be a number above 0, got {wrong}"):
            make(wrong)
    for wrong in (0, -1, *SPELLINGS):
        with pytest.raises(ValueError, match=rf"^{field} must be a whole number of steps >= 1"):
            make(wrong)
    for wrong in (True, [3], 2j, b"5%"):
        with pytest.raises(TypeError, match=rf"^{field} must be a whole number of steps >= 1"):
            make(wrong)


V, T = ValueError, TypeError

VALUE_ERRORS = cases("""
lehr.cosine(0.1, 5, floor=0.2)
    floor must be at most peak (0.1), got 0.2
lehr.cosine(0.1, 5, floor=-0.1)
    floor must be a number at least 0, got -0.1
lehr.cosine(0, 5)
    peak must be a number above 0, got 0
lehr.warmup(-1.0, 5)
    peak must be a number above 0, got -1.0
lehr.cosine(0.1, 5, exponent=0)
    exponent must be a number above 0, got 0
lehr.warmup(0.1, 5, start=0.2)
    start must be at most peak (0.1), got 0.2
lehr.warmup(0.1, None)
    steps must be a length such as 500 or '5%', got None
lehr.triangular(0.0, 0.1, None)
    half_cycle must be a length such as 500 or '1 epoch', got None
lehr.exponential(0.1, 0.5, None)
    steps must be a length, got None
lehr.exponential(0.1, 1.5, 5)
    rate must be a number above 0 and at most 1, got 1.5; to grow, use a ramp
lehr.exp_range(0.0, 0.1, 5, 0)
    rate must be a number above 0 and at most 1, got 0
lehr.triangular2(0.2, 0.1, 5)
    low must be at most high (0.1), got 0.2
lehr.triangular(-0.2, 0.1, 5)
    low must be a number at least 0, got -0.2
lehr.warmup(0.1, 5, curve='cosin')
    curve must be one of linear, cosine, sqrt, exponential, rex, tanh, got 'cosin'; did you mean
    cosine?
Ramp(1.0, 0.0, 5, None)
    curve must be one of linear, cosine, sqrt, exponential, rex, tanh, got None
Ramp(1.0, 0.0, 5, power=0)
    power must be a number above 0, got 0
Ramp(1.0, 0.1, 5, 'exponential', 2.0)
    power must be 1 with the curve 'exponential', got 2.0
Ramp(1.0, 0.1, 5, 'tanh^2', 0.5)
    power must be 1 with the curve 'tanh', got 0.5
Ramp(1.0, 0.0, 5, 'exponential')
    end must be a number above 0, got 0.0
lehr.warmup(0.1, 5, curve='exponential')
    start must be a number above 0, got 0.0
Ramp(1.0, 0.0, 5, 'cosine^x')
    curve must be a name and a power above 0, such as 'cosine^1.5', got 'cosine^x'
Ramp(1.0, 0.0, 5, offset=1.0)
    span must be given with an offset, got None
Ramp(1.0, 0.0, 5, offset=2.0, span=2.0)
    span must be a number above 2, got 2.0
lehr.exponential(1.0, 0.5, 2.5, staircase=True)
    steps must be whole steps for a staircase, got 2.5
lehr.linear(1.0, 0.0, '5%').every(3)
    part must be in whole steps, which are counted as ticks, got Ramp(
ramp.every(3000000, 1000)
    steps must be below 2**31 / 1000 ticks, which graphs can count, got 3000000
lehr.constant(0.1).reverse()
    part must be a schedule that ends, got Constant(value=0.1); give it an end with .take
lehr.constant(0.1).stretch(5)
    schedule must be one of known length to be stretched, got Constant(value=0.1)
lehr.from_function(abs).take(3).stretch(5)
    schedule must be one whose time can be scaled, got Function(
lehr.piecewise((1, 2), (1.0,), 'linear')
    values must be one for each of at least 2 boundaries (1, 2), got (1.0,)
lehr.piecewise((5, 5), (1.0, 0.5), 'linear')
    boundaries must be increasing, got (5, 5)
lehr.wsd(1.0, 5, 5, steps=10)
    warmup and cooldown must be at least 1 step each and less than the 10 steps together, got
lehr.wsd(1.0, 5, 5)
    cooldown must be a share of the run, got 5; or give steps=
lehr.wsd(1.0, '50%', '50%')
    warmup and cooldown must be less than the run together, got ('50%', '50%')
lehr.wsd(1.0, '5%', '5%', stable=ramp)
    stable must be a schedule, in a plan of known steps, got Ramp(
lehr.cosine_restarts(1.0, 5, warmup=5)
    warmup must be below the period (5), got 5
lehr.cosine_restarts(1.0, '1 epoch', growth=0.5)
    cycles must be given, at most 200, where cycles of these lengths never end the longest run, got
    None
lehr.cosine_restarts(1.0, 5, growth=1.001)
    cycles must be given, at most 200, where cycles of these lengths never end the longest run, got
    None
lehr.cyclical(0.0, 1.0, 2.01)
    up and down must be such that at most 16 cycles make whole steps, as for cycles of 2.5 or 12.25
    steps, got 4.02
lehr.cyclical(0.0, 1.0, 2, per='epoch')
    per must be one of cycle, step, got 'epoch'
lehr.one_cycle(0.1, 10, rise=0.7, tail=0.3)
    tail must be below 1 - rise (0.3), got 0.3
lehr.one_cycle(0.1, 2, tail=0.1)
    steps must be at least 3, one for each phase, got 2
Piecewise((5, 5), (1.0, 0.5, 0.1))
    boundaries must be increasing, got (5, 5)
Piecewise((5, 6), (1.0, 0.5))
    values must be one more than the 2 boundaries, got (1.0, 0.5)
Piecewise((None,), (1.0, 0.5))
    boundaries must be lengths from step 0, got (None,)
lehr.constant(0.1).then(ramp)
    part 1 of a chain must be a schedule that ends, got Constant(value=0.1); it never ends: give it
    an end with .take(steps)
ramp.then(lehr.exponential(0.1, 0.5, 5)).then(ramp)
    part 2 of a chain must be a schedule that ends, got Exponential(start=0.1
ramp.repeat().then(ramp)
    part 1 of a chain must be a schedule that ends, got Repeat(
(ramp * Exponential(1.0, 0.5, 5)).then(ramp)
    part 1 of a chain must be a schedule that ends, got Product(
lehr.cosine(0.1).then(ramp)
    it takes the rest of the run: give it an end with .take(steps)
Max((NAN,))
    part 1 must be a finite number, got nan
lehr.constant(0.1).repeat()
    part must be a schedule that ends, got Constant(value=0.1); give it an end with .take
lehr.cosine(0.1).repeat(3)
    part must be a schedule that ends, got Ramp(
ramp.repeat(0)
    times must be a whole number >= 1, got 0
Shift(ramp, -10)
    steps must be above -10, or nothing is left of the part, got -10
lehr.one_cycle(0.1, 1)
    steps must be at least 2, one for each phase, got 1
lehr.one_cycle(0.1, 9, start=0.2)
    start must be at most peak (0.1), got 0.2
lehr.one_cycle(0.1, 9, final=0.01)
    final must be at most start (0.004), got 0.01
lehr.one_cycle(0.1, 9, rise=1)
    rise must be a number above 0 and below 1, got 1
lehr.one_cycle(0.1, 9, momentum=0.9)
    momentum must be a pair (high, low) or None, got 0.9
lehr.one_cycle(0.1, 9, momentum=(1.0, 0.8))
    momentum must be a number at least 0 and below 1, got 1.0
lehr.one_cycle(0.1, 9, momentum=(0.8, 0.9))
    low momentum must be at most high momentum (0.8), got 0.9
lehr.one_cycle(0.1, 9, curve='line')
    curve must be one of linear, cosine, sqrt, exponential, rex, tanh, got 'line'; did you mean
    linear
Policy(lr=-0.1)
    lr must be a number at least 0, got -0.1
Policy(lr=0.1, momentum=1.0)
    momentum must be a number at least 0 and below 1, got 1.0
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
    patience must be a whole number >= 1, got 0
Plateau(threshold=-0.1)
    threshold must be a number at least 0, got -0.1
Plateau(mode='auto')
    mode must be one of min, max, got 'auto'
Plateau(cooldown=-1)
    cooldown must be a whole number >= 0, got -1
Plateau(floor=2)
    floor must be a number at least 0 and at most 1, got 2
lehr.cosine(0.1).resolve()
    steps must be given to resolve the length 'the rest of the run', got None; pass steps=
lehr.warmup(0.1, '5%').resolve(steps_per_epoch=10)
    steps must be given to resolve the length '5%', got None; pass steps=
lehr.cosine(0.1, '3 epochs').resolve(steps=100)
    steps_per_epoch must be given to resolve the length '3 epochs', got None; pass steps_per_epoch=
lehr.cosine(0.1, '100 tokens').resolve(steps=100)
    tokens_per_step must be given to resolve the length '100 tokens', got None
lehr.cosine(0.1, '100 samples').resolve(steps=100)
    samples_per_step must be given to resolve the length '100 samples', got None
ramp.then(lehr.cosine(0.1, '3 epochs')).resolve(steps=100)
    in Chain part 2: steps_per_epoch must be given
ramp.then(ramp.then(lehr.cosine(0.1, '3 epochs')) * 2.0).resolve(steps=100)
    in Chain part 2: steps_per_epoch must be given
ramp.then(lehr.cosine(0.1)).resolve(10)
    in Chain part 2: steps must be at least one step of this run of 10 steps from step 10, got 'the
    rest of the run'; shorten the parts before it or lengthen the run
ramp.then(lehr.cosine(0.1)).resolve(5)
    steps must be at least one step of this run of 5 steps from step 10, got
lehr.warmup(0.1, '1%').resolve(10)
    steps must be at least one step of this run of 10 steps from step 0, got '1%'
Piecewise(('1%', '1.1%'), (1.0, 0.5, 0.1)).resolve(100)
    boundaries must be increasing, got (1, 1)
lehr.cosine(0.1).resolve(0)
    steps must be a whole number >= 1, got 0
ramp.resolve(-5)
    steps must be a whole number >= 1, got -5
Policy(lr=0.1, momentum=lehr.linear(0.9, 0.8, '5%')).resolve()
    in momentum: steps must be given to resolve the length '5%', got None
lehr.linear(1.0, 0.0, '10%').shift(-20).resolve(100)
    steps must be above -10, or nothing is left of the part, got -20
""")
TYPE_ERRORS = cases("""
lehr.table([])
    values must be a list of at least one number, got ()
lehr.from_function(3)
    f must be a function of the step, got 3
lehr.multi_step(1.0, 0.1, 5)
    at must be a list, got 5
lehr.cyclical(0.0, 1.0, 2, scale='x')
    f must be a function of the step, got 'x'
Exponential(1.0, 0.5, 5, staircase=1)
    staircase must be True or False, got 1
Piecewise(5, (1.0, 0.5))
    boundaries must be a list, got 5
Piecewise((5,), '12')
    values must be a list, got '12'
ramp.then('x')
    other must be a schedule or a number, got 'x'
Chain(())
    parts must be a list of schedules, got ()
Chain(ramp)
    parts must be a list of schedules, got Ramp(
Sum([])
    parts must be a list of schedules, got []
Product((ramp, 'x'))
    part 2 must be a schedule or a number, got 'x'
Min((True,))
    part 1 must be a schedule or a number, got True
ramp.repeat(1.5)
    times must be a whole number >= 1, got 1.5
ramp.shift('1 epoch')
    , got '1 epoch'
ramp.shift(0.5)
    , got 0.5
Take(None, 5)
    part must be a schedule or a number, got None
Policy(lr=None)
    lr must be a schedule or a number, got None
Policy(lr=Policy(lr=0.1))
    lr must be a schedule or a number, got Policy(
Policy(lr=0.1, control='plateau')
    control must be a controller, Plateau() or Greedy(), or None, got 'plateau'
Plateau(patience=0.5)
    patience must be a whole number >= 1, got 0.5
Plateau(patience=True)
    patience must be a whole number >= 1, got True
Plateau(monitor='')
    monitor must be the name of a metric, got ''
Plateau(monitor=3)
    monitor must be the name of a metric, got 3
lehr.cosine(0.1).resolve(5.0)
    steps must be a whole number >= 1, got 5.0
lehr.cosine(0.1, '1 epoch').resolve(steps_per_epoch=True)
    steps_per_epoch must be a whole number >= 1, got True
""")


@pytest.mark.parametrize("code", [*VALUE_ERRORS, *TYPE_ERRORS])
def test_refused(code):
    error, message = (V, VALUE_ERRORS[code]) if code in VALUE_ERRORS else (T, TYPE_ERRORS[code])
    refuses(error, message, lambda: eval(code, NAMES | {"ramp": ramp}))


STEPS = [
    (V, "step must be at least 0, got -1", -1),
    (V, "step must be at least 0, got -1", -1.0),
    (V, "step must be a whole number, got 1.5", 1.5),
    (V, "step must be a whole number, got nan", NAN),
    (V, "step must be a whole number, got inf", INF),
    (T, "step must be a whole number or an array of them, got True", True),
    (T, "step must be a whole number or an array of them, got '3'", "3"),
    (T, "step must be a whole number or an array of them, got None", None),
    (T, "step must be a whole number or an array of them, got [1, 2]", [1, 2]),
    (V, "step must be at least 0, got -3", np.array([1, -3, -2])),
    (V, "step must be at least 0, got -1", np.int8(-1)),
    (V, "step must be a whole number, got 0.5", np.array([1.0, 0.5])),
    (V, "step must be a whole number, got nan", np.array([1.0, NAN])),
    (V, "step must be a whole number, got 1.5", np.float64(1.5)),
    (T, "step must be a whole number or an array of them, got array([ True])", np.array([True])),
    (T, "step must be a whole number or an array of them, got array(['1']", np.array(["1"])),
]


@pytest.mark.parametrize(("error", "message", "step"), STEPS, ids=lambda v: repr(v)[:30])
@pytest.mark.parametrize(
    "s",
    [ramp, lehr.constant(0.1), Piecewise((3,), (1.0, 0.1)), lehr.triangular2(0.0, 1.0, 3)],
    ids=lambda s: s.kind,
)
def test_steps_are_whole_and_not_negative(s, error, message, step):
    refuses(error, message, lambda: s(step))


UNRESOLVED = [
    lehr.cosine(0.1),
    lehr.warmup(0.1, "5%").then(ramp),
    lehr.triangular2(0.0, 0.1, "1 epoch"),
    Piecewise(("3 epochs",), (1.0, 0.1)),
    lehr.exponential(0.1, 0.5, "1e6 tokens"),
    Repeat(Take(lehr.cosine(0.1), 5)),
]


@pytest.mark.parametrize("s", UNRESOLVED, ids=repr)
@pytest.mark.parametrize("step", [0, 3.0, np.arange(3)], ids=repr)
def test_unresolved_schedules_are_not_used(s, step):
    message = f"schedule must be in whole steps before it is used, got {repr(s)[:60]}"
    refuses(ValueError, message, lambda: s(step))
    with pytest.raises(ValueError, match=r"; call \.resolve\(steps=\.\.\., steps_per_epoch="):
        s(step)


def test_values_are_frozen():
    with pytest.raises(AttributeError, match="cannot assign to field 'start'"):
        ramp.start = 2.0


def test_a_value_too_large_to_print_is_cut():
    with pytest.raises(TypeError, match=r"^value must be a finite number, got ") as caught:
        lehr.constant(list(range(10**5)))
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match=r"^steps must be at most .* got <int object"):
        lehr.linear(0.0, 1.0, 10**5000)
