"""Nothing is ever lost: kills at random moments, full disks, two drivers, other formats."""

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import toys
from slow_study import slow_study

import lehr
from lehr.learner import Snapshot
from lehr.study import Study, TrialError
from lehr.study.runner import Progress
from lehr.study.storage import Storage
from lehr.study.trial import run_job

DRIVER = """if True:
    import sys, lehr.study.runner
    from slow_study import slow_study
    lehr.study.runner._CHECKPOINT_SECONDS = 0.0
    slow_study(*sys.argv[1:]).run(workers=2)
"""


def outcome(study: Study) -> dict:
    """Everything that a study found, but for the seconds."""

    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if "seconds" not in k}
        return [timeless(v) for v in value] if isinstance(value, list) else value

    results = study.results()
    with sqlite3.connect(Path(study.storage, "results.sqlite")) as connection:
        ids = [row[0] for row in connection.execute("select id from jobs order by id")]
    trials = {key: (timeless(r.metadata), r.trace) for key, r in results.trials.items()}
    return {"jobs": ids, "trials": trials, "said": json.loads(results.to_json())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict:
    study = slow_study(tmp_path_factory.mktemp("undisturbed"), "toys:slow")
    study.run(workers=2)
    return outcome(study)


def start(folder: Path, task: str = "toys:slow") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), task],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )


def workers_of(driver: subprocess.Popen) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = place.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == driver.pid:
            found.append(int(place.parent.name))
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def disturbed(folder: Path, victims: str, moments: list[float]) -> None:
    """Run the study to its end, killing its driver, a worker or everything on the way."""
    for moment in moments:
        driver = start(folder)
        time.sleep(moment)
        workers = workers_of(driver)
        if victims in ("workers", "all"):
            for pid in workers if victims == "all" else workers[:1]:
                kill(pid)
        if victims in ("driver", "all"):
            kill(driver.pid)
            driver.wait()
        elif driver.wait(timeout=120) != 0:
            raise AssertionError(driver.stderr.read().decode())
        driver.stderr.close()
    driver = start(folder)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said.decode()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
@pytest.mark.parametrize("victims", ["workers", "driver", "all"])
def test_killed_it_goes_on_and_every_number_is_the_same(
    victims: str, undisturbed: dict, tmp_path: Path
) -> None:
    moments = [random.Random(victims).uniform(0.8, 3.0)]
    disturbed(tmp_path, victims, moments)
    assert outcome(slow_study(tmp_path)) == undisturbed
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("task", "longest"), [("toys:slow", 2.5), ("digits-mlp", 15.0)])
def test_killed_at_twenty_random_moments(task: str, longest: float, tmp_path: Path) -> None:
    whole = slow_study(tmp_path / "whole", task)
    whole.run(workers=2)
    rng, folder = random.Random(0), tmp_path / "killed"
    for _ in range(20):
        victims = rng.choice(["a worker", "the driver", "all"])
        driver = start(folder, task)
        time.sleep(rng.uniform(0.5, longest))
        for pid in workers_of(driver) if victims != "the driver" else []:
            kill(pid)
            if victims == "a worker":
                break
        if victims == "a worker":
            time.sleep(rng.uniform(0, 1))
        kill(driver.pid)
        driver.communicate()
    driver = start(folder, task)
    _, said = driver.communicate(timeout=300)
    assert driver.returncode == 0, said.decode()
    assert outcome(slow_study(folder, task)) == outcome(whole)


def test_a_trial_goes_on_from_its_last_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    policy = lehr.Policy(
        lehr.one_cycle(0.05).lr, momentum=0.8, control=lehr.Plateau(patience=1, factor=0.5)
    )
    job = toys.trial_job(policy, budget=6, task="toys:toy", judge="best")
    whole = run_job(job, tmp_path / "whole")
    steps = []

    def interrupt(said: dict) -> None:
        steps.append(said["step"])
        if len(steps) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "cut", interrupt, checkpoint_every=0.0)
    again: list[dict] = []
    resumed = run_job(job, tmp_path / "cut", again.append, checkpoint_every=0.0)
    assert again[0]["step"] > steps[2], "it did not go on but began again"
    for name in ("history", "best", "test", "validation", "pairing"):
        strip = [
            {k: v for k, v in entry.items() if k != "seconds"} if name == "history" else entry
            for entry in (resumed.metadata[name] if name == "history" else [resumed.metadata[name]])
        ]
        wanted = [
            {k: v for k, v in entry.items() if k != "seconds"} if name == "history" else entry
            for entry in (whole.metadata[name] if name == "history" else [whole.metadata[name]])
        ]
        assert strip == wanted
    assert resumed.arrays.keys() == whole.arrays.keys()
    assert all((resumed.arrays[n] == whole.arrays[n]).all() for n in whole.arrays)


def test_budgets_that_branch_off_equal_runs_from_the_beginning(tmp_path: Path) -> None:
    arms = {
        "wsd": lehr.wsd(0.05, warmup=4, cooldown="50%"),
        "constant": lehr.constant(0.02),
        "cosine": lehr.cosine(0.05),
    }
    studies = [
        Study("toys:counted", arms, epochs=e, seeds=2, storage=tmp_path / str(e)) for e in (1, 2, 4)
    ]
    counts = tmp_path / "counts"
    os.environ["LEHR_TOY_COUNTS"] = str(counts)
    try:
        alone = {study.budgets[0]: study.run(workers=1) for study in studies}
        updates = counts.stat().st_size
        counts.unlink()
        together = Study("toys:counted", arms, epochs=(1, 2, 4), seeds=2, storage=tmp_path / "all")
        found = together.run(workers=1)
        shared = counts.stat().st_size
    finally:
        del os.environ["LEHR_TOY_COUNTS"]
    for arm in arms:
        for budget in (1, 2, 4):
            for seed in range(2):
                one = alone[budget].trials[arm, budget, seed]
                other = found.trials[arm, budget, seed]
                assert one.trace == other.trace
                assert one.metadata["test"] == other.metadata["test"]
    assert updates == 2 * 3 * 8 * (1 + 2 + 4)
    # two seeds: the constant trains once; wsd once and two decays, of 4 and 8 updates; the cosine
    # three times; but the first update of every fall is still at the peak, and shared
    assert shared == 2 * (32 + (32 + 3 + 7) + (32 + 7 + 15))


def test_a_second_driver_is_told_and_nothing_breaks(tmp_path: Path, undisturbed: dict) -> None:
    driver = start(tmp_path)
    while not (tmp_path / "results.sqlite").exists():
        time.sleep(0.05)
        assert driver.poll() is None
    with pytest.raises(ValueError, match="storage must be used by one process at a time"):
        slow_study(tmp_path).run()
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said.decode()
    assert outcome(slow_study(tmp_path)) == undisturbed


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    small = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    before = small.run().to_json()
    code = """if True:
        import resource, signal, sys, lehr
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        arms = {"a": 0.01, "b": 0.02, "c": 0.03}
        lehr.Study("toys:toy", arms, epochs=1, seeds=2, storage=sys.argv[1]).run()
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "storage must be a" in last or "File too large" in last, done.stderr
    assert small.results().to_json() == before
    assert not list(tmp_path.rglob("*.tmp"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert soft == hard


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, storage=tmp_path / "file" / "runs")
    with pytest.raises(ValueError, match=r"storage must be a folder that can be written, got .*"):
        study.run()


@contextlib.contextmanager
def unprivileged():
    """Root writes everywhere: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_told_and_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=folder)
        before = study.run().to_json()
        wider = Study("toys:toy", {"a": 0.01, "c": 0.03}, epochs=1, seeds=2, storage=folder)
        places = [folder, *folder.rglob("*")]
        for place in places:
            place.chmod(0o555 if place.is_dir() else 0o444)
        try:
            with unprivileged():
                with pytest.raises(ValueError, match="storage must be a folder that can be writ"):
                    wider.run()
                assert study.results().to_json() == before
        finally:
            for place in places:
                place.chmod(0o755 if place.is_dir() else 0o644)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    study.run()
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        connection.execute("update meta set value = '2' where name = 'format'")
    for act in (study.run, study.results):
        with pytest.raises(ValueError, match=r"format 1 or older, got 'format 2'; .*newer lehr"):
            act()


def test_a_file_without_its_row_is_taken_in(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    before = study.run().to_json()
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        connection.execute("delete from jobs")
    ran = []
    again = study.run(progress=lambda now: ran.append(now.finished) if now.finished else None)
    assert ran == []
    assert again.to_json() == before


def test_damaged_files_count_as_not_there(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    before = study.run().to_json()
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        connection.execute("delete from jobs")
    for path in (tmp_path / "curves").iterdir():
        path.write_bytes(path.read_bytes()[:100])
        (tmp_path / "checkpoints" / path.stem).mkdir()
        (tmp_path / "checkpoints" / path.stem / "last.npz").touch()
    assert study.run().to_json() == before


def test_a_worker_that_dies_again_and_again_fails_its_job(tmp_path: Path) -> None:
    study = Study("toys:dying_on_seed_1", {"a": 0.01, "b": 0.02}, seeds=2, storage=tmp_path)
    finished = []
    with pytest.raises(TrialError, match=r"seed 1 failed .*\n(.*\n)*.*3 times.* SIGKILL"):
        study.run(progress=lambda now: finished.append(now.finished))
    assert {job["seed"] for job in finished if job} == {0}


def test_deleting_a_study_leaves_what_others_share(tmp_path: Path) -> None:
    one = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    two = Study("toys:toy", {"a": 0.01, "c": 0.03}, epochs=1, seeds=2, storage=tmp_path)
    one.run()
    before = two.run().to_json()
    with Storage(tmp_path) as storage:
        first, second = storage.studies()
        assert (first["finished"], second["finished"]) == (4, 4)
        assert storage.delete(first["id"]) == 2
        assert [study["id"] for study in storage.studies()] == [second["id"]]
    assert two.results().to_json() == before
    assert len(list((tmp_path / "curves").iterdir())) == 4
    with pytest.raises(ValueError, match="results must be complete, got '2 of 4 jobs'"):
        one.results()


def test_checkpoints_hold_the_learner_apart_from_the_curves(tmp_path: Path) -> None:
    job = toys.trial_job(lehr.Policy(0.01), budget=3)
    with pytest.raises(RuntimeError, match="enough"):
        run_job(job, tmp_path, raising_after(2), checkpoint_every=0.0)
    saved = Snapshot.load(tmp_path / "x" / "last.npz")
    assert {"learner/weights", "learner/velocity", "losses", "rates/lr"} == saved.arrays.keys()
    assert toys.Toy(0).snapshot().arrays.keys() == {"weights", "velocity"}


def raising_after(times: int):
    said = []

    def tell(what: dict) -> None:
        said.append(what)
        if len(said) > times:
            raise RuntimeError("enough")

    return tell


def test_an_error_in_what_is_told_ends_everything_at_once(tmp_path: Path) -> None:
    study = Study("toys:slow", {"a": 0.01, "b": 0.02}, epochs=4, seeds=4, storage=tmp_path)

    def fail(now: Progress) -> None:
        if now.finished:
            raise ZeroDivisionError("in the caller's progress")

    with pytest.raises(ZeroDivisionError, match="in the caller's progress"):
        study.run(workers=2, progress=fail)
    kept = {path.name for path in (tmp_path / "curves").glob("*.npz")}
    time.sleep(1.0)  # a trial takes 0.3 seconds
    assert {path.name for path in (tmp_path / "curves").glob("*.npz")} == kept
    assert len(kept) < 8
