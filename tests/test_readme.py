"""Run every Python block of the README unchanged, in a separate folder and process."""

import re
from pathlib import Path

import pytest
from programs import run_python

README = Path(__file__).parent.parent / "README.md"
BLOCKS = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", README.read_text(), re.M | re.S)
)


def test_the_readme_has_a_snippet_for_each_framework_and_each_verb() -> None:
    assert list(BLOCKS) == ["PyTorch", "Keras 3", "JAX and Optax", "Describe", "Find", "Compare"]


@pytest.mark.parametrize("title", BLOCKS)
def test_block_runs(title: str, tmp_path: Path) -> None:
    variables = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    run_python("-c", BLOCKS[title], cwd=tmp_path, **variables)


def test_the_make_targets_in_the_readme_exist() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README.read_text(), re.M):
        assert f"\n{target}:" in makefile


def test_the_example_in_contributing_adds_a_curve() -> None:
    text = (README.parent / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    code = f"""
import jax, numpy as np, lehr
{block}
s = lehr.warmup(0.1, 500, curve="smoothstep")
assert s(0) == 0.0 and s(250) == 0.05 and s(500) == 0.1
assert lehr.loads(s.dumps()) == s
assert np.all(s(np.arange(600)) == [s(t) for t in range(600)])
assert abs(float(jax.jit(s)(100)) - s(100)) < 4e-8
"""
    run_python("-c", code)
