"""Run two processes of each trainer and write the rates of each process to a folder."""

import inspect
import json
import os
import sys
from pathlib import Path

import accelerate
import torch
import torch._dynamo  # before the forks; optimizers import it in their first step
from probes import POLICY, UPDATES, Module, Weight, fit, hugging_face
from torch import distributed
from torch.multiprocessing import start_processes
from torch.nn.parallel import DistributedDataParallel

import lehr

PLATEAU = lehr.Policy(lr=POLICY.lr, control=lehr.Plateau(factor=0.5, patience=1))
METRICS = [[1.0, 5.0], [0.9, 6.0], [0.8, 1.0], [0.7, 9.0], [0.6, 1.0], [0.5, 1.0]]  # by rank


def write_rates(folder, name, rank, probe, scheduler):
    found = {"read": probe.read, "taken": probe.taken, "step": scheduler.last_epoch}
    (folder / f"{name}-{rank}.json").write_text(json.dumps(found))


def in_accelerate(folder, accumulate):
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    weight = Weight()
    optimizer = torch.optim.SGD(weight.parameters())
    loader = torch.utils.data.DataLoader(torch.zeros(2 * UPDATES * accumulate, 1))
    model, optimizer, loader = accelerator.prepare(weight, optimizer, loader)
    scheduler = lehr.torch.Scheduler(optimizer, POLICY)
    weight.read, weight.taken = [], []
    for batch in loader:
        with accelerator.accumulate(model):
            before = weight.weight.item()
            accelerator.backward(model(batch)["loss"])
            lr = optimizer.param_groups[0]["lr"]
            optimizer.step()
            optimizer.zero_grad()
            if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                scheduler.step()
                weight.read.append(lr)
            if weight.weight.item() != before:
                weight.taken.append(before - weight.weight.item())
    write_rates(folder, f"accelerate-{accumulate}", accelerator.process_index, weight, scheduler)
    members = [name for name, _ in inspect.getmembers(scheduler) if hasattr(scheduler, name)]
    (folder / f"members-{accelerator.process_index}.json").write_text(json.dumps(members))
    try:
        accelerator.prepare(scheduler)
    except ValueError as error:
        (folder / f"refused-{accelerator.process_index}").write_text(str(error))
    os._exit(0)  # see in_ddp


def in_transformers(folder, accumulate):
    trainer, read = hugging_face(folder / "trainer", accumulate=accumulate)
    trainer.train()
    rank, world = trainer.args.process_index, trainer.args.world_size
    write_rates(folder, f"transformers-{accumulate}-of-{world}", rank, read, trainer.lr_scheduler)
    os._exit(0)  # see in_ddp


class Recorded(Module):
    """A Lightning module that writes its rates at the end of training, in each process."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_end(self):
        write_rates(self.folder, "lightning", self.global_rank, self, self.lr_schedulers())


def in_ddp(rank, folder):
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    weight = Weight()
    weight.read, weight.taken = [], []
    model = DistributedDataParallel(weight)
    optimizer = torch.optim.SGD(model.parameters())
    scheduler = lehr.torch.Scheduler(optimizer, PLATEAU)
    for metric in METRICS:
        before = weight.weight.item()
        optimizer.zero_grad()
        model(torch.zeros(1))["loss"].backward()
        weight.read.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        scheduler.observe(metric[rank])
        if weight.weight.item() != before:
            weight.taken.append(before - weight.weight.item())
    write_rates(folder, "ddp", rank, weight, scheduler)
    os._exit(0)  # gloo may hang if a model is deleted after its process group


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    start_processes(in_ddp, (folder,), nprocs=2, start_method="fork")
    for accumulate in (1, 4):
        accelerate.debug_launcher(in_accelerate, (folder, accumulate))
        accelerate.debug_launcher(in_transformers, (folder, accumulate))
    fit(Recorded(folder), strategy="ddp_fork", devices=2)
