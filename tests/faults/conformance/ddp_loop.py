"""Two processes of plain DistributedDataParallel with lehr's Scheduler."""

import json
import os
from itertools import islice

import numpy as np
import torch
import torch._dynamo  # the first optimizer step imports it: import it once, before the forks
from fit_run import POLICY, UPDATES, FitRun, read
from torch import distributed
from torch.multiprocessing import start_processes
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import lehr

torch.set_num_threads(1)  # before the forks


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))


def rows():
    return torch.randn(12 * UPDATES, 4, generator=torch.Generator().manual_seed(1))


def loss(model, x):
    return torch.nn.functional.mse_loss(model(x)[:, 0], x.sum(1))


def report(rank, folder, used, model):
    """Save the values used and the final weights of one process, and end it."""
    (folder / f"used-{rank}.json").write_text(json.dumps(used))
    np.savez(folder / f"weights-{rank}.npz", *(p.detach().numpy() for p in model.parameters()))
    os._exit(0)  # gloo may deadlock if a model outlives its process group


def work(rank, folder, checkpoint):
    """In one of the processes, make the updates that remain after a checkpoint."""
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    model = DistributedDataParallel(net())
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = lehr.torch.Scheduler(optimizer, POLICY)
    parts = (model, optimizer, scheduler)
    if checkpoint:
        for part, state in zip(parts, torch.load(checkpoint / "state.pt"), strict=True):
            part.load_state_dict(state)
    x, used = rows(), []
    loader = DataLoader(x, batch_size=6, sampler=DistributedSampler(x))
    for batch in islice(loader, scheduler.last_epoch, None):
        optimizer.zero_grad()
        loss(model, batch).backward()
        used.append(read(optimizer))
        optimizer.step()
        scheduler.step()
        if rank == 0:
            saved = folder / str(scheduler.last_epoch)
            saved.mkdir()
            torch.save([part.state_dict() for part in parts], saved / "state.pt")
    report(rank, folder, used, model)


class DDPLoop(FitRun):
    def fit(self, checkpoint):
        self.launch(self.checkpoints, checkpoint)
        used, other = (
            json.loads((self.checkpoints / f"used-{r}.json").read_text()) for r in (0, 1)
        )
        assert used == other, "the processes hold different rates"
        return used

    def launch(self, *arguments):
        start_processes(work, arguments, nprocs=2, start_method="fork")

    def weights(self):
        with np.load(self.checkpoints / "weights-0.npz") as arrays:
            return [arrays[name] for name in arrays.files]
