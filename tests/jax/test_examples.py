"""The examples for JAX run as they stand, and print what the policy says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lehr

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_flax_nnx():
    pytest.importorskip("flax")
    pytest.importorskip("sklearn")
    command = [sys.executable, EXAMPLES / "flax_nnx.py"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
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
