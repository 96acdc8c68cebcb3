"""Driver of a digits training by Lightning: `python -m payloads.lightning_training.train --run-name first`.

May be started again at any point, as `payloads.training.train` may.
"""

from __future__ import annotations

from payloads.common.cli import parse
from payloads.common.errors import run_main
from payloads.lightning_training.settings import LightningSettings
from payloads.training import train


def main(arguments: list[str] | None = None) -> None:
    """Parse, connect, train, evaluate, register; prints `progress:` lines and one `result:` line."""
    train.carry_out(parse(LightningSettings, __doc__ or "", arguments), "payloads.lightning_training.fit")


if __name__ == "__main__":
    run_main(main)
