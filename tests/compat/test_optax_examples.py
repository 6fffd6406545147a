"""The examples of lehr.compat.optax and .transformers, with their imports and the libraries'."""

import re
from pathlib import Path

import pytest
from programs import run_python

EXAMPLES = Path(__file__).parents[2] / "examples" / "compat"
LINES = {"optax_schedules": 6 * 40, "transformers_loop": 12 * 3 * 12}


@pytest.mark.parametrize("name", LINES)
def test_an_example_prints_the_same_with_the_librarys_import(name, tmp_path):
    library = name.partition("_")[0]
    pytest.importorskip(library)
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    changed = source.replace(f"from lehr.compat.{library} import", f"from {library} import")
    assert "lehr" in source
    assert "lehr" not in changed
    outputs = []
    for text in (source, changed):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        outputs.append(run_python(f"{name}.py", cwd=tmp_path, **variables).stdout)
    ours, theirs = map(parsed, outputs)
    assert len(ours) == LINES[name]
    assert len({rate for _, rate, _ in ours}) > 100
    for (label, rate, loss), expected in zip(ours, theirs, strict=True):
        assert label == expected[0]
        assert rate == pytest.approx(expected[1], rel=1e-4, abs=1e-7)
        assert loss == pytest.approx(expected[2], rel=1e-3, abs=2e-3)


def parsed(text):
    """Return the name, the rate and the loss of each line."""
    found = re.findall(r"^(.*) rate (\S+) loss (\S+)$", text, re.M)
    return [(label, float(rate), float(loss)) for label, rate, loss in found]


def test_every_example_is_run():
    found = [
        path.stem for kind in ("optax", "transformers") for path in EXAMPLES.glob(f"{kind}_*.py")
    ]
    assert set(found) == LINES.keys()
