"""Several processes: loading after `import lehr.keras` alone, and equal factors on all ranks."""

import os
import subprocess
import sys
from pathlib import Path

import case_learner
import keras
import keras_models as models
import pytest
from keras_models import ONE_CYCLE, X, Y, fit, network, number

import lehr
import lehr.keras

HERE = Path(__file__).parent

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
    """Start a program text, or a file of this folder."""
    start = [HERE / program] if program.endswith(".py") else ["-c", program]
    command = [sys.executable, "-W", "error:Skipping", *map(str, [*start, *arguments])]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=paths, stdout=pipe, stderr=pipe, text=True)


def output_lines(process):
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.splitlines()


def test_a_saved_run_and_a_learner_repeat_in_another_process(tmp_path):
    policy = lehr.Policy(lr=ONE_CYCLE.lr, momentum=ONE_CYCLE.momentum)
    model = models.regression(lehr.keras.attach(keras.optimizers.Adam(), policy, record=8))
    model.fit(*models.data(), batch_size=8, verbose=0)
    model.optimizer.factor = 0.5
    model.save(tmp_path / "model.keras")
    first, ledger, account = output_lines(run(PROGRAM, tmp_path / "model.keras"))
    assert first == f"12 0.5 {policy.dumps()}"
    assert ledger == str(model.optimizer.recorded()["lr"])
    assert account == case_learner.account()
    assert number(model.optimizer.factor) == 0.5


@pytest.mark.skipif(models.BACKEND != "torch", reason="the others must be given one metric")
def test_ranks_with_different_metrics_have_the_same_factor(tmp_path):
    ranks = [run(RANK, rank, tmp_path / "meet") for rank in range(2)]
    first, second = [output_lines(rank) for rank in ranks]
    assert first == second == ["1.0 1.0", "1.0 0.5", "0.5 0.5"]


@pytest.mark.skipif(models.BACKEND != "torch", reason="torch.distributed is that backend's")
def test_processes_run_the_same_range_test_and_stop_together(tmp_path):
    ranks = [run("torch_rank.py", rank, tmp_path / "meet") for rank in range(2)]
    first, second = [output_lines(rank) for rank in ranks]
    assert first == second
    sweeps = [lehr.Sweep.from_json(line) for line in first]
    assert [sweep.stopped for sweep in sweeps] == ["diverged", "not finite", "end"]
    assert len(sweeps[1].losses) == 25


@pytest.mark.skipif(models.BACKEND != "jax", reason="keras.distribution is that backend's")
def test_a_range_test_on_two_devices():
    first, second = output_lines(run("jax_devices.py"))
    assert first == second
    model = network(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)))
    keras.utils.set_random_seed(2)
    fit(model)
    alone = lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert lehr.Sweep.from_json(first).losses == pytest.approx(alone.losses, rel=1e-3)


def test_k1_a_model_on_two_devices_of_tf_distribute(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute requires TensorFlow")
    lines = output_lines(run("tf_devices.py", tmp_path))
    names = ("attached", "scaled", "multi")
    assert lines[: len(names)] == [f"{name} resumes" for name in names]
    assert lines[len(names) :] == ["plain 4 True", "attached 4 True"]
