"""Every preset as short runs in integer steps, for the comparison of frameworks."""

import numpy as np

import lehr
from lehr import Schedule
from lehr.schedule import Ramp, presets

ENDLESS = 60  # number of steps compared for a schedule without an end
FAR = (10**5, 2**24 - 1, 2**24 + 1, 2**24 + 3, 10**9, 2**31 - 2)


def _own(step):
    """A function of arithmetic operations only, valid in every framework."""
    return 0.1 / (1 + step / 50)


def _own_saw(step):
    return 0.2 / (1 + step % 7 / 7)


def _by_cycle(cycle):
    return 1 / (1 + cycle)


_BOOK = {"start": 0.01, "end": 1e-5, "rise": 0.45, "tail": 0.1, "curve": "linear"}
_cycle = lehr.one_cycle(0.1).resolve(50)
_book = lehr.one_cycle(0.1, 47, momentum=(0.9, 0.8), **_BOOK)  # type: ignore[arg-type]

# key: the name of the preset, then its options
CASES: dict[str, Schedule] = {
    "constant": lehr.constant(0.1),
    "constant: a part": lehr.constant(0.1, 13),
    "cosine": lehr.cosine(0.1).resolve(41),
    "cosine: floor, exponent": lehr.cosine(0.1, 37, floor=1e-3, power=0.4),
    "cosine_restarts": lehr.cosine_restarts(0.1, 10),
    "cosine_restarts: growth": lehr.cosine_restarts(0.1, 7, growth=2, factor=0.5, cycles=3),
    "cosine_restarts: real": lehr.cosine_restarts(
        0.1, 7.5, growth=1.3, factor=0.8, floor=1e-3, cycles=4, warmup=2
    ),
    "cosine_restarts: fading": lehr.cosine_restarts(0.1, 12, factor=0.7, floor=1e-3, warmup=3),
    "cyclical": lehr.cyclical(0.01, 0.1, up=4, down=9),
    "cyclical: real": lehr.cyclical(0.01, 0.1, up=2.5, down=4.25),
    "cyclical: per cycle": lehr.cyclical(0.01, 0.1, up=5, scale=lehr.exponential(1.0, 0.5, 1)),
    "cyclical: per step": lehr.cyclical(
        0.01, 0.1, up=2.5, scale=lehr.inverse_time(1.0, 9), per="step"
    ),
    "cyclical: own scale": lehr.cyclical(
        0.01, 0.1, up=6, scale=lehr.from_function(_by_cycle, name="case: by cycle")
    ),
    "exp_range": lehr.exp_range(0.01, 0.1, 6, 0.97),
    "exponential": lehr.exponential(0.1, 0.1, every=33.3),
    "exponential: staircase": lehr.exponential(0.1, 0.5, every=10, staircase=True),
    "flat_cosine": lehr.flat_cosine(0.1, "70%").resolve(43),
    "from_function": lehr.from_function(_own, name="case: own"),
    "from_function: saw": lehr.from_function(_own_saw, name="case: saw"),
    "inverse_sqrt": lehr.inverse_sqrt(0.1, warmup=9),
    "inverse_sqrt: timescale": lehr.inverse_sqrt(0.1, 9, start=1e-3, timescale=20.5),
    "inverse_time": lehr.inverse_time(0.1, 10),
    "inverse_time: staircase": lehr.inverse_time(0.1, 7, power=0.75, staircase=True),
    "cosine: time_power": lehr.cosine(0.1, 40, time_power=1.5, floor=1e-3),
    "linear": lehr.linear(0.1, 0.0, 31),
    "linear: up": lehr.linear(1e-4, 0.3, 49),
    "multi_step": lehr.multi_step(0.1, 0.1, ("50%", "75%")).resolve(40),
    "noam": lehr.noam(512, warmup=20),
    "noam: one step": lehr.noam(64, warmup=1, scale=2.0),
    "one_cycle: lr": _cycle.lr,  # type: ignore[dict-item]
    "one_cycle: momentum": _cycle.momentum,  # type: ignore[dict-item]
    "one_cycle: book's lr": _book.lr,  # type: ignore[dict-item]
    "one_cycle: book's momentum": _book.momentum,  # type: ignore[dict-item]
    "piecewise": lehr.piecewise((5, 11, 30), (0.1, 0.02, 0.3, 0.001)),
    "piecewise: linear": lehr.piecewise((3, 10, 40), (0.0, 0.4, 0.01), curve="linear"),
    "piecewise: cosine": lehr.piecewise((0, 24, 40), (0.0, 0.4, 0.01), curve="cosine"),
    "polynomial": lehr.polynomial(0.1, 39, floor=1e-3, power=2.0),
    "polynomial_cycles": lehr.polynomial_cycles(0.1, 9, cycles=3, floor=1e-3, power=1.5),
    "polynomial: root": lehr.polynomial(0.1, 39, power=0.5),
    "rex": lehr.rex(0.1, 36, floor=1e-3),
    "slanted_triangular": lehr.slanted_triangular(0.1, 50),
    "step_decay": lehr.step_decay(0.1, 0.1, every=15),
    "table": lehr.table([0.3, 0.1, 0.25, 0.0, 0.7, 0.01]),
    "tanh": lehr.tanh(0.1, 45, floor=1e-3),
    "triangular": lehr.triangular(0.01, 0.1, 8),
    "triangular2": lehr.triangular2(0.01, 0.1, 8),
    "warmup": lehr.warmup(0.1, 20),
    "warmup: cosine": lehr.warmup(0.1, 20, start=0.01, curve="cosine"),
    "warmup: exponential": lehr.warmup(0.1, 20, start=1e-4, curve="geometric"),
    "warmup_radam": lehr.warmup_radam(0.1, beta2=0.9),
    "warmup_radam: 0.999": lehr.warmup_radam(0.1),
    "warmup_radam: 0.7": lehr.warmup_radam(1.0, beta2=0.7) * lehr.cosine(0.1, 45, floor=1e-3),
    "warmup_untuned": lehr.warmup_untuned(0.1, beta2=0.95).then(lehr.cosine(0.1, 15)),
    "warmup_untuned: real": lehr.warmup_untuned(0.1, beta2=0.93),
    "warmup_untuned: exponential": lehr.warmup_untuned(0.1, beta2=0.95, curve="exponential"),
    "wsd": lehr.wsd(0.1, "10%", "20%").resolve(50),
    "wsd: stable": lehr.warmup(0.1, 5)
    .then(lehr.inverse_sqrt(0.1, 20, start=0.09).take(33))
    .then(Ramp(None, 1e-3, 12, "cosine", power=1.5)),
}


def public_presets() -> set[str]:
    """Return the names of all functions of lehr that return a schedule or a policy."""
    return {*presets.__all__, "one_cycle"}


def length(schedule: Schedule) -> int:
    """Return the number of steps to compare; growing restarts end only after 2**31."""
    ends = isinstance(schedule.length, int) and schedule.length < FAR[0]
    return schedule.length if ends else ENDLESS


def steps(schedule: Schedule) -> np.ndarray:
    """Return all steps of a run, 20 steps after the run, and far steps."""
    return np.array([*range(length(schedule) + 21), *FAR])


def plain(schedule: Schedule, at: np.ndarray) -> np.ndarray:
    """Return the reference: the float64 values from plain Python."""
    return np.array([schedule(int(t)) for t in at])
