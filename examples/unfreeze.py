"""Unfreezing: train the head, and after 20 updates also the body; each has a schedule."""

import torch
from sklearn.datasets import load_digits

import lehr

UPDATES, FROZEN, SIZE = 60, 20, 64

if __name__ == "__main__":
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
    head = torch.nn.Linear(64, 10)
    body.requires_grad_(False)

    optimizer = torch.optim.AdamW([{"params": head.parameters(), "name": "head"}])
    warm = lehr.constant(0.0, FROZEN).then(lehr.warmup(0.002, 10))
    policy = lehr.Policy(
        lr={
            "head": lehr.cosine(0.02),
            "body": warm.then(lehr.cosine(0.002)),
        },  # both count the same steps
        weight_decay={"head": 0.0, "body": 0.1},
    )
    scheduler = lehr.torch.Scheduler(optimizer, policy, steps=UPDATES, later=["body"])

    for update in range(UPDATES):
        if update == FROZEN:
            body.requires_grad_(True)
            optimizer.add_param_group({"params": body.parameters(), "name": "body"})
        rows = torch.randint(len(x), (SIZE,))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(body(x[rows])), y[rows])
        loss.backward()
        optimizer.step()
        rates = [f"{group['name']} {group['lr']:.9g}" for group in optimizer.param_groups]
        print(f"update {update}: {', '.join(rates)}")
        scheduler.step()
    print(f"loss {loss.item():.3f}")
