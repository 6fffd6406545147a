"""Recovery of studies: kills at random moments, full disks, two drivers, other formats."""

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slow_study
import toys
from programs import run_python

import lehr
from lehr.learner import Snapshot
from lehr.study import Study, TrialError
from lehr.study.runner import Progress
from lehr.study.storage import Storage
from lehr.study.trial import run_job


def outcome(study: Study) -> dict:
    """Everything that a study stored, without the seconds."""

    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if "seconds" not in k}
        return [timeless(v) for v in value] if isinstance(value, list) else value

    results = study.results()
    with sqlite3.connect(Path(study.storage, "results.sqlite")) as connection:
        ids = [row[0] for row in connection.execute("select id from jobs order by id")]
    trials = {key: (timeless(r.metadata), r.trace) for key, r in results.trials.items()}
    return {"jobs": ids, "trials": trials, "results": json.loads(results.to_json())}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict:
    study = slow_study.slow_study(tmp_path_factory.mktemp("uninterrupted"))
    study.run(workers=2)
    return outcome(study)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Run the slow study in a process; append its output to a file next to the storage."""
    drivers = []

    def start(storage: Path, task: str = "toys:slow") -> subprocess.Popen:
        with storage.with_suffix(".reported").open("a") as reported:
            driver = subprocess.Popen(
                [sys.executable, slow_study.__file__, str(storage), task],
                stdout=reported,
                stderr=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:  # after a failed test some may be stopped
        if driver.poll() is None:
            signal_all([*workers_of(driver), driver.pid], signal.SIGKILL)
        driver.wait()
        driver.stderr.close()


def reported(storage: Path) -> list[tuple[str, int]]:
    """Return the reported jobs and steps, in the order of the reports."""
    lines = storage.with_suffix(".reported").read_text().splitlines()
    return [(job, int(step)) for job, step in map(str.split, lines)]


def succeeds(driver: subprocess.Popen) -> None:
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors.decode()


def state(pid: int) -> tuple[str, int]:
    """Return the state of a process (one letter) and its parent; "X" if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])


def workers_of(driver: subprocess.Popen) -> list[int]:
    pids = [int(place.name) for place in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if state(pid)[1] == driver.pid]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal; return when all processes have changed state."""
    wanted = {signal.SIGSTOP: "T", signal.SIGKILL: "XZ", signal.SIGCONT: "RSDXZ"}[number]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + 30
    while not all(state(pid)[0] in wanted for pid in pids):
        assert time.monotonic() < deadline, f"{number.name}: {[state(pid) for pid in pids]}"
        time.sleep(0.001)


def stopped_at_a_checkpoint(storage: Path, driver: subprocess.Popen) -> tuple[list, set]:
    """Wait until a driver has reported a checkpoint, and stop all processes.

    Returns:
    The workers, and the jobs and steps of the checkpoints; both empty if the study has ended.
    """
    deadline = time.monotonic() + 60
    while driver.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint within a minute"
        if list(storage.glob("checkpoints/*/last.npz")):
            workers = workers_of(driver)
            signal_all([driver.pid, *workers], signal.SIGSTOP)
            found = storage.glob("checkpoints/*/last.npz")
            saved = {
                (path.parent.name, len(Snapshot.load(path).arrays["losses"])) for path in found
            }
            if saved & set(reported(storage)):
                return workers, saved & set(reported(storage))
            signal_all([driver.pid, *workers], signal.SIGCONT)
        time.sleep(0.01)
    return [], set()


in_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")


@in_proc
@pytest.mark.parametrize("victims", ["workers", "driver", "all"])
def test_a_killed_study_resumes_from_its_checkpoints(
    victims: str, start: Callable, uninterrupted: dict, tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    driver = start(storage)
    workers, checkpoints = stopped_at_a_checkpoint(storage, driver)
    assert checkpoints
    assert workers
    assert len(list((storage / "curves").iterdir())) < len(uninterrupted["jobs"])
    dying = {"workers": workers, "driver": [driver.pid], "all": [driver.pid, *workers]}[victims]
    signal_all(dying, signal.SIGKILL)
    signal_all([pid for pid in (driver.pid, *workers) if pid not in dying], signal.SIGCONT)
    if victims != "workers":
        assert driver.wait() == -signal.SIGKILL
        driver = start(storage)
    succeeds(driver)
    for job, step in checkpoints:  # no update before the checkpoint was repeated
        assert [s for j, s in reported(storage) if j == job and s <= step].count(step) == 1
        assert (job, 32) in reported(storage)
    assert outcome(slow_study.slow_study(storage)) == uninterrupted
    assert list((storage / "checkpoints").iterdir()) == []


@in_proc
@pytest.mark.slow
@pytest.mark.parametrize(("task", "longest"), [("toys:slow", 0.5), ("digits-mlp", 5.0)])
def test_a_study_killed_at_random_moments_resumes(
    task: str, longest: float, start: Callable, tmp_path: Path
) -> None:
    complete = slow_study.slow_study(tmp_path / "complete", task)
    complete.run(workers=2)
    rng, storage, killed = random.Random(0), tmp_path / "killed", 0
    for _ in range(20):
        driver = start(storage, task)
        workers, _ = stopped_at_a_checkpoint(storage, driver)
        signal_all([driver.pid, *workers], signal.SIGCONT)
        time.sleep(rng.uniform(0, longest))
        victims = rng.choice([workers[:1], [], workers])
        signal_all(victims, signal.SIGKILL)
        if len(victims) == 1:
            time.sleep(rng.uniform(0, 1))
        driver.kill()
        driver.communicate()
        killed += driver.returncode == -signal.SIGKILL
    assert killed >= 5
    succeeds(start(storage, task))
    assert outcome(slow_study.slow_study(storage, task)) == outcome(complete)


def test_a_trial_resumes_from_its_last_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    policy = lehr.Policy(
        lehr.one_cycle(0.05).lr, momentum=0.8, control=lehr.Plateau(patience=1, factor=0.5)
    )
    job = toys.trial_job(policy, budget=6, task="toys:toy", judge="best")
    complete = run_job(job, tmp_path / "complete")
    steps = []

    def interrupt(message: dict) -> None:
        steps.append(message["step"])
        if len(steps) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "cut", interrupt, checkpoint_every=0.0)
    again: list[dict] = []
    resumed = run_job(job, tmp_path / "cut", again.append, checkpoint_every=0.0)
    assert again[0]["step"] > steps[2], "training restarted instead of resuming"
    for name in ("history", "best", "test", "validation", "pairing"):
        strip = [
            {k: v for k, v in entry.items() if k != "seconds"} if name == "history" else entry
            for entry in (resumed.metadata[name] if name == "history" else [resumed.metadata[name]])
        ]
        wanted = [
            {k: v for k, v in entry.items() if k != "seconds"} if name == "history" else entry
            for entry in (
                complete.metadata[name] if name == "history" else [complete.metadata[name]]
            )
        ]
        assert strip == wanted
    assert resumed.arrays.keys() == complete.arrays.keys()
    assert all((resumed.arrays[n] == complete.arrays[n]).all() for n in complete.arrays)


def test_budgets_that_branch_off_equal_separate_runs(tmp_path: Path) -> None:
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
    # two seeds: the constant trains once; wsd trains once, with two decays of 4 and 8 updates; the
    # cosine trains three times; the first update of every decay is still at the peak, and shared
    assert shared == 2 * (32 + (32 + 3 + 7) + (32 + 7 + 15))


def test_a_second_driver_is_rejected_and_the_first_continues(
    tmp_path: Path, start: Callable, uninterrupted: dict
) -> None:
    storage = tmp_path / "runs"
    driver = start(storage)
    workers, checkpoints = stopped_at_a_checkpoint(storage, driver)
    assert checkpoints
    with pytest.raises(ValueError, match="storage must be used by one process at a time"):
        slow_study.slow_study(storage).run()
    signal_all([driver.pid, *workers], signal.SIGCONT)
    succeeds(driver)
    assert outcome(slow_study.slow_study(storage)) == uninterrupted


@pytest.mark.parametrize(
    ("bytes_at_most", "epochs", "error"),
    [
        (100, 1, r"ValueError: storage must be a database .*results.sqlite'; disk I/O error"),
        (
            200_000,
            2000,
            r"(?s)TrialError: trial on toys:toy, seed . failed .*OSError: .*File too large",
        ),
    ],
    ids=["the driver's database", "a worker's record"],
)
def test_a_full_disk_raises_and_stored_results_are_unchanged(
    bytes_at_most: int, epochs: int, error: str, tmp_path: Path
) -> None:
    small = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    before = small.run().to_json()
    code = """if True:
        import resource, signal, sys, lehr
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        most, epochs = map(int, sys.argv[2:])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        arms = {"a": 0.01, "b": 0.02, "c": 0.03}
        lehr.Study("toys:toy", arms, epochs=epochs, seeds=2, storage=sys.argv[1]).run()
    """
    done = run_python("-c", code, tmp_path, bytes_at_most, epochs, code=1)
    assert re.search(error, done.stderr), done.stderr
    assert small.results().to_json() == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, storage=tmp_path / "file" / "runs")
    with pytest.raises(ValueError, match=r"storage must be a folder that can be written, got .*"):
        study.run()


@contextlib.contextmanager
def unprivileged():
    """Root can write everywhere: switch to the user nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_rejected_for_runs_and_readable() -> None:
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
                with pytest.raises(PermissionError, match="denied"):
                    (folder / "curves" / "new").touch()
                with pytest.raises(ValueError, match="storage must be a folder that can be writ"):
                    wider.run()
                assert study.results().to_json() == before
        finally:
            for place in places:
                place.chmod(0o755 if place.is_dir() else 0o644)


def test_a_newer_format_is_rejected(tmp_path: Path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    study.run()
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        change = "update meta set value = '2' where name = 'format'"
        assert connection.execute(change).rowcount == 1
    for act in (study.run, study.results):
        with pytest.raises(ValueError, match=r"format 1 or older, got 'format 2'; .*newer lehr"):
            act()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_without_its_row_is_imported_unless_it_is_damaged(damaged, tmp_path) -> None:
    study = Study("toys:toy", {"a": 0.01, "b": 0.02}, epochs=1, seeds=2, storage=tmp_path)
    before = study.run().to_json()
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        assert connection.execute("delete from jobs").rowcount == 4
    for path in (tmp_path / "curves").iterdir() if damaged else ():
        path.write_bytes(path.read_bytes()[:100])
        (tmp_path / "checkpoints" / path.stem).mkdir()
        (tmp_path / "checkpoints" / path.stem / "last.npz").touch()
    ran = []
    again = study.run(progress=lambda now: ran.append(now.finished) if now.finished else None)
    assert len(ran) == (4 if damaged else 0)
    assert again.to_json() == before


def test_a_worker_that_is_killed_three_times_fails_its_job(tmp_path: Path) -> None:
    study = Study("toys:dying_on_seed_1", {"a": 0.01, "b": 0.02}, seeds=2, storage=tmp_path)
    finished = []
    with pytest.raises(TrialError, match=r"seed 1 failed .*\n(.*\n)*.*3 times.* SIGKILL"):
        study.run(progress=lambda now: finished.append(now.finished))
    assert {job["seed"] for job in finished if job} == {0}


def test_deleting_a_study_does_not_delete_shared_trials(tmp_path: Path) -> None:
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


def test_checkpoints_store_the_learner_separately_from_the_curves(tmp_path: Path) -> None:
    job = toys.trial_job(lehr.Policy(0.01), budget=3)
    with pytest.raises(RuntimeError, match="enough"):
        run_job(job, tmp_path, raising_after(2), checkpoint_every=0.0)
    saved = Snapshot.load(tmp_path / "x" / "last.npz")
    assert {"learner/weights", "learner/velocity", "losses", "rates/lr"} == saved.arrays.keys()
    assert toys.Toy(0).snapshot().arrays.keys() == {"weights", "velocity"}


def raising_after(times: int):
    messages = []

    def report(message: dict) -> None:
        messages.append(message)
        if len(messages) > times:
            raise RuntimeError("enough")

    return report


def test_an_error_in_the_progress_callback_stops_all_workers(tmp_path: Path) -> None:
    study = Study("toys:slow", {"a": 0.01, "b": 0.02}, epochs=4, seeds=4, storage=tmp_path)

    def fail(now: Progress) -> None:
        if now.finished:
            raise ZeroDivisionError("in the caller's progress")

    with pytest.raises(ZeroDivisionError, match="in the caller's progress"):
        study.run(workers=2, progress=fail)
    stored = {path.name for path in (tmp_path / "curves").glob("*.npz")}
    time.sleep(1.0)  # a trial takes 0.3 seconds
    assert {path.name for path in (tmp_path / "curves").glob("*.npz")} == stored
    assert len(stored) < 8
