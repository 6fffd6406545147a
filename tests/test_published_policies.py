"""Published policies: entries compared with values by hand, the page and the command."""

import json
import shutil
from math import cos, pi, sqrt
from pathlib import Path

import pytest
from programs import run_python

import lehr
from lehr.schedule import presets

DOCS = Path(__file__).parents[1] / "docs"
FOR_ANY_DATA = {"yolov8-ultralytics-sgd": 100, "clip-vit-open-clip": 1000}  # steps per epoch


def cosine(peak: float, floor: float, u: float) -> float:
    return floor + (peak - floor) * (1 + cos(pi * u)) / 2


def ramp(first: int, last: int, steps: int) -> float:
    """Return the total tokens of a linear batch-size ramp (an arithmetic series)."""
    return 4096 * (steps * first + (last - first) * (steps - 1) / 2)


# DeepSeek-V2 and V3: tokens at the end of the batch-size ramp, and tokens per later update
V2_GROWN, V2_STEP = ramp(2304, 9216, 9537), 9216 * 4096
V3_GROWN, V3_STEP = ramp(3072, 15_360, 12_424), 15_360 * 4096
V2_FALL = round(9537 + (0.6 * 8.1e12 - V2_GROWN) / V2_STEP)
V2_SECOND_FALL = round(9537 + (0.9 * 8.1e12 - V2_GROWN) / V2_STEP)
V3_MIDDLE = round(12_424 + (10e12 + 4.3e12 / 2 - V3_GROWN) / V3_STEP)
DINOV2 = 2e-4 * sqrt(3)

# Number of steps of the run, and rates by step.
VALUES: dict[str, tuple[int, dict[int, float]]] = {
    "bert-base": (10**6, {5000: 5e-5, 9999: 9.999e-5, 10_000: 9.9e-5, 500_000: 5e-5}),
    "cifar10-airbench94-muon": (8 * 25, {0: 0.24, 50: 0.18, 100: 0.12, 200: 0}),
    "cifar10-fast-dawnbench": (
        24 * 97,
        {0: 0.4 / 485, 484: 0.4, 1406: 0.4 * 921 / 1843, 2327: 0},
    ),
    "clip-vit-open-clip": (32_000, {0: 5e-8, 9999: 5e-4, 10_000: 5e-4, 21_000: 2.5e-4}),
    "convnext-t": (300 * 312, {3120: 2e-3, 6240: 4e-3, 49_920: 0.0020005}),
    "deepseek-llm-67b": (
        105_964,
        {1000: 1.6e-4, 84_770: 3.2e-4, 84_771: 0.316 * 3.2e-4, 95_367: 3.2e-5},
    ),
    "deepseek-llm-7b": (
        211_928,
        {1000: 2.1e-4, 169_541: 4.2e-4, 169_542: 1.3272e-4, 190_735: 4.2e-5},
    ),
    "deepseek-v2": (
        round(9537 + (8.1e12 - V2_GROWN) / V2_STEP),
        {
            1000: 1.2e-4,
            V2_FALL - 1: 2.4e-4,
            V2_FALL: 2.4e-4 * 0.316,
            V2_SECOND_FALL: 2.4e-4 * 0.316 * 0.316,
        },
    ),
    "deepseek-v2-lite": (
        301_997,
        {2000: 4.2e-4, 241_597: 4.2e-4, 241_598: 1.3272e-4, 271_797: 4.193952e-5},
    ),
    "deepseek-v3": (
        round(12_424 + (14.8e12 - V3_GROWN) / V3_STEP),
        {
            1000: 1.1e-4,
            100_000: 2.2e-4,
            V3_MIDDLE: pytest.approx(1.21e-4, rel=5e-5),  # half a step of 68,346
            round(12_424 + (14.5e12 - V3_GROWN) / V3_STEP): 2.2e-5,
            round(12_424 + (14.7e12 - V3_GROWN) / V3_STEP): 7.3e-6,
        },
    ),
    "dinov2-vit-l14": (
        500 * 1250,
        {50_000: DINOV2 / 2, 100_000: DINOV2, 362_500: (DINOV2 + 1e-6) / 2},
    ),
    "dinov3-vit-7b16-pretraining": (10**6, {50_000: 2e-4, 100_000: 4e-4, 999_999: 4e-4}),
    "gpt-3-175b": (93_750, {39: 2e-5, 117: 6e-5, 117 + 81_250 // 2: 3.3e-5, 93_749: 6e-6}),
    "gpt-neox-20b": (150_000, {0: 0.97e-4 / 1500, 750: 0.485e-4, 75_750: 0.5335e-4}),
    "gpt2-124m-llm.c": (18_865, {0: 6e-4 / 700, 699: 6e-4, 700: 6e-4, 700 + 6055: 4.5e-4}),
    "gpt2-124m-nanogpt": (
        600_000,
        {0: 6e-4 / 2001, 999: 6e-4 * 1000 / 2001, 2000: 6e-4, 301_000: 3.3e-4},
    ),
    "llama-2-13b": (476_837, {1000: 1.5e-4, 2000: 3e-4, 2000 + 158_279: 2.325e-4}),
    "llama-2-34b": (476_837, {1000: 0.75e-4, 2000: 1.5e-4, 2000 + 158_279: 1.1625e-4}),
    "llama-2-70b": (476_837, {1000: 0.75e-4, 2000: 1.5e-4, 476_837: 1.5e-5}),
    "llama-2-7b": (476_837, {1000: 1.5e-4, 2000: 3e-4, 476_837: 3e-5}),
    "llama-3-405b": (1_208_000, {4000: 4e-5, 8000: 8e-5, 608_000: 4.04e-5}),
    "llama-33b": (333_786, {1000: 0.75e-4, 2000: 1.5e-4, 2000 + 165_893: 8.25e-5}),
    "llama-65b": (333_786, {1000: 0.75e-4, 2000 + 165_893: 8.25e-5, 333_786: 1.5e-5}),
    "llama-7b": (
        238_419,
        {1000: 1.5e-4, 2000: 3e-4, 120_000: cosine(3e-4, 3e-5, 118_000 / 236_419)},
    ),
    "llava-1.5-finetuning": (
        5195,
        {78: 1e-5, 156: 2e-5, 1156: cosine(2e-5, 0, 1000 / 5039), 5195: 0},
    ),
    "llava-1.5-pretraining": (2180, {13: 2e-4, 65: 1e-3, 65 + 705: 0.75e-3}),
    "mae-vit-l-pretraining": (800 * 312, {6240: 1.2e-3, 12_480: 2.4e-3, 131_040: 1.2e-3}),
    "olmo-2-1b-stage1": (1_907_349, {2000: 2e-4, 4000: 4e-4, 1_194_093: 2.2e-4}),
    "olmo-2-7b-stage1": (
        928_646,
        {1000: 1.5e-4, 2000: 3e-4, 928_646: cosine(3e-4, 3e-5, 926_646 / 1_190_093)},
    ),
    "olmo-2-7b-stage2": (11_921, {0: 6.1499e-5, 1703: 6.1499e-5 * 6 / 7, 11_921: 0}),
    "palm-540b": (255_000, {9999: 0.01, 40_000: 0.005, 250_000: 0.002}),
    "pythia-12b": (143_000, {0: 1.2e-4 / 1430, 1430: 1.2e-4, 72_215: 6.6e-5}),
    "pythia-160m": (
        143_000,
        {0: 6e-4 / 1430, 1: 6e-4 / 1430, 715: 3e-4, 72_215: 3.3e-4},
    ),
    "resnet50-goyal-256": (90 * 5004, {0: 0.1, 150_119: 0.1, 150_120: 0.01, 300_240: 0.001}),
    "resnet50-goyal-8192": (90 * 156, {0: 0.1, 390: 1.65, 780: 3.2, 4680: 0.32, 12_480: 0.0032}),
    "resnet50-rsb-a1-mmpretrain": (
        600 * 626,
        {
            0: 5e-7,
            3130: 5e-3,
            305 * 626: cosine(5e-3, 1e-6, 300 / 595),
            306 * 626 - 1: cosine(5e-3, 1e-6, 300 / 595),
        },
    ),
    "resnet50-rsb-a2-mmpretrain": (
        300 * 626,
        {1565: 2.50025e-3, 3130: 5e-3, 150 * 626: cosine(5e-3, 1e-6, 145 / 295)},
    ),
    "resnet50-rsb-a3-mmpretrain": (
        100 * 626,
        {1565: 4.0004e-3, 3130: 8e-3, 55 * 626: cosine(8e-3, 1e-6, 50 / 95)},
    ),
    "roberta-base-fairseq": (125_000, {5000: 2.5e-4, 10_000: 5e-4, 67_500: 2.5e-4}),
    "stable-diffusion-v1-1": (431_000, {0: 1e-10, 5000: 5.000005e-5, 10_000: 1e-4}),
    "t5-baseline": (524_288, {9999: 0.01, 40_000: 0.005, 90_000: 0.01 / 3}),
    "wav2vec2-base-fairseq": (400_000, {16_000: 2.5e-4, 32_000: 5e-4, 216_000: 2.5e-4}),
    # epoch 1 of 100 has .9901 of the first rate, epoch 51 .4951
    "yolov8-ultralytics-sgd": (
        100 * 100,
        {0: 0, 150: 0.009901 / 2, 300: 0.009703, 5150: 0.004951},
    ),
}
# Other values of a policy, by hyperparameter and group.
OTHERS: dict[str, dict[tuple[str, str], dict[int, float]]] = {
    "cifar10-airbench94-muon": {
        ("lr", "norm_biases"): {100: 0.0265},
        ("lr", "head"): {50: 0.5025},
        ("lr", "whiten_bias"): {0: 0.053, 25: 0.053 * 2 / 3, 75: 0},
    },
    "dinov2-vit-l14": {
        ("weight_decay", ""): {0: 0.04, 312_500: 0.12, 625_000: 0.2},
        ("ema_decay", ""): {0: 0.994, 312_500: 0.997, 625_000: 1.0},
        ("teacher_temperature", ""): {0: 0.04, 18_750: 0.055, 37_500: 0.07},
    },
    "dinov3-vit-7b16-pretraining": {("teacher_temperature", ""): {50_000: 0.055, 100_000: 0.07}},
    "palm-540b": {("weight_decay", ""): {0: 1e-4, 40_000: 2.5e-5}},
    "yolov8-ultralytics-sgd": {
        ("lr", "biases"): {0: 0.1, 150: 0.05 + 0.009901 / 2, 300: 0.009703},
        ("momentum", ""): {0: 0.8, 150: 0.8685, 300: 0.937},
    },
}


def sizes(name: str) -> dict[str, int]:
    return {"steps_per_epoch": FOR_ANY_DATA[name]} if name in FOR_ANY_DATA else {}


def test_every_entry_has_three_values() -> None:
    assert lehr.published() == sorted(VALUES)
    assert all(len(values) >= 3 for _, values in VALUES.values())


@pytest.mark.parametrize("name", VALUES)
def test_an_entry_has_the_published_values(name: str) -> None:
    policy = lehr.published(name).resolved(**sizes(name))
    values = VALUES[name][1]
    rates = next(iter(policy.lr.values())) if isinstance(policy.lr, dict) else policy.lr
    assert {t: rates(t) for t in values} == pytest.approx(values, rel=1e-6, abs=1e-15)
    for (hyperparameter, group), expected in OTHERS.get(name, {}).items():
        got = {t: policy(t)[hyperparameter] for t in expected}
        got = {t: value[group] if group else value for t, value in got.items()}
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-15), hyperparameter


@pytest.mark.parametrize("name", VALUES)
def test_a_run_has_the_published_length(name: str) -> None:
    run = lehr.published(name).sizes | sizes(name)
    assert lehr.linear(1.0, 0.0).resolve(**run).length == VALUES[name][0]


@pytest.mark.parametrize("name", VALUES)
def test_an_entry_is_complete_and_round_trips(name: str) -> None:
    entry = lehr.published(name)
    assert entry.name == name
    assert all((entry.batch, entry.optimizer, entry.source))
    assert entry.steps_per_epoch or not str(entry.run).endswith("epochs") or name in FOR_ANY_DATA
    for policy in (entry.policy, entry.resolved(**sizes(name))):
        assert lehr.loads(policy.dumps()) == policy
        names = vars(lehr.schedule) | vars(presets)
        names |= {"Policy": lehr.Policy, "one_cycle": lehr.one_cycle}
        assert eval(repr(policy), names) == policy
        assert lehr.parse(repr(policy)) == policy


def test_an_unknown_name_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"got 'llama2-7b'; did you mean llama-2-7b"):
        lehr.published("llama2-7b")


def test_sizes_replace_the_published_ones() -> None:
    entry = lehr.published("deepseek-v2-lite")
    assert entry.resolved(steps=1000).lr == entry.policy.lr.resolve(1000)
    assert entry.resolved(tokens_per_step=4608 * 8192).lr(120_799) == pytest.approx(1.3272e-4)
    with pytest.raises(ValueError, match="pass steps_per_epoch="):
        lehr.published("yolov8-ultralytics-sgd").resolved()


def test_a_policy_drives_an_optimizer() -> None:
    torch = pytest.importorskip("torch")
    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.AdamW(weights, lr=1.0, betas=(0.9, 0.95), weight_decay=0.1)
    scheduler = lehr.torch.Scheduler(optimizer, lehr.published("llama-2-7b").resolved())
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([3e-4 * t / 2000 for t in range(5)])


# The command.


def show(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = run_python("-m", "lehr.cli", "show", *arguments, cwd=cwd, code=code, COLUMNS="120")
    return done.stdout + done.stderr


def test_show_lists_published_policies(tmp_path: Path) -> None:
    listed = show("--published", cwd=tmp_path)
    assert all(name in listed for name in lehr.published())
    found = json.loads(show("--published", "--json", cwd=tmp_path))
    assert found["bert-base"]["run"] == "1000000 steps"
    assert [*found] == lehr.published()


def test_show_draws_a_published_policy(tmp_path: Path) -> None:
    shown = show("--published", "deepseek-v2-lite", cwd=tmp_path)
    assert "optimizer: AdamW, betas 0.9 0.95, weight decay 0.1" in shown
    assert "301997 steps" in shown
    short = show("deepseek-v2-lite", "--published", "--steps", "10000", "--json", cwd=tmp_path)
    found = json.loads(short)
    assert found["steps"][-1] == 10_000
    assert found["published"]["run"] == "5.7T tokens"
    assert lehr.Policy.from_dict(found["definition"]) == lehr.published(
        "deepseek-v2-lite"
    ).resolved(steps=10_000)


def test_show_rejects_an_unknown_policy(tmp_path: Path) -> None:
    assert "did you mean bert-base" in show("--published", "bert", cwd=tmp_path, code=2)
    needs = show("--published", "clip-vit-open-clip", cwd=tmp_path, code=2)
    assert "must be given to resolve the length '32 epochs'" in needs
    per_epoch = ("--steps-per-epoch", "1000.5")
    assert "32016 steps" in show("--published", "clip-vit-open-clip", *per_epoch, cwd=tmp_path)
    assert "Missing argument" in show(cwd=tmp_path, code=2)


# The page.


def test_the_page_shows_every_policy() -> None:
    done = run_python(DOCS / "make_published.py", "--check", code=None)
    assert done.returncode == 0, done.stdout
    total = sum(path.stat().st_size for path in (DOCS / "published").glob("*.svg"))
    assert total <= 600_000


def test_an_outdated_page_is_reported(tmp_path: Path) -> None:
    for file in ("make_published.py", "published.md"):
        shutil.copy(DOCS / file, tmp_path)
    shutil.copytree(DOCS / "published", tmp_path / "published")
    page = tmp_path / "published.md"
    page.write_text(page.read_text("utf-8").replace("50B tokens", "60B tokens"), "utf-8")
    (tmp_path / "published" / "bert-base.svg").unlink()
    done = run_python(tmp_path / "make_published.py", "--check", code=1)
    assert "- run: 60B tokens, 11,921 steps" in done.stdout
    assert "bert-base" in done.stdout
