"""Command-line interface: each command parses arguments, calls the library, prints the result."""

from __future__ import annotations

import os  # other imports are in `main`, after the change of the path
import sys
from typing import NoReturn

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; for invalid input, print one line to stderr and exit with code 2."""
    _remove_current_folder()
    import io
    import signal

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # drawings on a terminal for ASCII

    try:
        from lehr.cli.commands import app
    except ImportError as error:
        missing = f"the lehr command needs more packages ({error}); pip install 'lehr[study]'"
        _exit_with(missing, 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM is handled like Ctrl-C
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if hasattr(error, "format_message"):  # an error of typer, for instance an unknown option
            message = error.format_message()
            _exit_with(message, 2) if message else sys.exit(2)
        from lehr.study.engines.engine import TrialError, shortened

        if isinstance(error, ValueError | TypeError | ImportError | OSError):
            _exit_with(shortened(str(error)), 2)
        if isinstance(error, TrialError):
            _exit_with(str(error), 1)
        raise
    if code == _INTERRUPTED:
        _exit_with("interrupted; finished jobs are stored, run the same command to resume", code)
    if isinstance(code, int):  # of typer.Exit
        raise SystemExit(code)


def _remove_current_folder() -> None:
    """Remove the current folder, which ``python -m`` puts first, from ``sys.path``.

    Its files would replace modules of libraries; `lehr.tasks.find` adds it at the end for tasks of
    the form ``module:function``.
    """
    first, lehr = os.path.abspath(sys.path[0]), os.path.abspath(f"{__file__}/../../..")  # noqa: PTH100
    if not sys.flags.safe_path and first == os.getcwd() and first != lehr:  # noqa: PTH109
        del sys.path[0]


def _exit_with(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"lehr: {'' if code == _INTERRUPTED else 'error: '}{message}\n")
    raise SystemExit(code)
