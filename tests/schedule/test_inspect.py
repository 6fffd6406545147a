"""Summaries, lint and drawings of schedules."""

from typing import Any

import pytest

import lehr

RUN = 1000
EPOCH = 100


def names(schedule: lehr.Schedule, **run: Any) -> list[str]:
    return [finding.name for finding in schedule.lint(**{"steps": RUN} | run)]


GOOD = {
    "constant": lehr.constant(0.1),
    "cosine": lehr.cosine(0.1),
    "warm-up, cosine": lehr.warmup(0.1, "5%").then(lehr.cosine(0.1, floor=1e-4)),
    "one cycle": lehr.one_cycle(0.1).lr,
    "wsd": lehr.wsd(0.1, 50, 200, steps=RUN),
    "restarts": lehr.cosine_restarts(0.1, 100, growth=2.0, cycles=3).take(RUN),
    "growing restarts": lehr.cosine_restarts(0.1, 100, growth=2.0),
    "equal restarts": lehr.cosine_restarts(0.1, 100),
    "triangular": lehr.triangular(0.01, 0.1, "2.5 epochs"),
    "step decay": lehr.step_decay(0.1, 0.1, "3 epochs"),
    "multi-step": lehr.multi_step(0.1, 0.1, [500, 750]),
    "exponential": lehr.exponential(0.1, 0.9, "1 epoch"),
    "warm-up, inverse square root": lehr.inverse_sqrt(0.1, 100),
    "epochs": lehr.linear(0.1, 0.0, "10 epochs"),
    "clipped product": (lehr.cosine(0.1) * 0.5).clip(floor=1e-5),
}


@pytest.mark.parametrize("name", GOOD)
def test_lint_of_a_valid_schedule_is_empty(name: str) -> None:
    assert GOOD[name].lint(RUN, steps_per_epoch=EPOCH) == []


BAD = {
    "too long": lehr.cosine(0.1, steps=1500),
    "too short": lehr.warmup(0.1, 50).then(lehr.cosine(0.1, steps=500)),
    "warm-up longer than the run": lehr.warmup(0.1, 2000).then(lehr.cosine(0.1, steps=500)),
    "jump at a joint": lehr.warmup(0.1, 100).then(lehr.cosine(0.05)),
    "half cycle": lehr.triangular(0.01, 0.1, "1 epoch"),
    "stepped per epoch": lehr.cosine(0.1, steps=10),
    "negative": lehr.cosine(0.1) + (-0.05),
    "always zero": lehr.constant(0.0),
    "never reached": lehr.multi_step(0.1, 0.1, ["3 epochs", "12 epochs"]),
    "part without a step": lehr.warmup(0.1, "0.04%").then(lehr.cosine(0.1)),
    "cycle cut off": lehr.cosine_restarts(0.1, 300),
}


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_yields_one_finding_with_advice(name: str) -> None:
    found = BAD[name].lint(RUN, steps_per_epoch=EPOCH)
    assert [finding.name for finding in found] == [name]
    assert len(found[0].advice) > 30


def test_advice_names_the_numbers() -> None:
    (found,) = lehr.linear(0.1, 0.0, steps=2000).lint(RUN)
    assert "takes 2000 steps and the run has 1000: it stops at 0.05" in found.advice
    (found,) = lehr.warmup(0.1, 100).then(lehr.cosine(0.05)).lint(RUN)
    assert "at step 100 it jumps from 0.1 to 0.05" in found.advice


def test_advice_on_lengths_names_the_steps() -> None:
    late = lehr.piecewise(["50%", 1000, 1500], [0.1, 0.05, 0.02, 0.01])
    (found,) = late.lint(RUN)
    assert found.advice.startswith("the values from step 1000 on are never used, as the run has")
    (found,) = lehr.constant(0.1, 400).then(lehr.multi_step(0.1, 0.1, [599, 600])).lint(RUN)
    assert found.advice.startswith("the values from step 1000 on are never used")
    (found,) = lehr.warmup(0.1, "1 token").then(lehr.cosine(0.1)).lint(RUN, tokens_per_step=512)
    assert found.advice.startswith("part 1, warmup(0.1, '1 token'), is shorter than half a step")
    (found,) = lehr.constant(0.1, 100).then(lehr.cosine(0.1, 350).repeat()).lint(RUN)
    assert found.advice.startswith("the run ends after 200 of the 350 steps of its last cycle")
    (found,) = lehr.cosine_restarts(0.1, "300 steps").lint("10 epochs", steps_per_epoch=100)
    assert found.advice.startswith("the run ends after 100 of the 300 steps of its last cycle")


def test_parts_of_length_0_are_not_reported() -> None:
    assert names(lehr.warmup(0.1, 0).then(lehr.cosine(0.1))) == []
    assert names(lehr.wsd(0.1, 0, "20%")) == []
    assert names(lehr.warmup(0.1, "5%").then(lehr.cosine(0.1)), steps=5) == ["part without a step"]


def test_a_cycle_that_ends_with_the_run_is_not_reported() -> None:
    for steps in (1000, 1001, 1002, 1003, 1004):
        assert names(lehr.cosine_restarts(0.1, "20%"), steps=steps) == []
    assert names(lehr.cosine_restarts(0.1, "2 epochs"), steps_per_epoch=100.5) == ["cycle cut off"]
    assert names(lehr.cosine_restarts(0.1, "2 epochs"), steps_per_epoch=100) == []


def test_lint_takes_a_run_in_any_unit() -> None:
    s = lehr.warmup(0.1, "1e6 tokens").then(lehr.cosine(0.1))
    assert names(s, tokens_per_step=1000) == ["part without a step"]
    with pytest.raises(ValueError, match=r"steps must be at least 1024, .*, got 1000"):
        names(lehr.warmup(0.1, "1048576 tokens").then(lehr.cosine(0.1)), tokens_per_step=1024)
    assert names(s, steps="1B tokens", tokens_per_step=10_000) == []
    assert names(lehr.cosine(0.1, "64K samples"), samples_per_step=64) == []
    assert names(lehr.cosine(0.1, "64K samples"), samples_per_step=32) == ["too long"]
    with pytest.raises(
        ValueError, match="steps must be given to resolve the rest of the run, got No"
    ):
        lehr.cosine(0.1, 10).lint(None)


def test_a_half_cycle_is_not_reported_without_epochs() -> None:
    assert names(lehr.triangular(0.01, 0.1, 5)) == []
    assert names(lehr.triangular(0.01, 0.1, 5), steps_per_epoch=EPOCH) == ["half cycle"]


def test_only_jumps_between_two_updates_are_reported() -> None:
    line, zero = lehr.linear(0.1, 0.0, 400), lehr.constant(0.0)
    assert names(line.then(lehr.constant(0.9, 0)).then(zero)) == []
    assert names(line.then(lehr.constant(0.9, 1)).then(zero)) == ["jump at a joint"]
    rest = lehr.linear(0.0, 0.1, 400).then(lehr.linear(0.5, 0.05, 0)).then(lehr.constant(0.095))
    assert names(rest) == []
    assert names(lehr.linear(0.0, 0.1, 400).then(lehr.linear(0.5, 0.04, 0))) == [
        *("too short", "jump at a joint")
    ]
    late = lehr.linear(0.0, 0.1, RUN).then(lehr.constant(0.5))
    assert names(late) == []
    assert names(late, steps=RUN + 1) == ["jump at a joint"]


def test_summary_by_hand() -> None:
    s = lehr.warmup(1.0, steps=4).then(lehr.linear(1.0, 0.0, steps=8)).summary()
    assert (s.steps, s.start, s.peak, s.peak_step) == (12, 0.0, 1.0, 4)
    assert (s.lowest, s.last, s.after) == (0.0, 0.125, 0.0)
    assert str(s).startswith("12 steps: 0 at the start, peak 1 at step 4")


def test_summary_finds_a_peak_between_the_samples_of_a_long_run() -> None:
    long = lehr.warmup(1.0, steps=333_333).then(lehr.linear(1.0, 0.0, steps=700_001))
    assert (long.summary().peak, long.summary().peak_step) == (1.0, 333_333)


def test_summary_of_an_endless_schedule_needs_steps() -> None:
    with pytest.raises(ValueError, match="steps must be given for a schedule without a known end"):
        lehr.constant(0.1).summary()
    assert lehr.constant(0.1).summary(10).peak == 0.1


def test_unresolved_schedules_are_inspected_in_a_given_run() -> None:
    with pytest.raises(ValueError, match="steps_per_epoch must be given"):
        lehr.linear(0.1, 0.0, "10 epochs").lint(RUN)
    s = lehr.warmup(0.1, "25%").then(lehr.linear(0.1, 0.0))
    with pytest.raises(ValueError, match="steps must be given to resolve the length '25%', got No"):
        s.summary()
    in_epochs = s.summary("2 epochs", steps_per_epoch=50)
    assert in_epochs == s.summary(100) == s.resolve(100).summary()
    assert (in_epochs.peak, in_epochs.peak_step, in_epochs.after) == (0.1, 25, 0.0)
    assert s.draw("2 epochs", steps_per_epoch=50) == s.resolve(100).draw()
    assert s.summary("1e6 tokens", tokens_per_step=10**4) == in_epochs
    assert s.summary("6.4K samples", samples_per_step=64) == in_epochs


def test_a_constant_part_has_its_peak_at_its_first_step() -> None:
    """If interpolated, 47 of its 1,000 values would be off by an ulp, some above the peak."""
    s = lehr.warmup(0.1, 100).then(lehr.constant(0.1, 1000)).then(lehr.cosine(0.1, 400))
    assert (s.summary().peak, s.summary().peak_step) == (0.1, 100)
    plan = lehr.wsd(0.3, 100, 2000).summary(10_000)
    assert (plan.peak, plan.peak_step) == (0.3, 100)


def test_text_drawing_shows_the_shape() -> None:
    lines = lehr.linear(0.0, 1.0, steps=64).draw(64).splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("0.984375 │")
    rows = [line.split("│")[1] for line in lines[:-1]]
    heights = [sum(" ▁▂▃▄▅▆▇█".index(row[x]) for row in rows) for x in range(64)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, 64)
    assert lines[-1].endswith("64")


def test_notebooks_show_a_figure_or_the_repr() -> None:
    assert "<svg" in lehr.cosine(0.1, steps=10)._repr_html_()
    assert lehr.cosine(0.1)._repr_html_() is None
    assert lehr.constant(0.1)._repr_html_() is None


def test_several_schedules_in_one_figure() -> None:
    cosine = lehr.cosine(0.1, steps=100)
    figure = cosine.plot(linear=lehr.linear(0.1, 0.0, steps=100))
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["schedule", "linear"]
    in_a_run = lehr.cosine(0.1).plot("1 epoch", linear=lehr.linear(0.1, 0.0), steps_per_epoch=100)
    drawn = [line.get_ydata().tolist() for line in in_a_run.axes[0].lines]
    assert drawn == [line.get_ydata().tolist() for line in axes.lines]
    assert list(axes.lines[0].get_ydata()) == [cosine(t) for t in axes.lines[0].get_xdata()]


# (schedule, its peak, step of the peak); the step is none of those that every drawing samples
LONG_RUNS = {
    "chain": (lehr.warmup(1.0, 333_333).then(lehr.linear(1.0, 0.0, 700_001)), 1.0, 333_333),
    "cycles that fade": (lehr.triangular2(0.1, 1.0, 77_777), 1.0, 77_777),
    "cycles of a slow clock": (lehr.triangular(0.1, 1.0, 777).every(1001), 1.0, 777_777),
    "a later cycle": (
        lehr.triangular(0.1, 1.0, 77_777) * lehr.table([0.5, 1.0]).every(155_554),
        1.0,
        233_331,
    ),
    "a spike in stairs": (lehr.table([0.5, 0.5, 4.0, 0.5]).every(3), 4.0, 6),
    "milestones": (lehr.piecewise([70_001, 70_003], [0.1, 3.0, 0.2]), 3.0, 70_001),
    "earlier": (lehr.warmup(1.0, 99_999).then(lehr.cosine(1.0, 10**6)).shift(-7), 1.0, 99_992),
    "backwards": (
        lehr.linear(1.0, 0.5, 77_777).then(lehr.cosine(2.0, 88_888)).reverse(),
        2.0,
        88_888,
    ),
}


@pytest.mark.parametrize("name", LONG_RUNS)
def test_a_drawing_has_the_peak_of_a_long_run_on_top(name: str) -> None:
    s, peak, step = LONG_RUNS[name]
    assert s(step) == pytest.approx(peak, rel=1e-6)
    summary = s.summary(10**7)
    assert (summary.peak, summary.peak_step) == (s(step), step)
    top, *_ = s.draw(10**7).splitlines()
    assert top.startswith(f"{s(step):g} │")
    assert "█" in top


@pytest.mark.parametrize("steps", [65, 100, 1000, 12_345, 99_999])
def test_a_drawing_has_the_peak_between_its_columns_on_top(steps: int) -> None:
    for at in (1, steps // 2, steps - 2):
        s = lehr.piecewise([at, at + 1], [0.25, 7.0, 0.5])  # one step wide
        top, *_ = s.draw(steps).splitlines()
        assert top.startswith("7 │")
        assert top.partition("│")[2].index("█") == at * 64 // steps
        assert top.count("█") == 1


def test_a_figure_draws_stairs_with_upright_edges() -> None:
    s = lehr.piecewise([3, 5], [1.0, 4.0, 2.0])
    (line,) = s.plot(8).axes[0].lines
    assert line.get_drawstyle() == "steps-post"
    assert line.get_xdata().tolist() == list(range(9))
    assert line.get_ydata().tolist() == [1, 1, 1, 4, 4, 2, 2, 2, 2]


def found_in(s, steps, **sizes):
    return {finding.name for finding in s.lint(steps, **sizes)}


def test_unreached_milestones_are_reported_on_any_clock():
    milestones = lehr.multi_step(0.1, 0.1, [30, 60])
    for s in (
        milestones.every("1 epoch"),
        milestones.every("1 epoch").shift("5 epochs"),
        lehr.step_decay(0.1, 0.1, "60 epochs"),
        lehr.warmup(1.0, "5 epochs") * milestones.every("1 epoch"),
    ):
        assert "never reached" in found_in(s, 400, steps_per_epoch=10)
    assert "never reached" not in found_in(milestones.every("1 epoch"), 900, steps_per_epoch=10)


def test_parts_without_a_step_are_reported_in_products_and_between_knots():
    warm = lehr.warmup(1.0, "5%").then(lehr.constant(1.0))
    knots = lehr.piecewise(["0%", "1%", "100%"], [0.0, 1.0, 0.0], curve="linear")
    for s in (warm * lehr.cosine(0.1), warm.take("100%"), knots):
        assert "part without a step" in found_in(s, 5)
        assert "part without a step" not in found_in(s, 1000)


def test_a_last_cycle_cut_off_by_the_run_is_reported_on_any_clock():
    cycles = lehr.cosine_restarts(0.1, 3)
    for s in (cycles.every("1 epoch"), cycles.every("1 epoch").shift("1 epoch")):
        assert "cycle cut off" in found_in(s, 80, steps_per_epoch=10)
    assert "cycle cut off" not in found_in(cycles.every("1 epoch"), 90, steps_per_epoch=10)
    assert "cycle cut off" in found_in(
        lehr.triangular(0.0, 1.0, "1 epoch"), 1000, steps_per_epoch=312.785
    )
