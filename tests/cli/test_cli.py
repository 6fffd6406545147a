"""The command line: printed output, written files, exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import run_python

import lehr
from lehr.parser import PRESETS, parse_policy
from lehr.schedule import presets


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    more = {"COLUMNS": "120"} | environment
    return run_python("-m", "lehr.cli", *arguments, cwd=cwd, code=None, **more)


def test_show_prints_the_values(tmp_path: Path) -> None:
    done = run("show", "warmup(0.1, 10%) then linear(0.1, 0)", "--steps", "100", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    rows = [line.split("│")[1:3] for line in done.stdout.splitlines() if line.startswith("│")]
    values = {int(step): float(value) for step, value in rows}
    assert values[10] == 0.1
    assert values[100] == 0
    assert values[50] == pytest.approx(0.1 * 50 / 90, rel=1e-5)


def test_show_json_and_figure(tmp_path: Path) -> None:
    done = run(
        "show", "one-cycle(peak=0.05)", "--steps", "20", "--json", "--out", "c.svg", cwd=tmp_path
    )
    shown = json.loads(done.stdout)
    policy = lehr.Policy.from_dict(shown["definition"])
    assert policy == lehr.one_cycle(0.05).resolve(20)
    assert shown["values"]["momentum"] == [policy.momentum(t) for t in shown["steps"]]
    assert "<svg" in (tmp_path / "c.svg").read_text()


def test_show_reads_json_and_files(tmp_path: Path) -> None:
    text = lehr.triangular(0.0, 1.0, 5).dumps()
    (tmp_path / "p.json").write_text(text)
    for policy in (text, "p.json"):
        done = run("show", policy, "--steps", "10", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["values"]["lr"][5] == 1.0


def test_find_prints_suggestions_and_json(tmp_path: Path) -> None:
    done = run("find", "toys:toy", "--out", "f.png", cwd=tmp_path)
    assert done.returncode == 0
    assert "one-cycle" in done.stdout
    assert "steepest" not in done.stdout
    assert "█" in done.stdout
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(run("find", "toys:toy", "--json", cwd=tmp_path).stdout)
    assert [s["rule"] for s in found["suggestions"]] == [
        "constant",
        "one-cycle",
        "cyclical",
    ]
    rules = run("find", "toys:toy", "--rules", "--objective", "validation", "--json", cwd=tmp_path)
    found = json.loads(rules.stdout)
    assert found["sweep"]["objective"] == "validation"
    assert {"steepest", "valley", "book"} < {s["rule"] for s in found["suggestions"]}
    assert len(found["sweep"]["rates"]) == len(found["sweep"]["losses"])


def test_compare_prints_verdict_table_and_report(tmp_path: Path) -> None:
    arguments = ("compare", "toys:toy", "--arm", "a=0.001", "--arm", "b=0.05", "--seeds", "3")
    done = run(*arguments, "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Better than a (untuned): b (untuned)" in " ".join(done.stdout.split())
    again = run(*arguments, "--epochs", "2", "--json", cwd=tmp_path)
    found = json.loads(again.stdout)
    assert found["comparisons"]["b"]["verdict"] == "better"
    assert f"report: {found['report']}" in done.stdout
    assert (tmp_path / found["report"]).exists()
    assert "6 of 6 done" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "cosin(0.1)"], "did you mean cosine"),
        (["show", "cosine(0.1)"], "--steps must be given to resolve the rest of the run"),
        (["show", "cosine(0.1, floor=0.2)", "--steps", "5"], "floor must be at most peak (0.1)"),
        (
            ["show", "cosine(0.1)", "--steps", "-5"],
            "--steps must be an integer number of steps >= 0, got -5",
        ),
        (["show", "cosine(nan)", "--steps", "5"], "peak must be a finite number, got 'nan'"),
        (["show", '{"lehr": 2'], "must be valid JSON"),
        (["show", "0.1"], "--steps must be given for a policy without an end"),
        (["show", "0.1", "--steps", "5", "--out", "x.gif"], "ending in .svg, .png or .pdf"),
        (
            ["show", "0.1", "--steps", "5", "--out", "/none/x.png"],
            "--out must be in a folder that exists, got '/none/x.png'; create the folder /none",
        ),
        (["show", "import os"], "policy must be JSON, a .json file, a number or a call"),
        (["find", "toy"], "task must be one of"),
        (["find", "toys:toy", "--spacing", "exponential"], "spacing must be one of geometric, lin"),
        (["compare", "digit-mlp"], "did you mean digits-mlp"),
        (["compare", "toys:toy", "--seeds", "0"], "seeds must be an integer >= 2, got 0"),
        (["compare", "toys:toy", "--arm", "a=0.1"], "--arm must be given at least twice"),
        (["compare", "toys:toy", "--arm", "0.1"], "--arm must be NAME=POLICY, got '0.1'"),
        (
            ["compare", "toys:toy", "--arm", "cosine(peak=0.1)"],
            "--arm must be NAME=POLICY, got 'cosine(peak=0.1)'; write for instance",
        ),
        (["compare", "toys:toy", "--workers", "0"], "--workers must be an integer >= 1"),
        (["compare", "--epochs", "x"], "Invalid value for '--epochs'"),
        (["show"], "Missing argument"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_bad_input_ends_with_a_one_line_error(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("lehr: error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_names_are_printed_unchanged_and_any_metric_can_judge(tmp_path: Path) -> None:
    arms = ("--arm", "a[b]=0.001", "--arm", "c=0.05")
    options = ("--seeds", "2", "--epochs", "1", "--metric", "loss", "--mode", "min")
    done = run("compare", "toys:toy", *arms, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a[b] (untuned)" in done.stdout
    assert "test loss" in " ".join(done.stdout.split())


def test_a_terminated_driver_stops_its_workers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lehr.cli", "compare", "toys:sleeping", "--seeds", "2"]
    driver = subprocess.Popen(
        [*command, "--arm", "a=0.1", "--arm", "b=0.2"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    pids = tmp_path / "pids"
    while not pids.exists() or not pids.read_text().strip():
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()  # SIGKILL: the driver cannot clean up
    driver.wait()
    workers = [int(pid) for pid in pids.read_text().split()]
    deadline = time.monotonic() + 30
    while any(map(_is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_is_running, workers))


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("compare", "toys:toy", "--runs", "file/runs", cwd=tmp_path)
    assert done.returncode == 2
    assert "file/runs" in done.stderr


SHOW, FIND = ["show", "0.1", "--steps", "5", "--out", "x.svg"], ["find", "digits-mlp"]


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("typer", SHOW, "study"),
        ("matplotlib", SHOW, "plot"),
        ("keras", FIND, "keras,study"),
        ("sklearn.datasets", FIND, "keras,study"),
    ],
)
def test_a_missing_extra_is_named(missing, command, extra, tmp_path):
    code = f"import sys; sys.modules[{missing!r}] = None; from lehr.cli import main; main()"
    done = run_python("-c", code, *command, cwd=tmp_path, code=2)
    assert f"pip install 'lehr[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("missing", "name"), [("keras", "keras"), ("torch", "torch"), ("jax", "jax"), ("optax", "jax")]
)
def test_a_missing_framework_names_its_install_command(missing: str, name: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import lehr; lehr.{name}"
    done = run_python("-c", code, code=1)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert f"pip install 'lehr[{name}]'" in last


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", lehr.Policy(lr=0.1)),
        ("constant(0.1)", lehr.Policy(lr=0.1)),
        ("cosine(0.1, steps=100)", lehr.Policy(lr=lehr.cosine(0.1, 100))),
        ("cosine(0.1, none, floor=0.01)", lehr.Policy(lr=lehr.cosine(0.1, floor=0.01))),
        (
            "warmup(0.1, 3 epochs) then cosine(0.1)",
            lehr.Policy(lr=lehr.warmup(0.1, "3 epochs").then(lehr.cosine(0.1))),
        ),
        ("exp_range(0, 1, 10, 0.99)", lehr.Policy(lr=lehr.exp_range(0, 1, 10, 0.99))),
        (
            "wsd(0.1, 2%, 20%, curve=1-sqrt)",
            lehr.Policy(lr=lehr.wsd(0.1, "2%", "20%")),
        ),
        (
            "cosine-restarts(0.1, 10, growth=1.5)",
            lehr.Policy(lr=lehr.cosine_restarts(0.1, 10, growth=1.5)),
        ),
        ("one-cycle(0.1, curve=linear)", lehr.one_cycle(0.1, curve="linear")),
        ("one-cycle(0.1, momentum=none)", lehr.one_cycle(0.1, momentum=None)),
    ],
)
def test_short_forms(text: str, expected: lehr.Policy) -> None:
    assert parse_policy(text) == expected


def test_every_preset_has_a_short_form() -> None:
    public = {*presets.__all__, "one_cycle"}
    public -= {"from_function"}  # it takes a function, which cannot be typed
    assert {name.replace("-", "_") for name in PRESETS} == public


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine(0.1, flor=0)", "argument of cosine must be one of .* did you mean floor"),
        ("cosine(peak=0.1, 5)", "argument of cosine must be named, because it follows a named"),
        ("cosine()", "missing a required argument: 'peak'"),
        ("cosine(0.1) then cosine(0.1)", "a chain must have at most one part without a length"),
        ("__import__('os')", "function must be one of"),
        ("cosine", "policy must be JSON, a .json file, a number or a call, .* write for instance"),
        ("cosine(0.1", "text must have ',' or .* at character 11"),
        ("missing.json", "policy must be a file that can be read"),
        ('{"lehr": 2, "kind": "plateau"}', "policy must be a policy or a schedule"),
    ],
)
def test_bad_short_forms_are_rejected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_policy(text)
