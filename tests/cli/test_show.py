"""``lehr show``: runs in any unit, values read by the loop, warnings about a run."""

import json
import os
import re
import subprocess
import sys

import pytest

import lehr

GPT3 = "warmup(6e-4, 3.75e8 tokens) then cosine(6e-4, 2.6e11 tokens)"


def show(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "lehr.cli", "show", *arguments],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def shown(*arguments):
    return json.loads(show(*arguments, "--json"))


def test_the_fix_for_a_missing_size_is_accepted():
    """S28."""
    error = show(GPT3, "--steps", "1000", code=2)
    assert error == (
        "lehr: error: in lr: in Chain part 1: --tokens-per-step must be given to resolve the "
        "length '375M tokens', got None; pass --tokens-per-step\n"
    )
    found = shown(GPT3, "--steps", "1000", "--tokens-per-step", "1e6")
    assert found["steps"][-1] == 1000
    assert found["values"]["lr"][3] == pytest.approx(6e-4 * 300 / 375)
    assert [finding["name"] for finding in found["findings"]["lr"]] == ["too long"]


@pytest.mark.parametrize(
    ("arguments", "length"),
    [
        (["cosine(0.1)", "--steps", "800"], 800),
        (["cosine(0.1)", "--steps", "8e2"], 800),
        (["cosine(0.1)", "--steps", "0.8K steps"], 800),
        (["cosine(0.1)", "--steps", "2.5 epochs", "--steps-per-epoch", "312.785"], 782),
        (["cosine(0.1)", "--steps", "2T tokens", "--tokens-per-step", "2.5e9"], 800),
        (["cosine(0.1, 2T tokens)", "--tokens-per-step", "2.5e9"], 800),
        (["cosine(0.1, 2K samples)", "--samples-per-step", "4"], 500),
        (["cosine(0.1, 3 epochs)", "--steps-per-epoch", "10"], 30),
        # 8 tokens in two steps, then 8 in each
        (
            ["cosine(0.1)", "--steps", "80 tokens", "--tokens-per-step", "piecewise([2], [4, 8])"],
            11,
        ),
        (["cosine(0.1, 40 samples)", "--samples-per-step", "piecewise([2], [4, 8])"], 6),
    ],
)
def test_a_run_length_may_use_any_unit(arguments, length):
    found = shown(*arguments)
    assert found["steps"][-1] == length
    policy = lehr.Policy.from_dict(found["definition"])
    assert policy.length == length
    assert found["values"]["lr"] == [policy.lr(t) for t in found["steps"]]


def test_a_warm_up_of_the_batch_size_as_in_gpt_3():
    ramp = "linear(32e3, 3.2e6, 5000)"
    found = shown(GPT3, "--steps", "300B tokens", "--tokens-per-step", ramp)
    policy = lehr.Policy.from_dict(found["definition"])
    # 32e3 t + 316.8 t (t - 1) is 3.75e8 at t = 1039.3
    assert max(range(3000), key=policy.lr) == 1039
    assert found["steps"][-1] == 5000 + round((300e9 - 5000 * (32e3 + 3.2e6) / 2) / 3.2e6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cosine(0.1)"], "in lr: --steps must be given to resolve the rest of the run"),
        (["cosine(0.1, 3 epochs)"], "--steps-per-epoch must be given .*; pass --steps-per-epoch"),
        (["cosine(0.1, 3 samples)"], "--samples-per-step must be .*; pass --samples-per-step"),
        (["0.1"], "--steps must be given for a policy without an end, got None; pass --steps"),
        (["0.1", "--steps", "0"], "--steps must be at least 1 step, got 0"),
        (["0.1", "--steps", "5 cows"], "--steps must be a length: .*, got '5 cows'"),
        (["0.1", "--steps", "50%"], "--steps must be the length of the run in steps, epochs, sam"),
        (["0.1", "--steps", "5", "--tokens-per-step", "0"], "--tokens-per-step must be .* above 0"),
        (["0.1", "--steps", "5", "--samples-per-step", "cow(1)"], "cow"),
        (
            ["0.1", "--steps", "5", "--tokens-per-step", "one_cycle(1)"],
            r"--tokens-per-step must be a number or a schedule, got 'one_cycle\(1\)'",
        ),
        (["0.1", "--steps", "5", "--steps-per-epoch", "x"], "'--steps-per-epoch'"),
        (
            ["warmup(1, 100) then linear(1, 0)", "--steps", "50"],
            "in lr: steps must be at least 100, the sum of the lengths in the chain, got 50",
        ),
    ],
)
def test_bad_runs_end_with_a_one_line_error(arguments, message):
    error = show(*arguments, code=2)
    assert error.startswith("lehr: error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_findings_of_a_run_cut_short():
    """S30: milestones after the end, a part without steps, a cycle cut off by the end."""
    milestones = "multi_step(0.1, 0.1, ['30 epochs', '60 epochs'])"
    text = show(milestones, "--steps", "40 epochs", "--steps-per-epoch", "10")
    assert "lr: never reached: the values from step 600 on are never used" in text
    text = show("warmup(0.1, 1%) then cosine(0.1)", "--steps", "5")
    assert "lr: part without a step: part 1, warmup(0.1, '1%')" in text
    text = show("cosine_restarts(0.1, 1M tokens)", "--steps", "250", "--tokens-per-step", "1e4")
    assert "lr: cycle cut off: the run ends after 50 of the 100 steps of its last cycle" in text
    assert ":" not in show("cosine(0.1)", "--steps", "5").rpartition("┘")[2]


def test_values_of_the_loop_are_shown():
    """S27."""
    policy = lehr.Policy(
        {"body": lehr.cosine(0.1), "head": 0.2},
        values={"ema_decay": lehr.linear(0.0, 1.0), "clip_norm": 1},
    )
    text = show(policy.dumps(), "--steps", "10")
    assert "lr/head: 0.2 at every step\n" in text
    assert "ema_decay: 10 steps: 0 at the start, peak 0.9 at step 9" in text
    assert "clip_norm: 1 at every step\n" in text
    found = shown(policy.dumps(), "--steps", "10")
    assert list(found["values"]) == ["lr/body", "lr/head", "ema_decay", "clip_norm"]
    assert found["values"]["ema_decay"] == pytest.approx([t / 10 for t in found["steps"]])
    assert list(found["findings"]) == list(found["values"])
    assert lehr.Policy.from_dict(found["definition"]) == policy.resolve(10)


def test_the_figure_has_values_of_the_loop(tmp_path):
    policy = lehr.Policy(0.1, values={"ema_decay": lehr.linear(0.0, 1.0)})
    path = tmp_path / "p.svg"
    show(policy.dumps(), "--steps", "1 epoch", "--steps-per-epoch", "9.6", "--out", str(path))
    assert "ema decay" in path.read_text()


TRAIN = """
import torch
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
def make():
    return torch.optim.lr_scheduler.PolynomialLR(optimizer, 10)
def wrong():
    return optimizer
"""


def test_a_scheduler_of_another_library_is_shown(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    found = shown("--from", "train:scheduler", "--steps", "60")
    assert found["definition"] == lehr.Policy(lehr.step_decay(0.5, 0.1, 30)).to_dict()
    assert found["values"]["lr"][::5] == pytest.approx([0.5, 0.05, 0.005])
    assert "0.5 at the start, peak 0.5 at step 0" in show("--from", "train:make")
    for name, message in (
        ("train:schedule", "object of train must be one of .*scheduler"),
        ("train", "--from must be module:object, such as train:scheduler, got 'train'"),
        ("nothing:x", "--from must be module:object with a module that can be imported"),
        ("train:wrong", "scheduler must be a scheduler of torch.optim.lr_scheduler, got 'SGD'"),
    ):
        assert re.search(message, show("--from", name, code=2))
    for other in ("0.1", "--published"):
        text = show(other, "--from", "train:make", code=2)
        assert "--from must be given without POLICY and --published" in text
