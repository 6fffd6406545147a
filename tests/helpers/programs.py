"""Python programs in processes of their own."""

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
    """Run the interpreter and return what it printed; fail unless it ends with an exit code.

    Args:
        arguments: of the interpreter.
        cwd: its folder.
        stdin: its input.
        code: the exit code it must have; None for any.
        environment: more variables.
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
