"""The process of one job: ``python -m lehr.study.worker RESULT``, the job as JSON on stdin."""

import json
import sys
from pathlib import Path

from lehr.study.trials import run_job


def main() -> None:
    """Run the job and write its result beside, then rename."""
    target = Path(sys.argv[1])
    result = run_job(json.load(sys.stdin))
    beside = target.with_suffix(".tmp")
    beside.write_text(json.dumps(result, allow_nan=False))
    beside.replace(target)


if __name__ == "__main__":
    main()
