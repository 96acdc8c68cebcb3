"""The matrix of pinned versions."""

from __future__ import annotations

from infra.versions import VERSIONS
from ops.show import Json, as_json, table


def versions(json: Json = False) -> None:
    """Print the one matrix of versions that everything here is pinned to."""
    if json:
        as_json(dict(VERSIONS))
    else:
        table(("what", "version"), [(name, version) for name, version in VERSIONS.items()])
