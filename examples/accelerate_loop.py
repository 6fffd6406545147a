"""Accelerate: one step of the policy per update, with accumulation and several processes.

    torchrun --nproc-per-node 2 examples/accelerate_loop.py   # on GPUs: accelerate launch

Do not pass the scheduler to `prepare`, which would call it once for each process.
"""

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import lehr

EPOCHS, ACCUMULATE = 4, 2


def train():
    set_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATE)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y))
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    loader = DataLoader(data, batch_size=32, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    updates = EPOCHS * -(-len(loader) // ACCUMULATE)  # each epoch ends with an update
    policy = lehr.warmup(0.2, "10%").then(lehr.cosine(0.2))
    scheduler = lehr.torch.Scheduler(optimizer, policy, steps=updates)
    accelerator.register_for_checkpointing(scheduler)  # save_state and load_state include it

    update = 0
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(model(inputs), targets)
                accelerator.backward(loss)
                lr = optimizer.param_groups[0]["lr"]
                optimizer.step()
                if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                    scheduler.step()
                    print(f"rank {accelerator.process_index}, update {update}: lr {lr:.9g}")
                    update += 1
    accelerator.print(f"loss {loss.item():.3f}")


if __name__ == "__main__":
    train()
    PartialState().destroy_process_group()  # after the model is deleted, otherwise gloo may hang
