"""Every row of the table of differences, run with the library and with lehr.compat."""

import warnings
from pathlib import Path

import pytest
from programs import run_python

from lehr.compat.differences import DIFFERENCES, Difference, differences

DOCS = Path(__file__).parents[2] / "docs"


def torch_names(names: dict) -> dict:
    """Return the names of an example of torch: the library, an optimizer and `rates`."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    optimizer.param_groups[0]["initial_lr"] = 0.1  # as after a run that is resumed

    def rates(scheduler, n=1, steps=None, group=0):
        found = []
        for arguments in [(step,) for step in steps or ()] or [()] * (n - 1):
            found.append(optimizer.param_groups[group]["lr"])
            optimizer.step()
            scheduler.step(*arguments)
        found.append(optimizer.param_groups[group]["lr"])
        return [round(float(f"{rate:.4g}"), 12) for rate in found]

    def with_group(scheduler, lr):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr})
        return scheduler

    return {**names, "optimizer": optimizer, "rates": rates, "with_group": with_group}


def torch_library() -> dict:
    pytest.importorskip("torch")
    from torch.optim import lr_scheduler

    return torch_names(vars(lr_scheduler))


def torch_module() -> dict:
    pytest.importorskip("torch")
    import lehr.compat.torch

    return torch_names(vars(lehr.compat.torch))


def transformers_library() -> dict:
    pytest.importorskip("transformers")
    import transformers.optimization

    return torch_names(vars(transformers.optimization))


def transformers_module() -> dict:
    pytest.importorskip("transformers")
    import lehr.compat.transformers

    return torch_names(vars(lehr.compat.transformers))


def optax_names(names: dict) -> dict:
    """Return the names of an example of optax: the library, JAX, NumPy and `values`."""
    import jax
    import numpy as np

    def values(schedule, n):
        return [float(f"{float(schedule(step)):.4g}") for step in range(n)]

    return {**names, "jax": jax, "np": np, "values": values}


def optax_library() -> dict:
    optax = pytest.importorskip("optax")

    return optax_names(vars(optax.schedules))


def optax_module() -> dict:
    pytest.importorskip("jax")
    import lehr.compat.optax

    return optax_names(vars(lehr.compat.optax))


def lr_finder_library() -> dict:
    pytest.importorskip("torch")
    import compat_lr_finder

    return compat_lr_finder.names(compat_lr_finder.library())


def lr_finder_module() -> dict:
    pytest.importorskip("torch")
    import compat_lr_finder

    import lehr.compat.torch_lr_finder.lr_finder

    return compat_lr_finder.names(lehr.compat.torch_lr_finder.lr_finder)


LIBRARIES = {
    "torch": (torch_library, torch_module),
    "transformers": (transformers_library, transformers_module),
    "optax": (optax_library, optax_module),
    "torch_lr_finder": (lr_finder_library, lr_finder_module),
}
# on each backend of Keras: case_book.py and case_compat_differences.py in tests/backends/keras
ELSEWHERE = {"book", "clr_callback", "tensorflow_addons"}


def result(example: str, names: dict) -> str:
    """Return the result of an example, as in the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested schedulers warn in torch
        try:
            return repr(eval(example, names))
        except Exception as error:
            return type(error).__name__


def label(row: Difference) -> str:
    return f"{row.module}-{row.name}-{row.condition}".replace("`", "").replace(" ", "-")


@pytest.mark.parametrize("row", [r for r in DIFFERENCES if r.module not in ELSEWHERE], ids=label)
def test_both_results_are_those_of_the_table(row):
    library, module = LIBRARIES[row.module]
    assert (result(row.example, library()), result(row.example, module())) == (row.theirs, row.ours)
    assert row.theirs != row.ours


@pytest.mark.parametrize("module", sorted(LIBRARIES.keys() | ELSEWHERE))
def test_a_row_is_unique_and_of_a_known_module(module):
    rows = differences(module)
    assert rows
    assert len({(row.name, row.condition) for row in rows}) == len(rows)
    assert {row.module for row in DIFFERENCES} <= LIBRARIES.keys() | ELSEWHERE


def test_the_pages_show_every_row():
    done = run_python(DOCS / "make_compat.py", "--check", code=None)
    assert done.returncode == 0, done.stdout


def test_an_outdated_page_is_reported(tmp_path):
    (tmp_path / "compat").mkdir()
    script = tmp_path / "make_compat.py"
    script.write_text((DOCS / "make_compat.py").read_text(encoding="utf-8"), encoding="utf-8")
    page = (DOCS / "compat" / "torch.md").read_text(encoding="utf-8")
    row = differences("torch")[0]
    (tmp_path / "compat" / "torch.md").write_text(page.replace(row.ours, "[0.2]"), encoding="utf-8")
    done = run_python(script, "--check", code=1)
    assert f"ours:   {row.ours}" in done.stdout
