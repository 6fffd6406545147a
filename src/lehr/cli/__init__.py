"""The command line: parse, call one library function, print."""

from __future__ import annotations

import signal
import sys

try:
    import rich as _rich  # noqa: F401
    import typer as _typer  # noqa: F401
except ImportError as error:
    sys.stderr.write(f"lehr: error: the commands need more ({error}); pip install 'lehr[study]'\n")
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
    """Run the command line; bad input ends with one line and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: unknown options and so on
            message = error.format_message()
            _end(message, 2) if message else sys.exit(2)
        if isinstance(error, ValueError | TypeError | ImportError | OSError):
            _end(str(error), 2)
        if isinstance(error, lehr.study.TrialError):
            _end(str(error), 1)
        raise
    if code == _INTERRUPTED:
        _end("interrupted; what had finished is kept, the same command goes on from there", code)


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"lehr: {'' if code == _INTERRUPTED else 'error: '}{message}\n")
    raise SystemExit(code)
