"""Run every example as a user does, and compare its printed rates with the policy."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from programs import run_python

import lehr

EXAMPLES = Path(__file__).parent.parent / "examples"
TOLERANCE = 4e-7  # relative to the peak


def run(name):
    """Return the output of an example."""
    return start([EXAMPLES / f"{name}.py"])


def run_two(name, folder):
    """Return the output of each of the two processes of an example."""
    torchrun = ["-m", "torch.distributed.run", "--standalone"]
    options = ["--nproc-per-node=2", "--redirects=1", f"--log-dir={folder}"]
    start([*torchrun, *options, EXAMPLES / f"{name}.py"])
    return [next(folder.rglob(f"{rank}/stdout.log")).read_text() for rank in range(2)]


def start(command):
    with tempfile.TemporaryDirectory() as folder:
        variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return run_python(*command, cwd=folder, **variables).stdout


def numbers(pattern, text):
    """Return the numbers in each line that matches."""
    return [tuple(map(float, found.groups())) for found in re.finditer(pattern, text)]


def check_replay(lines, policy, peak, metrics):
    """Check that the rates are those of the policy, with factors from the printed metrics."""
    state, updates, factors = policy.control.init(), 0, set()
    for line in lines.splitlines():
        for (loss,) in numbers(metrics + r": loss (\S+)", line):
            state = policy.control.update(state, loss)
        for update, lr in numbers(r"update (\d+): lr (\S+)", line):
            assert update == updates
            expected = policy(updates, state.factor)["lr"]
            assert lr == pytest.approx(expected, rel=0, abs=TOLERANCE * peak), line
            updates += 1
            factors.add(state.factor)
    assert len(factors) > 1, "the example must reduce the rate, got no reduction"
    return updates


def check_rates(found, schedule, peak):
    assert [update for update, _ in found] == list(range(len(found)))
    expected = [schedule(t) for t in range(len(found))]
    assert [lr for _, lr in found] == pytest.approx(expected, rel=0, abs=TOLERANCE * peak)


def test_every_example_is_run():
    tests = Path(__file__).read_text()
    elsewhere = {"flax_nnx"}  # run by jax/test_examples.py
    for example in EXAMPLES.glob("*.py"):
        assert example.stem in elsewhere or re.search(rf'run(_two)?\("{example.stem}"', tests)


def test_lightning_module():
    policy = lehr.Policy(
        lr=lehr.warmup(0.1, "10%").then(lehr.cosine(0.1)),
        control=lehr.Plateau(factor=0.5, patience=1, threshold=0.2),
    )
    updates = 4 * 8  # epochs of 15 batches, two per update
    output = run("lightning_module")
    assert check_replay(output, policy.resolve(updates), 0.1, "validation") == updates


def test_huggingface_trainer():
    policy = lehr.Policy(
        lr=lehr.warmup(0.01, "10%").then(lehr.cosine(0.01)),
        control=lehr.Plateau(factor=0.5, patience=1, threshold=0.2),
    )
    output = run("huggingface_trainer")
    assert check_replay(output, policy.resolve(40), 0.01, "validation") == 40


def test_accelerate_loop_steps_once_for_each_update_of_two_processes(tmp_path):
    updates = 4 * 15  # epochs of 29 batches per process, two per update
    schedule = lehr.warmup(0.2, "10%").then(lehr.cosine(0.2)).resolve(updates)
    for output in run_two("accelerate_loop", tmp_path):
        found = numbers(r"update (\d+): lr (\S+)", output)
        assert len(found) == updates
        check_rates(found, schedule, 0.2)


def test_ddp_processes_with_different_losses_have_the_same_rates(tmp_path):
    updates = 4 * 9
    policy = lehr.Policy(
        lr=lehr.warmup(0.1, "10%").then(lehr.constant(0.1)),
        control=lehr.Plateau(factor=0.5, patience=1, threshold=0.3),
    ).resolve(updates)
    outputs = run_two("ddp", tmp_path)
    local = [numbers(r"epoch \d+: loss (\S+)", output) for output in outputs]
    assert all(a != b for a, b in zip(*local, strict=True))
    means = [(a + b) / 2 for (a,), (b,) in zip(*local, strict=True)]
    for output in outputs:
        for epoch, mean in enumerate(means):
            output = re.sub(rf"(epoch {epoch}: loss )\S+", rf"\g<1>{mean!r}", output)
        assert check_replay(output, policy, 0.1, r"epoch \d+") == updates


def test_pytorch_amp_does_not_count_skipped_updates():
    output = run("pytorch_amp")
    assert output.startswith("skipped")
    policy = lehr.one_cycle(0.02, 40)
    found = numbers(r"update (\d+): lr (\S+) momentum (\S+)", output)
    assert len(found) == 40
    check_rates([(update, lr) for update, lr, _ in found], policy.lr, 0.02)
    check_rates([(update, momentum) for update, _, momentum in found], policy.momentum, 1.0)


def test_unfreeze_adds_the_body_at_step_20():
    output = run("unfreeze")
    check_rates(numbers(r"update (\d+): head ([^,\s]+)", output), lehr.cosine(0.02, 60), 0.02)
    body = lehr.constant(0.0, 20).then(lehr.warmup(0.002, 10)).then(lehr.cosine(0.002, 30))
    joined = numbers(r"update (\d+): head \S+ body (\S+)", output)
    assert [update for update, _ in joined] == list(range(20, 60))
    assert [lr for _, lr in joined] == pytest.approx(
        [body(t) for t in range(20, 60)], rel=0, abs=TOLERANCE * 0.002
    )


def test_branch_wsd_starts_each_branch_at_its_checkpoint():
    parts = re.findall(r"^(trunk|branch).*?(\d+)(.*?)loss (\S+)", run("branch_wsd"), re.S | re.M)
    trunk = lehr.warmup(0.1, 10).then(lehr.constant(0.1))
    expected = [("trunk", 40, trunk, range(40)), ("trunk", 80, trunk, range(40, 80))]
    for step in (40, 80):
        for length in (10, 20):
            fall = fall_from(step, length)
            expected.append(("branch", step, fall, range(step, step + length)))
    for (kind, step, lines, _), (*branch_point, schedule, updates) in zip(
        parts, expected, strict=True
    ):
        assert [kind, int(step)] == branch_point
        found = numbers(r"update (\d+): lr (\S+)", lines)
        assert [update for update, _ in found] == list(updates)
        rates = [schedule(update) for update in updates]
        assert [lr for _, lr in found] == pytest.approx(rates, rel=0, abs=TOLERANCE * 0.1)
    losses = [float(loss) for *_, loss in parts]
    assert max(losses[2:4]) < losses[0]  # a cooldown reduces the loss
    assert max(losses[4:]) < losses[1]


def fall_from(step, length):
    return lambda t: 0.1 * (1 - ((t - step) / length) ** 0.5)


def test_validation_range_test_finds_bounds(monkeypatch):
    monkeypatch.delenv(
        "KERAS_HOME", raising=False
    )  # without KERAS_HOME the example uses the digits, which are faster
    output = run("validation_range_test")
    assert "data: scikit-learn's digits" in output
    assert "150 of 150 rates tried" in output
    assert "cyclical rates from" in output


@pytest.mark.parametrize("task", ["keras_task", "torch_task", "jax_task"])
def test_custom_tasks_run_in_find_and_compare(task, tmp_path):
    path = os.pathsep.join([str(EXAMPLES / "tasks"), *sys.path])

    def command(*arguments):
        done = run_python("-m", "lehr.cli", *arguments, "--json", cwd=tmp_path, PYTHONPATH=path)
        return json.loads(done.stdout)

    found = command("find", f"{task}:digits")["suggestions"]
    rate = next(s["lr"] for s in found if s["rule"] == "one-cycle")
    arms = ["--arm", f"one-cycle=one-cycle({rate})", "--arm", f"hopeless={rate * 1e-5}"]
    compared = command("compare", f"{task}:digits", *arms, "--epochs", "4", "--seeds", "3")
    assert compared["comparisons"]["hopeless"]["verdict"] == "worse"
    assert min(compared["scores"]["one-cycle"]) > 0.85


def test_the_example_study_file_can_be_loaded(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "tasks")
    study = lehr.study.load_study(EXAMPLES / "tasks" / "torch_study.yaml")
    assert study.arms["schedule-free"].optimizer == "schedule-free adamw"
    assert study.arms["one-cycle"].tune == "one-cycle"
