"""Record `to_json` of a study of two tuned arms on a small PyTorch task."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from golden_values import measured, text

import lehr


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    arms = {
        "constant": lehr.Arm(1.0, tune="constant"),
        "one cycle": lehr.Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    }
    with tempfile.TemporaryDirectory() as folder:
        study = lehr.Study(
            "golden_task:small",
            arms,
            steps=40,
            seeds=3,
            tuning_seeds=2,
            peaks=3,
            metric="loss",
            mode="min",
            storage=folder,
        )
        results = json.loads(study.run(workers=1).to_json())
    scores, tuning, peaks = results.pop("scores"), results.pop("tuning"), results.pop("peaks")
    return {
        "definition": results.pop("definition"),
        "reference": results.pop("reference"),
        "peaks": {arm: measured(peak) for arm, peak in peaks.items()},
        "scores": {arm: measured(values) for arm, values in scores.items()},
        "tuning": {
            arm: {
                "peaks": measured(map(float, tried)),
                "scores": {
                    str(i): measured(values) for i, (_, values) in enumerate(sorted(tried.items()))
                },
            }
            for arm, tried in tuning.items()
        },
        "judged": {name: text(json.dumps(part)) for name, part in results.items()},
    }
