"""Where Helm finds a chart: in a repository, or in a folder on a machine that reaches none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A folder with one folder for each chart; it goes before what the settings say.
VARIABLE = "MANTA_CHARTS"


def source(charts: str, name: str, version: str) -> dict[str, Any]:
    """Arguments of a Release. A folder has the version that it has."""
    if charts.startswith("https://"):
        return {"chart": name, "version": version, "repository_opts": {"repo": charts}}
    address = f"{charts.rstrip('/')}/{name}"
    return {"chart": address, "version": version} if address.startswith("oci://") else {"chart": address}


def place(charts: str, environment: Mapping[str, str]) -> str:
    return environment.get(VARIABLE) or charts
