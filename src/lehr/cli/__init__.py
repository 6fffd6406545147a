"""Command-line interface: each command parses arguments, calls the library, prints the result."""

from __future__ import annotations

import signal
import sys

try:
    import rich as _rich  # noqa: F401
    import typer as _typer  # noqa: F401
except ImportError as error:
    sys.stderr.write(
        f"lehr: error: the lehr command needs more packages ({error}); pip install 'lehr[study]'\n"
    )
    raise SystemExit(2) from None

import lehr
from lehr.cli import compare, find, recipe, runs, show
from lehr.cli.common import app

_INTERRUPTED = 130

app.command()(show.show)
app.command()(find.find)
app.command()(compare.compare)
app.add_typer(recipe.app, name="recipe")
app.add_typer(runs.app, name="runs")


def main() -> None:
    """Run the command line; for invalid input, print one line to stderr and exit with code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM is handled like Ctrl-C
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if hasattr(error, "format_message"):  # an error of typer, for instance an unknown option
            message = error.format_message()
            _exit_with(message, 2) if message else sys.exit(2)
        if isinstance(error, ValueError | TypeError | ImportError | OSError):
            _exit_with(str(error), 2)
        if isinstance(error, lehr.study.TrialError):
            _exit_with(str(error), 1)
        raise
    if code == _INTERRUPTED:
        _exit_with("interrupted; finished jobs are stored, run the same command to resume", code)
    if isinstance(code, int):  # of typer.Exit
        raise SystemExit(code)


def _exit_with(message: str, code: int) -> None:
    sys.stderr.write(f"lehr: {'' if code == _INTERRUPTED else 'error: '}{message}\n")
    raise SystemExit(code)
