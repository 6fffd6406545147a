"""Published learning-rate policies as data: ``lehr.published("llama-2-7b")``.

The values of each entry were read from the paper or repository in ``source``. ``omitted`` lists
facts that are missing in the source, and parts of the source that are missing in the entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, overload

from lehr.policy import Policy, as_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import one_of
from lehr.schedule.length import Length, check_length
from lehr.schedule.presets.basic import (
    constant,
    cosine,
    inverse_time,
    linear,
    multi_step,
    piecewise,
    step_decay,
    warmup,
)


@dataclass(frozen=True)
class PublishedPolicy:
    """A published policy with its run, optimizer and source.

    Attributes:
        name: name of the model or recipe.
        policy: the policy, with the published lengths.
        run: length of the run.
        batch: samples or tokens in an update.
        optimizer: name of the optimizer, its betas or momentum, and weight decay.
        source: paper and section, or repository, commit and file.
        omitted: facts missing in the source, or parts of the source missing in the policy.
        steps_per_epoch: updates in an epoch, if the lengths require it and it was published.
        samples_per_step: samples in an update, under the same condition.
        tokens_per_step: tokens in an update, under the same condition; a schedule if the batch
            size grows.

    >>> import lehr
    >>> entry = lehr.published("llama-2-7b")
    >>> entry.policy.lr, entry.run, entry.tokens_per_step
    (warmup(0.0003, 2000).then(cosine(0.0003, floor=3e-05)), '2T tokens', 4194304)
    >>> entry.resolved().lr
    warmup(0.0003, 2000).then(cosine(0.0003, 474837, floor=3e-05))
    """

    name: str
    policy: Policy
    run: Length
    batch: str
    optimizer: str
    source: str
    omitted: str
    steps_per_epoch: float | None = None
    samples_per_step: float | None = None
    tokens_per_step: float | Schedule | None = None

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes of the run, as arguments of ``resolve``, ``summary``, ``plot`` and ``lint``.

        >>> import lehr
        >>> lehr.published("bert-base").sizes
        {'steps': 1000000}
        """
        sizes = {
            "steps": self.run,
            "steps_per_epoch": self.steps_per_epoch,
            "samples_per_step": self.samples_per_step,
            "tokens_per_step": self.tokens_per_step,
        }
        return {name: size for name, size in sizes.items() if size is not None}

    def resolved(self, **sizes: Any) -> Policy:
        """Return the policy in integer steps of the published run.

        Args:
            **sizes: ``steps``, ``steps_per_epoch``, ``samples_per_step`` and ``tokens_per_step``
                of another run; each replaces the published one.

        Raises:
            ValueError: if a required size was not published, such as the updates in an epoch of a
                recipe for any data set.

        >>> import lehr
        >>> lehr.published("llama-2-7b").resolved(steps=10_000).lr
        warmup(0.0003, 2000).then(cosine(0.0003, 8000, floor=3e-05))
        """
        return self.policy.resolve(**self.sizes | sizes)


@overload
def published() -> list[str]: ...
@overload
def published(name: str) -> PublishedPolicy: ...
def published(name: str | None = None) -> list[str] | PublishedPolicy:
    """Return a published policy by name, or the list of names.

    Args:
        name: name of the entry; None returns the names of all entries.

    Raises:
        ValueError: if the name is unknown; the error suggests the nearest names.

    >>> import lehr
    >>> lehr.published("deepseek-v2-lite").policy.lr(2000)
    Traceback (most recent call last):
    ...
    ValueError: schedule must be in integer steps before it is used, got ...
    >>> lehr.published("deepseek-v2-lite").resolved().lr(2000)
    0.00042
    """
    entries = _by_name()
    return [*entries] if name is None else entries[one_of("name", name, entries)]


@cache
def _by_name() -> dict[str, PublishedPolicy]:
    entries = [*_vision(), *_language(), *_large_language(), *_multimodal()]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}


def _entry(
    name: str,
    policy: Policy | Schedule,
    run: Length,
    batch: str,
    optimizer: str,
    source: str,
    omitted: str = "",
    **sizes: Any,
) -> PublishedPolicy:
    known = as_policy(policy), check_length("run", run)
    return PublishedPolicy(name, *known, batch, optimizer, source, omitted, **sizes)


_EARLIER = "the original's warm-up reaches the peak one update earlier"
_FROM_ONE = "the original counts updates from 1"


# fmt: off
# a table: one call for each policy, with several fields on a line
def _vision() -> Iterator[PublishedPolicy]:
    goyal = "Goyal et al., arXiv 1706.02677, sections 2.2 and 5.1"
    nesterov = "SGD, Nesterov momentum 0.9, weight decay 1e-4"
    yield _entry(
        "resnet50-goyal-256", step_decay(0.1, 0.1, "30 epochs"),
        "90 epochs", "256", nesterov, goyal, steps_per_epoch=5004)
    falls = multi_step(3.2, 0.1, ["30 epochs", "60 epochs", "80 epochs"])
    yield _entry(
        "resnet50-goyal-8192", warmup(1.0, "5 epochs", start=1 / 32) * falls,
        "90 epochs", "8192", nesterov, goyal, steps_per_epoch=156)
    for recipe, epochs, peak, decay in (
        ("a1", 600, 5e-3, 0.01), ("a2", 300, 5e-3, 0.02), ("a3", 100, 8e-3, 0.02)
    ):
        rise = warmup(peak, "5 epochs", start=peak / 10_000)
        yield _entry(
            f"resnet50-rsb-{recipe}-mmpretrain",
            rise.then(cosine(peak, floor=1e-6).every("1 epoch")),
            f"{epochs} epochs", "2048",
            f"LAMB, betas 0.9 0.999, weight decay {decay} (none on norms and biases)",
            "open-mmlab/mmpretrain ee7f2e8, "
            f"configs/resnet/resnet50_8xb256-rsb-{recipe}-{epochs}e_in1k.py",
            _EARLIER, steps_per_epoch=626)
    yield _entry(
        "convnext-t", warmup(4e-3, "20 epochs").then(cosine(4e-3, floor=1e-6)),
        "300 epochs", "4096", "AdamW, PyTorch's betas, weight decay 0.05",
        "facebookresearch/ConvNeXt 048efce, TRAINING.md and main.py",
        f"{_EARLIER}; the average of the weights (EMA)", steps_per_epoch=312)
    yield _entry(
        "mae-vit-l-pretraining", warmup(2.4e-3, "40 epochs").then(cosine(2.4e-3)),
        "800 epochs", "4096", "AdamW, betas 0.9 0.95, weight decay 0.05",
        "facebookresearch/mae efb2a80, PRETRAIN.md and main_pretrain.py",
        "fine-tuning, with rates that decay by layer", steps_per_epoch=312)
    peak = 2e-4 * (3072 / 1024) ** 0.5
    dinov2 = Policy(
        lr=warmup(peak, "80 epochs").then(cosine(peak, floor=1e-6)),
        weight_decay=warmup(0.2, "100%", start=0.04, curve="cosine"),
        values={
            "ema_decay": warmup(1.0, "100%", start=0.994, curve="cosine"),
            "teacher_temperature": warmup(0.07, "30 epochs", start=0.04),
            "clip_norm": 3.0,
        },
    )
    yield _entry(
        "dinov2-vit-l14", dinov2,
        "500 epochs", "3072 (96 GPUs, 32 each)", "AdamW, betas 0.9 0.999, weight decay 0.04 to 0.2",
        "facebookresearch/dinov2 b8931f7, configs/train/vitl14.yaml and README.md",
        f"{_EARLIER}; the last layer's rate is 0 in the first epoch, the patch embedding's a fifth",
        steps_per_epoch=1250)
    peak = 4 * 5e-5 * (4096 / 1024) ** 0.5
    dinov3 = Policy(
        lr=warmup(peak, "100 epochs").then(constant(peak)),
        weight_decay=0.04,
        values={
            "ema_decay": 0.994,
            "teacher_temperature": warmup(0.07, "100 epochs", start=0.04),
            "clip_norm": 30.0,
        },
    )
    yield _entry(
        "dinov3-vit-7b16-pretraining", dinov3,
        "1000 epochs", "4096 (256 GPUs, 16 each)", "AdamW, betas 0.9 0.99, weight decay 0.04",
        "facebookresearch/dinov3 6876159, configs/train/dinov3_vit7b16_pretrain.yaml and README.md",
        "rates that decay by layer (0.98); the last layer's rate is 0 in the first 5 epochs, the "
        "patch embedding's a fifth; the stages after pre-training", steps_per_epoch=1000)
    weights = warmup(1.0, "3 epochs") * linear(0.01, 0.0001).every("1 epoch")
    yolo = Policy(
        lr={"weights": weights, "biases": weights + linear(0.1, 0.0, "3 epochs")},
        momentum=warmup(0.937, "3 epochs", start=0.8),
    )
    yield _entry(
        "yolov8-ultralytics-sgd", yolo,
        "100 epochs", "16, in the end accumulated to 64", "SGD, momentum 0.937, weight decay 5e-4",
        "ultralytics 8.4.190, cfg/default.yaml and engine/trainer.py",
        "the updates in an epoch, which follow from the data set; the original's clock is the "
        "batch, not the update; its default optimizer='auto' ignores these values")
    yield _entry(
        "cifar10-fast-dawnbench",
        warmup(0.4, "5 epochs").then(linear(0.4, 0.0, "19 epochs")).shift(-1),
        "24 epochs", "512", "SGD, Nesterov momentum 0.9, weight decay 5e-4",
        "davidcpage/cifar10-fast f79e8b8, dawn.py and torch_backend.py",
        "the original divides the rate by 512 and sums the loss over the batch: equivalent",
        steps_per_epoch=97)
    airbench = {
        "filters": linear(0.24, 0.0),
        "norm_biases": linear(0.053, 0.0),
        "head": linear(0.67, 0.0),
        "whiten_bias": linear(0.053, 0.0, "3 epochs"),
    }
    yield _entry(
        "cifar10-airbench94-muon", Policy(lr=airbench),
        "8 epochs", "2000",
        "Muon, Nesterov momentum 0.6, for the filters; for the rest SGD, Nesterov momentum 0.85, "
        "weight decay 0.004 / lr",
        "KellerJordan/cifar10-airbench f1c599c, airbench94_muon.py", steps_per_epoch=25)


def _language() -> Iterator[PublishedPolicy]:
    yield _entry(
        "bert-base", warmup(1e-4, 10_000).then(linear(1e-4, 0.0, 1_000_000).shift(-10_000)),
        1_000_000, "256", "Adam, betas 0.9 0.999, weight decay 0.01",
        "arXiv 1810.04805, appendix A.2; google-research/bert eedf571, optimization.py")
    fairseq = "facebookresearch/fairseq 3d262bb, examples"
    yield _entry(
        "roberta-base-fairseq", warmup(5e-4, 10_000).then(linear(5e-4, 0.0)),
        125_000, "2048", "Adam, betas 0.9 0.98, weight decay 0.01",
        f"{fairseq}/roberta/config/pretraining/base.yaml", "the run of the paper is different")
    yield _entry(
        "wav2vec2-base-fairseq", warmup(5e-4, 32_000).then(linear(5e-4, 0.0)),
        400_000, "64 GPUs, at most 1.4M audio samples each",
        "Adam, betas 0.9 0.98, weight decay 0.01",
        f"{fairseq}/wav2vec/config/pretraining/wav2vec2_base_librispeech.yaml")
    yield _entry(
        "t5-baseline", constant(0.01, 10_000).then(inverse_time(0.01, 10_000, power=0.5)),
        2**19, "128 x 512 tokens", "Adafactor",
        "arXiv 1910.10683, section 3.1.2; the length is from notes of the paper",
        "fine-tuning, at a constant rate of 0.001")
    adamw = "AdamW, betas 0.9 0.95, weight decay 0.1"
    yield _entry(
        "gpt2-124m-nanogpt", warmup(6e-4, 2000, start=6e-4 / 2001).then(cosine(6e-4, floor="10%")),
        600_000, "491520 tokens", adamw,
        "karpathy/nanoGPT 3adf61e, config/train_gpt2.py and train.py")
    yield _entry(
        "gpt2-124m-llm.c", warmup(6e-4, 700, from_zero=False).then(cosine(6e-4)),
        18_865, "524288 tokens", adamw,
        "karpathy/llm.c f1e2ace, scripts/run_gpt2_124M.sh and train_gpt2.cu")


def _large_language() -> Iterator[PublishedPolicy]:
    adamw = "AdamW, betas 0.9 0.95, weight decay 0.1"
    fall = cosine(6e-5, "260B tokens", floor="10%")
    yield _entry(
        "gpt-3-175b", warmup(6e-5, "375M tokens").then(fall).then(constant(6e-6)),
        "300B tokens", "3.2M tokens", "Adam, betas 0.9 0.95, weight decay 0.1",
        "arXiv 2005.14165, table 2.1 and appendix B",
        "the batch size grows from 32k tokens over the first 4 to 12 billion; over how many for "
        "this size is not given; the fall is taken as 260B tokens after the warm-up",
        tokens_per_step=3.2e6)
    rate = constant(1e-2, 10_000).then(inverse_time(1e-2, 10_000, power=0.5))
    yield _entry(
        "palm-540b", Policy(lr=rate, weight_decay=rate**2),
        255_000, "512, 1024 from step 50000, 2048 from step 115000",
        "Adafactor, momentum 0.9, second moment 1 - k**-0.8, weight decay lr**2",
        "arXiv 2204.02311, section 5")
    llama = "arXiv 2302.13971, section 2.3 and table 2"
    llama2 = "arXiv 2307.09288, section 2.2"
    for name, peak, run, optimizer, source in (
        ("llama-7b", 3e-4, "1T tokens", adamw, llama),
        ("llama-33b", 1.5e-4, "1.4T tokens", adamw, llama),
        ("llama-65b", 1.5e-4, "1.4T tokens", adamw, llama),
        ("llama-2-7b", 3e-4, "2T tokens", f"{adamw}, eps 1e-5", llama2),
        ("llama-2-13b", 3e-4, "2T tokens", f"{adamw}, eps 1e-5", llama2),
        ("llama-2-34b", 1.5e-4, "2T tokens", f"{adamw}, eps 1e-5", llama2),
        ("llama-2-70b", 1.5e-4, "2T tokens", f"{adamw}, eps 1e-5", llama2),
    ):
        yield _entry(
            name, warmup(peak, 2000).then(cosine(peak, floor="10%")),
            run, "4M tokens", optimizer, source, "4M tokens are taken as 2**22",
            tokens_per_step=2**22)
    yield _entry(
        "llama-3-405b", warmup(8e-5, 8000).then(cosine(8e-5, 1_200_000, floor="1%")),
        1_208_000, "4M tokens, 8M after 252M tokens, 16M after 2.87T tokens", "AdamW",
        "arXiv 2407.21783, section 3.4.1",
        "the final fall to 0; betas and weight decay; whether the 1,200,000 steps contain the "
        "warm-up is not stated")
    olmo = "allenai/OLMo 59a53e3, configs"
    for name, peak, batch, run, file in (
        ("olmo-2-7b-stage1", 3e-4, 1024, "928646 steps", "official-1124/OLMo2-7B-stage1.yaml"),
        ("olmo-2-1b-stage1", 4e-4, 512, "4T tokens", "official-0425/OLMo2-1B-stage1.yaml"),
    ):
        fall = cosine(peak, "until 5T tokens", floor="10%")
        yield _entry(
            name, warmup(peak, "8388608000 tokens").then(fall),
            run, f"{batch} x 4096 tokens", adamw, f"{olmo}/{file}",
            f"{_FROM_ONE}; the run ends before the cosine", tokens_per_step=batch * 4096)
    yield _entry(
        "olmo-2-7b-stage2", linear(6.1499e-5, 0.0),
        "50B tokens", "1024 x 4096 tokens", adamw,
        f"{olmo}/official-1124/OLMo2-7B-stage2-seed42.yaml",
        f"{_FROM_ONE}; stage 1 ends 0.24% below this start", tokens_per_step=1024 * 4096)
    for name, peak, steps, batch, decay, source in (
        ("pythia-160m", 6e-4, 143_000, 1024, 0.1, "pythia a19eecb, models/160M/pythia-160m.yml"),
        ("pythia-12b", 1.2e-4, 143_000, 1024, 0.1, "pythia a19eecb, models/12B/pythia-12b.yml"),
        ("gpt-neox-20b", 0.97e-4, 150_000, 1536, 0.01, "gpt-neox ea7aefd, configs/20B.yml"),
    ):
        yield _entry(
            name,
            warmup(peak, "1%").maximum(peak / (steps // 100)).then(cosine(peak, floor="10%")),
            steps, f"{batch} x 2048 tokens",
            f"Adam, betas 0.9 0.95, weight decay {decay}", f"EleutherAI/{source}")
    for size, peak, batch in (("7b", 4.2e-4, 2304), ("67b", 3.2e-4, 4608)):
        falls = piecewise(["1.6T tokens", "1.8T tokens"], [peak, 0.316 * peak, 0.1 * peak])
        yield _entry(
            f"deepseek-llm-{size}", warmup(1.0, 2000) * falls,
            "2T tokens", f"{batch} x 4096 tokens", "AdamW",
            "deepseek-ai/DeepSeek-LLM 6712a86, README.md",
            "betas and weight decay", tokens_per_step=batch * 4096)
    v2 = "deepseek-ai/DeepSeek-V2 ec98ee3, the paper in PDF"
    grows = "how the batch size grows is not given; it is taken as linear in the updates"
    yield _entry(
        "deepseek-v2",
        warmup(1.0, 2000) * multi_step(2.4e-4, 0.316, ["4.86T tokens", "7.29T tokens"]),
        "8.1T tokens", "2304 x 4096 tokens, growing to 9216 over 225B tokens", adamw,
        f"{v2}, section 3.1.2", f"{grows}; the falls are at about 60% and 90% of the tokens",
        tokens_per_step=_growing(2304, 9216, 225e9))
    yield _entry(
        "deepseek-v2-lite", warmup(1.0, 2000) * multi_step(4.2e-4, 0.316, ["80%", "90%"]),
        "5.7T tokens", "4608 x 4096 tokens", adamw, f"{v2}, appendix B",
        tokens_per_step=4608 * 4096)
    v3 = warmup(2.2e-4, 2000).then(constant(2.2e-4, "until 10T tokens"))
    v3 = v3.then(cosine(2.2e-4, "4.3T tokens", floor="10%"))
    yield _entry(
        "deepseek-v3", v3.then(constant(2.2e-5, "333B tokens")).then(constant(7.3e-6)),
        "14.8T tokens", "3072 x 4096 tokens, growing to 15360 over 469B tokens", adamw,
        "arXiv 2412.19437, section 4.2", grows,
        tokens_per_step=_growing(3072, 15_360, 469e9))


def _multimodal() -> Iterator[PublishedPolicy]:
    yield _entry(
        "clip-vit-open-clip", warmup(5e-4, 10_000, from_zero=False).then(cosine(5e-4)),
        "32 epochs", "64 for each GPU", "AdamW, betas 0.9 0.98, eps 1e-6, weight decay 0.2",
        "mlfoundations/open_clip 89fb801, src/open_clip_train/params.py and scheduler.py",
        "the updates in an epoch, which follow from the data set; these are the code's defaults")
    yield _entry(
        "stable-diffusion-v1-1", warmup(1e-4, 10_000, start=1e-10).then(constant(1e-4)),
        431_000, "2048", "AdamW, PyTorch's betas and weight decay",
        "CompVis/stable-diffusion 21f890f, configs/stable-diffusion/v1-inference.yaml and "
        "Stable_Diffusion_v1_Model_Card.md",
        "237,000 steps at 256 x 256 and 194,000 at 512 x 512 are taken as one run; the later "
        "checkpoints")
    for name, peak, batch, run in (
        ("llava-1.5-pretraining", 1e-3, 256, "558K samples"),
        ("llava-1.5-finetuning", 2e-5, 128, "665K samples"),
    ):
        yield _entry(
            name, warmup(peak, "3%").then(cosine(peak)),
            run, str(batch), "AdamW, Transformers' betas, weight decay 0",
            "haotian-liu/LLaVA c121f04, scripts/v1_5 and README.md",
            "the exact number of samples; the original rounds the warm-up up",
            samples_per_step=batch)
# fmt: on


def _growing(first: int, last: int, tokens: float) -> Schedule:
    """Return the tokens per step for a linearly growing batch of 4096-token sequences."""
    steps = round(tokens / ((first + last) / 2 * 4096))
    return linear(first * 4096, last * 4096, steps)
