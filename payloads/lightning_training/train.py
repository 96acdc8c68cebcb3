"""Driver of a digits training by Lightning: `python -m payloads.lightning_training.train --run-name first`.

May be started again at any point, as `payloads.training.train` may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.lightning_training.settings import LightningSettings
from payloads.training import train

if TYPE_CHECKING:
    from payloads.training.fit import Recipe


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    settings = parse(LightningSettings, __doc__ or "", arguments)
    train.carry_out(settings, lambda: _recipe(settings))


def _recipe(settings: LightningSettings) -> Recipe:
    from payloads.lightning_training.loop import train_loop
    from payloads.lightning_training.module import network_weights
    from payloads.training.fit import Recipe

    def epoch(metrics: dict[str, Any]) -> dict[str, Any]:
        # Ray's callback counts epochs from 0 and reports the steps of the whole training.
        named = {name: value for name, value in metrics.items() if name != "step"}
        return {**named, "epoch": int(metrics["epoch"]) + 1, "epochs": settings.epochs, "note": ""}

    return Recipe(train_loop, network_weights, epoch)


if __name__ == "__main__":
    run_main(main)
