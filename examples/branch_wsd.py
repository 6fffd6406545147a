"""Branching: one long run at a constant rate, cooldowns of several lengths from its checkpoints."""

import copy

import torch
from sklearn.datasets import load_digits

import lehr

TRUNK = lehr.Policy(lr=lehr.warmup(0.1, 10).then(lehr.constant(0.1)), momentum=0.9)
SAVED, COOLDOWNS, SIZE = (40, 80), (10, 20), 64


def make(policy, on_change="refuse"):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    return model, optimizer, lehr.torch.Scheduler(optimizer, policy, on_change=on_change)


def train(run, until, x, y):
    model, optimizer, scheduler = run
    for step in range(scheduler.last_epoch, until):
        rows = torch.randint(len(x), (SIZE,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        print(f"update {step}: lr {optimizer.param_groups[0]['lr']:.9g}")
        scheduler.step()
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(x), y).item()


if __name__ == "__main__":
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    trunk, checkpoints = make(TRUNK), {}
    for step in SAVED:
        print(f"trunk to {step}")
        loss = train(trunk, step, x, y)
        print(f"loss {loss:.3f}")
        checkpoints[step] = copy.deepcopy([part.state_dict() for part in trunk])

    for step, checkpoint in checkpoints.items():
        for cooldown in COOLDOWNS:
            # the policy differs from the saved one, which raises unless on_change="continue"
            branch = make(TRUNK.decay_from(step, cooldown), on_change="continue")
            for part, state in zip(branch, checkpoint, strict=True):
                part.load_state_dict(state)
            print(f"branch from {step}, {cooldown} long")
            print(f"loss {train(branch, step + cooldown, x, y):.3f}")
