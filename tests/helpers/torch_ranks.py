"""One of two processes of a distributed run, started by `tests/torch/test_resume.py`."""

import json
import sys

import torch
from torch import distributed

import lehr
import lehr.torch

METRICS = ([2.0, 0.25, 0.25, 1.5, 0.5, 1.0], [0.0, 0.75, 1.25, 0.0, 1.0, torch.nan])


def main(rank: int, meet: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=9.0, momentum=0.9)
    control = lehr.Plateau(patience=2, factor=0.5, restore_best=True)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(lr=0.1, control=control))
    x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(rank))
    factors, rates = [], []
    for step, metric in enumerate(METRICS[rank]):
        optimizer.zero_grad()
        model(x[step]).square().mean().backward()
        optimizer.step()
        scheduler.step()
        scheduler.observe(metric, model)
        factors.append(scheduler.control.factor)
        rates += scheduler.get_last_lr()
    weights = [weight.tolist() for weight in model.parameters()]
    result = {"factors": factors, "rates": rates, "weights": weights, "steps": scheduler.last_epoch}
    print(json.dumps(result))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
