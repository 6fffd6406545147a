"""G5: studies on machines with GPUs, which a script in place of nvidia-smi lists."""

import json
from pathlib import Path

import pytest
from programs import run_python

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""
PARTITIONED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"

WORKERS = """
import json, pathlib, sys
from lehr.learner import Snapshot
from lehr.study.engines.local import LocalEngine
from lehr.study.jobs import make_job
from lehr.study.runner import make_order

folder, workers, names = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
with LocalEngine(workers, folder / "cache") as engine:
    orders = {}
    for seed in range(engine.count):
        job = make_job("measurement", "measured:environment", {"names": names}, seed)
        paths = folder / f"{seed}.npz", folder / f"{seed}.log", folder
        orders[str(seed)] = make_order(job, str(seed), *paths)
    list(engine.run(orders))
found = [Snapshot.load(folder / f"{seed}.npz").metadata["measured"] for seed in orders]
print(json.dumps(sorted(found, key=str)))
"""
KEYS = """
from lehr.study.cache_key import environment_key
print(environment_key("digits-mlp", "", "jax"))
"""
GPUS = """
import json
from lehr.study.gpus import gpus
print(json.dumps([[gpu.id, gpu.model] for gpu in gpus()]))
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a program on a machine with the listed GPUs."""
    for name in ("CUDA_VISIBLE_DEVICES", "XLA_FLAGS", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)

    def run(listed: str | None, program: str, *arguments: object, **environment: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "nvidia-smi"
        script.unlink(missing_ok=True)
        if listed is not None:
            script.write_text(f"#!/bin/sh\n[ \"$*\" = -L ] || exit 9\ncat <<'END'\n{listed}END\n")
            script.chmod(0o755)
        environment = {"PATH": f"{folder}:/usr/bin:/bin"} | environment
        return run_python("-c", program, *arguments, **environment).stdout.strip()

    return run


@pytest.mark.parametrize(
    ("listed", "visible", "expected"),
    [
        (None, {}, []),
        (TWO, {}, [["GPU-aaaa", H100], ["GPU-bbbb", A100]]),
        (TWO, {"CUDA_VISIBLE_DEVICES": ""}, []),
        (TWO, {"CUDA_VISIBLE_DEVICES": "-1"}, []),
        (TWO, {"CUDA_VISIBLE_DEVICES": "1"}, [["1", A100]]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "1, 0"}, [["1", A100], ["0", H100]]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "0,9,1"}, [["0", H100]]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "GPU-b"}, [["GPU-b", A100]]),
        (
            PARTITIONED,
            {},
            [
                ["MIG-cccc", f"{H100} MIG 3g.40gb"],
                ["MIG-dddd", f"{H100} MIG 3g.40gb"],
                ["GPU-bbbb", A100],
            ],
        ),
        (PARTITIONED, {"CUDA_VISIBLE_DEVICES": "MIG-dddd"}, [["MIG-dddd", f"{H100} MIG 3g.40gb"]]),
        ("No devices found.\n", {}, []),
    ],
)
def test_g5_visible_gpus(run, listed, visible, expected):
    assert json.loads(run(listed, GPUS, **visible)) == expected


def test_g5_one_worker_per_gpu_with_shared_memory(run, tmp_path):
    names = ["CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH"]
    found = json.loads(run(TWO, WORKERS, tmp_path, "null", *names))
    assert [list(worker.values()) for worker in found] == [
        ["GPU-aaaa", "false", "true"],
        ["GPU-bbbb", "false", "true"],
    ]


def test_g5_more_workers_than_gpus_share_them(run, tmp_path):
    visible = {"CUDA_VISIBLE_DEVICES": "1"}
    found = json.loads(run(TWO, WORKERS, tmp_path, "2", *visible, **visible))
    assert found == [visible, visible]


def test_g5_flags_of_the_user_are_preserved(run, tmp_path):
    flags = {
        "XLA_FLAGS": "--xla_dump_to=/tmp/x",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
    }
    (found,) = json.loads(run(TWO, WORKERS, tmp_path, "1", *flags, **flags))
    xla = f"--xla_cpu_multi_thread_eigen=false {flags['XLA_FLAGS']}"
    assert found == flags | {"XLA_FLAGS": xla}


def test_g5_cpu_machines_have_one_worker_per_core(run, tmp_path):
    program = "from lehr.study.environment import *; print(default_workers() == cores())"
    assert run(None, program) == "True"
    assert run(TWO, program.replace("cores()", "2")) == "True"


def test_g5_the_environment_key_has_the_kind_of_device(run):
    keys = [
        run(None, KEYS),
        run(TWO, KEYS),
        run(TWO, KEYS, CUDA_VISIBLE_DEVICES="0"),
        run(TWO, KEYS, CUDA_VISIBLE_DEVICES="1"),
        run(TWO, KEYS, JAX_PLATFORMS="cpu"),
    ]
    assert len(set(keys)) == 5
    assert run(TWO, KEYS, CUDA_VISIBLE_DEVICES="") == keys[0]
    same_kind = TWO.replace(A100, H100)
    assert run(same_kind, KEYS) == run(same_kind, KEYS, CUDA_VISIBLE_DEVICES="1") == keys[2]
