"""Tasks passed as functions: stored by name, if worker processes can import them."""

import sys
import types
from functools import partial
from pathlib import Path

import pytest
import toys
from programs import run_python

from lehr.study import Study

REJECTED = (
    r"task must be a function of a module that worker processes can import, got .*; "
    r"write the function to a file my_task\.py \(in a notebook, .* %%writefile my_task\.py\) "
    r'and pass task="my_task:'
)


def nested():
    def make(seed):
        return toys.toy(seed)

    return make


class Tasks:
    @staticmethod
    def make(seed):
        return toys.toy(seed)


def test_a_function_is_stored_by_its_name() -> None:
    study = Study(toys.toy, {"a": 0.1})
    assert study == Study("toys:toy", {"a": 0.1})
    assert study.task == "toys:toy"


def test_a_study_of_a_function_runs_in_worker_processes(tmp_path: Path) -> None:
    study = Study(toys.toy, {"a": 0.01}, epochs=1, seeds=1, storage=tmp_path)
    assert len(study.run(workers=1).trials) == 1


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (lambda seed: toys.toy(seed), "make"),
        (nested(), "make"),
        (Tasks.make, "make"),
        (partial(toys.optional, noise=0.1), "make"),
        ("__main__:digits", "digits"),
    ],
    ids=["lambda", "nested", "method", "partial", "name"],
)
def test_functions_that_workers_cannot_import_are_rejected(task, name: str) -> None:
    with pytest.raises(ValueError, match=f'{REJECTED}{name}"'):
        Study(task, {"a": 0.1})


def test_a_function_of_a_notebook_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = types.ModuleType("__main__")  # as in IPython, without a file
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    exec("def digits(seed):\n    return None\n", vars(notebook))
    with pytest.raises(ValueError, match=f'{REJECTED}digits"'):
        Study(notebook.digits, {"a": 0.1})


def test_a_function_of_a_module_without_a_file_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    exec("def digits(seed):\n    return None\n", vars(made))
    with pytest.raises(ValueError, match=f'{REJECTED}digits"'):
        Study(made.digits, {"a": 0.1})


def test_a_function_that_its_module_has_replaced_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = toys.toy
    monkeypatch.setattr(toys, "toy", toys.steady)
    with pytest.raises(ValueError, match=REJECTED):
        Study(old, {"a": 0.1})


def test_a_task_must_be_a_name_or_a_function() -> None:
    with pytest.raises(TypeError, match=r"task must be a built-in name, .*, got 3$"):
        Study(3, {"a": 0.1})


SCRIPT = """
from toys import toy
import lehr

def digits(seed):
    return toy(seed)

if __name__ == "__main__":
    study = lehr.Study(toy, {"a": 0.01}, epochs=1, seeds=1, storage="runs")
    print(len(study.run(workers=1).trials))
    lehr.Study(digits, {"a": 0.01})
"""


@pytest.mark.parametrize("how", [["script.py"], ["-m", "script"], ["-"]])
def test_a_script_uses_functions_of_modules_only(how: list[str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python(*how, cwd=tmp_path, code=1, stdin=SCRIPT)
    assert done.stdout == "1\n"
    assert done.stderr.splitlines()[-1].startswith(
        "ValueError: task must be a function of a module that worker processes can import, got "
        "<function digits at "
    )
    assert done.stderr.endswith('and pass task="my_task:digits"\n')


DIGESTS = """
import sys
from lehr.tasks.find import make_learner
for seed in map(int, sys.argv[2:]):
    print(seed, make_learner(sys.argv[1], seed).snapshot().digest())
"""
UNSEEDED = """
import lehr.torch
def make(seed):
    import torch
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.ones(8, 4)
    return lehr.torch.Learner(model, sgd, torch.nn.functional.mse_loss, (x, x), batch_size=4)
"""
UNSEEDED_KERAS = """
def make(seed):
    import keras, lehr.keras, numpy
    layers = [keras.layers.Input((4,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    x = numpy.ones((8, 4))
    return lehr.keras.Learner(model, (x, x), batch_size=4)
"""


@pytest.mark.parametrize(
    ("task", "backend"),
    [
        ("digits-mlp", "torch"),
        ("unseeded:make", "jax"),
        ("unseeded_keras:make", "jax"),
        ("unseeded_keras:make", "tensorflow"),
        ("unseeded_keras:make", "torch"),
    ],
)
def test_the_initial_state_does_not_depend_on_the_process(task, backend, tmp_path: Path) -> None:
    """Not all tasks seed their layers; the first one in a process imports the framework."""
    (tmp_path / "unseeded.py").write_text(UNSEEDED)
    (tmp_path / "unseeded_keras.py").write_text(UNSEEDED_KERAS)
    lines = [
        run_python("-c", DIGESTS, task, *seeds, cwd=tmp_path, KERAS_BACKEND=backend).stdout
        for seeds in ("0", "10", "010")
    ]
    digests = [dict(line.split() for line in text.splitlines()) for text in lines]
    assert digests[0] == {"0": digests[1]["0"]}
    assert digests[1] == digests[2]
    assert digests[1]["0"] != digests[1]["1"]
