"""Run Python programs in separate processes."""

import os
import subprocess
import sys
from pathlib import Path


def run_python(
    *arguments: object,
    cwd: Path | None = None,
    stdin: str | None = None,
    code: int | None = 0,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter and return the completed process; fail on another exit code.

    Args:
        arguments: arguments of the interpreter.
        cwd: working directory.
        stdin: text for standard input.
        code: the expected exit code; None accepts any.
        environment: additional environment variables.
    """
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done
