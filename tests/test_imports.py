"""The house of DESIGN.md: what importing lehr loads, and which room may know which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lehr

SOURCE = Path(lehr.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 320


def test_importing_lehr_loads_nothing_but_the_standard_library():
    code = """if True:
        import sys
        before = set(sys.modules)
        import lehr
        lehr.warmup(0.1, 5).then(lehr.cosine(0.1, 10)).dumps()
        lehr.loads(lehr.one_cycle(0.1, 10).dumps()).values(3)
        roots = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(roots - sys.stdlib_module_names - {"lehr"}))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


# Which room may know which. A room knows what the rooms it may know know.

FRAMEWORKS = {
    "torch": {"torch"},
    "keras": {"keras", "jax", "tensorflow", "torch"},  # whichever of them is Keras's backend
    "jax": {"jax", "optax"},
}
EVERY_FRAMEWORK = {"torch", "keras", "jax", "jaxlib", "optax", "flax", "tensorflow"}
DRAWING = {"matplotlib", "jinja2"}

DESCRIBE = {"files", "schedule", "policy", "control", "resume"}
PORT = {*DESCRIBE, "learner"}
FIND = {*PORT, "finder"}
RECORDS = {*FIND, "study"}

ROOMS: dict[str, set[str]] = {
    "files": set(),
    "schedule": set(),
    "control": {"schedule"},
    "policy": {"schedule", "control"},
    "resume": {"schedule", "policy", "control"},
    "shortform": DESCRIBE,
    "learner": DESCRIBE,
    "testing": PORT,
    "finder": PORT,
    "diagnosis": {"schedule"},
    "torch": {*FIND, "diagnosis"},
    "keras": {*FIND, "diagnosis"},
    "jax": FIND,
    "lightning": {*FIND, "torch"},
    "transformers": {*FIND, "torch"},
    "study": {*FIND, "recipes", "shortform", "figures", "report"},
    "recipes": {*FIND, *FRAMEWORKS, "study", "diagnosis", "figures"},
    "figures": {*RECORDS, "diagnosis"},
    "report": {*RECORDS, "figures"},
    "cli": {*RECORDS, *FRAMEWORKS, "shortform", "recipes", "figures", "report"},
}
# What a room may import that is neither Python's nor lehr's; the rest of the house: nothing.
OUTSIDE: dict[str, set[str]] = {
    "learner": {"numpy"},
    "testing": {"numpy"},
    "finder": {"numpy"},
    "torch": {"numpy"} | FRAMEWORKS["torch"],
    "keras": {"numpy"} | FRAMEWORKS["keras"],
    "jax": {"numpy"} | FRAMEWORKS["jax"],
    "lightning": {"numpy", "lightning"} | FRAMEWORKS["torch"],
    "transformers": {"numpy", "transformers"} | FRAMEWORKS["torch"],
    "study": {
        *("filelock", "numpy", "pandas", "pydantic", "ray", "rich", "scipy", "sqlalchemy"),
        *("tensorboardX", "yaml"),
    },
    "recipes": {"numpy", "scipy", "sklearn", "tensorboardX", "matplotlib", "mlxtend"}
    | EVERY_FRAMEWORK,
    "figures": {"numpy"} | DRAWING,
    "diagnosis": {"numpy"},
    "report": {"numpy"} | DRAWING,
    "cli": {"typer", "rich", "click"},
}
# Imports that stand in one named function because a value of that kind came in from outside, or
# because a method is the short way to another room.
IN_FUNCTIONS: dict[str, dict[str, set[str]]] = {
    "schedule/scalar.py": {"namespace": {"numpy", "jax", "torch", "tensorflow"}},
    "diagnosis.py": {"diagnose": {"lehr.keras.diagnose", "lehr.torch.diagnose"}},
}
ANYWHERE_IN_FUNCTIONS = {"plot": {"lehr.figures"}}
# numpy costs 0.1 s: the rooms that `import lehr` loads take it in functions only.
LATE = {"learner": {"numpy"}, "diagnosis": {"numpy"}}


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path):
    """Yield each import as (line, dotted name, enclosing function or None), type checking aside."""

    def visit(node, function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    yield from visit(other, function)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    yield child.lineno, alias.name, function
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                for alias in child.names:
                    # `from lehr import figures` names a room, as `import lehr.figures` does
                    name = (
                        f"{child.module}.{alias.name}" if child.module == "lehr" else child.module
                    )
                    yield child.lineno, name, function
            elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(
                ("import_module", "__import__")
            ):
                argument = child.args[0]
                if isinstance(argument, ast.Constant):
                    yield child.lineno, argument.value, function
                yield from visit(child, function)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(child, child.name)
            else:
                yield from visit(child, function)

    yield from visit(ast.parse(path.read_text()), None)


def allowed(path: Path, name: str, function: str | None) -> bool:
    room, (root, *rest) = room_of(path), name.split(".")
    if root in sys.stdlib_module_names or root == "__future__":
        return True
    local = IN_FUNCTIONS.get(path.relative_to(SOURCE).as_posix(), {}).get(function or "", set())
    if {root, name} & local or name in ANYWHERE_IN_FUNCTIONS.get(function or "", set()):
        return True
    if root != "lehr":
        return root in OUTSIDE.get(room, set()) and (
            function is not None or root not in LATE.get(room, ())
        )
    if not rest or rest == ["__version__"]:
        return room in {"cli", "study", "report", "recipes"}  # the public names
    return rest[0] == room or rest[0] in ROOMS[room]


INNER = [
    path for path in FILES if path.relative_to(SOURCE).parts[0] not in ("__init__.py", "compat")
]


@pytest.mark.parametrize("path", INNER, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_each_room_knows_only_what_it_may(path):
    assert room_of(path) in ROOMS, f"{path.name} is in no room: add it to DESIGN.md's table first"
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {name}"
        for line, name, function in imports(path)
        if not allowed(path, name, function)
    ]
    assert not wrong


def test_the_front_door_loads_only_the_describing_rooms():
    for line, name, _ in imports(SOURCE / "__init__.py"):
        root, _, rest = name.partition(".")
        known = (
            rest.partition(".")[0] in DESCRIBE
            if root == "lehr"
            else root in sys.stdlib_module_names
        )
        assert known, f"__init__.py:{line} imports {name}"


def test_nothing_imports_the_command_line():
    importers = [
        path.name
        for path in FILES
        if room_of(path) != "cli"
        for _, name, _ in imports(path)
        if name.startswith("lehr.cli")
    ]
    assert not importers


def test_frameworks_do_not_know_each_other():
    for room in FRAMEWORKS:
        assert not ROOMS[room] & (FRAMEWORKS.keys() - {room})


@pytest.mark.parametrize(
    ("file", "source", "ok"),
    [
        ("schedule/base.py", "import numpy", False),
        ("schedule/base.py", "def at():\n    import numpy", False),
        ("schedule/base.py", "def plot(self):\n    from lehr import figures", True),
        ("schedule/base.py", "def draw(self):\n    from lehr import figures", False),
        ("schedule/base.py", "from lehr.policy import Policy", False),
        ("schedule/base.py", "if TYPE_CHECKING:\n    import matplotlib", True),
        ("schedule/base.py", "import importlib\nimportlib.import_module('torch')", False),
        ("schedule/scalar.py", "def namespace(value):\n    import torch", True),
        ("schedule/scalar.py", "import torch", False),
        ("learner.py", "import numpy", False),
        ("learner.py", "def load():\n    import numpy as np", True),
        ("finder/run.py", "import torch", False),
        ("torch.py", "from lehr.keras import attach", False),
        ("torch.py", "import torch.nn", True),
        ("report/page.py", "import keras", False),
        ("figures/style.py", "from matplotlib import pyplot", True),
    ],
)
def test_the_walk_sees_what_it_should(tmp_path, monkeypatch, file, source, ok):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    assert all(allowed(path, name, function) for _, name, function in imports(path)) == ok


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) < MAX_LINES
