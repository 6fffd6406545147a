"""The examples of lehr.compat.book, whose rates are those of the chapter's formulas."""

import importlib.util
import re
from pathlib import Path

import pytest
from programs import run_python

EXAMPLES = Path(__file__).parents[2] / "examples" / "compat"
EPOCHS, BATCHES = 8, 47  # batches of 32 of 1498 images


def output(name, folder):
    if "import keras" in (EXAMPLES / f"{name}.py").read_text(encoding="utf-8"):
        for module in ("keras", "jax"):
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
    # without KERAS_HOME the example uses the digits
    variables = {"KERAS_BACKEND": "jax", "KERAS_HOME": "", "OMP_NUM_THREADS": "1"}
    return run_python(EXAMPLES / f"{name}.py", cwd=folder, **variables).stdout


def test_every_example_of_the_book_is_run():
    tests = Path(__file__).read_text(encoding="utf-8")
    for example in EXAMPLES.glob("book_*.py"):
        assert f'output("{example.stem}"' in tests


def test_the_scheduling_cells_set_the_rates_of_the_chapter(tmp_path):
    text = output("book_scheduling", tmp_path)
    assert "data: scikit-learn's digits" in text
    found = dict(re.findall(r"^([a-z -]+): validation accuracy \S+ rates (.*)$", text, re.M))
    rates = {name: [float(rate) for rate in line.split()] for name, line in found.items()}
    s = 20 * 1498 // 32
    expected = {
        "exponential": [0.01 * 0.1 ** (epoch / 20) for epoch in range(EPOCHS)],
        "current rate": [0.01 * 0.1 ** ((epoch + 1) / 20) for epoch in range(EPOCHS)],
        "per batch": [0.01 * 0.1 ** (BATCHES * (epoch + 1) / s) for epoch in range(EPOCHS)],
        "piecewise": [0.01, 0.01, 0.005, 0.005, 0.005, 0.001, 0.001, 0.001],
    }
    for name, values in expected.items():
        assert rates[name] == pytest.approx(values, rel=1e-5), name
    accuracies = [float(x) for x in re.findall(r"validation accuracy (\S+)", text)]
    assert len(accuracies) == 9
    assert min(accuracies) > 0.85
    assert "range test: 94 rates 1e-05 to 8.63317" in text
    assert "one cycle: 752 of 752 batches, last rate 7.07237e-05" in text
    assert (tmp_path / "scheduling.png").stat().st_size > 10_000


def test_the_dropout_cells_predict_classes(tmp_path):
    accuracies = re.findall(r"accuracy (\S+)", output("book_dropout", tmp_path))
    assert len(accuracies) == 2
    assert min(map(float, accuracies)) > 0.85


def test_the_activation_functions_have_their_published_constants(tmp_path):
    text = output("book_activations", tmp_path)
    assert "selu: scale 1.050701 alpha 1.673263" in text
    layers = re.findall(r"layer \d+: mean (\S+) std (\S+)", text)
    assert len(layers) == 10
    assert all(abs(float(mean)) < 0.1 and 0.8 < float(std) < 1.1 for mean, std in layers)
    assert (tmp_path / "activations.png").stat().st_size > 10_000
