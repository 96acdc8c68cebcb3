"""The lines that a driver prints for whoever watches it.

`progress: ...` may come any number of times; `result: {json}` comes once, last, and only if the run ended well.
`infra/ray` reads them from the job's log, so their form is a contract.
"""

from __future__ import annotations

import json
import sys
from typing import Any

PROGRESS = "progress: "
RESULT = "result: "


def progress(text: str) -> None:
    """Print one progress line now."""
    _line(PROGRESS + " ".join(text.split()))


def result(values: dict[str, Any]) -> None:
    """Print the result line; not-a-number is refused, since no JSON reader takes it."""
    _line(RESULT + json.dumps(values, sort_keys=True, allow_nan=False))


def epoch_line(metrics: dict[str, Any]) -> str:
    """`epoch 3/20 loss 0.1230 validation_loss 0.1100 accuracy 0.981`."""
    return (
        f"epoch {metrics['epoch']}/{metrics['epochs']} loss {metrics['loss']:.4f} "
        f"validation_loss {metrics['validation_loss']:.4f} accuracy {metrics['accuracy']:.4f}"
    )


def _line(text: str) -> None:
    # One write, so that lines of other threads cannot come in between.
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
