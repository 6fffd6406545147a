"""Tick labels of figures do not overlap, for any run length."""

import dataclasses
import random
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import lehr
from lehr.diagnosis import Diagnosis, Layer
from lehr.figures import draw_landscape, draw_lines
from lehr.figures.style import new_figure, set_ticks
from lehr.learner import Trace
from lehr.study import Arm, Results, Study
from lehr.study.results import Tuning

GAP = 2  # minimum distance of two labels in pixels, at 100 pixels per inch
LENGTHS = [
    *(1, 2, 3, 5, 7, 10, 64, 100, 999, 1000, 1234, 9_999, 10_000, 12_345, 20_000),
    *(99_999, 100_000, 1_048_576, 12_345_678, 2_000_000_000, 2**31 - 1),
]


def labels(figure: Figure) -> list[tuple[str, object]]:
    """Return the text and the bounding box of each label of a drawn axis."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            shown = [tick for tick in ticks if low <= tick.get_loc() <= high]
            texts = [text for tick in shown for text in (tick.label1, tick.label2)]
            for text in (*texts, axis.label, axis.offsetText):
                if text.get_visible() and text.get_text().strip():
                    box = text.get_window_extent(canvas.get_renderer())
                    found.append((text.get_text(), box.padded(GAP / 2)))
    return found


def assert_separate(figure: Figure) -> list[str]:
    """Fail if two labels overlap or touch; return all labels."""
    found = labels(figure)
    overlapping = [(a, b) for (a, one), (b, two) in combinations(found, 2) if one.overlaps(two)]
    assert overlapping == []
    return [text for text, _ in found]


@pytest.mark.parametrize("steps", LENGTHS)
def test_a_schedule_over_any_length(steps: int) -> None:
    texts = assert_separate(lehr.cosine(0.1).plot(steps))
    assert sum(text[0].isdigit() for text in texts) >= 4


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        (3, ["0", "1", "2", "3"]),
        (1000, ["0", "200", "400", "600", "800", "1000"]),
        (20_000, ["0", "5K", "10K", "15K", "20K"]),
        (2_000_000_000, ["0", "500M", "1B", "1.5B", "2B"]),
    ],
)
def test_steps_are_integers_with_short_labels(steps: int, labels: list[str]) -> None:
    axes = lehr.cosine(0.1).plot(steps).axes[0]
    FigureCanvasAgg(axes.figure).draw()
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert [tick.label1.get_text() for tick in shown] == labels


def test_epochs() -> None:
    assert_separate(lehr.cosine(0.1).plot("100 epochs", steps_per_epoch=200))


@pytest.mark.parametrize("peak", [1e-9, 3e-7, 6e-4, 0.1, 1.0, 12_345.0, 1e7])
def test_values_of_any_size(peak: float) -> None:
    assert_separate(lehr.cosine(peak).plot(20_000))
    assert_separate(lehr.constant(peak).plot(20_000))
    assert_separate(lehr.linear(peak, peak * (1 - 1e-6)).plot(20_000))


@pytest.mark.parametrize("steps", [3, 20_000, 2_000_000_000])
@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_policies_of_several_panels(count: int, steps: int) -> None:
    values = {f"value_{i}_with_quite_a_long_name": lehr.linear(0.0, 10.0**-i) for i in range(count)}
    policy = lehr.one_cycle(0.1)
    decay = {"head": lehr.cosine(0.1), "body": lehr.cosine(1e-6)}
    policy = lehr.Policy(policy.lr, momentum=policy.momentum, weight_decay=decay, values=values)
    texts = assert_separate(policy.plot(steps))
    assert {"learning rate", "momentum", "weight decay", "step"} <= set(texts)


@pytest.mark.parametrize("low", [1e-8, 1e-5, 0.02, 0.3])
@pytest.mark.parametrize("factor", [1.05, 2, 5, 12, 80, 1e3, 1e9])
def test_range_tests_of_any_rates(low: float, factor: float) -> None:
    rates = [low * factor ** (i / 99) for i in range(100)]
    losses = [2.3 - 0.01 * i + 0.0004 * i**2 for i in range(100)]
    sweep = lehr.Sweep(tuple(rates), tuple(losses), "geometric", 100, "end")
    assert_separate(sweep.plot())


@pytest.mark.parametrize("count", [1, 12, 13, 200])
def test_diagnoses(count: int) -> None:
    r = random.Random(0)
    layers = [
        Layer(f"encoder.layers.{i}.self_attention.out_projection", "Linear", 0.0, 1.0, 0.5, 0.1)
        for i in range(count)
    ]
    layers = [dataclasses.replace(layer, gradient=10 ** r.uniform(-9, 1)) for layer in layers]
    assert_separate(Diagnosis(tuple(layers), 2.3).plot())


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("seed", range(40))
def test_an_axis_of_any_range(scale: str, seed: int) -> None:
    r = random.Random(seed)
    low = 10 ** r.uniform(-8, 6)
    high = low * (1 + 10 ** r.uniform(-3, 6))
    figure, axes = new_figure("x", "y")
    axes.set(xscale=scale, yscale=scale)
    axes.plot([low, high], [low, high])
    set_ticks(axes.xaxis, integer=seed % 2 == 0 and high - low > 5)
    set_ticks(axes.yaxis)
    assert len(assert_separate(figure)) >= 4


def test_lines_on_two_axes_and_landscapes() -> None:
    line = {"a": ([0, 99_999], [1e-7, 3e-7])}
    assert_separate(draw_lines(line, "epoch", "rate", second={"b": line["a"]}, second_y="loss"))
    assert_separate(draw_lines({"a": ([0, 0.5], [0.1, 0.2])}, "epoch", "rate", log="y"))
    path = {"p": [(-1e-4, 2e4), (1e-4, -2e4)]}
    assert_separate(draw_landscape(lambda x, y: x**2 + y**2, path, (-1e-3, 1e-3, -1e5, 1e5)))


# Figures of studies, with synthetic records.


@dataclasses.dataclass
class Record:
    metadata: dict
    trace: Trace


def study_results(budgets: tuple[int, ...], unit: str, arms: int, per_epoch: int) -> Results:
    names = [f"a policy with a long name, number {i}, peak near the edge"[:60] for i in range(arms)]
    given = {name: Arm(1.0, tune="constant") for name in names}
    study = Study("toys:toy", given, seeds=2, **{unit: budgets})
    r = random.Random(0)
    trials = {}
    for arm in names:
        for budget in study.budgets:
            steps = budget * (per_epoch if unit == "epochs" else 1)
            for seed in range(2):
                ends = range(min(per_epoch, steps), steps + 1, per_epoch)
                history = [
                    {
                        "step": end,
                        "loss": 1.0,
                        "seconds": 1.0,
                        "validation": {"accuracy": r.random()},
                    }
                    for end in ends
                ]
                losses = [10 ** r.uniform(-3, 1) for _ in range(steps)]
                trace = Trace(losses, {"lr": [10 ** r.uniform(-5, -1) for _ in range(steps)]})
                metadata = {
                    "history": history,
                    "steps_per_epoch": per_epoch,
                    "steps": steps,
                    "test": {"accuracy": r.random()},
                    "validation": {"accuracy": r.random()},
                }
                trials[arm, budget, seed] = Record(metadata, trace)
    peaks = [0.0132 * 2**i for i in range(3)]
    tuning = {name: Tuning(peaks[1], {peak: [r.random()] for peak in peaks}) for name in names}
    return Results(study, {}, tuning, trials, {})


@pytest.mark.parametrize(
    ("budgets", "unit", "arms", "per_epoch"),
    [
        ((1,), "epochs", 2, 3),
        ((2, 5, 10), "epochs", 3, 20),
        (tuple(range(1, 21)), "epochs", 2, 4),
        ((100, 101, 20_000), "steps", 2, 100),
        ((7,), "steps", 25, 1000),
    ],
)
def test_figures_of_studies(budgets, unit: str, arms: int, per_epoch: int) -> None:
    from lehr import figures

    results = study_results(budgets, unit, arms, per_epoch)
    for draw in (
        figures.draw_differences,
        figures.draw_budgets,
        figures.draw_metric,
        figures.draw_losses,
        figures.draw_rates,
        figures.draw_peaks,
    ):
        assert_separate(draw(results))
