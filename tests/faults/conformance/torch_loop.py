"""Plain PyTorch loops with lehr's Scheduler, for the conformance suite."""

import torch

import lehr

torch.set_num_threads(1)
RISE_AND_FALL = lehr.warmup(0.01, steps=3).then(lehr.cosine(0.01, steps=5))


class TorchLoop:
    """A small net, AdamW, warm-up and decay with momentum."""

    policy = lehr.Policy(lr=RISE_AND_FALL, momentum=lehr.linear(0.95, 0.85, 8))
    relative = False
    rows = 8

    def __init__(self):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        )
        self.optimizers = self.make_optimizers()
        self.scheduler = lehr.torch.Scheduler(self.optimizers, self.policy, relative=self.relative)
        self.x = torch.randn(128, 4, generator=torch.Generator().manual_seed(1))
        self.batch = 0

    def make_optimizers(self):
        return [torch.optim.AdamW(self.model.parameters())]

    def loss(self):
        x = self.x[self.batch * self.rows :][: self.rows]
        self.batch += 1
        return torch.nn.functional.mse_loss(self.model(x)[:, 0], x.sum(1))

    def update(self):
        """Make one update; return the values that it used."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.loss().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        used = self.values()
        self.scheduler.step()
        return used

    def values(self):
        (optimizer,) = self.optimizers
        group = optimizer.param_groups[-1]
        return {"lr": float(group["lr"]), "momentum": group["betas"][0]}

    def train(self, steps):
        return [self.update() for _ in range(steps)]

    @property
    def parts(self):
        return self.model, *self.optimizers, self.scheduler

    def save(self, folder):
        state = [part.state_dict() for part in self.parts]
        torch.save({"batch": self.batch, "parts": state}, folder / "state.pt")

    def load(self, folder):
        state = torch.load(folder / "state.pt", weights_only=True)
        self.batch = state["batch"]
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)

    def weights(self):
        return [tensor.numpy() for tensor in self.model.state_dict().values()]


class Closed(TorchLoop):
    """A plateau that restores the best weights observes a metric after every second update."""

    control = lehr.Plateau(factor=0.5, patience=1, restore_best=True)
    policy = lehr.Policy(lr=RISE_AND_FALL, momentum=0.9, control=control)

    def update(self):
        used = super().update() | {"factor": self.factor}
        if self.batch % 2 == 0:
            self.scheduler.observe([0.5, 1.0, 0.25, 0.5][self.batch // 2 % 4], self.model)
        return used

    @property
    def factor(self):
        return self.scheduler.control.factor


class Two(TorchLoop):
    """Muon for the matrices, AdamW for the rest."""

    policy = lehr.Policy(
        lr={"matrices": RISE_AND_FALL * 2.0, "rest": RISE_AND_FALL},
        momentum=lehr.linear(0.95, 0.85, 8),
        extra={"beta2": {"rest": lehr.linear(0.9, 0.99, 8)}},
    )

    def make_optimizers(self):
        halves = {
            name: [p for p in self.model.parameters() if (p.ndim == 2) == (name == "matrices")]
            for name in ("matrices", "rest")
        }
        muon, adamw = ([{"params": halves[name], "name": name}] for name in halves)
        return [torch.optim.Muon(muon), torch.optim.AdamW(adamw)]

    def values(self):
        muon, adamw = (optimizer.param_groups[0] for optimizer in self.optimizers)
        momentum, beta2 = adamw["betas"]
        assert muon["momentum"] == momentum
        return {
            "lr/matrices": muon["lr"],
            "lr/rest": adamw["lr"],
            "momentum": momentum,
            "beta2/rest": beta2,
        }


class Relative(TorchLoop):
    """The rate is relative to the optimizer's rate, a tensor; momentum is absolute."""

    relative = True

    def make_optimizers(self):
        rate = torch.tensor(0.5, dtype=torch.float64)
        return [torch.optim.AdamW(self.model.parameters(), lr=rate)]

    def values(self):
        used = super().values()
        return used | {"lr": used["lr"] / 0.5}


class Late(TorchLoop):
    """The first layer is added before the fourth update."""

    def make_optimizers(self):
        return [torch.optim.AdamW(self.model[1:].parameters())]

    def thaw(self):
        (optimizer,) = self.optimizers
        optimizer.add_param_group({"params": self.model[0].parameters(), "lr": 50.0})

    def update(self):
        if self.batch == 3:
            self.thaw()
        return super().update()

    def load(self, folder):
        if torch.load(folder / "state.pt", weights_only=True)["batch"] > 3:
            self.thaw()
        super().load(folder)


class Scaled(TorchLoop):
    """Half precision and loss scaling: updates of the third and the sixth batch are skipped."""

    rows = 4

    def __init__(self):
        super().__init__()
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=3)

    @property
    def parts(self):
        return *super().parts, self.scaler

    def update(self):
        (optimizer,) = self.optimizers
        while True:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = self.loss()
            broken = self.batch in (3, 6)
            self.scaler.scale(loss * torch.inf if broken else loss).backward()
            self.scaler.step(optimizer)
            scale = self.scaler.get_scale()
            self.scaler.update()
            if self.scaler.get_scale() >= scale:
                used = self.values()
                self.scheduler.step()
                return used
