"""Run the examples and expressions of the documentation; check its values of other libraries."""

import bisect
import inspect
import json
import math
import random
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import sheet_formulas
from codebases import wave
from oracles import FLOAT32, FLOAT64, near, torch_rates
from programs import run_python
from sheet_formulas import DEEPSPEED, FAIRSEQ, KATSURA, MAXTEXT, OLMO, PADDLE, cycle_of

import lehr
from lehr.schedule import presets
from lehr.schedule.curves import CURVES

pytestmark = pytest.mark.xdist_group("docs")  # one worker, so Keras runs only once
DOCS = Path(__file__).parent.parent / "docs"
CONVENTIONS = (DOCS / "conventions.md").read_text(encoding="utf-8")
NAMES = {name: getattr(lehr, name) for name in [*lehr._MODULE_OF, *presets.__all__]}


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the rows, without the heading, of the table under each title; unescape ``\\|``."""
    found: dict[str, list[list[str]]] = {}
    title = ""
    for line in text.splitlines():
        if line.startswith("#"):
            title = line.strip("# ")
        elif line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            row = [cell.strip().replace("\\|", "|") for cell in cells]
            found.setdefault(title, []).append(row)
    return {title: rows[2:] for title, rows in found.items()}


def expression(cell: str) -> str:
    """Return the code in a cell."""
    match = re.fullmatch(r"`([^`]+)`", cell)
    assert match, f"cell must be one code span, got {cell!r}"
    return match[1]


def evaluate(code: str, **more: object) -> object:
    return eval(code, {"lehr": lehr, "math": math, **NAMES, **more})


# Keras runs in a separate process on JAX, because the backend of this process is not fixed.

KERAS = """
import json, sys
import keras
from keras.optimizers.schedules import *

def values(code, n):
    schedule = eval(code)
    return [float(schedule(t)) for t in range(n)]

def plateau(metric):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    callback = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2)
    callback.set_model(model)
    callback.on_train_begin()
    rates = [1.0]
    for i in range(8):
        callback.on_epoch_end(i, {"val_loss": metric})
        rates.append(float(model.optimizer.learning_rate))
    return rates

def f(t):
    return 1 / (1 + t)

def callback(code, metrics):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    callback = eval(code, vars(keras.callbacks) | {"f": f})
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for i, metric in enumerate(metrics):
        callback.on_epoch_begin(i)
        before = float(model.optimizer.learning_rate)
        callback.on_epoch_end(i, {"val_loss": metric})
        rates.append([before, float(model.optimizer.learning_rate)])
    return rates

request = json.loads(sys.stdin.read())
answer = {"plateau": [plateau(1.0), plateau(-100.0)]}
metrics = request.pop("metrics")
answer |= {code: callback(code, metrics) for code in request.pop("callbacks")}
json.dump(answer | {code: values(code, n) for code, n in request.items()}, sys.stdout)
"""


def keras_schedules() -> dict[str, int]:
    """Return every Keras schedule shown on a page, with the number of compared values."""
    shown = {"PiecewiseConstantDecay([2, 4], [1.0, 0.1, 0.01])": 6, "CosineDecay(1.0, 10)": 21}
    sheet = [
        peer_code
        for library, peer_code, _ in ROWS
        if library == "Keras" and peer_code not in CALLBACKS
    ]
    return shown | {peer_code: UNTIL.get(peer_code, N) for peer_code in sheet}


@pytest.fixture(scope="module")
def keras() -> dict[str, list]:
    pytest.importorskip("keras")
    cases = keras_schedules() | {"metrics": metrics(), "callbacks": sorted(CALLBACKS)}
    done = run_python("-c", KERAS, stdin=json.dumps(cases), KERAS_BACKEND="jax")
    return json.loads(done.stdout)


# The tables of conventions.md. Rows of installed libraries are computed with the library; the
# formulas of the others are from their sources, named above them.

WARMUP = "Warm up for 4 steps, then decay linearly to zero at step 12"
MILESTONES = "Milestones at 2 and 4, factor 0.1"
COSINE = "A cosine of 10 steps, and the steps after it"
SHARE = "Warm up for a share of the run"
RESTARTS = (
    "Restarts: a first cycle of 20 steps with a warm-up of 5, growth 2, factor 0.5, floor 0.1"
)
CYCLE = "One cycle of 20 steps"
PLATEAU = "A plateau with patience 2 and a constant metric"
AFTER = (9, 10, 11, 15, 20)


def from_torch(n: int, make):
    return lambda keras: torch_rates(n, make, 1.0)


def from_optax(n: int, make):
    def values(keras):
        optax, jnp = pytest.importorskip("optax"), pytest.importorskip("jax.numpy")
        schedule = make(optax)
        return [float(schedule(jnp.asarray(t))) for t in range(n)]

    return values


def formula(n: int, f):
    return lambda keras: [f(t) for t in range(n)]


def torch_warmup(m, o):
    return m.SequentialLR(o, [m.LinearLR(o, 0.25, 1.0, 4), m.LinearLR(o, 1.0, 0.0, 8)], [4])


def fastai(t: int) -> float:
    """``combined_cos(0.25, 1 / 25, 1, 1e-5)`` of ``t / n``."""
    u, low, final = t / 20, 1 / 25, 1e-5
    if u < 0.25:
        return low + (1 - math.cos(math.pi * u / 0.25)) / 2 * (1 - low)
    return final + (1 + math.cos(math.pi * (u - 0.25) / 0.75)) / 2 * (1 - final)


def geron(t: int, n: int = 20) -> float:
    half, start, last = (n - (n // 10 + 1)) // 2, 0.1, 0.0001
    if t < half:
        return start + (1.0 - start) * t / half
    if t < 2 * half:
        return 1.0 + (start - 1.0) * (t - half) / half
    return start + (last - start) * (t - 2 * half) / (n - 2 * half)


def torch_cycle(strategy: str):
    def make(m, o):
        return m.OneCycleLR(o, 1.0, total_steps=20, anneal_strategy=strategy, cycle_momentum=False)

    def values(keras):
        with pytest.raises(ValueError, match="Tried to step 21 times"):
            torch_rates(22, make)
        return torch_rates(21, make)

    return values


SEEN = {
    WARMUP: {
        "**lehr**": formula(6, lehr.warmup(1.0, 4).then(lehr.linear(1.0, 0.0, 8))),
        "optax `join_schedules`": from_optax(
            6,
            lambda optax: optax.join_schedules(
                [optax.linear_schedule(0.0, 1.0, 4), optax.linear_schedule(1.0, 0.0, 8)], [4]
            ),
        ),
        "transformers `linear`": formula(6, lambda t: t / 4 if t < 4 else (12 - t) / (12 - 4)),
        "fairseq, OLMo-core, Paddle, MaxText": formula(
            6, sheet_formulas.warmed(0.0, 1.0, 4, lambda t: 1 - t / 8)
        ),
        "DeepSpeed `WarmupDecayLR`, linear": formula(
            6, DEEPSPEED["WarmupDecayLR"](None, 12, 0.0, 1.0, 4, warmup_type="linear")
        ),
        "DeepSpeed `WarmupDecayLR`": formula(6, DEEPSPEED["WarmupDecayLR"](None, 12, 0.0, 1.0, 4)),
        "torchtitan, nanochat": formula(6, lambda t: (t + 1) / 4 if t < 4 else (12 - t) / 8),
        "nanoGPT": formula(6, lambda t: (t + 1) / (4 + 1) if t < 4 else (12 - t) / 8),
        "PyTorch `SequentialLR` of `LinearLR(0.25)`": from_torch(6, torch_warmup),
    },
    MILESTONES: {
        "**lehr**": formula(6, lehr.multi_step(1.0, 0.1, [2, 4])),
        "PyTorch `MultiStepLR`": from_torch(6, lambda m, o: m.MultiStepLR(o, [2, 4], 0.1)),
        "optax `piecewise_constant_schedule`": from_optax(
            6, lambda optax: optax.piecewise_constant_schedule(1.0, {2: 0.1, 4: 0.1})
        ),
        "Keras `PiecewiseConstantDecay`": lambda keras: keras[
            "PiecewiseConstantDecay([2, 4], [1.0, 0.1, 0.01])"
        ],
        "timm `MultiStepLRScheduler`": formula(6, lambda t: 0.1 ** bisect.bisect([2, 4], t + 1)),
    },
    COSINE: {
        "**lehr**": formula(21, lehr.cosine(1.0, 10)),
        "Keras `CosineDecay`": lambda keras: keras["CosineDecay(1.0, 10)"],
        "optax `cosine_decay_schedule`": from_optax(
            21, lambda optax: optax.cosine_decay_schedule(1.0, 10)
        ),
        "PyTorch `CosineAnnealingLR`": from_torch(21, lambda m, o: m.CosineAnnealingLR(o, 10)),
        "transformers `cosine`": formula(
            21, lambda t: max(0.0, 0.5 * (1 + math.cos(math.pi * 0.5 * 2 * t / 10)))
        ),
        "Paddle `CosineAnnealingDecay`": formula(21, PADDLE["CosineAnnealingDecay"](1.0, 10, 0.0)),
        "OLMo-core `CosWithWarmup`": formula(21, lambda t: cosine(min(t, 10) / 10)),
        "MaxText `cosine`": formula(21, lambda t: cosine(t / 9) if t < 10 else 0.0),
        "fairseq `cosine`": formula(21, lambda t: cosine(t % 10 / 10) * 0.1 ** (t // 10)),
        "PyTorch `CosineAnnealingWarmRestarts`": from_torch(
            21, lambda m, o: m.CosineAnnealingWarmRestarts(o, 10)
        ),
    },
    CYCLE: {
        "**lehr**": formula(22, lehr.one_cycle(1.0, 20).lr),
        "optax `cosine_onecycle_schedule`": from_optax(
            22, lambda optax: optax.cosine_onecycle_schedule(20, 1.0)
        ),
        "PyTorch `OneCycleLR`": torch_cycle("cos"),
        "PyTorch `OneCycleLR`, linear": torch_cycle("linear"),
        "fastai `fit_one_cycle`": formula(20, fastai),
        "Géron's `OneCycleScheduler`": formula(22, geron),
    },
}


def assert_shown(shown: list[str], expected: list[float]) -> None:
    """Check that each cell is the number, rounded to the digits of the cell."""
    for cell, number in zip(shown, expected, strict=True):
        digits = len(cell.partition(".")[2]) or 3
        assert float(cell) == round(number, digits), (shown, expected)


@pytest.mark.parametrize(("title", "row"), [(t, row) for t in SEEN for row in SEEN[t]])
def test_a_row_of_conventions_equals_the_library(title, row, keras) -> None:
    [(_, *cells)] = [cells for cells in tables(CONVENTIONS)[title] if cells[0] == row]
    values = SEEN[title][row](keras)
    if title == CYCLE:
        peak, *later = cells
        assert values.index(max(values)) == int(peak)
        known = [cell for cell in later if cell not in ("-", "error")]
        assert_shown(known, values[19:])
        return
    *cells, code = cells
    assert_shown(cells, values if title != COSINE else [values[t] for t in AFTER])
    ours = evaluate(expression(code))
    if title == WARMUP:
        ours = ours.then(lehr.linear(1.0, 0.0, 8))
    # all values, including those between the columns
    assert [ours(t) for t in range(len(values))] == pytest.approx(values, abs=1e-6)


def test_conventions_shows_exactly_the_checked_rows() -> None:
    shown = {title: [row[0] for row in rows] for title, rows in tables(CONVENTIONS).items()}
    expected = {title: list(rows) for title, rows in SEEN.items()}
    expected |= {PLATEAU: list(REDUCTIONS), SHARE: list(SHARES), RESTARTS: list(CYCLES)}
    assert {title: rows for title, rows in shown.items() if title not in REFERENCE} == expected


def up(share: float, steps: int) -> int:
    arguments = pytest.importorskip("transformers", reason="needs transformers").TrainingArguments
    return arguments.get_warmup_steps(SimpleNamespace(warmup_steps=share), steps)


def ours_in_steps(share: float, steps: int) -> int:
    return lehr.warmup(1.0, f"{100 * share:g}%").resolve(steps).length


SHARES = {
    "**lehr**": ours_in_steps,
    "transformers `warmup_ratio`": up,
    "OLMo-core `warmup_fraction`": lambda share, steps: round(share * steps),
    "fairseq, NeMo, MaxText": lambda share, steps: int(share * steps),
}


@pytest.mark.parametrize("row", SHARES)
def test_a_row_of_the_shares_equals_the_library(row) -> None:
    [(_, _, *cells)] = [cells for cells in tables(CONVENTIONS)[SHARE] if cells[0] == row]
    assert cells == [str(SHARES[row](*case)) for case in ((0.03, 2181), (0.05, 210))]


def keras_restarts(t: int) -> float:
    i, now, length = cycle_of(20, 2, t)
    return 0.5**i * wave(1.0, 0.1, now / length)


CYCLES = {
    "**lehr**": lehr.cosine_restarts(1.0, 20, growth=2, factor=0.5, floor=0.1, warmup=5),
    "katsura-jp, espnet": KATSURA["CosineAnnealingWarmupRestarts"](None, 20, 2, 1.0, 0.1, 5, 0.5),
    "timm `CosineLRScheduler`": lambda t: 10 * timm_restarts(t),
    "Keras `CosineDecayRestarts`": keras_restarts,
    "fairseq `cosine`": lambda t: 10 * FAIRSEQ["cosine"](0, 20, 0.5, 0.01, 2)(t),
}


def timm_restarts(t: int) -> float:
    make = TIMM["CosineLRScheduler"]
    return make(None, 20, lr_min=0.01, cycle_mul=2, cycle_decay=0.5, cycle_limit=4)(t)


@pytest.mark.parametrize("row", CYCLES)
def test_a_row_of_the_restarts_equals_the_library(row) -> None:
    [(_, lengths, *cells)] = [cells for cells in tables(CONVENTIONS)[RESTARTS] if cells[0] == row]
    f, warm = CYCLES[row], 5 if row in ("**lehr**", "katsura-jp, espnet") else 0
    starts = [0]
    for length in map(int, lengths.split(", ")):
        starts.append(starts[-1] + length)
        assert f(starts[-1] - 1) < f(starts[-1] + warm) > f(starts[-1] + warm + 1)
    second = [f(t) for t in range(starts[1], starts[2])]
    assert_shown(cells[:1], [max(second)])
    # the last value of a cycle is above the floor, by one step of the cosine
    floor, top, n = float(cells[1]), max(second), len(second) - warm
    assert second[-1] == pytest.approx(wave(top, floor, (n - 1) / n), abs=1e-6)


# The reference tables.

REFERENCE = ("Words", "Lengths", "Policies", "Drivers", "Range tests")


def test_the_table_of_words_lists_the_parameters_of_the_presets() -> None:
    functions = [getattr(lehr, name) for name in (*presets.__all__, "one_cycle")]
    used = {name for f in functions for name in inspect.signature(f).parameters}
    cells = " ".join(row[0] for row in tables(CONVENTIONS)["Words"])
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(used)
    [curves] = [row[1] for row in tables(CONVENTIONS)["Words"] if row[0] == "`curve`"]
    ours = [name for name, one in CURVES.items() if one.left.__module__ == "lehr.schedule.curves"]
    assert re.findall(r"`([^`]+)`", curves)[0].split() == [*ours, "geometric", "constant"]


def test_every_form_of_a_length_is_accepted() -> None:
    written = [row[0] for row in tables(CONVENTIONS)["Lengths"][:6]]
    lengths = [evaluate(code) for cell in written for code in re.findall(r"`([^`]+)`", cell)]
    assert len(lengths) == 11
    run = {"steps_per_epoch": 10, "samples_per_step": 100, "tokens_per_step": 1e9}
    for length in lengths:
        assert lehr.linear(1.0, 0.0, length).resolve(10**6, **run).length > 0


def falls(rates: list[float]) -> str:
    at = [str(i) for i in range(8) if rates[i + 1] < rates[i]]
    return ", ".join(at) or "never"


def lehr_plateau(metric: float, keras: dict) -> list[float]:
    plateau = lehr.Plateau(patience=2)
    state, factors = plateau.init(), [1.0]
    for _ in range(8):
        state = plateau.update(state, metric)
        factors.append(state.factor)
    return factors


def torch_plateau(metric: float, keras: dict) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    rates = [1.0]
    for _ in range(8):
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def optax_plateau(metric: float, keras: dict) -> list[float]:
    optax, jnp = pytest.importorskip("optax"), pytest.importorskip("jax.numpy")
    transform = optax.contrib.reduce_on_plateau(factor=0.5, patience=2)
    weights = jnp.ones(1)
    state, scales = transform.init(weights), [1.0]
    for _ in range(8):
        _, state = transform.update(weights, state, value=jnp.asarray(metric))
        scales.append(float(state.scale))
    return scales


REDUCTIONS = {
    "**lehr**": lehr_plateau,
    "Keras `ReduceLROnPlateau`": lambda metric, keras: keras["plateau"][metric < 0],
    "optax `reduce_on_plateau`": optax_plateau,
    "PyTorch `ReduceLROnPlateau`": torch_plateau,
}


@pytest.mark.parametrize("row", REDUCTIONS)
def test_a_row_of_the_plateaus_equals_the_library(row, keras) -> None:
    [(_, *cells)] = [cells for cells in tables(CONVENTIONS)[PLATEAU] if cells[0] == row]
    assert cells == [falls(REDUCTIONS[row](metric, keras)) for metric in (1.0, -100.0)]


def test_conventions_on_one_cycle_and_patience_of_torch() -> None:
    [code] = re.findall(r"`(one_cycle\(1\.0, 19.*?)` is its curve", CONVENTIONS)
    ours = evaluate(code).lr
    expected = SEEN[CYCLE]["PyTorch `OneCycleLR`"](None)
    assert [ours(t) for t in range(20)] == pytest.approx(expected[:20], abs=1e-12)
    assert ours(20) == ours(19)
    plateau = lehr.Plateau(patience=2 + 1)
    state, factors = plateau.init(), [1.0]
    for _ in range(8):
        state = plateau.update(state, 1.0)
        factors.append(state.factor)
    assert falls(factors) == falls(torch_plateau(1.0, {})) == "3, 6"


# The cheat sheet.

SHEET = tables((DOCS / "cheatsheet.md").read_text(encoding="utf-8"))
ROWS = [(library, *map(expression, row[:2])) for library, rows in SHEET.items() for row in rows]
N = 120  # number of compared steps, beyond the end of every run of 100
UNTIL = {  # the first step to which the note of the row applies
    "CosineAnnealingLR(optimizer, 100, 0.001)": 101,
    "OneCycleLR(optimizer, 0.1, total_steps=100)": 100,
    "OneCycleLR(optimizer, 0.1, total_steps=100, three_phase=True)": 100,
    "get_cosine_schedule_with_warmup(optimizer, 5, 100)": 101,
    "get_cosine_with_min_lr_schedule_with_warmup(optimizer, 5, 100, min_lr=0.001)": 101,
    "SequentialLR(optimizer, [LinearLR(optimizer, 0.25, total_iters=4), "
    "CosineAnnealingLR(optimizer, 96)], [4])": 101,
    "TanhLRScheduler(optimizer, 100)": 100,
    "ConstantScheduler(0.5)": 100,
    "create_lr_scheduler_with_warmup(a, 0.01, 5)": 104,
    'ParamGroupScheduler([a, b], ["lr (head)", "lr (body)"])': 100,
    "CosineDecay(0.0, 95, warmup_target=0.1, warmup_steps=5)": 12,  # Keras takes 50 ms per value
    "CosineAnnealingDecay(0.1, 100, 0.001)": 101,
    "OneCycleLR(0.1, 100, 4e-7)": 100,
}
EXCEPT = {
    "PolynomialDecay(0.1, 50, 0.0, cycle=True)": (50, 100),
    "PolynomialDecay(0.1, 50, 0.001, 2.0, True)": (50, 100),
}
CALLBACKS = {"LearningRateScheduler(f)", "ReduceLROnPlateau()"}  # of Keras
LIBRARIES = (
    "PyTorch",
    "Keras",
    "TensorFlow Addons",
    "optax",
    "timm",
    "pytorch-warmup",
    "ignite",
    "fastai",
    "transformers",
    "composer",
    "DeepSpeed",
    "fairseq",
    "OLMo-core",
    "katsura-jp and espnet",
    "Paddle",
    "MaxText",
)


def f(t):
    return 1 / (1 + t)


def ours(code: str):
    value = evaluate(code, f=f, a=lehr.cosine(0.1, 100), b=lehr.constant(0.01))
    if isinstance(value, lehr.Plateau):
        return value
    return value.resolve(steps=100, steps_per_epoch=1)


def test_the_sheet_has_a_table_for_each_library() -> None:
    assert tuple(SHEET) == LIBRARIES
    calls = [row[:2] for row in ROWS]
    assert len(calls) == len(set(calls))
    for known in (UNTIL, EXCEPT, CALLBACKS):
        assert set(known) <= {peer_code for _, peer_code, _ in ROWS}


@pytest.mark.parametrize("row", ROWS, ids="{0[0]}: {0[1]}".format)
def test_the_expression_of_a_row_is_a_schedule_or_a_policy(row) -> None:
    value = ours(row[2])
    if isinstance(value, lehr.Plateau):
        lehr.Policy(0.1, control=value)
        return
    rates = lehr.Policy(value) if isinstance(value, lehr.Schedule) else value
    for t in range(N):
        for rate in rates(t).values():
            assert all(r >= 0 for r in (rate.values() if isinstance(rate, dict) else [rate]))


def rows(library: str):
    selected = [row[1:] for row in ROWS if row[0] == library]
    return pytest.mark.parametrize(
        ("peer_code", "code"), selected, ids=[row[0] for row in selected]
    )


def assert_same(peer_code: str, code: str, values, tolerance: float, name: str = "lr") -> None:
    s = ours(code)
    s = getattr(s, name) if isinstance(s, lehr.Policy) else s
    steps = [t for t in range(len(values)) if t not in EXCEPT.get(peer_code, ())]
    near([s(t) for t in steps], [values[t] for t in steps], tolerance)


def metrics() -> list[float]:
    """Return a noisy loss that decays exponentially."""
    draw = random.Random(0)
    return [math.exp(-i / 20) + 0.3 * draw.random() for i in range(200)]


def factors(plateau: lehr.Plateau) -> list[float]:
    state, seen = plateau.init(), []
    for metric in metrics():
        state = plateau.update(state, metric)
        seen.append(state.factor)
    return seen


@rows("PyTorch")
def test_pytorch_agrees(peer_code: str, code: str) -> None:
    torch = pytest.importorskip("torch")
    if peer_code.startswith("ReduceLROnPlateau"):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = eval(peer_code, vars(torch.optim.lr_scheduler) | {"optimizer": optimizer})
        seen = []
        for metric in metrics():
            scheduler.step(metric)
            seen.append(optimizer.param_groups[0]["lr"])
        expected = factors(ours(code))
        assert expected[-1] < 0.1  # more than one reduction
        first = next(i for i, rate in enumerate(seen) if rate < 1.5e-8)  # PyTorch stops at eps
        near(seen[:first], expected[:first], FLOAT64)
        return

    def make(module, optimizer):
        return eval(peer_code, vars(module) | {"optimizer": optimizer, "f": f})

    n = UNTIL.get(peer_code, N)
    assert_same(peer_code, code, torch_rates(n, make), FLOAT64)
    if isinstance(ours(code), lehr.Policy):
        assert_same(peer_code, code, torch_rates(n, make, name="momentum"), FLOAT64, "momentum")


@rows("transformers")
def test_transformers_agrees(peer_code: str, code: str) -> None:
    # importorskip hides the import warnings
    module = pytest.importorskip("transformers.optimization", reason="needs transformers")

    def make(_, optimizer):
        return eval(peer_code, vars(module) | {"optimizer": optimizer})

    assert_same(peer_code, code, torch_rates(UNTIL.get(peer_code, N), make), FLOAT64)


@rows("optax")
def test_optax_agrees(peer_code: str, code: str) -> None:
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    peer = eval(peer_code, vars(optax).copy())
    if peer_code.startswith("contrib"):
        weights = jax.numpy.ones(1)
        state, seen = peer.init(weights), []
        update = jax.jit(peer.update)
        for metric in metrics():
            _, state = update(weights, state, value=metric)
            seen.append(float(state.scale))
        assert seen[-1] < 0.1
        near(seen, factors(ours(code)), FLOAT32)
        return
    values = jax.vmap(peer)(jax.numpy.arange(N))
    assert_same(peer_code, code, values, FLOAT32)


@rows("Keras")
def test_keras_agrees(peer_code: str, code: str, keras) -> None:
    if peer_code == "ReduceLROnPlateau()":
        seen = [after for _, after in keras[peer_code]]
        assert seen[-1] < 0.1
        near(seen, factors(ours(code)), FLOAT32)
    elif peer_code in CALLBACKS:
        assert_same(peer_code, code, [before for before, _ in keras[peer_code]], FLOAT32)
    else:
        assert_same(peer_code, code, keras[peer_code], FLOAT32)


@rows("ignite")
def test_ignite_agrees(peer_code: str, code: str) -> None:
    torch, handlers = pytest.importorskip("torch"), pytest.importorskip("ignite.handlers")
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    plateau = peer_code.startswith("ReduceLROnPlateau")
    optimizer = torch.optim.SGD(groups, lr=1.0 if plateau else 0.1, momentum=0.9)
    if plateau:
        engine = pytest.importorskip("ignite.engine").Engine(lambda engine, batch: None)
        handler, seen = eval(peer_code, vars(handlers) | {"optimizer": optimizer}), []
        for metric in metrics():
            engine.state.metrics = {"loss": metric}
            handler(engine)
            seen.append(optimizer.param_groups[0]["lr"])
        expected = factors(ours(code))
        assert expected[-1] < 0.1
        first = next(
            i for i, rate in enumerate(seen) if rate < 1.5e-8
        )  # PyTorch stops at eps (1e-8)
        near(seen[:first], expected[:first], FLOAT64)
        return
    # `a` and `b` as ignite schedulers, each for its param group if there are two
    each = [{"param_group_index": i} if "Group" in peer_code else {} for i in range(2)]
    a = handlers.CosineAnnealingScheduler(optimizer, "lr", 0.1, 0.0, 100, **each[0])
    b = handlers.LinearCyclicalScheduler(optimizer, "lr", 0.01, 0.01, 10, **each[1])
    scheduler = eval(peer_code, vars(handlers) | {"optimizer": optimizer, "a": a, "b": b})
    name = "momentum" if "momentum" in peer_code else "lr"
    seen = []
    for _ in range(UNTIL.get(peer_code, N)):
        scheduler(None)
        seen.append([group[name] for group in optimizer.param_groups])
    if "Group" in peer_code:
        for i, group in enumerate(("head", "body")):
            s = ours(code).lr[group]
            near([s(t) for t in range(len(seen))], [rates[i] for rates in seen], FLOAT64)
    else:
        assert_same(peer_code, code, [rates[0] for rates in seen], FLOAT64, name)


# Formulas from the sources of libraries that are not installed. TensorFlow Addons:
# tensorflow_addons/optimizers/cyclical_learning_rate.py; fastai: fastai/callback/schedule.py.


def tfa(scale, mode="cycle"):
    def value(t, low=0.01, high=0.1, size=20):
        cycle = math.floor(1 + t / (2 * size))
        x = abs(t / size - 2 * cycle + 1)
        return low + (high - low) * max(0, 1 - x) * scale(cycle if mode == "cycle" else t)

    return value


ADDONS = {
    "TriangularCyclicalLearningRate": lambda low, high, size: tfa(lambda x: 1.0),
    "Triangular2CyclicalLearningRate": lambda low, high, size: tfa(lambda x: 1 / 2 ** (x - 1)),
    "ExponentialCyclicalLearningRate": lambda low, high, size, gamma: tfa(
        lambda x: gamma**x, "iterations"
    ),
    "CyclicalLearningRate": lambda low, high, size, *scale: tfa(*scale),
}


def cosine(p):
    return 0.5 * (1 + math.cos(math.pi * p))


class Share:
    """A fastai schedule: a function of the share of the run."""

    def __init__(self, at):
        self.at = at

    def __call__(self, t):
        return self.at(min(t / 100, 1.0))


def combine(shares, parts):
    first = shares[0]
    return Share(
        lambda p: parts[0].at(p / first) if p < first else parts[1].at((p - first) / shares[1])
    )


def sched_cos(a, b):
    return Share(lambda p: a + (1 + math.cos(math.pi * (1 - p))) * (b - a) / 2)


def fit_sgdr(cycles, length, lr, cycle_mult):
    def value(t):
        for i in range(cycles):
            size = length * cycle_mult**i
            if t < size:
                return lr * cosine(t / size)
            t -= size
        return 0.0

    return value


FASTAI = {
    "SchedNo": lambda a, b: lambda t: a,
    "SchedLin": lambda a, b: Share(lambda p: a + p * (b - a)),
    "SchedCos": sched_cos,
    "SchedExp": lambda a, b: Share(lambda p: a * (b / a) ** p),
    "SchedPoly": lambda a, b, k: Share(lambda p: a + (b - a) * p**k),
    "combine_scheds": combine,
    "fit_one_cycle": lambda n, lr: combine(
        [0.25, 0.75], [sched_cos(lr / 25, lr), sched_cos(lr, lr / 1e5)]
    ),
    "fit_flat_cos": lambda n, lr: combine(
        [0.75, 0.25], [Share(lambda p: lr), sched_cos(lr, lr / 1e5)]
    ),
    "fit_sgdr": fit_sgdr,
}
# timm 1.0.31: `_get_lr(t)` of its schedulers.


def timm_cycles(shape):
    """Return a cyclic timm scheduler (cycle index by logarithm); ``shape(share, k)`` is a cycle."""

    def make(optimizer, t_initial, lr_min=0.0, cycle_mul=1, cycle_decay=1.0, cycle_limit=1, **more):
        warmup, prefix = more.get("warmup_t", 0), more.get("warmup_prefix", False)

        def value(t):
            if t < warmup:
                return t * 0.1 / warmup
            t -= warmup if prefix else 0
            if cycle_mul == 1:
                i, size = t // t_initial, t_initial
                gone = t - t_initial * i
            else:
                i = math.floor(math.log(1 - t / t_initial * (1 - cycle_mul), cycle_mul))
                size = cycle_mul**i * t_initial
                gone = t - (1 - cycle_mul**i) / (1 - cycle_mul) * t_initial
            if i >= cycle_limit:
                return lr_min
            return lr_min + (0.1 * cycle_decay**i - lr_min) * shape(gone, size, **more)

        return value

    return make


TIMM = {
    "optimizer": None,
    "StepLRScheduler": lambda o, every, rate: lambda t: 0.1 * rate ** (t // every),
    "MultiStepLRScheduler": lambda o, at, rate: lambda t: 0.1 * rate ** bisect.bisect(at, t + 1),
    "CosineLRScheduler": timm_cycles(
        lambda t, n, k_decay=1.0, **more: cosine(t**k_decay / n**k_decay)
    ),
    "PolyLRScheduler": timm_cycles(lambda t, n, power=0.5: (1 - t / n) ** power),
    "TanhLRScheduler": timm_cycles(
        lambda t, n: 0.5 * (1 - math.tanh(-7.0 * (1 - t / n) + 3.0 * t / n))
    ),
}

# pytorch-warmup 0.2.0, with beta2 = 0.9: factors on update t + 1.


def radam(beta2=0.9):
    last = 2 / (1 - beta2) - 1

    def rho(n):
        return last - 2 * n * beta2**n / (1 - beta2**n)

    offset = next(n for n in range(1, 99) if rho(n) > 4)

    def value(t):
        now = rho(t + offset)
        return math.sqrt((now - 4) * (now - 2) * last / ((last - 4) * (last - 2) * now))

    return value


def straight(period):
    return lambda t: min(1.0, (t + 1) / period)


def saturating(period):
    return lambda t: 1.0 - math.exp(-(t + 1) / period)


WARMUPS = {
    "optimizer": None,
    "LinearWarmup": lambda o, period: straight(period),
    "ExponentialWarmup": lambda o, period: saturating(period),
    "UntunedLinearWarmup": lambda o, beta2=0.9: straight(int(2.0 / (1.0 - beta2))),
    "UntunedExponentialWarmup": lambda o, beta2=0.9: saturating(int(1.0 / (1.0 - beta2))),
    "RAdamWarmup": lambda o: radam(),
}

# composer 0.32.1 with 100 batches in epochs of one batch: factors on the optimizer's rate.


def batches(time):
    """Return the number of batches in a composer time string, truncated as in composer."""
    amount, unit = (
        float(time[:-3] if time.endswith("dur") else time[:-2]),
        time.lstrip("0.123456789"),
    )
    return int(amount * 100) if unit == "dur" else int(amount)


def composer(factor, warmup="0ba"):
    w = batches(warmup)
    return lambda t: 0.1 * (t / w if t < w else factor(t, min(1.0, (t - w) / (100 - w))))


def composer_restarts(first, t_mult):
    def factor(t, _):
        start, size = 0, batches(first)
        while t >= start + size:
            start, size = start + size, int(t_mult * size)
        return cosine((t - start) / size)

    return composer(factor)


def composer_steps(warmup, milestones, gamma):
    return composer(lambda t, _: gamma ** sum(t >= batches(m) for m in milestones), warmup)


COMPOSER = {
    "ConstantScheduler": lambda alpha: composer(lambda t, p: alpha if t < 100 else 1.0),
    "StepScheduler": lambda every, gamma: composer(lambda t, p: gamma ** (t // batches(every))),
    "MultiStepScheduler": lambda at, gamma: composer_steps("0ba", at, gamma),
    "ExponentialScheduler": lambda gamma, of: composer(lambda t, p: gamma ** (t / batches(of))),
    "LinearScheduler": lambda a, b: composer(lambda t, p: a + p * (b - a)),
    "CosineAnnealingScheduler": lambda alpha_f: composer(
        lambda t, p: alpha_f + (1 - alpha_f) * cosine(p)
    ),
    "PolynomialScheduler": lambda power: composer(lambda t, p: (1 - p) ** power),
    "CosineAnnealingWarmRestartsScheduler": composer_restarts,
    "LinearWithWarmupScheduler": lambda warmup: composer(lambda t, p: 1 - p, warmup),
    "CosineAnnealingWithWarmupScheduler": lambda warmup: composer(lambda t, p: cosine(p), warmup),
    "MultiStepWithWarmupScheduler": composer_steps,
}
FORMULAS = {
    "TensorFlow Addons": ADDONS,
    "fastai": FASTAI,
    "timm": TIMM,
    "pytorch-warmup": WARMUPS,
    "composer": COMPOSER,
    "DeepSpeed": DEEPSPEED,
    "fairseq": FAIRSEQ,
    "OLMo-core": OLMO,
    "katsura-jp and espnet": KATSURA,
    "Paddle": PADDLE,
    "MaxText": MAXTEXT,
}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row[0] in FORMULAS], ids="{0[0]}: {0[1]}".format
)
def test_a_transcribed_formula_agrees(row) -> None:
    library, peer_code, code = row
    if peer_code.startswith("PlateauLRScheduler"):  # it wraps the scheduler of PyTorch
        test_pytorch_agrees("ReduceLROnPlateau(optimizer, factor=0.1, patience=10)", code)
        return
    if peer_code == "scale_schedule_ratio=0.5":  # alpha(t / ratio), here with a cosine
        assert_same(
            peer_code, code, [0.1 * cosine(min(1.0, t / 0.5 / 100)) for t in range(N)], FLOAT64
        )
        return
    peer = eval(peer_code, FORMULAS[library].copy())
    assert_same(peer_code, code, [peer(t) for t in range(UNTIL.get(peer_code, N))], FLOAT64)


def test_pytorch_warmup_truncates_its_lengths_and_lehr_does_not() -> None:
    assert (int(1.0 / (1.0 - 0.999)), int(2.0 / (1.0 - 0.999))) == (
        999,
        1999,
    )  # error in pytorch-warmup
    assert (
        lehr.warmup_untuned(1.0, beta2=0.999)(1999)
        == 1.0
        > lehr.warmup_untuned(1.0, beta2=0.999)(1998)
    )


# The gallery.


def make_gallery(*arguments: str, script: Path = DOCS / "make_gallery.py"):
    return run_python(script, *arguments, code=None)


def test_the_gallery_shows_every_preset() -> None:
    done = make_gallery("--check")
    assert done.returncode == 0, done.stdout
    sizes = {path.stem: path.stat().st_size for path in (DOCS / "gallery").glob("*.svg")}
    assert set(sizes) == {n for n in NAMES if n in sizes}
    assert max(sizes.values()) <= 30_000


def test_an_outdated_gallery_is_reported(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    page = tmp_path / "docs" / "gallery.md"
    page.write_text(page.read_text(encoding="utf-8").replace("rex(0.1)", "rex(0.2)"), "utf-8")
    done = make_gallery("--check", script=tmp_path / "docs" / "make_gallery.py")
    assert done.returncode == 1
    assert "rex: rex(0.1)" in done.stdout


# Citations.


ELSEWHERE = {"PRETRAIN.md", "TRAINING.md"}  # files in the repositories of published policies


def test_cited_pages_exist() -> None:
    root = DOCS.parent
    folders = ("src", "tests", "docs", "benchmarks", "examples")
    files = [path for name in folders for path in (root / name).rglob("*.*")]
    files += [root / "Makefile", *root.glob("*.md")]
    cited = {
        (name, path.relative_to(root).as_posix())
        for path in files
        if path.suffix in (".py", ".md", ".json", "") and "__pycache__" not in path.parts
        for name in re.findall(r"(?<!\w)[A-Z]+\.md", path.read_text(encoding="utf-8"))
    }
    assert ("CHANGELOG.md", "CONTRIBUTING.md") in cited
    missing = {one for one in cited if not (root / one[0]).is_file()}
    assert {name for name, _ in missing} <= ELSEWHERE, missing
