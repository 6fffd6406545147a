"""Runs for the conformance suite without a framework: a correct one, and several with errors."""

import json

import numpy as np

import lehr


class Correct:
    """Gradient descent with momentum on a quadratic."""

    policy = lehr.Policy(lr=lehr.linear(0.5, 0.0, 8), momentum=0.9)
    saved = ("step", "weight", "velocity")

    def __init__(self):
        self.step, self.weight, self.velocity = 0, 1.0, 0.0

    def values(self):
        return self.policy(self.step)

    def train(self, steps):
        values = []
        for _ in range(steps):
            values.append(self.values())
            momentum = values[-1].get("momentum", 0.9)
            self.velocity = momentum * self.velocity - values[-1]["lr"] * self.weight
            self.weight += self.velocity
            self.step += 1
        return values

    def save(self, folder):
        state = {name: getattr(self, name) for name in self.saved}
        (folder / "state.json").write_text(json.dumps(state))

    def load(self, folder):
        vars(self).update(json.loads((folder / "state.json").read_text()))

    def weights(self):
        return [np.array(self.weight)]


class ForgetsASlot(Correct):
    saved = ("step", "weight")


class ForgetsTheStep(Correct):
    saved = ("weight", "velocity")


class OneStepLate(Correct):
    def values(self):
        return self.policy(max(self.step - 1, 0))


class IgnoresTheFactor(Correct):
    def values(self):
        return super().values() | {"factor": 0.5 if self.step > 3 else 1.0}


class KeepsSilent(Correct):
    def values(self):
        return {"lr": super().values()["lr"]}


class StopsEarly(Correct):
    def train(self, steps):
        return super().train(steps)[: 6 - self.step]


class Crashes(Correct):
    def load(self, folder):
        raise RuntimeError("the disk is gone")
