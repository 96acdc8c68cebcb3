"""Grafana's dashboards as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def dashboards(
    folder: Annotated[Path, typer.Argument(help="Where to write them; it is made if it is missing.")],
) -> None:
    """Write every dashboard as JSON that any Grafana imports."""
    from infra.monitoring.dashboards import dashboards as rendered  # no other command waits for its library

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in rendered().items():
        path = folder / f"manta-{name}.json"
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        print(path)
