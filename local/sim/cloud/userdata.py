"""What an instance's user data makes of its node: labels, taints and the number of pods."""

from __future__ import annotations

import base64
import email
import tomllib
from dataclasses import dataclass, field
from typing import Any

import yaml

_LABELS_FLAG = "--node-labels="


@dataclass
class Joining:
    labels: dict[str, str] = field(default_factory=dict[str, str])
    taints: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    max_pods: int | None = None


def decode(user_data: object) -> Joining:
    """User data (its text is base64) of AL2023 (NodeConfig documents in a MIME archive) or Bottlerocket (TOML)."""
    text = base64.b64decode(str(user_data or "")).decode()
    if text.startswith(("MIME-Version:", "Content-Type:")):
        return _nodeadm(text)
    return _bottlerocket(text) if text.strip() else Joining()


def _nodeadm(text: str) -> Joining:
    found = Joining()
    for part in email.message_from_string(text).walk():
        if part.get_content_type() != "application/node.eks.aws":
            continue
        document: dict[str, Any] = yaml.safe_load(str(part.get_payload())) or {}
        kubelet: dict[str, Any] = document.get("spec", {}).get("kubelet", {})
        config: dict[str, Any] = kubelet.get("config") or {}
        found.taints += config.get("registerWithTaints") or []
        found.max_pods = config.get("maxPods", found.max_pods)
        flags: list[str] = kubelet.get("flags") or []
        for flag in flags:
            if flag.startswith(_LABELS_FLAG):
                pairs = flag.removeprefix(_LABELS_FLAG).strip('"').split(",")
                found.labels.update((key, value) for key, _, value in (pair.partition("=") for pair in pairs) if key)
    return found


def _bottlerocket(text: str) -> Joining:
    settings: dict[str, Any] = tomllib.loads(text).get("settings", {}).get("kubernetes", {})
    taints: list[dict[str, str]] = []
    for key, values in settings.get("node-taints", {}).items():
        for value in [values] if isinstance(values, str) else values:
            word, _, effect = value.rpartition(":")
            taints.append({"key": key, "value": word, "effect": effect})
    return Joining(dict(settings.get("node-labels", {})), taints, settings.get("max-pods"))
