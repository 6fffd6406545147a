"""Studies on a GPU: two workers on one GPU, a killed driver, Monte Carlo dropout."""

import json
import signal
import subprocess
import sys
import time

import pytest
from programs import run_python

from lehr.study.gpus import gpus

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not gpus(), reason="nvidia-smi lists no GPU"),
]

STUDY = """
import json, sys
import lehr
arms = {"a": 0.1, "b": lehr.cosine(0.2)}
folder, workers, backend = sys.argv[1:]
study = lehr.Study("digits-mlp", arms, epochs=2, seeds=2, storage=folder, backend=backend)
results = study.run(workers=json.loads(workers))
trials = {f"{arm} {seed}": t.trace.losses for (arm, _, seed), t in results.trials.items()}
print(json.dumps(trials))
"""


def run(folder, workers, backend):
    return json.loads(run_python("-c", STUDY, folder, workers, backend).stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_g5_two_workers_share_one_gpu(backend, tmp_path):
    trials = run(tmp_path / "two", 2, backend)
    assert {len(losses) for losses in trials.values()} == {74}
    alone = run(tmp_path / "one", "null", backend)
    for name, losses in trials.items():
        assert losses == pytest.approx(alone[name], rel=1e-3)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_killed_study_resumes(backend, tmp_path):
    command = [sys.executable, "-c", STUDY, str(tmp_path / "killed"), "1", backend]
    process = subprocess.Popen(command, start_new_session=True)
    while not [*tmp_path.glob("killed/curves/*.npz")]:  # the first trial
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    resumed = run(tmp_path / "killed", 1, backend)
    alone = run(tmp_path / "alone", 1, backend)
    assert resumed == alone
