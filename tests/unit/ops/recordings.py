"""What a real API server answered of things that fail, kept without what no diagnosis reads."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ops.diagnose.evidence import Evidence

FOLDER = Path(__file__).resolve().parent / "recorded"
_METADATA = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "finalizers", "labels")
_STATUS = (
    "phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses", "jobDeploymentStatus",
    "jobStatus", "activeServiceStatus", "pendingServiceStatus",
)  # fmt: skip
_UNREAD = {
    "containerID",
    "imageID",
    "image",
    "allocatedResources",
    "resources",
    "volumeMounts",
    "rayClusterStatus",
    "user",
}


def load(name: str) -> Evidence:
    """The recording `name`: objects and logs as they were read, at the moment that they were read."""
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    return Evidence(tuple(recorded["objects"]), datetime.datetime.fromisoformat(recorded["now"]), recorded["logs"])


def save(name: str, evidence: Evidence) -> None:
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in pruned(evidence.objects))
    head = f'{{"now":"{evidence.now.isoformat()}","logs":{json.dumps(dict(evidence.logs), indent=0)},"objects":[\n'
    (FOLDER / f"{name}.json").write_text(f"{head}{lines}\n]}}\n")


def pruned(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each complaint one event: they come again with every attempt."""
    kept: list[dict[str, Any]] = []
    said: set[str] = set()
    for each in objects:
        if each["kind"] == "Event":
            about = {key: each["involvedObject"].get(key) for key in ("kind", "name", "namespace", "uid")}
            event = {
                "kind": "Event",
                "involvedObject": about,
                **{key: each.get(key) for key in ("type", "reason", "message")},
            }
            if (
                event["type"] == "Warning"
                and (text := f"{about['uid']} {event['reason']} {str(event['message'])[:60]}") not in said
            ):
                said.add(text)
                kept.append(event)
            continue
        spec = {
            key: value for key, value in each.get("spec", {}).items() if key in ("submissionMode", "upgradeStrategy")
        }
        status = {key: value for key, value in each.get("status", {}).items() if key in _STATUS}
        metadata = {key: value for key, value in each["metadata"].items() if key in _METADATA}
        kept.append({"kind": each["kind"], "metadata": metadata, "spec": spec, "status": _plain(status)})
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _UNREAD}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
