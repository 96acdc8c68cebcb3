"""What the API server or the way to it says, as one sentence for a person."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


class ClusterUnreachableError(Exception):
    """No answer from the API server."""


class NoSuchKindError(Exception):
    """The API server does not serve this apiVersion and kind."""


@dataclass
class ApiError(Exception):
    """An answer of the API server that is no success: `status` is the HTTP code, `reason` Kubernetes' word for it."""

    status: int
    reason: str
    message: str
    details: Mapping[str, Any]

    def __str__(self) -> str:
        return self.message

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        return self.status == 409 and self.reason == "Conflict"

    @property
    def missing_namespace(self) -> str | None:
        """The namespace that a 404 was about, when it was not about the object itself."""
        if self.status == 404 and self.details.get("kind") == "namespaces":
            return str(self.details.get("name"))
        return None

    @property
    def is_immutable_field(self) -> bool:
        return self.status == 422 and bool(
            re.search(r"immutable|may not change once set|forbidden: updates", self.message)
        )


def parse(status: int, body: bytes) -> ApiError:
    """An ApiError out of a response body, which is a Status object unless something between answered instead."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict) or cast(dict[str, Any], content).get("kind") != "Status":
        text = body[:300].decode(errors="replace").strip() or "no message"
        return ApiError(status, "Unknown", f"the API server answered with HTTP {status}: {text}", {})
    answer = cast(dict[str, Any], content)
    return ApiError(
        status,
        str(answer.get("reason") or ""),
        str(answer.get("message") or f"HTTP {status}"),
        answer.get("details") or {},
    )


_CONFLICT_CAUSE = re.compile(r'conflict with "([^"]+)"(?: with subresource "([^"]+)")?(?: using (\S+))?')


def explain_conflict(error: ApiError) -> str:
    """Who owns which fields, and the ways out."""
    fields: dict[str, list[str]] = {}
    for cause in cast(list[Mapping[str, Any]], error.details.get("causes") or []):
        match = _CONFLICT_CAUSE.search(str(cause.get("message") or ""))
        owner = match[1] if match else "another manager"
        fields.setdefault(owner, []).append(str(cause.get("field") or "").lstrip("."))
    if not fields:
        return error.message
    owners = "; ".join(f'{", ".join(paths)} (owned by "{owner}")' for owner, paths in fields.items())
    return (
        f"Another field manager owns what this resource wants to set: {owners}. Leave these fields out (or list them "
        'in ignore_changes), or take them over with the annotation pulumi.com/patchForce: "true".'
    )
