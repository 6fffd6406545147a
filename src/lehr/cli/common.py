"""The application, and the arguments and messages shared by its commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lehr.schedule.errors import fail

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Describe, find and compare learning-rate policies.",
)
errors = Console(stderr=True)

TaskName = Annotated[str, typer.Argument(help="A built-in task or module:function.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path | None, typer.Option(help="Save the figure to this .svg, .png or .pdf file.")]


def print_status(text: str) -> None:
    """Print a status line to stderr."""
    print(text, file=sys.stderr)


def ensure_data(task: str) -> None:
    """Raise if a task's data is missing and cannot be downloaded."""
    from lehr.tasks.data import ensure_fashion_mnist

    if task == "fashion-mnist-mlp" and (reason := ensure_fashion_mnist(print_status)):
        fail(
            "task",
            "a task whose data is available",
            task,
            f"{reason}; digits-mlp needs no download",
        )


def check_drawable(path: Path | None) -> None:
    """Raise unless the file has the suffix of a figure format and is in a folder that exists."""
    if path is None:
        return
    if path.suffix not in (".svg", ".png", ".pdf"):
        fail("--out", "a file ending in .svg, .png or .pdf", str(path))
    if not path.parent.is_dir():
        fail("--out", "in a folder that exists", str(path), f"create the folder {path.parent}")
    check_writable("--out", path)


def check_writable(option: str, path: Path, *, folder: bool = False) -> None:
    """Raise unless a file (or a folder) can be written at a path, before its content is computed.

    Missing folders of the path can be created later.
    """
    rule = f"a {'folder' if folder else 'file'} that can be written"
    try:
        exists = path.exists()
        if exists and path.is_dir() != folder:
            fail(option, rule, str(path), f"it is a {'file' if folder else 'folder'}")
        places = [path, *path.absolute().parents] if folder else path.absolute().parents
        place = next(place for place in places if place.exists())
        effective = os.access in os.supports_effective_ids
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=effective):
            fail(option, rule, str(path), f"no file can be created in {place}")
        longest = os.pathconf(place, "PC_NAME_MAX")
        if any(len(os.fsencode(name)) > longest for name in path.parts):
            fail(option, rule, str(path), f"a name has at most {longest} bytes")
    except OSError as error:
        fail(option, rule, str(path), str(error.strerror))
