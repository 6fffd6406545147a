"""Record values computed by lehr in JSON files of this folder; test_golden.py compares with them.

python tests/golden/record.py              # all parts
python tests/golden/record.py torch study  # some of them

Each part is recorded in a separate process on the CPU with one thread, and with AVX2 instructions
at most if the framework has a setting for it: the number of threads and the width of the vector
instructions change the order of sums. `replay` runs the same functions for the test.

Record new values only for an intended change, and review the differences first.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PARTS = {  # slowest first; the module, and the packages whose versions change the values
    "keras-tensorflow": ("cases_keras", ("numpy", "keras", "tensorflow-cpu")),
    "keras-jax": ("cases_keras", ("numpy", "keras", "jax", "jaxlib")),
    "keras-torch": ("cases_keras", ("numpy", "keras", "torch")),
    "pages": ("cases_pages", ("matplotlib",)),
    "arrays": ("cases_arrays", ("numpy", "torch", "jax", "jaxlib", "tensorflow-cpu")),
    "jax": ("cases_jax", ("numpy", "jax", "jaxlib", "optax")),
    "study": ("cases_study", ("numpy", "scipy", "torch")),
    "torch": ("cases_torch", ("numpy", "torch")),
    "schedules": ("cases_schedules", ()),
}
SETTINGS = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    # one thread
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    # the same vector instructions on most processors
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_cpu_max_isa=AVX2",
    # no log messages
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def environment(part: str) -> dict[str, str]:
    """Return the processor and the package versions, on which training results depend."""
    found = {"processor": _processor(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PARTS[part][1]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def _processor() -> str:
    """Return the processor's name and its vector instructions."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    facts = dict(re.findall(r"^(.+?)\s*: (.*)$", info.partition("\n\n")[0], re.MULTILINE))
    flags = facts.get("flags", facts.get("Features", "")).split()
    vector = [flag for flag in sorted(flags) if re.match(r"fma|avx|amx|sse4|asimd|sve", flag)]
    return " ".join([facts.get("model name", platform.processor()), *vector])


def path(part: str) -> Path:
    return HERE / f"{part}.json"


def recorded(part: str) -> dict[str, Any]:
    """Load the stored recording: its environment and its values."""
    return json.loads(path(part).read_text())


def replay(part: str, **settings: str) -> dict[str, Any]:
    """Compute the values of a part in a new process."""
    _, _, backend = part.partition("-")
    own = SETTINGS | ({"KERAS_BACKEND": backend} if backend else {}) | settings
    folders = [str(HERE), str(HERE.parent / "helpers"), os.environ.get("PYTHONPATH")]
    own["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "values.json"
        command = [sys.executable, __file__, "--to", str(written), part]
        done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{part}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return json.loads(written.read_text())


def values(part: str) -> dict[str, Any]:
    """Compute the values of a part in this process."""
    module = importlib.import_module(PARTS[part][0])
    return module.record(recorded(part)["values"] if path(part).exists() else {})


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--to"]:
        Path(arguments[1]).write_text(json.dumps(values(arguments[2])))
        return
    for part in arguments or PARTS:
        content = {"environment": environment(part), "values": replay(part)}
        path(part).write_text(json.dumps(content, indent=1) + "\n")
        print(f"{part}: {path(part).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
