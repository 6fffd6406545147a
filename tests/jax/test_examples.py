"""The JAX examples run, and their output equals the policy."""

import re
from pathlib import Path

import pytest
from programs import run_python

import lehr

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_flax_nnx():
    pytest.importorskip("flax")
    pytest.importorskip("sklearn")
    run = run_python(EXAMPLES / "flax_nnx.py")
    epochs = re.findall(r"rates (\S+) to (\S+), validation loss (\S+)", run.stdout)
    assert len(epochs) == 6
    schedule = lehr.warmup(0.3, "10%").then(lehr.cosine(0.3, floor=0.03)).resolve(steps=6 * 45)
    plateau = lehr.Plateau("val_loss", factor=0.5, patience=1, threshold=0.05)
    control, factors = plateau.init(), []
    for epoch, (first, last, loss) in enumerate(epochs):
        wanted = [schedule(step) * control.factor for step in (45 * epoch, 45 * epoch + 44)]
        assert [float(first), float(last)] == pytest.approx(wanted, abs=6e-5)
        control = plateau.update(control, float(loss))
        factors.append(control.factor)
    assert 1.0 in factors
    assert factors[-1] < 1.0, "the plateau has nothing to show"
    assert float(run.stdout.split()[-1]) > 0.9
