"""What the engine's event log says of one update, folded into a value that is easy to show and to test."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

# infra/ray/wait.py marks the lines of a payload that people follow while a run is under way.
PROGRESS_PREFIX = "progress: "
_COLOUR_TAG = re.compile(r"<\{%[^%]*%\}>")
# Said of every plugin that is not the CLI's own; which ones are used was already said at the start.
_AMBIENT_PLUGIN = re.compile(r"^using pulumi-\S+ from \$PATH")
_IDLE_OPERATIONS = frozenset({"same", "read", "refresh"})


@dataclass
class Update:
    """One `pulumi up` or `pulumi destroy` as it goes on."""

    changes: dict[str, int] = field(default_factory=dict[str, int])
    errors: list[str] = field(default_factory=list[str])
    running: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def unchanged(self) -> bool:
        """Whether the finished update created, changed, replaced and deleted nothing."""
        return not self.errors and all(operation in _IDLE_OPERATIONS for operation in self.changes)

    def summary(self) -> str:
        """`12 created, 1 replaced`, or `nothing changed`."""
        words = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
        parts = [f"{count} {words[name]}" for name, count in self.changes.items() if name in words]
        return ", ".join(parts) or "nothing changed"


@dataclass(frozen=True)
class Shown:
    """What a person should see because of one event: a line that stays, or what is happening right now."""

    line: str | None = None
    detail: str | None = None


def fold(update: Update, raw_line: str) -> Shown:
    """Take one line of the event log into `update` and return what to show for it."""
    event = cast(Mapping[str, Any], json.loads(raw_line))
    if diagnostic := event.get("diagnosticEvent"):
        return _diagnostic(update, diagnostic)
    if violation := event.get("policyEvent"):
        return _violation(update, violation)
    if summary := event.get("summaryEvent"):
        update.changes = dict(summary.get("resourceChanges") or {})
        return Shown()
    for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
        if step := event.get(kind):
            return _step(update, kind, step["metadata"])
    return Shown()


def _diagnostic(update: Update, diagnostic: Mapping[str, Any]) -> Shown:
    message = _COLOUR_TAG.sub("", str(diagnostic.get("message", ""))).strip()
    severity = diagnostic.get("severity", "")
    if not message or severity == "debug" or _AMBIENT_PLUGIN.match(message):
        return Shown()
    if severity == "error":
        if message not in update.errors:
            update.errors.append(message)
        return Shown()
    if message.startswith(PROGRESS_PREFIX):
        return Shown(line=message.removeprefix(PROGRESS_PREFIX))
    if severity == "warning":
        return Shown(line=f"warning: {message}")
    return Shown(detail=message.splitlines()[-1])


def _violation(update: Update, violation: Mapping[str, Any]) -> Shown:
    """What the policy pack found: a warning, or the reason why the engine goes no further."""
    name = str(violation.get("resourceUrn") or "").rsplit("::", 1)[-1]
    # The engine puts the policy's general reason before what was found.
    found = _COLOUR_TAG.sub("", str(violation["message"])).strip().splitlines()[-1]
    line = f"policy {violation['policyName']}{f' ({name})' if name else ''}: {found}"
    if violation.get("enforcementLevel") != "mandatory":
        return Shown(line=f"warning: {line}")
    if line not in update.errors:
        update.errors.append(line)
    return Shown()


def _step(update: Update, kind: str, metadata: Mapping[str, Any]) -> Shown:
    urn, operation = str(metadata["urn"]), str(metadata["op"])
    name = urn.rsplit("::", 1)[-1]
    if kind == "resourcePreEvent" and operation not in _IDLE_OPERATIONS:
        update.running[urn] = f"{operation} {name}"
    else:
        update.running.pop(urn, None)
    return Shown(detail=", ".join(list(update.running.values())[-2:]))
