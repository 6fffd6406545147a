"""DistributedDataParallel: each process observes its local loss; all use the same rate.

    torchrun --nproc-per-node 2 examples/ddp.py

`observe` averages the metric over the processes (all-reduce), so that every rank makes the same
decision. The scheduler state is the same on every rank; save it on one of them:
`torch.save(scheduler.state_dict(), ...)`.
"""

import torch
from sklearn.datasets import load_digits
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import lehr

EPOCHS = 4


def train():
    rank = distributed.get_rank()
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y))
    sampler = DistributedSampler(data, seed=0)
    loader = DataLoader(data, batch_size=100, sampler=sampler)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    policy = lehr.Policy(
        lr=lehr.warmup(0.1, "10%").then(lehr.constant(0.1)),
        control=lehr.Plateau("loss", factor=0.5, patience=1, threshold=0.3),
    )
    scheduler = lehr.torch.Scheduler(optimizer, policy, steps=EPOCHS * len(loader))

    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        total = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            lr = optimizer.param_groups[0]["lr"]
            print(f"rank {rank}, update {scheduler.last_epoch}: lr {lr:.9g}")
            optimizer.step()
            scheduler.step()
            total += loss.item()
        scheduler.observe(total / len(loader))
        print(f"rank {rank}, epoch {epoch}: loss {total / len(loader):.9g}")


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    train()
    distributed.destroy_process_group()  # after the model is deleted, otherwise gloo may hang
