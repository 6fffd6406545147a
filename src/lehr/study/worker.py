"""The process of one job: ``python -m lehr.study.worker RESULT``, the job as JSON on stdin."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from lehr.study.trials import run_job


def main() -> None:
    """Run the job and write its result beside, then rename."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    target = Path(sys.argv[1])
    result = run_job(json.load(sys.stdin))
    beside = target.with_suffix(".tmp")
    beside.write_text(json.dumps(result, allow_nan=False))
    beside.replace(target)


def _end_with(driver: int) -> None:
    """End when the driver has ended, however it did."""
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
