"""Runs whose trainer makes all updates in one call and saves a checkpoint after each update."""

import shutil
import tempfile
from pathlib import Path

import lehr

UPDATES = 6
LR = lehr.warmup(0.01, steps=2).then(lehr.cosine(0.01, steps=4))
POLICY = lehr.Policy(lr=LR, momentum=lehr.linear(0.95, 0.85, UPDATES))


def read(optimizer):
    """Return the values that the next update uses."""
    group = optimizer.param_groups[0]
    return {"lr": group["lr"], "momentum": group["betas"][0]}


class FitRun:
    """A run for `lehr.testing.conformance`; `fit` makes the updates after a checkpoint, or all."""

    policy = POLICY
    checkpoint_name = "{}"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.checkpoints = Path(self.folder.name)
        self.used, self.at = None, 0

    def train(self, steps):
        if self.used is None:
            self.used = self.fit(None)
        self.at += steps
        return self.used[self.at - steps : self.at]

    def save(self, folder):
        if self.at:
            checkpoint = self.checkpoints / self.checkpoint_name.format(self.at)
            shutil.copytree(checkpoint, folder, dirs_exist_ok=True)

    def load(self, folder):
        self.used = self.fit(folder)
