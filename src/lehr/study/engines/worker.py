"""A worker process: ``python -m lehr.study.engines.worker`` runs jobs, one per input line.

Its replies go to the stdout it was started with; what a job prints goes to the job's log.
"""

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from lehr.study.engines.local import log_tail
from lehr.study.trial import run_job


def main() -> None:
    """Do jobs until there are no more."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    orders = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a job that asks a question gets no answer
    with orders, os.fdopen(os.dup(1), "w") as replies:

        def report(event: str, **payload: Any) -> None:
            replies.write(json.dumps({"event": event} | payload) + "\n")
            replies.flush()

        for line in orders:
            _do(json.loads(line), report)


def _do(order: dict[str, Any], report: Any) -> None:
    """Do one job: its record is written beside, then renamed."""
    log = Path(order["log"])
    try:
        _log_to(log)
        record = run_job(
            order,
            Path(order["checkpoints"]),
            lambda payload: report("moved", **payload),
            order["checkpoint_every"],
        )
        record.save(order["record"])
        sys.stdout.flush()
    except Exception as error:
        try:
            sys.stdout.flush()
            traceback.print_exc()
            sys.stderr.flush()
        except OSError:  # the disk is full: the log too
            pass
        message, tail = f"{type(error).__name__}: {error}", log_tail(log)
        report("failed", log=tail if message in tail else f"{tail}\n{message}".strip())
        return
    report("finished")


def _log_to(path: Path) -> None:
    """Send what this process prints, also from C, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def end_with(driver: int) -> None:
    """End when the driver has ended, however it did."""
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
