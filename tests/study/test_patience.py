"""Early stopping in a study: patience with the validation metric; the best epoch is judged."""

from pathlib import Path

import pytest
import toys

import lehr
from lehr.study import Study
from lehr.study.trial import run_job
from lehr.study.yaml import dump_study, load_study, study_of

PATIENT = {"metric": "loss", "mode": "min", "judge": "best", "epochs": 6}


@pytest.mark.parametrize(
    ("patience", "epochs", "best"),
    # losses 3 2 5 4 1 1: no improvement for two epochs after the second, then an improvement
    [(1, 3, 2), (2, 4, 2), (3, 6, 5), (None, 6, 5)],
)
def test_a_trial_stops_when_patience_ends_and_its_best_epoch_is_judged(
    tmp_path: Path, patience: int | None, epochs: int, best: int
) -> None:
    study = Study(
        "toys:listed", {"a": 0.01}, seeds=1, patience=patience, storage=tmp_path, **PATIENT
    )
    results = study.run(workers=1)
    metadata = results.records("a")[0].metadata
    assert [entry["step"] for entry in metadata["history"]] == [8 * (i + 1) for i in range(epochs)]
    assert metadata["steps"] == len(results.records("a")[0].trace.losses) == 8 * epochs
    assert (metadata["best"]["step"], results.scores("a")) == (8 * best, [best])  # the test loss


def test_an_interrupted_trial_stops_at_the_same_epoch(tmp_path: Path) -> None:
    job = toys.trial_job(lehr.Policy(0.01), task="toys:listed", budget=6)
    job |= {"metric": "loss", "mode": "min", "judge": "best", "patience": 2}
    complete = run_job(job, tmp_path / "complete").metadata

    class Cut(Exception):
        pass

    def cut(message: dict) -> None:
        if message["step"] == 24:
            raise Cut

    with pytest.raises(Cut):
        run_job(job, tmp_path / "cut", cut, checkpoint_every=0.0)
    steps = []
    rest = run_job(job, tmp_path / "cut", lambda message: steps.append(message["step"])).metadata
    assert steps[0] > 8
    assert steps[-1] == 32
    for name in ("history", "best", "steps"):
        if name == "history":
            complete[name], rest[name] = (
                [e | {"seconds": 0} for e in f[name]] for f in (complete, rest)
            )
        assert complete[name] == rest[name]


def test_arms_that_stop_at_different_epochs_are_reported(tmp_path: Path) -> None:
    arms = {"small": 1e-4, "large": 0.3}
    study = Study(
        "toys:toy", arms, seeds=3, patience=1, storage=tmp_path, **PATIENT | {"epochs": 12}
    )
    results = study.run(workers=1)
    lengths = {arm: [r.metadata["steps"] for r in results.records(arm)] for arm in arms}
    assert min(lengths["large"]) < max(lengths["small"])
    assert len(set(lengths["large"])) > 1
    results.report(tmp_path / "report.html")
    results.tensorboard(tmp_path / "events")
    assert results.frames()["trials"]["steps"].tolist() == lengths["small"] + lengths["large"]


def test_a_branch_of_a_stopped_trunk_equals_a_separate_run(tmp_path: Path) -> None:
    more = {"seeds": 1, "patience": 2} | PATIENT
    both = Study("toys:listed", {"a": 0.01}, **more | {"epochs": (5, 6)}, storage=tmp_path / "both")
    separate = Study(
        "toys:listed", {"a": 0.01}, **more | {"epochs": 5}, storage=tmp_path / "separate"
    )
    found = both.run(workers=1).records("a", 5)[0]
    want = separate.run(workers=1).records("a")[0]
    assert found.metadata["best"] == want.metadata["best"]
    assert found.trace == want.trace


def test_patience_and_backend_are_stored_in_files_and_definitions(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.1}, seeds=1, patience=3, backend="torch", **PATIENT)
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(study))
    assert load_study(file) == study
    again = study_of(study.to_dict(), "runs")
    assert (again.patience, again.backend, again.seeds) == (3, "torch", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 2}, r'patience must be omitted unless judge="best" with epochs, got 2'),
        ({"patience": 2, "judge": "best", "steps": 9}, r"patience must be omitted unless"),
        ({"patience": 0, "judge": "best"}, r"patience must be an integer >= 1, got 0"),
        ({"backend": "theano"}, r"backend must be one of .*jax.*, got 'theano'"),
    ],
)
def test_bad_patience_and_backends_are_rejected(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Study("toys:toy", {"a": 0.1, "b": 0.2}, **arguments)


def test_a_backend_that_is_not_installed_is_rejected_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"backend must be installed, got 'tensorflow'; pip install"
    ):
        Study("toys:toy", {"a": 0.1, "b": 0.2}, backend="tensorflow", storage=tmp_path).run()


def test_trials_run_on_the_studys_backend(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.1}, seeds=1, epochs=1, backend="torch", storage=tmp_path)
    record = study.run(workers=1).records("a")[0]
    assert record.metadata["versions"]["Keras backend"] == "torch"


def test_definitions_without_patience_and_backend_are_read() -> None:
    study = Study("toys:toy", {"a": 0.1, "b": 0.2}, epochs=2)
    definition = study.to_dict()
    assert "patience" not in definition
    assert "backend" not in definition
    again = study_of(definition, "runs")
    assert (again.patience, again.backend) == (None, None)
    assert again.to_dict() == definition
