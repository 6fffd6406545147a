"""Check every import against the table PACKAGES of allowed imports.

Imports at the top of a file, inside functions and under TYPE_CHECKING are checked. EXCEPTIONS lists
the exceptions by name.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import run_python

import lehr

SOURCE = Path(lehr.__file__).parent

# Allowed imports of each package; permissions are transitive, and all packages may use _atomic.
PACKAGES: dict[str, set[str]] = {
    "_atomic": set(),
    "schedule": set(),
    "controllers": {"schedule"},
    "policy": {"schedule", "controllers"},
    "parser": {"policy"},
    "published_policies": {"policy"},
    "learner": {"policy"},
    "testing": {"learner"},
    "diagnosis": {"schedule", "learner"},
    "finder": {"learner"},
    "torch": {"finder", "parser", "diagnosis", "testing"},
    "keras": {"finder", "parser", "diagnosis", "testing"},
    "jax": {"finder", "parser", "diagnosis", "testing"},
    "tasks": {"finder", "parser", "diagnosis", "testing", "keras"},
    "study": {"tasks"},
    "figures": {"study"},
    "report": {"figures"},
    "recipes": {"figures", "keras", "torch"},
    "cli": {"report", "recipes", "published_policies"},
    # in lehr.compat each module counts as a package: it imports one library and its adapter
    "compat/__init__": set(),
    "compat/read": {"policy"},
    "compat/sections": {"schedule"},
    "compat/torch": {"finder", "figures", "torch"},
    "compat/optax": {"compat/sections"},
    "compat/transformers": {"compat/sections", "compat/torch"},
    "compat/differences": set(),
    "compat/torch_lr_finder": {"finder", "figures", "torch"},
    "compat/book": {"finder", "figures", "keras"},
    "compat/_keras": {"finder", "figures", "keras"},
    "compat/tensorflow_addons": {"compat/_keras"},
    "compat/clr_callback": {"compat/_keras", "keras"},
}
# Third-party packages by importer; other packages import only the standard library.
TORCH, KERAS, JAX = {"torch"}, {"keras", "jax", "tensorflow", "torch"}, {"jax", "optax"}
THIRD_PARTY: dict[str, set[str]] = {
    "learner": {"numpy"},
    "testing": {"numpy"},
    "diagnosis": {"numpy", "matplotlib"},
    "finder": {"numpy", "matplotlib"},
    "schedule": {"matplotlib"},
    "policy": {"matplotlib"},
    "torch": {"numpy", *TORCH},
    "keras": {"numpy", *KERAS},
    "jax": {"numpy", *JAX},
    "tasks": {"numpy", "sklearn", "mlxtend", *KERAS},
    "study": {
        *("filelock", "numpy", "pandas", "pydantic", "rich", "scipy", "sqlalchemy"),
        *("tensorboardX", "yaml"),
    },
    "figures": {"numpy", "matplotlib"},
    "report": {"numpy", "matplotlib", "jinja2"},
    "recipes": {"numpy", "scipy", "tensorboardX", "matplotlib", *KERAS},
    "cli": {"typer", "rich", "click"},
    "compat/torch": TORCH,
    "compat/transformers": {"transformers", *TORCH},
    "compat/torch_lr_finder": {"numpy", "matplotlib", "apex", *TORCH},
    "compat/book": {"numpy", "matplotlib", *KERAS},
    "compat/_keras": {"keras", "numpy"},
    "compat/tensorflow_addons": {"keras"},
    "compat/clr_callback": {"keras", "numpy"},
}
# Loaded by `import lehr`, directly or indirectly: third-party imports in functions only.
LAZY_ONLY = {"schedule", "controllers", "policy", "parser", "learner", "diagnosis", "testing"}

# (file, imported module): the functions that may import it. An import under TYPE_CHECKING is also
# allowed; an empty set allows only that.
EXCEPTIONS: dict[tuple[str, str], set[str]] = {
    ("schedule/base.py", "lehr.figures"): {"Schedule.plot"},
    ("policy.py", "lehr.figures"): {"Policy.plot"},
    ("finder/sweep.py", "lehr.figures"): {"Sweep.plot"},
    ("diagnosis.py", "lehr.figures"): {"Diagnosis.plot"},
    ("study/results.py", "lehr.report"): {"Results.report", "Results.figures"},
    # the function of a scheduler is one of Transformers, so that library is already loaded
    ("compat/torch/reading.py", "lehr.compat.transformers"): {"_lambda"},
    # called with a step of this type, so the framework is already loaded
    ("schedule/scalar.py", "numpy"): {"namespace"},
    ("schedule/scalar.py", "jax"): {"namespace"},
    ("schedule/scalar.py", "torch"): {"namespace"},
    ("schedule/scalar.py", "tensorflow"): {"namespace"},
}
# Exceptions between files of one package, in packages with an enforced order.
INNER_EXCEPTIONS: dict[tuple[str, str], set[str]] = {
    ("finder/sweep.py", "finder/suggest.py"): {"Sweep.suggest"},
    ("study/definition.py", "study/runner.py"): {"Study.run", "Study.results"},
    ("study/definition.py", "study/results.py"): set(),
    ("study/definition.py", "study/plan.py"): {"Study.plan"},
    ("study/results.py", "study/text.py"): {"Results.verdict", "Results.table"},
    ("study/results.py", "study/frames.py"): {"Results.frames"},
    ("study/results.py", "study/tensorboard.py"): {"Results.tensorboard"},
}
STUDY_ORDER = (
    *("stats", "arm", "jobs", "gpus", "environment", "definition", "cache_key", "ledger"),
    "checkpoints",
    *("trial", "storage", "engines", "results", "tuning", "runner", "plan", "text", "frames"),
    *("tensorboard", "yaml_data", "yaml"),
)


@dataclass(frozen=True)
class Import:
    """One import statement: the module, the function it is in ("" at the top), typing only."""

    line: int
    module: str
    function: str
    typing: bool


def imports(path: Path) -> Iterator[Import]:
    """Yield every import of a file, including `import_module("...")`."""

    def visit(node: ast.AST, scope: tuple[str, ...], typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside, types = scope, typing
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = (*scope, child.name)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                types = True
            for module in modules(child):
                function = "" if isinstance(node, ast.ClassDef) else ".".join(scope)
                yield Import(child.lineno, module, function, typing)  # type: ignore[attr-defined]
            yield from visit(child, inside, types)

    def modules(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield resolved(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))

    yield from visit(ast.parse(path.read_text()), (), False)


def resolved(name: str) -> str:
    """Return the module imported by `from a.b import c`: a.b.c if it is a module, otherwise a.b."""
    module, _, last = name.rpartition(".")
    parts = name.split(".")
    place = SOURCE.joinpath(*parts[1:])
    is_module = parts[0] == "lehr" and (place.with_suffix(".py").exists() or place.is_dir())
    return name if is_module or (module == "lehr" and last[0] != "_") else module


def file_of(module: str) -> str:
    """Return the file of a module of lehr, as in EXCEPTIONS."""
    place = SOURCE.joinpath(*module.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return path.relative_to(SOURCE).as_posix()


def package_of(file: str) -> str:
    """Return the package of a file; in lehr.compat, the module."""
    parts = file.removesuffix(".py").split("/")
    return "/".join(parts[: 2 if parts[0] == "compat" else 1])


def reachable(package: str) -> set[str]:
    """Return the packages that a package may import (transitive, except for frameworks)."""
    found = {package, "_atomic"}
    for other in PACKAGES[package]:
        found |= {other} | (reachable(other) - {"torch", "keras", "jax"})
    return found


def excepted(table: dict[tuple[str, str], set[str]], file: str, target: str, one: Import) -> bool:
    """Return whether the table allows an import; the target may be a submodule."""
    for (importer, module), functions in table.items():
        if importer == file and (target == module or target.startswith(f"{module}.")):
            return one.typing or one.function in functions
    return False


def allowed(file: str, one: Import) -> bool:
    """Return whether a file may contain an import."""
    package, root = package_of(file), one.module.partition(".")[0]
    if root in sys.stdlib_module_names or root == "__future__":
        return True
    if excepted(EXCEPTIONS, file, one.module, one):
        return True
    if root != "lehr":
        late = one.function or one.typing or package not in LAZY_ONLY
        return root in THIRD_PARTY.get(package, set()) and bool(late)
    if one.module == "lehr":
        return package == "cli"
    # its __init__: a cycle that the graph below does not include
    if one.module == f"lehr.{package.replace('/', '.')}" and package != "cli":
        return False
    return package_of(one.module.removeprefix("lehr.").replace(".", "/")) in reachable(package)


FILES = sorted(p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_only_allowed_modules(file):
    assert package_of(file) in PACKAGES, "no such package in PACKAGES"
    wrong = [one for one in imports(SOURCE / file) if not allowed(file, one)]
    assert not wrong


def test_lehr_imports_its_public_names_on_first_use():
    for one in imports(SOURCE / "__init__.py"):
        standard = one.module.partition(".")[0] in sys.stdlib_module_names
        assert one.typing or one.function or standard, one


def test_every_exception_is_used():
    for table in (EXCEPTIONS, INNER_EXCEPTIONS):
        for (file, target), functions in table.items():
            found = {
                one.function
                for one in imports(SOURCE / file)
                if target in (one.module, one.module.partition(".")[0])
                or (one.module.startswith("lehr.") and file_of(one.module).startswith(target))
                or one.module.startswith(f"{target}.")
            }
            assert found - {""} == functions, (file, target)


def inner_graph(package: str, exceptions: dict[tuple[str, str], set[str]]) -> dict[str, set[str]]:
    """Return the import graph of the files of a package, without exceptions."""
    graph: dict[str, set[str]] = {}
    for file in (file for file in FILES if package_of(file) == package and "__init__" not in file):
        graph[file] = {
            target
            for one in imports(SOURCE / file)
            if one.module.startswith(f"lehr.{package.replace('/', '.')}.")
            and (target := file_of(one.module)) != file
            and not excepted(exceptions, file, target, one)
        }
    return graph


@pytest.mark.parametrize(
    "package",
    [
        *("finder", "study", "learner", "recipes", "figures", "tasks", "compat/torch"),
        *("compat/torch_lr_finder", "compat/book"),
    ],
)
def test_imports_have_no_cycles_between_packages_or_files(package):
    graphlib.TopologicalSorter(PACKAGES).prepare()
    graphlib.TopologicalSorter(inner_graph(package, INNER_EXCEPTIONS)).prepare()


def test_the_files_of_a_study_import_only_earlier_ones():
    def place(file: str) -> int:
        return STUDY_ORDER.index(file.split("/")[1].removesuffix(".py"))

    graph = inner_graph("study", INNER_EXCEPTIONS)
    wrong = [
        (file, other)
        for file, others in graph.items()
        for other in others
        if place(other) > place(file)
    ]
    assert not wrong


def test_importing_lehr_loads_only_the_standard_library():
    code = """if True:
        import sys
        before = set(sys.modules)
        import lehr
        lehr.warmup(0.1, 5).then(lehr.cosine(0.1, 10)).dumps()
        lehr.loads(lehr.one_cycle(0.1, 10).dumps())(3)
        roots = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(roots - sys.stdlib_module_names - {"lehr"}))
    """
    assert run_python("-c", code).stdout.strip() == ""


@pytest.mark.parametrize(
    ("file", "source", "ok"),
    [
        ("schedule/base.py", "def at():\n    import numpy", False),
        ("schedule/base.py", "class Schedule:\n def plot(self):\n  from lehr import figures", True),
        ("schedule/base.py", "class Schedule:\n def see(self):\n  from lehr import figures", False),
        ("schedule/base.py", "from lehr.policy import Policy", False),
        ("schedule/base.py", "if TYPE_CHECKING:\n    from lehr.policy import Policy", False),
        ("schedule/base.py", "if TYPE_CHECKING:\n    import matplotlib", True),
        ("schedule/base.py", "import importlib\nimportlib.import_module('torch')", False),
        ("schedule/scalar.py", "def namespace(value):\n    import torch", True),
        ("learner/run.py", "import numpy", False),
        ("learner/snapshot.py", "def load():\n    import numpy as np", True),
        ("finder/run.py", "import torch", False),
        ("torch/learner.py", "from lehr.keras import attach", False),
        ("study/trial.py", "def f():\n    from lehr.recipes import catalogue", False),
        ("study/storage.py", "from lehr.study.results import Results", True),
        ("tasks/find.py", "from lehr.study import Study", False),
        ("study/jobs.py", "from lehr.study import Study", False),
        ("study/runner.py", "from lehr.keras.learner import Learner", False),
        ("report/__init__.py", "import keras", False),
        ("figures/style.py", "from lehr.torch import Learner", False),
        ("compat/torch/cycles.py", "from lehr.torch.groups import Group", True),
        ("compat/torch/cycles.py", "from lehr.compat.torch.shapes import left", True),
        ("compat/torch/cycles.py", "from lehr.compat import differences", False),
        ("compat/torch/cycles.py", "import keras", False),
        ("compat/torch/cycles.py", "from lehr.keras import attach", False),
        ("compat/book/finder.py", "from lehr.keras.finder import preserved", True),
        ("compat/book/finder.py", "from lehr.torch.state import TrainingState", False),
        ("compat/__init__.py", "def f():\n    import torch", False),
        ("compat/__init__.py", "from lehr.compat.torch import StepLR", False),
        ("torch/scheduler.py", "from lehr.compat.torch import StepLR", False),
    ],
)  # fmt: skip
def test_the_check_finds_forbidden_imports(tmp_path, file, source, ok):
    path = tmp_path / "file.py"
    path.write_text(source)
    assert all(allowed(file, one) for one in imports(path)) == ok
