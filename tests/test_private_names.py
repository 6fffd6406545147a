"""Private names of frameworks are used only in the files in PRIVATE."""

import ast
import re
from pathlib import Path

import pytest

import lehr

SOURCE = Path(lehr.__file__).parent
PRIVATE = {
    *("keras/_private.py", "torch/_private.py", "compat/torch/_private.py"),
    *("compat/torch_lr_finder/_private.py", "compat/transformers/_private.py"),
}
FILES = sorted(SOURCE.rglob("*.py"))
# names of the standard library with an underscore that are documented
PUBLIC = {"_replace", "_fields", "_asdict", "_make", "_exit"}
FRAMEWORKS = {
    *("keras", "tensorflow", "torch", "jax", "jaxlib", "optax", "flax"),
    *("accelerate", "transformers", "lightning", "pytorch_lightning", "ignite"),
}


def is_private(name: str) -> bool:
    return re.fullmatch(r"_(?!_)\w+", name) is not None and name not in PUBLIC


def own_names(tree: ast.AST) -> set[str]:
    """Return the private names that a file defines: functions, classes, variables, attributes."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.alias(asname=str(name)):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
    return {name for name in names if is_private(name)}


def used_names(tree: ast.AST):
    """Yield (line, private name, use) for attributes, strings and imports from frameworks.

    Strings are included because of ``getattr(model, "_layers")``.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name) if is_private(name):
                yield node.lineno, name, f"{ast.unparse(owner)}.{name}"
            case ast.Constant(value=str(name)) if is_private(name):
                yield node.lineno, name, repr(name)
            case ast.Import(names=names):
                for alias in names:
                    yield from in_path(node.lineno, alias.name)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    yield from in_path(node.lineno, f"{module}.{alias.name}")


def in_path(line: int, path: str):
    """Yield the private parts of an imported path."""
    root, *parts = path.split(".")
    if root in FRAMEWORKS:
        for part in parts:
            if is_private(part) or (root, part) == ("keras", "src"):
                yield line, part, f"import of {path}"


def frameworks_names() -> set[str]:
    """Return the framework names in the private files; no other file may use or define them."""
    names: set[str] = set()
    for file in PRIVATE:
        tree = ast.parse((SOURCE / file).read_text())
        names |= {name for _, name, _ in used_names(tree)}
        for node in tree.body:
            names |= own_names(node) - {node.name} if isinstance(node, ast.ClassDef) else set()
    return names - LEHR_NAMES


# methods that lehr.torch.Scheduler and its base in torch/_private.py call on each other
LEHR_NAMES = {"_write", "_advance"}
FRAMEWORK_NAMES = frameworks_names()
DEFINED = set().union(*(own_names(ast.parse(path.read_text())) for path in FILES)) - FRAMEWORK_NAMES


def wrong(file: str, tree: ast.AST) -> list[str]:
    """Return the uses of private framework names in a file (none for the private files).

    A private name belongs to lehr if any file defines it. In the package of a framework this rule
    applies only to ``self``; for other objects, which may belong to the framework, the same file
    must define the name.
    """
    if file in PRIVATE:
        return []
    package = file.partition("/")[0]
    here = own_names(tree) - FRAMEWORK_NAMES
    found = []
    for line, name, use in used_names(tree):
        by_self = use == f"self.{name}" or package not in ("keras", "torch", "jax", "compat")
        if name not in (here | DEFINED if by_self else here) or use.startswith("import of"):
            found.append(f"{file}:{line}: {use}")
    return found + [f"{file}: defines {name}" for name in sorted(own_names(tree) & FRAMEWORK_NAMES)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_private_names_of_frameworks_are_used_in_the_private_files_only(path):
    file = path.relative_to(SOURCE).as_posix()
    fix = "add a function to the _private.py of the framework; JAX needs none"
    assert not wrong(file, ast.parse(path.read_text())), fix


def test_the_private_files_contain_the_known_names():
    of_keras = {"_layers", "_learning_rate", "_compile_config", "_exclude_from_weight_decay"}
    of_torch = {"_is_accelerate_prepared", "_wrapped_by_lr_sched", "_last_lr", "_update_lr"}
    of_schedulers = {"_schedulers", "_is_initial", "_get_closed_form_lr", "_schedule_phases"}
    assert of_keras | of_torch | of_schedulers < FRAMEWORK_NAMES


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("model._layers", ["model._layers"]),
        ("self._learning_rate", ["self._learning_rate"]),  # of a Keras class that lehr extends
        ("x = self._f = f\noptimizer._f", []),
        ("optimizer._variables", ["optimizer._variables"]),  # also an attribute of MonteCarlo
        ("self._nobody_defines_this()", ["self._nobody_defines_this"]),
        ("getattr(x, '_compile_config')", ["'_compile_config'"]),
        ("import torch._dynamo", ["import of torch._dynamo"]),
        ("import keras.src.backend", ["import of keras.src.backend"]),
        ("from keras.src import backend", ["import of keras.src.backend"]),
        ("from keras import src", ["import of keras.src"]),
        ("from jax._src.core import Tracer", ["import of jax._src.core.Tracer"]),
        ("from jax import _src", ["import of jax._src"]),
        ("class A:\n    def _update_lr(self): ...", ["defines _update_lr"]),
        ("class A:\n    _step_count = 0", ["defines _step_count"]),
        ("class A:\n    def _f(self): self._g = self._f()", []),
        ("class A:\n    def __init__(self): self._g = 1\na._g", []),
        ("point._replace(x=1), os._exit(0), x.__dict__, import_module('lehr._atomic')", []),
        ("from lehr._atomic import atomic_write\nfrom lehr.keras import _private", []),
        ("_private.flatten_layers(model)", []),
        ("import torch as _torch", []),
    ],
)
def test_the_check_finds_private_names(source, found):
    found_uses = wrong("keras/some.py", ast.parse(source))
    assert [text.split(": ", 1)[1] for text in found_uses] == found
