"""Outputs of a study: data frames, event files, figures, exports, the `runs` commands."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from programs import run_python

import lehr
from lehr.study import Arm, Results, Study, load_study

ARMS = {
    "fixed": Arm(1.0, tune="constant"),
    "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    "plain 0.01": 0.01,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    runs = tmp_path_factory.mktemp("runs")
    return Study("toys:toy", ARMS, epochs=(1, 3), seeds=3, peaks=3, judge="best", storage=runs)


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    return study.run()


def lehr_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return run_python("-m", "lehr.cli", *arguments, cwd=cwd, code=None, COLUMNS="150")


def test_frames_contain_every_trial_update_and_comparison(results: Results) -> None:
    frames = results.frames()
    assert {name: len(frame) for name, frame in frames.items() if name != "peaks"} == {
        "trials": 3 * 2 * 3,
        "history": 3 * 3 * (1 + 3),
        "curves": 3 * 3 * 8 * (1 + 3),
        "comparisons": 2 * 2,
    }
    trials = frames["trials"].set_index(["arm", "budget", "seed"]).sort_index()
    for arm in ARMS:
        scores = trials.loc[(arm, 3)]["best_checkpoint_test_accuracy"]
        assert list(scores) == results.scores(arm)
    curves = frames["curves"]
    one = curves[(curves.arm == "one-cycle") & (curves.budget == 3) & (curves.seed == 1)]
    assert list(one.loss) == results.trials["one-cycle", 3, 1].trace.losses
    assert list(one.lr) == results.trials["one-cycle", 3, 1].trace.rates["lr"]
    assert list(one.step) == list(range(24))
    compared = frames["comparisons"].set_index(["budget", "arm"])
    assert compared.loc[3, "one-cycle"].difference == results.comparisons()["one-cycle"].difference
    chosen = frames["peaks"][frames["peaks"].chosen].groupby("arm").peak.first()
    assert dict(chosen) == {arm: peak for arm, peak in results.peaks.items() if peak}


def test_event_files_have_a_run_for_each_trial_and_one_for_each_arm(
    results: Results, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    results.tensorboard(tmp_path)
    results.tensorboard(tmp_path)  # a second call replaces the files
    runs = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("events*")}
    assert runs == {
        f"{arm}/{run}" for arm in ARMS for run in ("seed-0", "seed-1", "seed-2", "mean")
    }
    assert len(list((tmp_path / "fixed" / "mean").iterdir())) == 1

    def read(run: str) -> EventAccumulator:
        events = EventAccumulator(str(tmp_path / run), size_guidance={"tensors": 0, "scalars": 0})
        events.Reload()
        return events

    trial = read("one-cycle/seed-1")
    record = results.trials["one-cycle", 3, 1]
    written = [event.value for event in trial.Scalars("training/lr")]
    assert written == pytest.approx(record.trace.rates["lr"], rel=1e-6)
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(
        trial.summary_metadata or trial.Tags()["tensors"]
    )
    mean = read("fixed/mean")
    steps = [event.step for event in mean.Scalars("validation/accuracy")]
    assert steps == [8, 16, 24]
    values = [
        [r.metadata["history"][i]["validation"]["accuracy"] for r in results.records("fixed")]
        for i in range(3)
    ]
    frame = pd.DataFrame(values)
    half = 4.302652729749462 * frame.std(axis=1) / 3**0.5  # t of 2 degrees of freedom at 97.5 %
    for tag, expected in (
        ("validation/accuracy", frame.mean(axis=1)),
        ("low/accuracy", frame.mean(axis=1) - half),
        ("high/accuracy", frame.mean(axis=1) + half),
    ):
        assert [event.value for event in mean.Scalars(tag)] == pytest.approx(
            list(expected), rel=1e-5, abs=1e-6
        )


def test_figures_are_files_with_labels_and_units(results: Results, tmp_path: Path) -> None:
    written = results.figures(tmp_path)
    names = {path.stem for path in written}
    assert names == {
        *("differences", "budgets", "validation", "losses", "rates", "momentum", "peaks"),
        "range-test",
    }
    assert {path.suffix for path in written} == {".svg", ".png"}
    assert sorted(tmp_path.iterdir()) == sorted(written)
    labels = {
        "budgets": ["budget (epochs, log scale)", "test accuracy (%)"],
        "peaks": ["peak learning rate (log scale)", "validation accuracy (%)"],
        "rates": ["epoch", "applied learning rate (log scale)"],
        "range-test": ["learning rate (log scale)", "training loss of the batch"],
        "differences": ["difference to fixed on test data (points)"],
    }
    for name, wanted in labels.items():
        text = (tmp_path / f"{name}.svg").read_text()
        assert all(label in text for label in wanted), name


def test_the_report_has_budgets_peaks_and_steps_to_a_target(
    results: Results, tmp_path: Path
) -> None:
    for write in (results.report, results.figures, results.tensorboard):
        with pytest.raises(TypeError, match=r"must be the path of an? .*, got 3$"):
            write(3)  # type: ignore[arg-type]
    results.report(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert html.count("<svg") == 8
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == [
        *("Budgets", "Sensitivity to the peak", "Updates to the target", "Policies", "Figures"),
        *("Definition", "Reproduction"),
    ]
    definition = re.search(r"<pre>(.*?)</pre>", html, re.S)[1]
    (tmp_path / "study.yaml").write_text(definition.replace("&#39;", "'").replace("&#34;", '"'))
    assert load_study(tmp_path / "study.yaml") == results.study


def test_runs_are_listed_shown_exported_and_deleted(
    study: Study, results: Results, tmp_path: Path
) -> None:
    runs = ["--runs", str(study.storage)]
    listed = json.loads(lehr_command("runs", "list", *runs, "--json", cwd=tmp_path).stdout)
    (one,) = listed
    assert one["definition"]["arms"].keys() == ARMS.keys()
    assert one["id"] in lehr_command("runs", "list", *runs, cwd=tmp_path).stdout
    shown = lehr_command("runs", "show", one["id"], *runs, cwd=tmp_path)
    assert results.verdict() in shown.stdout.replace("\n", " ")
    done = lehr_command("runs", "export", one["id"], *runs, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load_study(tmp_path / "out" / "study.yaml") == study
    frame = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert len(frame) == len(results.trials)
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        *("results.json", "report.html", "curves.csv", "history.csv", "comparisons.csv", "figures"),
    }
    wrong = lehr_command("runs", "show", "1234", *runs, cwd=tmp_path)
    assert wrong.returncode == 2
    assert f"study must be one of {one['id']}, got '1234'" in wrong.stderr
    nowhere = lehr_command("runs", "list", "--runs", "nowhere", cwd=tmp_path)
    assert nowhere.returncode == 2
    assert "storage must be a folder with results, got 'nowhere'" in nowhere.stderr


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "no input"])
def test_a8_a_study_is_kept_unless_its_deletion_is_confirmed(answer: str, tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01}, epochs=1, seeds=1, storage=tmp_path / "runs")
    study.run()
    (found,) = json.loads(lehr_command("runs", "list", "--json", cwd=tmp_path).stdout)
    arguments = ("-m", "lehr.cli", "runs", "delete", found["id"])
    done = run_python(*arguments, cwd=tmp_path, stdin=answer, code=1)
    assert f"kept study {found['id']}" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(study.results().trials) == 1


def test_a_deleted_study_is_removed(tmp_path: Path) -> None:
    Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path).run()
    (one,) = json.loads(lehr_command("runs", "list", "--runs", ".", "--json", cwd=tmp_path).stdout)
    deleted = lehr_command("runs", "delete", one["id"], "--runs", ".", "--yes", cwd=tmp_path)
    assert deleted.stdout == f"deleted study {one['id']} and 4 jobs\n"
    left = lehr_command("runs", "list", "--runs", ".", "--json", cwd=tmp_path)
    assert json.loads(left.stdout) == []
    assert list((tmp_path / "curves").iterdir()) == []


def test_a_dry_run_lists_the_jobs_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "task: toys:toy\narms:\n  a: {preset: cosine, peak: tune}\n  b: 0.01\n"
        "epochs: [1, 2]\nseeds: 3\npeaks: 3\ntuning_seeds: 2\n"
    )
    dry = lehr_command("compare", "study.yaml", "--dry-run", "--json", cwd=tmp_path)
    plan = json.loads(dry.stdout)
    assert plan["parts"] == {"range tests": [2, 0], "peaks": [6, 0], "trials": [12, 0]}
    assert plan["seconds"] > 0
    assert not (tmp_path / "runs").exists()
    assert lehr_command("compare", "study.yaml", cwd=tmp_path).returncode == 0
    output = lehr_command("compare", "study.yaml", "--dry-run", cwd=tmp_path).stdout
    assert re.search(r"trials +│ 12 +│ 12", output)
    assert "0 jobs missing" in output


def test_a_dry_run_times_the_first_arms_optimizer(tmp_path: Path) -> None:
    arms = {"a": Arm(0.1, optimizer="plain"), "b": Arm(0.1, optimizer="momentum")}
    study = Study("toys:needs_optimizer", arms, epochs=1, seeds=2, storage=tmp_path)
    assert study.plan().parts["trials"] == (4, 0)


def test_a_study_file_with_options_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("task: toys:toy\narms: {a: 0.1, b: 0.2}\n")
    for option in (["--arm", "a=0.1"], ["--epochs", "3"], ["--stop-early"]):
        done = lehr_command("compare", "study.yaml", *option, cwd=tmp_path)
        assert done.returncode == 2
        assert f"{option[0]} must be omitted with a study file" in done.stderr


def test_incomplete_results_are_rejected(study: Study, results: Results) -> None:
    more = dataclasses.replace(study, seeds=5)
    with pytest.raises(ValueError, match=r"results must be complete, got '.* of .* jobs'; run the"):
        more.results()


def test_a2_a_study_in_which_every_arm_diverged_has_a_verdict_and_a_report(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 1e30, "b": 1e35}, epochs=1, seeds=2, storage=tmp_path)
    results = study.run()
    assert results.diverged("a") == results.diverged("b") == 2
    assert "b (untuned) diverged on 2 of 2 seeds." in results.verdict()
    results.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "diverged on 2 of 2 seeds" in page
    assert "was not drawn" not in page
    assert len(results.figures(tmp_path / "figures")) >= 6


def test_a2_a_figure_that_cannot_be_drawn_does_not_prevent_the_report(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(results: Results, name: str = "lr") -> None:
        raise RuntimeError("<no memory>")

    monkeypatch.setattr(lehr.figures, "draw_rates", broken)
    results.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "This figure was not drawn: RuntimeError(&#x27;&lt;no memory&gt;&#x27;)" in page
    assert results.verdict().split(".")[0] in page
