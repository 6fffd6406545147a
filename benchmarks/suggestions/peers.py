"""Run other finders with their default settings, and optimizers that need no finder.

    LEHR_CIFAR10=cifar10.npz python benchmarks/suggestions/peers.py

Needs torch-lr-finder, lightning, fastai, pytorch-ignite, schedulefree and prodigyopt. Appends to
``results/peers.jsonl``; stored results are skipped. If a finder raises or makes no suggestion, the
error or a null is stored.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import RESULTS, SEEDS
from tasks import TASKS, Task
from torch.utils.data import DataLoader, TensorDataset

import lehr

START = 1e-7  # for finders that start at the optimizer's rate


def loader(task: Task, seed: int) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed)
    data = TensorDataset(*task.splits()[0])
    return DataLoader(data, task.batch, shuffle=True, drop_last=True, generator=generator)


def torch_lr_finder(task: Task, seed: int) -> dict[str, float]:
    from torch_lr_finder import LRFinder

    model = task.model(seed)
    finder = LRFinder(model, task.optimizer(model.parameters(), START), task.loss, device="cpu")
    finder.range_test(loader(task, seed), end_lr=10, num_iter=100)
    import matplotlib.pyplot as plt

    _, lr = finder.plot(suggest_lr=True, ax=plt.figure().add_subplot())
    plt.close("all")
    return {"torch-lr-finder steepest": float(lr)}


def ignite(task: Task, seed: int) -> dict[str, float]:
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    model = task.model(seed)
    optimizer = task.optimizer(model.parameters(), START)
    trainer = create_supervised_trainer(model, optimizer, task.loss)
    finder = FastaiLRFinder()
    saved = {"model": model, "optimizer": optimizer}
    with finder.attach(trainer, to_save=saved, num_iter=100) as found:
        found.run(loader(task, seed))
    return {"ignite steepest": float(finder.lr_suggestion())}


def lightning(task: Task, seed: int) -> dict[str, float]:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.lr = task.model(seed), START

        def training_step(self, batch: Any, _: int) -> Any:
            return task.loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return task.optimizer(self.parameters(), self.lr)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            max_epochs=-1,
        )
        found = Tuner(trainer).lr_find(Module(), loader(task, seed))
    lr = found.suggestion()
    return {"lightning 2.6 steepest": math.nan if lr is None else float(lr)}


def fastai(task: Task, seed: int) -> dict[str, float]:
    from fastai.callback.schedule import minimum, slide, steep, valley
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    made = task.optimizer([torch.nn.Parameter(torch.zeros(1))], START)
    names = {"momentum", "betas", "weight_decay"} & made.defaults.keys()
    wrapped = partial(OptimWrapper, opt=type(made), **{n: made.defaults[n] for n in names})
    with tempfile.TemporaryDirectory() as folder:
        both = DataLoaders(loader(task, seed), loader(task, seed))
        learner = Learner(both, task.model(seed), task.loss, wrapped, path=folder)
        rules = (valley, slide, minimum, steep)
        found = learner.lr_find(suggest_funcs=rules, show_plot=False)
    return {f"fastai {rule.__name__}": float(getattr(found, rule.__name__)) for rule in rules}


def trained(task: Task, seed: int, optimizer: Any, model: torch.nn.Module, steps: int) -> None:
    for _ in range(steps):
        for x, y in loader(task, seed):
            if steps <= 0:
                return
            steps -= 1

            optimizer.zero_grad()
            task.loss(model(x), y).backward()
            optimizer.step()
            if hasattr(optimizer, "cosine"):
                optimizer.cosine.step()


def schedule_free(task: Task, seed: int) -> dict[str, float]:
    from schedulefree import AdamWScheduleFree

    model = task.model(seed)
    warm = round(0.05 * task.steps)
    optimizer = AdamWScheduleFree(model.parameters(), warmup_steps=warm)
    optimizer.train()
    trained(task, seed, optimizer, model, task.steps)
    optimizer.eval()
    if any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()):
        model.train()  # the weights are averages: recompute the statistics
        with torch.no_grad():
            for (x, _), _ in zip(loader(task, seed), range(50), strict=False):
                model(x)
    return {"schedule-free AdamW": task.judge(model, task.splits()[2])}


def prodigy(task: Task, seed: int) -> dict[str, float]:
    from prodigyopt import Prodigy

    model = task.model(seed)
    optimizer = Prodigy(model.parameters())
    optimizer.cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.steps)
    trained(task, seed, optimizer, model, task.steps)
    return {"Prodigy + cosine": task.judge(model, task.splits()[2])}


def probe(task: Task, seed: int) -> dict[str, float]:
    """Train at eleven constant rates for 50 updates; return the one with the lowest loss."""
    losses = {}
    for i in range(11):
        rate = 10 ** (-5 + i * 0.6)
        learner = task.learner(seed)
        learner.train(lehr.Policy(lr=rate), 50)
        loss = learner.evaluate()["loss"]
        losses[rate] = loss if math.isfinite(loss) else math.inf
    return {"probe, 11 x 50": min(losses, key=lambda rate: losses[rate])}


FINDERS: dict[str, Callable[[Task, int], dict[str, float]]] = {
    "torch-lr-finder": torch_lr_finder,
    "ignite": ignite,
    "lightning": lightning,
    "fastai": fastai,
    "probe": probe,
    "schedule-free": schedule_free,
    "prodigy": prodigy,
}
SCORED = ("schedule-free", "prodigy")


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    path = Path(RESULTS / "peers.jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    done = {(r["task"], r["seed"], r["peer"]) for r in map(json.loads, lines)}
    with path.open("a") as file:
        for name, task in TASKS.items():
            for seed in SEEDS:
                for peer, run in FINDERS.items():
                    if (name, seed, peer) in done:
                        continue
                    record = {"task": name, "seed": seed, "peer": peer}
                    quiet = io.StringIO()
                    try:
                        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                            found = run(task, seed)
                        record["found"] = {
                            k: v if math.isfinite(v) else None for k, v in found.items()
                        }
                    except Exception as error:
                        record["error"] = f"{type(error).__name__}: {error}"[:200]
                    file.write(json.dumps(record) + "\n")
                    file.flush()
            print(name, "done", flush=True)


if __name__ == "__main__":
    main()
