"""Another process repeats a run after `import lehr.keras` alone; two that train hold one factor."""

import os
import subprocess
import sys

import case_learner
import common
import keras
import pytest
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

RANK = """
import sys, keras, lehr, lehr.keras
from torch import distributed
rank, meet = int(sys.argv[1]), "file://" + sys.argv[2]
distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=2)
policy = lehr.Policy(lr=0.1, control=lehr.Plateau(patience=1))
optimizer = lehr.keras.attach(keras.optimizers.SGD(), policy)
for metric in ([2.0, 0.0, 2.0], [0.0, 1.0, float("nan")])[rank]:  # means 1, 0.5, NaN
    optimizer.observe(metric)
    print(float(optimizer.factor), optimizer.control_state.best)
distributed.destroy_process_group()
"""


def run(program, *arguments):
    command = [sys.executable, "-W", "error:Skipping", "-c", program, *map(str, arguments)]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=paths, stdout=pipe, stderr=pipe, text=True)


def told(process):
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.splitlines()


def test_in_another_process(tmp_path):
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum)
    model = common.regression(lehr.keras.attach(keras.optimizers.Adam(), policy, record=8))
    model.fit(*common.data(), batch_size=8, verbose=0)
    model.optimizer.factor = 0.5
    model.save(tmp_path / "model.keras")
    first, ledger, account = told(run(PROGRAM, tmp_path / "model.keras"))
    assert first == f"12 0.5 {policy.dumps()}"
    assert ledger == str(model.optimizer.recorded()["lr"])
    assert account == case_learner.account()
    assert number(model.optimizer.factor) == 0.5


@pytest.mark.skipif(common.BACKEND != "torch", reason="the others must be given one metric")
def test_processes_that_see_other_metrics_hold_the_same_factor(tmp_path):
    ranks = [run(RANK, rank, tmp_path / "meet") for rank in range(2)]
    first, second = [told(rank) for rank in ranks]
    assert first == second == ["1.0 1.0", "1.0 0.5", "0.5 0.5"]
