"""A plain PyTorch loop under lehr's Scheduler, for the conformance suite."""

import torch

import lehr


class TorchLoop:
    """A small net, AdamW, warm-up and decay with momentum and a plateau."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        lr = lehr.warmup(0.01, steps=3).then(lehr.cosine(0.01, steps=5))
        self.policy = lehr.Policy(lr=lr, momentum=lehr.linear(0.95, 0.85, 8))
        self.scheduler = lehr.torch.Scheduler(self.optimizer, self.policy)
        self.x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))

    def train(self, steps):
        used = []
        for _ in range(steps):
            at = self.scheduler.last_epoch * 8
            x = self.x[at : at + 8]
            self.optimizer.zero_grad()
            torch.nn.functional.mse_loss(self.model(x)[:, 0], x.sum(1)).backward()
            group = self.optimizer.param_groups[0]
            used.append({"lr": group["lr"], "momentum": group["betas"][0]})
            self.optimizer.step()
            self.scheduler.step()
        return used

    def save(self, folder):
        parts = (self.model, self.optimizer, self.scheduler)
        torch.save([part.state_dict() for part in parts], folder / "state.pt")

    def load(self, folder):
        parts = (self.model, self.optimizer, self.scheduler)
        for part, state in zip(parts, torch.load(folder / "state.pt"), strict=True):
            part.load_state_dict(state)

    def weights(self):
        return [tensor.numpy() for tensor in self.model.state_dict().values()]
