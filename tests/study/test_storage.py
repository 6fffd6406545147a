"""Files in the folder of a study: not lehr's, damaged, or received from someone else."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import toys
from programs import run_python

import lehr
from lehr._atomic import atomic_write
from lehr.learner import Snapshot
from lehr.study import Study
from lehr.study.storage import Storage
from lehr.study.trial import run_job
from lehr.study.yaml import study_of

_WRITES: list[object] = []


def unfinished(folder: Path) -> Path:
    """Leave a temporary file, as a worker that is killed in a write."""
    folder.mkdir(parents=True, exist_ok=True)
    write = atomic_write(folder / "trial.npz")
    path = write.__enter__()
    path.write_bytes(b"half")
    _WRITES.append(write)  # never closed
    return path


def test_a1_only_unfinished_writes_of_this_storage_are_removed(tmp_path: Path) -> None:
    own = [unfinished(tmp_path / "curves"), unfinished(tmp_path / "checkpoints" / ("0" * 32))]
    others = [
        unfinished(tmp_path / "recipes" / "curves"),  # another storage inside the folder
        unfinished(tmp_path / "recipes" / "checkpoints" / "0123"),
        unfinished(tmp_path),  # the report of another process
        tmp_path / ".notes.tmp",
        tmp_path / "curves" / ".mine.tmp",
        tmp_path / "data" / ".lehr.tmp",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("the user's")
    with Storage(tmp_path):
        pass
    assert not any(path.exists() for path in own)
    assert all(path.read_text() == "the user's" for path in others)


def test_temporary_names_are_not_predictable(tmp_path: Path) -> None:
    names = {unfinished(tmp_path).name for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) == len(".lehr-.tmp") + 16 for name in names)


@pytest.mark.parametrize("length", [240, 250])
def test_a_long_name_can_be_written_atomically(length: int, tmp_path: Path) -> None:
    target = tmp_path / ("r" * length + ".html")
    with atomic_write(target) as temporary:
        temporary.write_text("report")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_low_a_planted_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_text("the user's")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)  # as if predicted
    (tmp_path / f".lehr-{'0' * 16}.tmp").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(FileExistsError, match="File exists"),
        atomic_write(tmp_path / "notes.txt") as path,
    ):
        path.write_text("new")
    assert (tmp_path / "precious").read_text() == "the user's"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of a finished study."""
    storage = tmp_path_factory.mktemp("storage") / "runs"
    study_in(storage).run()
    return storage


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """A copy of the storage of a finished study, as received from someone else."""
    return Path(shutil.copytree(finished, tmp_path / "runs"))


def study_in(storage: Path) -> Study:
    arms = {"a": lehr.study.Arm(1.0, tune="constant"), "b": 0.02}
    return Study("toys:toy", arms, epochs=1, seeds=2, peaks=1, tuning_seeds=1, storage=storage)


def change(runs: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(runs / "results.sqlite") as connection:
        assert connection.execute(statement, values).rowcount > 0


IDS = ["../../victim/precious", "..", "", ".", "a" * 31, "A" * 32, "../" + "0" * 29, 7, b"x" * 32]


@pytest.mark.parametrize("name", IDS, ids=repr)
@pytest.mark.parametrize("table", ["parts", "jobs", "both"])
def test_a6_no_command_leaves_the_folder(name: object, table: str, runs: Path) -> None:
    (victim := runs.parents[1] / "victim").mkdir(exist_ok=True)
    for file in (victim / "precious", victim / "precious.npz", victim / "precious.log"):
        file.write_text("the user's")
    before = {path for path in runs.parent.rglob("*") if path.is_file()}
    (job,) = sqlite3.connect(runs / "results.sqlite").execute("select min(id) from jobs").fetchone()
    if table in ("parts", "both"):
        change(runs, "update parts set job = ? where job = ?", name, job)
    if table in ("jobs", "both"):
        change(runs, "update jobs set id = ? where id = ?", name, job)
    with Storage(runs) as storage:
        (study,) = storage.studies()
        if table == "jobs":
            assert storage.delete(study["id"]) == 4  # the row of no study remains
        else:
            for act in (storage.delete, storage.linked_jobs):
                with pytest.raises(ValueError, match="id of a job must be 32 hexadecimal digits"):
                    act(study["id"])
            assert {p for p in before if not p.exists()} == set()
        for act in (storage.curves, storage.log, lambda name: storage.delete_checkpoints([name])):
            with pytest.raises(ValueError, match="id of a job must be 32 hexadecimal digits, got "):
                act(name)
    assert all(path.read_text() == "the user's" for path in victim.iterdir())


@pytest.mark.parametrize("command", ["delete --yes", "show", "export --out out"])
def test_a6_the_command_prints_one_line_and_changes_no_file(command: str, runs: Path) -> None:
    change(runs, "update parts set job = '../../victim/precious'")
    (victim := runs.parents[1] / "victim").mkdir(exist_ok=True)
    (victim / "precious").write_text("the user's")
    (study,) = sqlite3.connect(runs / "results.sqlite").execute("select id from studies").fetchone()
    name, *options = command.split()
    # other versions of libraries have other ids, so that the recorded ones are used
    change(runs, "update jobs set finished = '2000-01-01'")
    done = run_python("-m", "lehr.cli", "runs", name, study, *options, cwd=runs.parent, code=None)
    if name == "delete":
        assert done.returncode == 2
        assert re.fullmatch(r"lehr: error: id of a job must be 32 hex.*damaged\n", done.stderr)
        assert len(list((runs / "curves").iterdir())) == 5
    assert (victim / "precious").read_text() == "the user's"


@pytest.mark.parametrize(
    "name", ["../../out", "a/b", "..", ".x", "a\x1b[2J", "x" * 200, ""], ids=repr
)
def test_a6_names_of_a_received_study_are_checked_before_an_export(name: str, runs: Path) -> None:
    ((text,),) = sqlite3.connect(runs / "results.sqlite").execute("select definition from studies")
    definition = json.loads(text)
    definition["arms"] = {name: definition["arms"]["a"], "b": definition["arms"]["b"]}
    change(runs, "update studies set definition = ?", json.dumps(definition))
    study = sqlite3.connect(runs / "results.sqlite").execute("select id from studies").fetchone()[0]
    arguments = ("runs", "export", study, "--out", "out")
    done = run_python("-m", "lehr.cli", *arguments, cwd=runs.parent, code=2)
    assert "name of an arm must be 1 to 60 letters" in done.stderr
    assert not (runs.parent / "out").exists()


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    changed = {
        "empty": b"",
        "truncated": content[:middle],
        "one byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "other data": b"not a zip file",
        "zeros": bytes(len(content)),
    }
    if kind in changed:
        path.write_bytes(changed[kind])
    elif kind == "another job":
        others = [p for p in path.parent.glob("*.npz") if p.read_bytes() != content]
        shutil.copy(max(others, key=lambda p: p.stat().st_size), path)
    else:
        saved = Snapshot.load(path)
        arrays = {} if kind == "no arrays" else {"losses": np.zeros(3), "rates/lr": np.zeros(3)}
        Snapshot(arrays, [] if kind == "a list" else saved.metadata).save(path)


KINDS = ["empty", "truncated", "one byte", "other data", "zeros", "another job", "no arrays"]


@pytest.mark.parametrize("kind", [*KINDS, "other arrays", "a list"])
def test_a7_damaged_curves_are_reported_and_trained_again(kind: str, runs: Path) -> None:
    study = study_in(runs)
    before = study.results().to_json()
    names = [
        job
        for (job,) in sqlite3.connect(runs / "results.sqlite").execute(
            "select id from jobs where definition like '%\"trial\"%' order by id"
        )
    ]
    path = runs / "curves" / f"{names[0]}.npz"
    complete = Snapshot.load(path).arrays["losses"].tolist()
    damage(path, kind)
    with (
        pytest.warns(UserWarning, match=rf"{names[0]}\.npz is damaged or differs .*is not used$"),
        pytest.raises(ValueError, match="results must be complete, got '4 of 5 jobs'"),
    ):
        study.results()
    ran = []
    with pytest.warns(UserWarning, match=rf"{names[0]}\.npz is damaged or differs .*runs again$"):
        study.run(progress=lambda now: ran.append(now.finished) if now.finished else None)
    assert len(ran) == 1
    assert study.results().to_json() == before
    assert Snapshot.load(path).arrays["losses"].tolist() == complete


def test_a7_no_damage_of_a_file_raises_an_error_or_is_accepted(tmp_path: Path) -> None:
    """A walk over bits and lengths of a file of curves."""
    path = tmp_path / "x.npz"
    saved = Snapshot({"losses": np.arange(5.0), "rates/lr": np.arange(5.0)}, {"steps": 5})
    saved.save(path)
    content = path.read_bytes()
    rejected = 0
    for i in range(0, 8 * len(content), 11):
        altered = bytearray(content)
        altered[i // 8] ^= 1 << i % 8
        path.write_bytes(altered)
        found = Snapshot.load_if_valid(path)
        rejected += found is None
        assert found is None or found.digest() == saved.digest()  # dates are not data
    assert rejected > 400
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert Snapshot.load_if_valid(path) is None


@pytest.mark.parametrize("kind", ["empty", "truncated", "one byte", "other data", "zeros"])
def test_a7_a_trial_with_a_damaged_checkpoint_starts_again(kind: str, tmp_path: Path) -> None:
    job = toys.trial_job(lehr.Policy(0.01), budget=4)
    complete = run_job(job, tmp_path / "complete")

    def interrupt(message: dict) -> None:
        if message["step"] > 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "cut", interrupt, checkpoint_every=0.0)
    damage(tmp_path / "cut" / "x" / "last.npz", kind)
    steps: list[int] = []
    again = run_job(job, tmp_path / "cut", lambda message: steps.append(message["step"]))
    assert min(steps) <= 16
    assert again.arrays["losses"].tolist() == complete.arrays["losses"].tolist()


ROWS = ["", "x", "[]", "3", "null", "{}", "[" * 10_000, b"\xff\xfe", 7]


@pytest.mark.parametrize("value", ROWS, ids=lambda value: repr(value)[:12])
def test_a7_a_damaged_row_of_a_job_is_imported_or_trained_again(value: object, runs: Path) -> None:
    study = study_in(runs)
    before = study.results().to_json()
    change(runs, "update jobs set facts = ?", value)
    if value in ("[]", "3", "{}", 7):  # it is unknown which of the two is right
        with pytest.warns(UserWarning, match="is damaged or differs from its row"):
            study.run()
    else:
        study.run()
    assert study.results().to_json() == before


@pytest.mark.parametrize("value", ROWS, ids=lambda value: repr(value)[:12])
def test_a7_a_damaged_definition_is_one_line(value: object, runs: Path) -> None:
    change(runs, "update studies set definition = ?", value)
    done = run_python("-m", "lehr.cli", "runs", "list", cwd=runs.parent, code=2)
    assert re.fullmatch(r"lehr: error: (definition of a study|storage) must be .*\n", done.stderr)


ENTRIES = ["task", "arms", "epochs", "judging seeds", "tuning seeds", "peaks", "mode"]
WRONG = [None, 3, [], {}, "x", "missing"]
OPTIONAL = {  # valid values, and entries with a default
    *(("task", "'x'"), ("epochs", "None"), ("epochs", "3"), ("tuning seeds", "'x'")),
    *(("peaks", "3"), ("peaks", "'missing'"), ("mode", "'missing'")),
}


@pytest.mark.parametrize(
    ("entry", "value"),
    [(e, v) for e in ENTRIES for v in WRONG if (e, repr(v)) not in OPTIONAL],
    ids=repr,
)
def test_a7_a_wrong_entry_of_a_definition_is_one_error(
    entry: str, value: object, runs: Path
) -> None:
    definition = study_in(runs).to_dict() | {entry: value}
    if value == "missing":
        del definition[entry]
    with pytest.raises(ValueError, match=r"^definition of a study must be the .*is damaged: "):
        study_of(definition, runs)


@pytest.mark.parametrize(
    "make",
    [
        lambda runs: (runs / "results.sqlite").write_bytes(b""),
        lambda runs: (runs / "results.sqlite").write_bytes(b"x" * 5000),
        lambda runs: change(runs, "update meta set value = 'x' where name = 'format'"),
        lambda runs: change(runs, "update meta set value = '0' where name = 'format'"),
        lambda runs: change(runs, "update meta set value = x'ff' where name = 'format'"),
        lambda runs: change(runs, "delete from meta"),
        lambda runs: sqlite3.connect(runs / "results.sqlite").execute("drop table studies"),
    ],
    ids=["empty", "no database", "format x", "format 0", "binary format", "no format", "no table"],
)
def test_a7_a_damaged_database_is_one_line(make: Callable[[Path], object], runs: Path) -> None:
    for journal in runs.glob("results.sqlite-*"):
        journal.unlink()
    make(runs)
    done = run_python("-m", "lehr.cli", "runs", "list", cwd=runs.parent, code=2)
    assert re.fullmatch(r"lehr: error: storage must be .*\n", done.stderr)


def test_a1_files_behind_links_and_of_storages_inside_are_not_deleted(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inner = tmp_path / "runs" / "checkpoints"
    (inner / "curves").mkdir(parents=True)
    (tmp_path / "runs" / "curves").symlink_to(outside)
    (inner / ("a" * 32)).symlink_to(outside)
    own = inner / ("b" * 32)
    own.mkdir()
    names = [folder / ".lehr-0123.tmp" for folder in (outside, inner / "curves", own)]
    for path in names:
        path.write_text("unfinished")
    with Storage(tmp_path / "runs"):
        assert [path.exists() for path in names] == [True, True, False]
