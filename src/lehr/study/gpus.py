"""The GPUs of this machine, found without a framework."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

# lines such as "GPU 0: NVIDIA H100 (UUID: GPU-...)" and "  MIG 1g.10gb  Device 0: (UUID: MIG-...)"
_LINE = re.compile(r"(?:GPU (\d+): (.+?)|MIG (\S+)\s+Device\s+\d+:) \(UUID: (\S+)\)")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or an instance of a partitioned GPU (MIG).

    Attributes:
        id: UUID, or the entry of the user's ``CUDA_VISIBLE_DEVICES``.
        model: name of the model, for example "NVIDIA H100 80GB HBM3".
    """

    id: str
    model: str


def gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs that ``CUDA_VISIBLE_DEVICES`` does not hide."""
    installed = _installed()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [Gpu(uuid, model) for _, uuid, model in installed]
    found = []
    for entry in visible.split(","):
        name = entry.strip()
        models = [m for i, uuid, m in installed if name and (name == i or uuid.startswith(name))]
        if not models:  # as in CUDA, an invalid entry hides the following ones
            break
        found.append(Gpu(name, models[0]))
    return found


@functools.cache
def _installed() -> list[tuple[str, str, str]]:
    """Return index, UUID and model of each GPU; the instances of a partitioned GPU replace it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    found: list[tuple[str, str, str]] = []
    whole: list[tuple[str, str, str]] = []  # the last GPU, until one of its instances is listed
    index = model = ""
    for match in filter(None, map(_LINE.search, listed.stdout.splitlines())):
        number, name, profile, uuid = match.groups()
        if profile is None:
            index, model = number, name
            found += whole
            whole = [(index, uuid, model)]
        else:
            whole = []
            found.append((index, uuid, f"{model} MIG {profile}"))
    return found + whole
