"""What a user's type checker accepts and rejects: mypy --strict on a module that uses lehr."""

import re
import sys
from pathlib import Path

import pytest

import lehr

api = pytest.importorskip("mypy.api", reason="mypy is not installed")
pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("optax", reason="optax is not installed")

ROOT = Path(lehr.__file__).parents[2]
ACCEPTED = """\
import optax, torch
import lehr
s = lehr.cosine(0.1)
groups = {"a": s, "b": s * 0.1}
lehr.Policy(lr={"a": s, "b": 0.1})
lehr.Policy(lr={"a": lehr.cosine(.1, 10), "b": .1})
lehr.Policy({"a": lehr.cosine(0.1, 10) * 2, "b": 1, "c": lehr.cosine(0.1)}, momentum={0: 0.9})
lehr.Policy(lr={0: s, 1: 0.1}, momentum={"a": 0.9})
lehr.Policy(lr=groups, weight_decay=0.1)
lehr.Policy(s, momentum=0.9, extra={"beta2": 0.99, "eps": {"a": s, "b": 1.0}})
optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
lehr.torch.Scheduler(optimizer, lehr.Policy(lr={"a": s, "b": 0.1}), steps=10).step()
lehr.torch.Scheduler(optimizer, s, "2T tokens", tokens_per_step=s).values()["lr"]
lehr.jax.drive(optax.sgd, s, steps=10)
lehr.jax.drive(optax.sgd, s, "90 epochs", steps_per_epoch=312.785).values(None)["lr"]
lehr.keras.attach(object(), s, steps=10)
lehr.keras.attach(object(), s, samples_per_step=256, tokens_per_step=s)
lehr.keras.schedule(s, "2T tokens", tokens_per_step=2**22)
looped = lehr.Policy(s, values={"ema_decay": s, "clip_norm": 1.0})
looped.resolve("2T tokens", tokens_per_step=s).summary().schedules["lr"].peak_step
looped.lint(10, samples_per_step=4)[0].where.upper()
lehr.testing.conformance("module:function", steps=3)
lehr.Plateau("val_loss", patience=2, min_lr=1e-5).rate(0.1, 0.5)
lehr.torch.Scheduler(optimizer, s, 10, start_step=4, factor=0.5, on_change="continue").factor = 2
tx = lehr.jax.drive(optax.sgd, s, steps=10, start_step=4, factor=0.5, on_change="continue")
tx.load_state_dict(tx.with_factor(tx.observe(None, 0.5), 0.1), tx.state_dict(None))
lehr.keras.attach(object(), s, steps=10, start_step=4, factor=0.5, on_change="continue", record=9)
s.plot(10, other=s, constant=0.1).savefig("schedule.svg")
def make(seed: int) -> lehr.torch.Learner: raise NotImplementedError
lehr.range_test(make(0), steps=50, spacing="linear", objective="validation").losses
lehr.torch.range_test(torch.nn.Linear(1, 1), [optimizer], None, [], closure=True, scaler=None)
lehr.keras.range_test(object(), (1, 2), class_weight={0: 1.5}, sample_weight=[1.0])
lehr.jax.range_test(lambda state, x, rate: (state, rate), 0, [], low=1e-4).suggest("constant").lr
lehr.finder.grid(make, {"seed": [0]}, steps=50)[0].sweep.spacing == "geometric"
lehr.finder.repeat(make, [0], objective="validation")[0].objective == "training"
"""
REJECTED = {
    "lehr.torch.Scheduler(1, 2, nonsense=3)": 'Unexpected keyword argument "nonsense"',
    "lehr.torch.Schedular": "Module has no attribute",
    "lehr.keras.attach(1, 2.0, nonsense=3)": 'Unexpected keyword argument "nonsense"',
    "lehr.jax.drive(1, 2.0)": 'Argument 1 to "drive"',
    "lehr.testing.conformance(3)": 'Argument 1 to "conformance"',
    "lehr.cosin(0.1)": "Module has no attribute",
    "lehr.cosine('0.1')": 'Argument 1 to "cosine"',
    "lehr.Policy(lr={'a': '0.1'})": "Dict entry 0",
    "lehr.Policy(lr={1.5: 0.1})": "Value of type variable",
    "lehr.Policy(lr='0.1')": 'Argument "lr" to "Policy"',
    "lehr.Policy(s, values={'k': '1'})": 'Dict entry 0 has incompatible type "str": "str"',
    "lehr.torch.Scheduler(optimizer, s, tokens_per_step='1')": 'Argument "tokens_per_step" to',
    "lehr.Policy(0.1, 0.9)": "Too many positional arguments",
    "lehr.Policy(0.1, others={})": 'Unexpected keyword argument "others"',
    "lehr.Plateau(floor=0.1)": 'Unexpected keyword argument "floor"',
    "lehr.Plateau(mode='down')": 'Argument "mode" to "Plateau" has incompatible type',
    "lehr.torch.Scheduler(optimizer, s, on_change='ask')": 'Argument "on_change" to "Scheduler"',
    "lehr.torch.Scheduler(optimizer, s, start_step='4')": 'Argument "start_step" to "Scheduler"',
    "lehr.keras.attach(object(), s, factor='half')": 'Argument "factor" to "attach"',
    "lehr.jax.drive(optax.sgd, s, nesterov=True)": 'Unexpected keyword argument "nesterov"',
    "lehr.jax.observe(s, None, 0.1)": "Module has no attribute",
    "s.summary(100, steps_per_epochs=10)": 'Unexpected keyword argument "steps_per_epochs"',
    "looped.plot(tokens_per_step='1')": 'Argument "tokens_per_step" to "plot"',
    "s.then('linear')": 'Argument 1 to "then"',
    "lehr.range_test(make(0), spacing='exponential')": 'Argument "spacing" to "range_test"',
    "lehr.torch.range_test(1, optimizer, None, [])": 'Argument 1 to "range_test"',
    "lehr.keras.range_test(1, 2, class_weight=[1.0])": 'Argument "class_weight" to "range_test"',
    "lehr.jax.range_test(lambda s, x, r: (s, r), 0, [], stepz=3)": "Unexpected keyword argument",
    "lehr.finder.repeat(make, [0], stepz=3)": 'Unexpected keyword argument "stepz"',
    "lehr.finder.repeat(make, [0], spacing='log')": 'Argument "spacing" to "repeat"',
    "lehr.finder.grid(make, {}, steps='3')": 'Argument "steps" to "grid"',
}


@pytest.fixture(autouse=True)
def recursion_limit():
    """Restore the limit, which mypy raises for the process."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


def errors_of(path: Path, cache: Path) -> list[tuple[int, str]]:
    """Return the line and text of each error that mypy --strict finds in a file."""
    options = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--no-color-output"]
    out, err, _ = api.run([*options, "--cache-dir", str(cache), str(path)])
    assert not err, err
    found = [re.search(rf"{path.name}:(\d+): error: (.*)", line) for line in out.splitlines()]
    return [(int(match[1]), match[2]) for match in found if match]


def test_p16_mypy_accepts_right_calls_and_rejects_wrong_ones(tmp_path, monkeypatch):
    path = tmp_path / "module.py"
    path.write_text(ACCEPTED + "\n".join(REJECTED) + "\n")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    errors = errors_of(path, tmp_path / "cache")
    first = len(ACCEPTED.splitlines()) + 1
    assert [error for error in errors if error[0] < first] == []
    for number, (call, message) in enumerate(REJECTED.items(), first):
        messages = [text for line, text in errors if line == number]
        assert any(message in text for text in messages), (call, messages)


PRELUDES = {"gallery": "from lehr import *\n"}  # pages of expressions without an import
PROGRAMS = ("README", "CONTRIBUTING")  # pages on which each block is a separate program


def code_of(page: Path) -> list[str]:
    """Return the modules of a page: one of all its Python blocks, or one per block.

    The input lines of a doctest are included; its output is not.
    """
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    modules = []
    for block in blocks:
        inputs = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        modules.append("\n".join(inputs or block.splitlines()) + "\n")
    if page.stem not in PROGRAMS:
        modules = ["".join(modules)] if modules else []
    return [PRELUDES.get(page.stem, "") + module for module in modules]


PAGES = [*(ROOT / f"{name}.md" for name in PROGRAMS), *sorted((ROOT / "docs").glob("*.md"))]


def test_examples_of_the_pages_are_typed(tmp_path, monkeypatch):
    """mypy --strict on the README, CONTRIBUTING and all pages."""
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in PAGES:
        name = page.stem.replace("-", "_").lower()
        for number, code in enumerate(code_of(page)):
            # the prefix keeps keras.md and torch.md from shadowing the packages
            (folder / f"page_{name}_{number}.py").write_text(code)
    assert len(list(folder.iterdir())) >= 5
    options = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--no-color-output"]
    options += ["--untyped-calls-exclude", "torch"]  # Tensor.backward has no annotations
    out, err, _ = api.run([*options, "--cache-dir", str(tmp_path / "cache"), str(folder)])
    assert not err, err
    assert "Success" in out, out
