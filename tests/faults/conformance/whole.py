"""Runs whose trainer makes all updates at once and keeps a checkpoint of its own after each."""

import shutil
import tempfile
from pathlib import Path

import lehr

UPDATES = 6
LR = lehr.warmup(0.01, steps=2).then(lehr.cosine(0.01, steps=4))
POLICY = lehr.Policy(lr=LR, momentum=lehr.linear(0.95, 0.85, UPDATES))


def read(optimizer):
    """Return what an update uses."""
    group = optimizer.param_groups[0]
    return {"lr": group["lr"], "momentum": group["betas"][0]}


class Whole:
    """A run for `lehr.testing.conformance`; `fit` makes the updates after a checkpoint, or all."""

    policy = POLICY
    kept_as = "{}"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.kept = Path(self.folder.name)
        self.used, self.at = None, 0

    def train(self, steps):
        if self.used is None:
            self.used = self.fit(None)
        self.at += steps
        return self.used[self.at - steps : self.at]

    def save(self, folder):
        if self.at:
            kept = self.kept / self.kept_as.format(self.at)
            shutil.copytree(kept, folder, dirs_exist_ok=True)

    def load(self, folder):
        self.used = self.fit(folder)
