"""Lightning and Hugging Face trainers: a weight with gradient one gives the rate of each update."""

import csv
import json
import logging
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from programs import run_python

import lehr

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning
    import torch
    import transformers
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.plugins import MixedPrecision
    from probes import POLICY, RATES, UPDATES, Module, fit, hugging_face

pytestmark = [
    # warnings of the trainers about their use of torch and about a loader without workers
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

DOCS = (Path(__file__).parent.parent / "docs" / "trainers.md").read_text()
OTHER = lehr.Policy(lr=lehr.warmup(0.5, 2).then(lehr.linear(0.5, 0.3, 4)))


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def near(rates):
    return pytest.approx(rates, rel=0, abs=4e-7 * 0.5)


def check(module, rates=RATES):
    # the first update of the warm-up has rate 0 and does not change the weight
    assert (module.read, module.taken) == (near(rates), near([lr for lr in rates if lr]))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("automatic", [True, False])
def test_lightning_applies_the_policys_rates(automatic, accumulate):
    module = Module(accumulate=None if automatic else accumulate)
    trainer = fit(module, accumulate=accumulate if automatic else 1)
    check(module)
    (config,) = trainer.lr_scheduler_configs
    assert config.scheduler.last_epoch == UPDATES


def test_lightning_fits_a_module_again_in_another_trainer():
    module = Module()
    fit(module)
    fit(module)  # configure_optimizers creates a new optimizer and a new scheduler
    check(module, RATES * 2)


def test_lightning_logs_the_rate(tmp_path):
    monitor, module = LearningRateMonitor(), Module()
    logger = lightning.pytorch.loggers.CSVLogger(tmp_path)
    fit(module, logger=logger, callbacks=[monitor], log_every_n_steps=1)
    (path,) = tmp_path.rglob("metrics.csv")
    with path.open() as lines:
        assert [float(row["lr-SGD"]) for row in csv.DictReader(lines)] == near(RATES)


class Observing(Module):
    """Passes a constant metric to the plateau after each update."""

    def validation_step(self, batch, batch_idx):
        self.log("loss", 1.0)

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.lr_schedulers().observe(self.trainer.callback_metrics["loss"].item())


def test_lightning_resumes_a_plateau_that_was_saved_after_validation(tmp_path):
    policy = lehr.Policy(lr=POLICY.lr, control=lehr.Plateau("loss", factor=0.5, patience=2))
    saved = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, save_on_train_epoch_end=False)
    options = {"val_check_interval": 1, "limit_val_batches": 1}
    uninterrupted = Observing(policy)
    fit(uninterrupted, callbacks=[saved], enable_checkpointing=True, **options)
    check(uninterrupted, [lr * f for lr, f in zip(RATES, (1, 1, 1, 0.5, 0.5, 0.25), strict=True)])
    for step in range(1, UPDATES):
        module = Observing(policy)
        fit(module, ckpt_path=tmp_path / f"step={step}.ckpt", **options)
        assert module.read == uninterrupted.read[step:]


class Overflows(Module):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * torch.inf if batch_idx == 3 else loss


def test_lightning_counts_a_skipped_update_without_the_documented_hook():
    def rates(kind):
        scaler = torch.amp.GradScaler("cpu")
        module = kind()
        fit(module, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
        return module

    namespace = {}
    exec(block("lightning"), namespace)
    base = namespace["SkipAwareModule"]

    class Skipping(Overflows, base):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            base.on_before_optimizer_step(self, optimizer)

    module = rates(Skipping)
    assert module.read == near([*RATES[:4], RATES[3], RATES[4]])
    assert module.taken == near(RATES[1:5])
    assert rates(Overflows).read == near(
        RATES
    )  # on failure, update the advice in the documentation


def block(name):
    """Return the example on the page that imports a package."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS, re.S)
    return next(code for code in blocks if f"import {name}\n" in code)


def test_lightning_resumes_with_another_policy_only_with_on_change(tmp_path):
    saved = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    fit(Module(), callbacks=[saved], enable_checkpointing=True)
    path = tmp_path / "step=4.ckpt"
    with pytest.raises(
        ValueError, match=r"lr at step 4 would jump from 0\.3 to 0\.4; pass on_change"
    ):
        fit(Module(OTHER), ckpt_path=path)
    module = Module(OTHER, on_change="continue")
    fit(module, ckpt_path=path)
    check(module, [0.4, 0.35])


def logged(trainer):
    return [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]


@pytest.mark.parametrize("accumulate", [1, 4])
def test_trainer_applies_and_logs_the_policys_rates(accumulate, tmp_path):
    trainer, read = hugging_face(tmp_path, accumulate=accumulate)
    trainer.train()
    check(read)
    assert logged(trainer) == near(RATES)
    assert trainer.lr_scheduler.last_epoch == UPDATES


def test_trainer_resumes_with_another_policy_only_with_on_change(tmp_path):
    hugging_face(tmp_path)[0].train()
    trainer, _ = hugging_face(tmp_path, OTHER)
    with pytest.raises(
        ValueError, match=r"lr at step 4 would jump from 0\.3 to 0\.4; pass on_change"
    ):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    trainer, read = hugging_face(tmp_path, OTHER, on_change="continue")
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    check(read, [0.4, 0.35])


def test_a_second_trainer_accepts_the_same_optimizer_and_scheduler(tmp_path):
    trainer, _ = hugging_face(tmp_path)
    pair = (trainer.optimizer, trainer.lr_scheduler)
    transformers.Trainer(
        trainer.model, trainer.args, train_dataset=trainer.train_dataset, optimizers=pair
    ).train()
    assert pair[1].last_epoch == UPDATES


def test_a_trainer_subclass_creates_the_scheduler_for_each_run(tmp_path):
    namespace = {}
    exec(block("transformers"), namespace)
    trainer, read = hugging_face(tmp_path, policy=None, kind=namespace["Trainer"])
    schedule = lehr.warmup(1e-3, "20%").then(lehr.cosine(1e-3)).resolve(UPDATES)
    rates = [schedule(t) for t in range(UPDATES)]
    trainer.train()
    trainer.train()
    check(read, rates * 2)


once = pytest.mark.xdist_group("two processes")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Run two processes of each trainer; return the folder of their results."""
    folder = tmp_path_factory.mktemp("two")
    script = Path(__file__).parent / "helpers" / "two_processes.py"
    variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run_python(script, folder, cwd=folder, **variables)
    return folder


@once
@pytest.mark.parametrize(
    "name",
    [
        "accelerate-1",
        "accelerate-4",
        "transformers-1-of-2",
        "transformers-4-of-2",
        "lightning",
    ],
)
def test_two_processes_make_one_step_per_update(two, name):
    for rank in range(2):
        found = json.loads((two / f"{name}-{rank}.json").read_text())
        check(SimpleNamespace(**found))
        assert found["step"] == UPDATES


@once
def test_two_processes_have_the_same_rate_with_different_metrics(two):
    from two_processes import METRICS, PLATEAU

    state, rates = PLATEAU.control.init(), []
    for step, metric in enumerate(METRICS):
        rates.append(PLATEAU(step, state.factor)["lr"])
        state = PLATEAU.control.update(state, sum(metric) / 2)
    assert state.factor == 0.25
    for rank in range(2):
        check(SimpleNamespace(**json.loads((two / f"ddp-{rank}.json").read_text())), rates)


@once
def test_accelerate_prepare_rejects_a_scheduler_with_two_processes(two):
    rule = r"processes must be 1 for a scheduler in Accelerator\.prepare, .* got 2; omit it"
    for rank in range(2):
        assert re.match(rule, (two / f"refused-{rank}").read_text())


@once
def test_every_attribute_can_be_read_in_two_processes(two):
    for rank in range(2):
        members = json.loads((two / f"members-{rank}.json").read_text())
        assert {"_is_accelerate_prepared", "policy", "step"} <= set(members)
