"""A worker process: ``python -m lehr.study.engines.worker FD`` runs jobs, one per line.

Orders and replies pass through a socket, the descriptor FD, so that code which prints or reads
while the process starts does not disturb them. The output of a job is redirected to its log.
"""

import json
import os
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from lehr.study.engines.engine import log_tail, shortened
from lehr.study.trial import run_job


def main() -> None:
    """Run jobs until the driver process closes the socket."""
    threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as channel, channel.makefile("rb") as orders:
        channel.set_inheritable(False)

        def report(event: str, **payload: Any) -> None:
            channel.sendall(f"{json.dumps({'event': event} | payload)}\n".encode())

        for line in orders:
            _run(json.loads(line), report)


def _run(order: dict[str, Any], report: Any) -> None:
    """Run one job and save its record."""
    log = Path(order["log"])
    try:
        _log_to(log)
        record = run_job(
            order,
            Path(order["checkpoints"]),
            lambda payload: report("progress", **payload),
            order["checkpoint_every"],
        )
        record.save(order["record"])
        sys.stdout.flush()
    except Exception as error:
        try:
            sys.stdout.flush()
            traceback.print_exc()
            sys.stderr.flush()
        except OSError:  # the disk is full, so the log cannot be written
            pass
        message, tail = shortened(f"{type(error).__name__}: {error}"), log_tail(log)
        report("failed", log=tail if message in tail else f"{tail}\n{message}".strip())
        return
    report("finished")


def _log_to(path: Path) -> None:
    """Redirect stdout and stderr of this process, including C code, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def _exit_with(driver: int) -> None:
    """Exit when the driver process ends."""
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
