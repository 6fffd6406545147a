"""Worker processes: prints at their start, files of the current folder, processes that remain."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from programs import run_python

from lehr.study import Study, TrialError, load_study

SMALL = ("--arm", "a=0.01", "--arm", "b=0.02", "--epochs", "1", "--seeds", "2", "--workers", "1")


def first_on_path(folder: Path) -> str:
    return os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])


@pytest.mark.parametrize(
    "start",
    [
        "print('printed')",
        "import os; os.write(1, b'printed')",
        "import os; os.system('echo printed')",
        "import sys; print('{\"event\": \"finished\"}'); print('printed', file=sys.stderr)",
        "print('printed', sys.stdin.readline())",
        "import os; print('printed'); os.close(1)",
    ],
)
def test_a9_output_and_input_at_the_start_of_a_worker_are_no_messages(
    start: str, tmp_path: Path
) -> None:
    worker = "'lehr.study.engines.worker' in sys.orig_argv"
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nif {worker}:\n    {start}\n")
    code = "import lehr; lehr.Study('toys:toy', {'a': 0.01}, epochs=1, seeds=1).run()"
    done = run_python("-c", code, cwd=tmp_path, PYTHONPATH=first_on_path(tmp_path))
    assert "printed" in done.stderr
    assert done.stdout == ""
    assert len(list((tmp_path / "runs" / "curves").glob("*.npz"))) == 1


def test_a9_output_of_c_code_during_a_trial_is_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "printing.py").write_text(
        "import os\nfrom toys import toy\ndef make(seed):\n"
        "    os.system('echo from a shell')\n    os.write(1, b'raw\\n')\n    return toy(seed)\n"
    )
    run_python("-m", "lehr.cli", "compare", "printing:make", *SMALL, cwd=tmp_path)
    for log in (tmp_path / "runs" / "logs").iterdir():
        assert log.read_text() in ("", "from a shell\nraw\n", "from a shell\nraw\n" * 2)
    assert any(log.stat().st_size for log in (tmp_path / "runs" / "logs").iterdir())


LOADED = """if True:
    import json, sys
    before = {name.partition(".")[0] for name in sys.modules}
    from lehr.cli import main
    try:
        main()
    finally:
        loaded = {name.partition(".")[0] for name in sys.modules} - before
        sys.stderr.write("\\nmodules " + json.dumps(sorted(loaded)))
"""


def fill_with_stray_modules(folder: Path, names: set[str]) -> None:
    """Write a file for each module name that records its import and fails."""
    for name in names:
        (folder / f"{name}.py").write_text(
            f"from pathlib import Path\nPath({str(folder)!r}, 'stray-{name}').touch()\n"
            "raise SystemExit('a stray file was imported')\n"
        )


def loaded_modules(*arguments: str, cwd: Path) -> set[str]:
    """Return the modules that a command imports after the start of Python."""
    done = run_python("-P", "-c", LOADED, *arguments, cwd=cwd)
    return set(json.loads(done.stderr.rpartition("modules ")[2])) - {"lehr", "toys", "mine"}


def first_modules() -> set[str]:
    """Return the modules that ``python -m lehr.cli`` imports before it can change the path."""
    code = "import runpy, sys, lehr.cli; print(*sys.modules)"
    return {name.partition(".")[0] for name in run_python("-c", code).stdout.split()}


@pytest.mark.parametrize(
    "command",
    [
        ("show", "one-cycle(0.1)", "--steps", "10", "--out", "x.svg"),
        ("compare", "mine:toy", *SMALL),
        ("compare", "digits-mlp", *SMALL, "--dry-run"),
    ],
    ids=["show", "module:function", "built-in"],
)
def test_a10_files_of_the_current_folder_do_not_replace_modules(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    (folder := tmp_path / "full").mkdir()
    for place in ("clean", "full"):
        (tmp_path / place / "mine.py").write_text("from toys import toy\n")
    names = loaded_modules(*command, cwd=tmp_path / "clean")
    names |= {"html", "random", "select", "keras", "jax", "numpy"}
    names -= {"mpl_toolkits"}  # a namespace package, which any module on the path replaces
    first = first_modules()
    assert len(names - first) > 20
    assert {"html", "random", "select", "keras", "rich", "numpy"} <= names - first
    fill_with_stray_modules(folder, names - first)
    run_python("-m", "lehr.cli", *command, cwd=folder)
    fill_with_stray_modules(folder, names)
    # as the script `lehr`, before which Python adds no current folder
    run_python("-P", "-c", "from lehr.cli import main; main()", *command, cwd=folder)
    assert list(folder.glob("stray-*")) == []


def test_a10_a_folder_on_the_path_of_the_user_is_still_first(tmp_path: Path) -> None:
    """The check of the test above: with the folder in PYTHONPATH, stray files are imported."""
    fill_with_stray_modules(tmp_path, {"rich"})
    command = ("-m", "lehr.cli", "show", "0.1", "--steps", "5")
    done = run_python(*command, cwd=tmp_path, code=1, PYTHONPATH=first_on_path(tmp_path))
    assert "a stray file was imported" in done.stderr


def test_a10_a_task_with_the_name_of_an_installed_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("from toys import toy\n")
    done = run_python("-m", "lehr.cli", "find", "colorsys:toy", cwd=tmp_path, code=2)
    assert "colorsys is an installed module: rename the file colorsys.py" in done.stderr


def test_a10_a_study_file_adds_its_folder_only_for_its_own_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "study.yaml").write_text("task: digits-mlp\narms: {a: 0.1, b: 0.2}\n")
    before = list(sys.path)
    load_study(tmp_path / "study.yaml")
    assert sys.path == before


FORKS = """
import os, time
from pathlib import Path
from toys import toy

def make(seed, end):
    if not (child := os.fork()):
        time.sleep(300)
        os._exit(0)
    Path("children").open("a").write(f"{child}\\n")
    if end == "finishes":
        return toy(seed)
    os._exit(9) if end == "exits" else os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("end", ["exits", "is killed", "finishes"])
def test_a11_a_child_of_a_task_does_not_delay_its_end(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forks.py").write_text(FORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    study = Study("forks:make", {"a": 0.01}, epochs=1, seeds=1, options={"end": end})
    begun = time.monotonic()
    if end == "finishes":
        assert len(study.run().trials) == 1
    else:
        how = "exit code 9" if end == "exits" else "SIGKILL"
        with pytest.raises(TrialError, match=f"died 3 times, the last time with {how}"):
            study.run()
    assert time.monotonic() - begun < 200  # less than the life of a child
    children = (tmp_path / "children").read_text().split()
    running = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-p", ",".join(children)],
        text=True,
        capture_output=True,
        check=False,
    ).stdout.split()
    if end == "finishes":
        os.kill(int(children[0]), 9)
    else:
        assert all(state.startswith("Z") for state in running[1::2]), running


@pytest.mark.parametrize("text", ["'x' * 10_000_000", "'x\\n' * 1_000_000"], ids=["line", "lines"])
def test_low_a_long_error_of_a_task_is_shortened(text: str, tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(f"def make(seed):\n    raise ValueError({text})\n")
    done = run_python("-m", "lehr.cli", "compare", "long:make", *SMALL, cwd=tmp_path, code=1)
    assert len(done.stderr) < 10_000
    assert "trial on long:make, seed " in done.stderr
    log = Path(done.stderr.strip().splitlines()[-1].removeprefix("(the complete log is ")[:-1])
    assert log.parent == tmp_path / "runs" / "logs"
    assert log.stat().st_size > 1_000_000
    done = run_python("-m", "lehr.cli", "find", "long:make", cwd=tmp_path, code=2)
    assert len(done.stderr) < 10_000
