"""Studies end to end on toy tasks: pairing, tuning, storage, failures, the report."""

import dataclasses
import json
import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

import lehr
from lehr.learner import Trace
from lehr.recipes.arms import standard_arms
from lehr.report import render
from lehr.study import Arm, Results, Study, TrialError, text
from lehr.study.cache_key import study_id
from lehr.study.jobs import tuning_seeds
from lehr.study.ledger import LedgerError, check_ledger, check_pairs
from lehr.study.runner import Progress
from lehr.study.stats.sequential import judge
from lehr.study.storage import Record, Storage
from lehr.study.trial import run_job
from lehr.study.tuning import centre, sweep_jobs
from lehr.study.yaml import study_of
from lehr.tasks.find import find_task

ARMS = {
    "fixed": Arm(1.0, tune="constant"),
    "plateau": Arm(
        lehr.Policy(lr=1.0, control=lehr.Plateau(patience=1, factor=0.5)), tune="constant"
    ),
    "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    "fixed 0.01": 0.01,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    runs = tmp_path_factory.mktemp("runs")
    return Study("toys:toy", ARMS, epochs=3, seeds=3, peaks=1, storage=runs)


@pytest.fixture(scope="module")
def results(study: Study) -> Results:
    return study.run()


def test_every_arm_and_seed_has_a_trial(study: Study, results: Results) -> None:
    assert set(results.trials) == {(arm, 3, seed) for arm in ARMS for seed in range(3)}
    assert all(len(trial.trace.losses) == 24 for trial in results.trials.values())
    for trial in results.trials.values():
        assert [entry["step"] for entry in trial.metadata["history"]] == [8, 16, 24]


def test_trials_of_a_seed_have_the_same_weights_and_batches(results: Results) -> None:
    for seed in range(3):
        pairings = [results.trials[arm, 3, seed].metadata["pairing"] for arm in ARMS]
        assert all(pairing == pairings[0] for pairing in pairings)
        assert len({results.trials[arm, 3, seed].trace.losses[0] for arm in ARMS}) == 1
    for what in ("initial state", "batches", "first loss"):
        assert len({results.trials["fixed", 3, s].metadata["pairing"][what] for s in range(3)}) == 3


def test_a_trial_equals_a_run_of_its_learner(study: Study, results: Results) -> None:
    policy = ARMS["one-cycle"].at(results.peaks["one-cycle"]).resolve(24)
    learner = toys.Toy(2)
    trace = learner.train(policy, 24)
    trial = results.trials["one-cycle", 3, 2]
    assert trial.trace == trace
    assert trial.metadata["test"] == learner.evaluate("test")


def test_a_task_with_hidden_state_is_paired(tmp_path: Path) -> None:
    arms = {"a": 0.01, "same as a": lehr.constant(0.01, 1).then(lehr.constant(0.01)), "b": 0.02}
    kind = {"epochs": 2, "seeds": 2}
    found = Study("toys:hidden", arms, storage=tmp_path, **kind).run(workers=1)
    for seed in range(2):
        alone = toys.Hidden(seed).train(lehr.Policy(0.01), 16)
        assert found.trials["a", 2, seed].trace == alone
        assert found.trials["same as a", 2, seed].trace == alone


def test_the_plateau_observes_each_epoch_and_scales_the_rate(results: Results) -> None:
    control = ARMS["plateau"].policy.control
    peak = results.peaks["plateau"]
    for seed in range(3):
        trial = results.trials["plateau", 3, seed]
        state = control.init()
        for epoch, metrics in enumerate(trial.metadata["history"]):
            used = trial.trace.rates["lr"][8 * epoch : 8 * (epoch + 1)]
            assert used == [peak * state.factor] * 8
            state = control.update(state, metrics["validation"]["loss"])


def test_peaks_come_from_range_tests_on_other_seeds(study: Study, results: Results) -> None:
    tuning = {job["seed"] for job in sweep_jobs(study).values()}
    assert tuning == set(tuning_seeds(study.tuning_seeds))
    assert tuning.isdisjoint(range(study.seeds))
    assert len(results.sweeps[None]) == study.tuning_seeds
    assert results.peaks["fixed"] == results.peaks["plateau"]
    assert results.peaks["fixed 0.01"] is None
    ratio = results.peaks["one-cycle"] / results.peaks["fixed"]
    assert ratio == pytest.approx(2, rel=0.01)  # three significant digits


def test_a_second_run_reuses_all_trials(study: Study, results: Results) -> None:
    calls = []
    again = study.run(progress=calls.append)
    assert all(now.finished is None for now in calls)
    assert (calls[-1].done, calls[-1].total) == (15, 15)
    assert again.to_json() == results.to_json()
    assert again.trials == results.trials
    assert study.results().to_json() == results.to_json()


def test_only_a_new_arm_runs(study: Study, results: Results) -> None:
    wider = dataclasses.replace(study, arms=ARMS | {"cosine": lehr.cosine(0.05)})
    ran = []
    found = wider.run(progress=lambda now: ran.append(now.finished) if now.finished else None)
    assert len(ran) == 3
    assert found.scores("fixed") == results.scores("fixed")


def test_failed_trials_are_reported_and_the_others_stored(tmp_path: Path) -> None:
    arms = {"a": 0.01, "b": 0.02}
    study = Study("toys:failing_on_seed_1", arms, epochs=1, seeds=3, storage=tmp_path)
    finished = []
    with pytest.raises(TrialError, match=r"seed 1 failed .*\n(.*\n)*.*data of seed 1 is missing"):
        study.run(progress=lambda now: finished.append(now.finished) if now.finished else None)
    done = [(job["policy"]["lr"]["value"], job["seed"]) for job in finished if job]
    assert sorted(done) == [
        (0.01, 0),
        (0.01, 2),
        (0.02, 0),
        (0.02, 2),
    ]


def test_a_task_that_ignores_its_seed_is_detected(tmp_path: Path) -> None:
    study = Study("toys:unpaired", {"a": 0.01}, epochs=1, seeds=2, storage=tmp_path)
    study.run()
    study = dataclasses.replace(study, arms={"a": 0.01, "b": 0.02})  # runs b in other processes
    with pytest.raises(ValueError, match="of b, seed 0, must be the same as of a"):
        study.run()


def paired(**pairing: str) -> Record:
    return Record("x", {"pairing": pairing}, Path())


def test_pairs_are_checked_on_batches() -> None:
    a, b = paired(state="x", batches="y"), paired(state="x", batches="z")
    with pytest.raises(ValueError, match="batches of b, seed 0, must be the same as of a"):
        check_pairs({("a", 5, 0): a, ("b", 5, 0): b}, {"a": None, "b": None})


def test_arms_with_other_optimizers_have_other_slots_but_the_same_batches() -> None:
    a = paired(**{"initial state": "x", "batches": "y", "first loss": "1.0"})
    b = paired(**{"initial state": "z", "batches": "y", "first loss": "1.0"})
    c = paired(**{"initial state": "z", "batches": "y", "first loss": "2.0"})
    optimizers = {"a": None, "b": "adam", "c": "adam"}
    check_pairs({("a", 5, 0): a, ("b", 5, 0): b}, optimizers)
    with pytest.raises(ValueError, match="first loss of c, seed 0, must be the same as of a"):
        check_pairs({("a", 5, 0): a, ("c", 5, 0): c}, optimizers)


def test_the_ledger_detects_an_optimizer_with_another_rate(tmp_path: Path) -> None:
    job = toys.trial_job(lehr.Policy(lr=0.1), task="toys:disobedient")
    with pytest.raises(
        LedgerError, match=r"lr must be 0\.1 in update 10, the optimizer used 0\.05"
    ):
        run_job(job, tmp_path)


def test_a_callback_that_overwrites_the_rate_fails_its_trial(tmp_path: Path) -> None:
    arms = {"a": lehr.linear(0.0, 0.01), "b": 0.001}
    kind = {"metric": "loss", "mode": "min", "epochs": 1, "seeds": 2, "storage": tmp_path}
    with pytest.raises(TrialError, match=r"LedgerError: lr must be 0\.00625\d* in update 5, the "):
        Study("torch_models:overwritten", arms, **kind).run()
    assert Study("torch_models:regression", arms, **kind).run().scores("a")


def test_an_interrupted_study_stores_finished_trials_and_resumes(tmp_path: Path) -> None:
    # a test started in the background ignores SIGINT, and so do its child processes
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{code}; from lehr.cli import main; main()"]
    command += ["compare", "toys:toy", "--seeds", "6", "--epochs", "2"]
    command += ["--peaks", "1", "--runs", str(tmp_path), "--workers", "1", "--json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not _finished(tmp_path):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished jobs are stored" in said
    kept = _finished(tmp_path)
    assert 0 < kept < 33
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["reference"] == "fixed"
    assert _finished(tmp_path) == 33


def _finished(folder: Path) -> int:
    import sqlite3

    if not (folder / "results.sqlite").exists():
        return 0
    with sqlite3.connect(folder / "results.sqlite") as connection:
        try:
            return connection.execute("select count(*) from jobs").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_table_and_verdict(results: Results) -> None:
    rows = text.rows(results)
    assert [row["arm"] for row in rows] == ["fixed", "plateau", "one-cycle", "fixed 0.01 (untuned)"]
    assert rows[0]["verdict"] == "reference"
    assert {row["verdict"] for row in rows[1:]} <= {"better", "worse", "undecided"}
    mean = sum(results.scores("fixed")) / 3
    assert rows[0]["final test accuracy"] == f"{100 * mean:.2f} %"
    for row in rows[1:]:
        assert row["arm"] in results.verdict()


def test_json_contains_scores_comparisons_and_the_definition(results: Results) -> None:
    data = json.loads(results.to_json())
    assert data["scores"]["fixed"] == results.scores("fixed")
    assert set(data["comparisons"]) == {"plateau", "one-cycle", "fixed 0.01"}
    assert data["definition"]["arms"]["one-cycle"]["tune"] == "one-cycle"
    policy = lehr.Policy.from_dict(data["definition"]["arms"]["one-cycle"]["policy"])
    assert policy == lehr.one_cycle(1.0)


def test_comparisons_are_computed_once(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return judge(*arguments, **options)

    monkeypatch.setattr("lehr.study.results.judge", counted)
    fresh = dataclasses.replace(results)
    fresh.to_json(), fresh.verdict(), fresh.table(), fresh.frames()
    fresh.report(tmp_path / "report.html")
    assert len(calls) == 1  # one budget


def test_the_report_is_one_self_contained_file(results: Results, tmp_path: Path) -> None:
    results.report(tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    html = (tmp_path / "report.html").read_text()
    assert re.findall(r"(?:src|href|url)\W{1,3}(?:https?:)?//", html) == []
    assert re.findall(r"<(?:script|link|img|iframe)\b", html) == []
    assert html.count("<svg") == 6
    for expected in (
        results.verdict(),
        "fixed 0.01 (untuned)",
        "applied learning rate (log scale)",
        "applied momentum",
        "validation accuracy (%)",
        "difference to fixed on test data (points)",
        "learning rate (log scale)",
        '<td data-name="policy">0.01</td><td data-name="tune">untuned</td>',
    ):
        assert expected in html.replace("&#34;", '"')


def diverging(results: Results, arm: str) -> Results:
    """The same results, except that seed 1 of an arm diverged in its second epoch."""
    trials = dict(results.trials)
    record = trials[arm, 3, 1]
    nothing = {"accuracy": None, "loss": None}
    history = [entry | {"validation": nothing} for entry in record.metadata["history"]]
    metadata = record.metadata | {"test": nothing, "validation": nothing, "history": history}
    broken = Record(record.id, metadata, record.path)
    losses = record.trace.losses[:8] + [math.nan] * 16
    vars(broken)["trace"] = Trace(losses, record.trace.rates)
    trials[arm, 3, 1] = broken
    return dataclasses.replace(results, trials=trials)


def test_a_diverged_arm_is_reported_and_the_others_are_compared(
    results: Results, tmp_path: Path
) -> None:
    broken = diverging(results, "one-cycle")
    assert set(broken.comparisons()) == {"plateau", "fixed 0.01"}
    assert "one-cycle diverged on 1 of 3 seeds." in broken.verdict()
    assert text.rows(broken)[2]["verdict"] == "diverged on 1 of 3 seeds"
    assert json.loads(broken.to_json())["scores"]["one-cycle"][1] is None
    broken.report(tmp_path / "report.html")
    assert "diverged on 1 of 3 seeds" in (tmp_path / "report.html").read_text()


def test_arms_with_equal_trials_are_reported(results: Results) -> None:
    twin = {("plateau", 3, seed): results.trials["fixed", 3, seed] for seed in range(3)}
    same = dataclasses.replace(results, trials=results.trials | twin)
    assert "plateau (the same on every seed)" in same.verdict()


def test_a_diverged_reference_is_reported_without_comparisons(
    results: Results, tmp_path: Path
) -> None:
    broken = diverging(results, "fixed")
    assert broken.comparisons() == {}
    assert "The reference fixed diverged, so there is no comparison: lower its" in broken.verdict()
    assert {row["verdict"] for row in text.rows(broken)[1:]} == {"not compared"}
    assert json.loads(broken.to_json())["scores"]["fixed"][1] is None
    broken.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "not finite" in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_a_run_with_a_loss_that_is_not_finite_has_diverged(
    results: Results,
) -> None:
    trials = dict(results.trials)
    record = trials["plateau", 3, 0]
    *rest, last = record.metadata["history"]
    metadata = record.metadata | {"history": [*rest, last | {"loss": None}]}
    trials["plateau", 3, 0] = Record(record.id, metadata, record.path)
    broken = dataclasses.replace(results, trials=trials)
    assert broken.diverged("plateau") == 1
    assert "plateau diverged on 1 of 3 seeds." in broken.verdict()


def test_parameter_groups_go_through_trial_ledger_and_figure(tmp_path: Path) -> None:
    grouped = lehr.Policy(lr={"body": 0.01, "head": lehr.linear(0.02, 0.0, 8)})
    arms = {"plain": 0.01, "grouped": grouped}
    study = Study("toys:grouped", arms, epochs=1, seeds=2, storage=tmp_path)
    found = study.run()
    assert set(found.trials["grouped", 1, 0].trace.rates) == {"lr/body", "lr/head"}
    assert "grouped (untuned) head" in render(found)


def test_an_empty_ledger_is_detected() -> None:
    with pytest.raises(LedgerError, match="lr was recorded 0 times in 2 updates"):
        check_ledger(Trace([1.0, 1.0], {}), lehr.Policy(lr=0.1), 0, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "acuracy"}, "metric must be one of loss, accuracy, got 'acuracy'"),
        ({"restore_best": True}, "restore_best must be False in a study, got True"),
        ({"monitor": "val_los"}, "monitor must be one of .*; did you mean val_loss"),
        ({"peak": 0.05}, r"largest rate must be at most the peak chosen, 0\.05, got 0\.1; write"),
    ],
)
def test_errors_in_the_definition_are_raised_before_training(
    changes: dict, message: str, tmp_path: Path
) -> None:
    changes = dict(changes)
    best = changes.pop("restore_best", False)
    control = lehr.Plateau(changes.pop("monitor", "val_loss"), restore_best=best)
    with pytest.raises(ValueError, match=message):
        run_job(toys.trial_job(lehr.Policy(lr=0.1, control=control), **changes), tmp_path)


@pytest.mark.parametrize("epochs", [2, (1, 2)], ids=["in a part", "between parts"])
def test_a_task_file_changed_during_a_study_fails_later_jobs(
    epochs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "task_that_changes.py"
    task.write_text("from toys import slow as make\n")
    seeds, arms = (3, {"a": 0.01, "b": 0.02}) if epochs == 2 else (2, {"a": 0.01})
    study = Study("task_that_changes:make", arms, epochs=epochs, seeds=seeds)

    def edit(now: Progress) -> None:
        if now.done == 2:
            task.write_text("from toys import toy as make\n")

    with pytest.raises(TrialError, match="the task's file must be unchanged during a study"):
        study.run(workers=1, progress=edit)


def test_results_are_readable_after_a_change_or_removal_of_the_task_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "task_that_goes.py"
    task.write_text("from toys import toy as make\n")
    arms = {"a": Arm(1.0, tune="constant"), "b": 0.02}
    study = Study("task_that_goes:make", arms, epochs=1, seeds=2, peaks=3, storage=tmp_path / "r")
    before = study.run().to_json()
    task.write_text("from toys import toy as make  # a comment\n")
    assert study.results().to_json() == before
    task.unlink()
    sys.modules.pop("task_that_goes")
    with Storage(tmp_path / "r", readonly=True) as storage:
        (one,) = storage.studies()
    assert study_of(one["definition"], tmp_path / "r").results().to_json() == before


def test_studies_with_different_references_have_different_ids() -> None:
    one, other = Study("toys:toy", {"a": 0.1, "b": 0.2}), Study("toys:toy", {"b": 0.2, "a": 0.1})
    assert one != other
    assert study_id(one.to_dict()) != study_id(other.to_dict())


def test_another_metric_is_read_from_stored_trials(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    study.run()
    ran = []
    other = dataclasses.replace(study, metric="loss", mode="min")
    found = other.run(progress=lambda now: ran.append(now.finished) if now.finished else None)
    assert ran == []
    assert found.scores("a")[0] == found.trials["a", 1, 0].metadata["test"]["loss"]


def test_a_learner_that_does_not_save_its_momentum_is_not_reused(tmp_path: Path) -> None:
    arms = {"a": 0.01, "b": 0.02}
    study = Study("toys:forgetful", arms, epochs=2, seeds=2, storage=tmp_path)
    found = study.run(workers=1)
    for seed in range(2):
        alone = toys.Forgetful(seed).train(lehr.Policy(0.02), 16)
        assert found.trials["b", 2, seed].trace == alone


def test_a_task_that_reads_input_fails_and_its_output_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    study = Study("toys:asking", {"a": 0.01}, epochs=1, seeds=2, storage=tmp_path)
    with pytest.raises(TrialError, match=r"seed 0 failed .*\n(.*\n)*asking 0\n(.*\n)*EOFError"):
        study.run(workers=1)


def test_missing_test_data_is_reported_before_training(tmp_path: Path) -> None:
    arms = {"a": Arm(1.0, tune="constant")}
    study = Study("toys:untested", arms, epochs=1, seeds=2, storage=tmp_path)
    finished = []
    with pytest.raises(TrialError, match=r"range test on .*\n(.*\n)*.*split must be one of valid"):
        study.run(progress=lambda now: finished.extend([now.finished] if now.finished else []))
    assert finished == []


def test_a_process_that_cannot_be_started_fails_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_error(*arguments: object, **options: object) -> None:
        raise OSError("out of memory")

    monkeypatch.setattr(subprocess, "Popen", raise_error)
    study = Study("toys:toy", {"a": 0.01}, epochs=1, seeds=2, storage=tmp_path)
    with pytest.raises(TrialError, match=r"failed \(and 1 more jobs\):\nOSError: out of memory"):
        study.run()


def test_the_standard_arms_run_in_one_epoch(tmp_path: Path) -> None:
    study = Study("toys:toy", standard_arms(), epochs=1, seeds=2, peaks=1, storage=tmp_path)
    assert len(study.run().trials) == 10


def test_a_changed_task_file_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "changing_task.py"
    task.write_text("from toys import toy as make\n")
    study = Study("changing_task:make", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2)
    ran: list = []

    def count(now: Progress) -> None:
        ran.extend([now.finished] if now.finished else [])

    study.run(progress=count)
    study.run(progress=count)
    assert len(ran) == 4
    task.write_text("from toys import toy as make  # edited\n")
    study.run(progress=count)
    assert len(ran) == 8


def test_a_damaged_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"not a database at all" * 100)
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    with pytest.raises(ValueError, match="storage must be a database that can be read"):
        study.run()
    with pytest.raises(
        TypeError, match="progress must be a function of a Progress, or None, got T"
    ):
        study.run(progress=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "digit-mlp"}, "task must be one of .*; did you mean digits-mlp"),
        ({"task": "toys:toi"}, "function of toys must be one of .*; did you mean toy"),
        ({"task": "no_such_module:f"}, "module that can be imported"),
        ({"arms": {}}, "arms must be a dict of at least one arm"),
        ({"judge": "last"}, "judge must be one of final, best, got 'last'$"),
        ({"seeds": 0}, "seeds must be an integer >= 2, got 0"),
        ({"seeds": 1}, "seeds must be an integer >= 2, got 1"),
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"tuning_seeds": 0}, "tuning_seeds must be an integer >= 1, got 0"),
        ({"seeds": 1001}, "seeds must be at most 1000"),
        ({"mode": "maximum"}, "mode must be one of min, max"),
    ],
)
def test_bad_definitions_are_rejected(arguments: dict, message: str) -> None:
    good = {"task": "toys:toy", "arms": ARMS}
    with pytest.raises(ValueError, match=message):
        Study(**good | arguments)


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".a", "$x$", "[/b]", "a" * 61])
def test_names_that_are_not_valid_files_or_labels_are_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="name of an arm must be 1 to 60 letters, digits, spaces"):
        Study("toys:toy", {name: 0.1})
    with pytest.raises(ValueError, match="optimizer must be 1 to 60 letters, digits, spaces"):
        Arm(0.1, optimizer=name)


def test_later_failures_are_rejected_by_the_constructor() -> None:
    with pytest.raises(TypeError, match="name of an arm must be text, got 1"):
        Study("toys:toy", {1: 0.1})
    with pytest.raises(TypeError, match="storage must be a folder, got None"):
        Study("toys:toy", {"a": 0.1}, storage=None)
    with pytest.raises(ValueError, match="stop_early must be False with 5 seeds"):
        Study("toys:toy", {"a": 0.1}, seeds=5, stop_early=True)
    with pytest.raises(ValueError, match=r"largest rate of a tuned policy must be 1, got 0\.1;"):
        Arm(lehr.one_cycle(0.1), tune="one-cycle")
    with pytest.raises(ValueError, match="from_function"):
        Arm(lehr.from_function(lambda step: 0.1))
    with pytest.raises(ValueError, match="workers must be an integer >= 1, got -1"):
        Study("toys:toy", {"a": 0.1}).run(workers=-1)


def test_bad_arms_are_rejected() -> None:
    with pytest.raises(ValueError, match="tune must be one of constant, one-cycle, cyclical"):
        Arm(1.0, tune="onecycle")
    with pytest.raises(
        TypeError, match="policy must be a policy, a schedule or a number, got 'cosine'"
    ):
        Arm("cosine")
    with pytest.raises(ValueError, match="without parameter groups"):
        Arm(lehr.Policy(lr={"head": 1.0}), tune="constant")
    in_tokens = lehr.Policy(0.1, values={"k": lehr.linear(0.0, 1.0, "1B tokens")})
    message = r"policy must be in steps, epochs or shares of the run in a study.* call .resolve\("
    with pytest.raises(ValueError, match=message):
        Arm(in_tokens)
    assert Arm(in_tokens.resolve(tokens_per_step=1e6)).policy.length == 1000


def test_a_study_omits_values_of_the_loop(tmp_path: Path) -> None:
    looped = lehr.Policy(0.05, values={"ema_decay": lehr.linear(0.9, 1.0)})
    study = Study(
        "toys:toy", {"a": looped, "b": lehr.Policy(0.05)}, epochs=1, seeds=2, storage=tmp_path
    )
    trials = study.run(workers=1).trials
    for seed in range(2):
        assert list(trials["a", 1, seed].trace.rates) == ["lr"]
        assert trials["a", 1, seed].trace == trials["b", 1, seed].trace


def test_no_suggestion_stops_the_study_with_the_reason(results: Results) -> None:
    nothing = lehr.Sweep((1.0, 2.0), (1.0, 5.0), "linear", 100, "diverged")
    for alone in (True, False):
        with pytest.raises(
            ValueError, match=r"peak of fixed must be suggested .*fewer than 20 points"
        ):
            centre("fixed", (nothing,), "constant", alone)
    one = results.sweeps[None][0]
    assert centre("fixed", (nothing, one), "constant", alone=False) == one.suggest("constant").lr
    with pytest.raises(ValueError, match=r"peak of fixed must be suggested .*1 of 2 range tests"):
        centre("fixed", (nothing, one), "constant", alone=True)


def test_the_standard_arms_are_the_documented_ones() -> None:
    arms = standard_arms()
    assert list(arms) == ["fixed", "plateau", "triangular2", "one-cycle", "fixed 0.01"]
    assert arms["plateau"].policy.control == lehr.Plateau(factor=0.5, patience=1)
    tuned = arms["triangular2"].at(0.05).resolve(80, steps_per_epoch=16).lr
    expected = [0.005, 0.05, 0.005, 0.0275, 0.005]  # half a cycle in one epoch, then half the peak
    assert [tuned(16 * i) for i in range(5)] == pytest.approx(expected, rel=1e-12)
    assert arms["fixed 0.01"].tune is None


def test_built_in_tasks_exist() -> None:
    assert callable(find_task("fashion-mnist-mlp"))
    assert callable(find_task("digits-mlp"))
