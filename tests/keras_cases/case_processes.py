"""Another process loads a saved model after `import lehr.keras` alone, and repeats a run."""

import os
import subprocess
import sys

import case_learner
import common
import keras
from common import ONE_CYCLE, number

import lehr
import lehr.keras

PROGRAM = """
import sys, keras, lehr.keras
optimizer = keras.models.load_model(sys.argv[1]).optimizer
print(int(optimizer.iterations), float(optimizer.factor), optimizer.policy.dumps())
print(optimizer.recorded()["lr"])
import case_learner
print(case_learner.account())
"""


def test_in_another_process(tmp_path):
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum)
    model = common.regression(lehr.keras.attach(keras.optimizers.Adam(), policy, record=8))
    model.fit(*common.data(), batch_size=8, verbose=0)
    model.optimizer.factor = 0.5
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-W", "error:Skipping", "-c", PROGRAM, tmp_path / "model.keras"]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(command, env=paths, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    first, ledger, account = run.stdout.splitlines()
    assert first == f"12 0.5 {policy.dumps()}"
    assert ledger == str(model.optimizer.recorded()["lr"])
    assert account == case_learner.account()
    assert number(model.optimizer.factor) == 0.5
