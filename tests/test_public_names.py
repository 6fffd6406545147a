"""The names in `dir(lehr)` and of ``from lehr import *``."""

import types

import lehr
from lehr.schedule import presets


def test_dir_lists_each_public_name_once():
    names = dir(lehr)
    assert len(names) == len(set(names))
    assert {name for name in names if name.startswith("_")} == {"__version__"}
    packages = {n for n in names if isinstance(getattr(lehr, n), types.ModuleType)}
    assert packages == {
        *("figures", "finder", "jax", "keras", "schedule", "study", "testing", "torch")
    }


def test_a_star_import_includes_the_presets():
    namespace: dict[str, object] = {}
    exec("from lehr import *", namespace)
    assert {*presets.__all__, "one_cycle", "Policy", "Plateau", "parse"} <= namespace.keys()
    assert namespace.keys() <= {*dir(lehr), "__builtins__"}
