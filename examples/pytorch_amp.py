"""Mixed precision: the policy does not step if GradScaler skips the update; two batches per update.

The initial scale is far too large, so that the first updates are skipped.
"""

import torch
from sklearn.datasets import load_digits

import lehr

UPDATES, ACCUMULATE, SIZE = 40, 2, 64

if __name__ == "__main__":
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32).to(device), torch.tensor(y).to(device)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler(device, init_scale=2.0**24)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.one_cycle(0.02), steps=UPDATES)

    while scheduler.last_epoch < UPDATES:
        for _ in range(ACCUMULATE):
            rows = torch.randint(len(x), (SIZE,))
            with torch.autocast(device, torch.float16):
                loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            scaler.scale(loss / ACCUMULATE).backward()
        group, scale = optimizer.param_groups[0], scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if scaler.get_scale() < scale:
            print(f"skipped: scale {scale:g} was too large")
            continue
        lr, momentum = group["lr"], group["betas"][0]
        print(f"update {scheduler.last_epoch}: lr {lr:.9g} momentum {momentum:.9g}")
        scheduler.step()
    print(f"loss {loss.item():.3f}")
