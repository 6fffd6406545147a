"""The examples of lehr.compat.torch, with its import and with PyTorch's."""

import re
from pathlib import Path

import pytest
from programs import run_python

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[2] / "examples" / "compat"
LINES = {  # number of printed lines with a rate
    "torch_batches": 3 * 5 * 8,
    "torch_chained": 10,
    "torch_epochs": 11 * 12,
    "torch_plateau": 30,
    "torch_swa": 20,
}


def with_torch(source: str) -> str:
    """Return an example with PyTorch's import lines."""
    source = source.replace(
        "from lehr.compat.torch import SWALR, CosineAnnealingLR",
        "from torch.optim.lr_scheduler import CosineAnnealingLR\n"
        "from torch.optim.swa_utils import SWALR",
    )
    return source.replace("from lehr.compat.torch import", "from torch.optim.lr_scheduler import")


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("torch_*.py")} == LINES.keys()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return what each example prints with lehr's import and with PyTorch's."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "lehr").mkdir()
    (folder / "torch").mkdir()
    found = {name: [] for name in LINES}
    for library, change in (("lehr", str), ("torch", with_torch)):
        for name in LINES:
            source = change((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
            assert ("lehr" in source) == (library == "lehr")
            (folder / library / f"{name}.py").write_text(source, encoding="utf-8")
        code = f"""if True:
            import runpy
            for name in {list(LINES)}:
                print("example", name)
                runpy.run_path(f"{library}/{{name}}.py", run_name="__main__")
        """
        # one process for all examples, because the import of torch takes most of the time
        strict = ["-W", "error"] if library == "lehr" else []
        variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        text = run_python(*strict, "-c", code, cwd=folder, **variables).stdout
        for part in text.split("example ")[1:]:
            name, _, output = part.partition("\n")
            found[name].append(output)
    return found


@pytest.mark.parametrize("name", LINES)
def test_an_example_prints_the_same_with_pytorchs_import(name, outputs):
    ours, theirs = outputs[name]
    assert len(re.findall("rates? ", ours)) == LINES[name]
    assert parsed(ours) == [pytest.approx(row, rel=1e-6, abs=1e-9) for row in parsed(theirs)]


def parsed(text: str) -> list[list[float]]:
    """Return the numbers in each line."""
    return [[float(n) for n in re.findall(r"-?\d[\d.e-]*", line)] for line in text.splitlines()]
