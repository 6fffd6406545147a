"""Outputs of commands: checked before the training, and printable in every terminal."""

import os
import re
from pathlib import Path

import pytest
from programs import run_python

import lehr
from lehr.cli.common import check_writable
from lehr.figures import save, to_svg
from lehr.figures.style import legend, new_figure

SMALL = ("--arm", "a=0.01", "--arm", "b=0.02", "--epochs", "1", "--seeds", "2", "--workers", "1")
LONG = "r" * 300


@pytest.mark.parametrize(
    ("option", "path", "reason"),
    [
        ("--report", f"{LONG}.html", "File name too long"),
        ("--report", f"new/{LONG}.html", "a name has at most 255 bytes"),
        ("--report", "file/x.html", "no file can be created in FOLDER/file"),
        ("--report", "folder", "it is a folder"),
        ("--figures", "file", "it is a file"),
        ("--figures", "file/x", "no file can be created in FOLDER/file"),
        ("--figures", LONG, "File name too long"),
        ("--tensorboard", "file", "it is a file"),
        ("--tensorboard", f"new/{LONG}/x", "a name has at most 255 bytes"),
    ],
)
def test_low_an_output_that_cannot_be_written_is_an_error_before_the_training(
    option: str, path: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    arguments = ("-m", "lehr.cli", "compare", "toys:toy", *SMALL, option, path)
    done = run_python(*arguments, cwd=tmp_path, code=2)
    what = "file" if option == "--report" else "folder"
    rule = f"lehr: error: {option} must be a {what} that can be written, got '"
    assert done.stderr.startswith(rule)
    assert done.stderr.endswith(f"; {reason.replace('FOLDER', str(tmp_path))}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("task", ["f" * 300, "f" * 250])
def test_low_a_long_name_of_a_task_is_an_error_before_the_training(
    task: str, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(f"from toys import toy\n{task} = toy\n")
    arguments = ("-m", "lehr.cli", "compare", f"tasks:{task}", *SMALL)
    done = run_python(*arguments, cwd=tmp_path, code=2)
    assert "--report must be a file that can be written" in done.stderr
    assert not (tmp_path / "runs").exists()
    run_python(*arguments, "--report", "r.html", "--dry-run", cwd=tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ("show", "0.1", "--steps", "5", "--out", f"{LONG}.svg"),
        ("show", "0.1", "--steps", "5", "--out", "folder.svg"),
        ("find", "toys:toy", "--out", "folder.svg"),
        ("recipe", "run", "--all", "--out", "folder.svg/x/" + LONG),
        ("runs", "export", "0" * 8, "--out", "file"),
    ],
)
def test_low_every_command_checks_its_output_first(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").touch()
    done = run_python("-m", "lehr.cli", *command, cwd=tmp_path, code=2)
    assert re.fullmatch(r"lehr: error: --out must be a f.* that can be written, .*\n", done.stderr)


def test_low_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user can write everywhere")
        with pytest.raises(ValueError, match=r"--x must be a file that can be written, got .*; no"):
            check_writable("--x", tmp_path / "a" / "b")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2", "tensorboardX"])
def test_low_a_missing_package_is_an_error_before_the_training(
    missing: str, tmp_path: Path
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from lehr.cli import main; main()"
    arguments = ("-c", code, "compare", "toys:toy", *SMALL, "--tensorboard", "events")
    done = run_python(*arguments, cwd=tmp_path, code=2)
    assert missing in done.stderr
    assert "pip install 'lehr[" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["0.1", "cosine(0.1)", "one-cycle(peak=0.05)", "1"])
def test_low_a_file_with_the_name_of_a_policy_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lehr.parser import parse_policy

    (tmp_path / name).write_text(lehr.constant(7.0).dumps())
    monkeypatch.chdir(tmp_path)
    assert parse_policy(name) == lehr.policy.as_policy(lehr.parse(name))


ENCODINGS = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=["ascii", "C locale"])
def test_low_every_command_prints_in_every_encoding(encoding: dict, tmp_path: Path) -> None:
    for command in (
        ("show", "cosine(0.1)", "--steps", "10"),
        ("show", "--published"),
        ("find", "toys:toy"),
        ("compare", "toys:toy", *SMALL, "--report", "r\u00e9sum\u00e9.html"),
        ("runs", "list"),
        ("recipe", "list"),
        ("--help",),
    ):
        done = run_python("-m", "lehr.cli", *command, cwd=tmp_path, **encoding)
        assert "codec" not in done.stdout + done.stderr
        assert len(done.stdout) > 100


def test_low_an_error_with_other_characters_is_printed_in_ascii(tmp_path: Path) -> None:
    arguments = ("-m", "lehr.cli", "show", "c\u00f6sine(0.1)")
    done = run_python(*arguments, cwd=tmp_path, code=2, PYTHONIOENCODING="ascii")
    assert re.fullmatch(r"lehr: error: text must .*\n", done.stderr)


@pytest.mark.parametrize(
    "content", [b'{"lehr": 2, "kind": "\xe9"}', b"\xff\xfe{\x00}\x00", b"\n\n\x80"]
)
def test_low_a_json_file_in_another_encoding_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(content)
    done = run_python("-m", "lehr.cli", "show", "p.json", cwd=tmp_path, code=2)
    assert re.fullmatch(
        r"lehr: error: policy must be a file in UTF-8, got 'p.json'; line \d has the byte 0x..\n",
        done.stderr,
    )
    with pytest.raises(ValueError, match="definition must be valid JSON"):
        lehr.loads(b"{\x80}")


NAMES = ["$", "a$b$", "$x^$", "$\\frac{", "$$", "\\$", "_$a$", "a_b^c"]


@pytest.mark.parametrize("name", NAMES)
def test_low_a_dollar_in_a_name_is_drawn_unchanged(name: str, tmp_path: Path) -> None:
    figure, axes = new_figure(name, name)
    axes.plot([1, 1000], [1, 2], label=f"a {name}")
    axes.set_xscale("log")
    legend(axes)
    save(figure, tmp_path / "x.png")
    texts = re.findall(r"<text[^>]*>(.*?)</text>", to_svg(figure))
    assert texts.count(name) == 2
    assert f"a {name}" in texts
    assert not any("mathdefault" in text for text in texts)  # labels of the ticks are formulas
    policy = lehr.Policy(
        {"h": 0.1, "b": 0.2}, extra={"e": 1.0}, values={"v$a$": lehr.cosine(1.0, 5)}
    )
    assert "v$a$" in to_svg(policy.plot(5))
