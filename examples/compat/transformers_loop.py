"""A training loop without a Trainer, with each scheduler that Transformers can make by its name.

To run it with Transformers alone, import get_scheduler from transformers.
"""

import torch

from lehr.compat.transformers import get_scheduler

EPOCHS, BATCHES = 3, 12
OPTIONS = {
    "linear": None,
    "cosine": None,
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"power": 2.0, "lr_end": 1e-4},
    "constant": None,
    "constant_with_warmup": None,
    "inverse_sqrt": None,
    "reduce_lr_on_plateau": {"patience": 3, "factor": 0.5},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr": 0.001, "warmup_lr_rate": 0.2},
    "warmup_stable_decay": {"num_decay_steps": 10, "decay_type": "1-sqrt"},
    "greedy": {"patience": 3, "factor": 0.8, "min_lr": 0.001},
}

if __name__ == "__main__":
    torch.manual_seed(0)
    batches = [(x, x.sum(1, keepdim=True)) for x in torch.randn(BATCHES, 16, 3)]
    for name, options in OPTIONS.items():
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        lr_scheduler = get_scheduler(
            name,
            optimizer=optimizer,
            num_warmup_steps=5,
            num_training_steps=EPOCHS * BATCHES,
            scheduler_specific_kwargs=options,
        )
        by_metric = name in ("reduce_lr_on_plateau", "greedy")
        for epoch in range(EPOCHS):
            for x, y in batches:
                loss = torch.nn.functional.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                if by_metric:
                    lr_scheduler.step(loss.item())
                else:
                    lr_scheduler.step()
                optimizer.zero_grad()
                rate = lr_scheduler.get_last_lr()[0]
                print(f"{name}: epoch {epoch} rate {rate:.9g} loss {loss.item():.4f}")
