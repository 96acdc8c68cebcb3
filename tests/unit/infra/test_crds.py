"""CRDs as Pulumi's plugin applies and removes them, by code that it finds in the state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.dynamic.dynamic import serialize_provider

from infra.kubernetes import crds
from tests.unit.ops.json_server import JsonServer, Request

# As the plugin starts: in infra/, which comes first among the places of modules, and from the provider's own bytes.
PLUGIN = """
import base64, json, sys
sys.path.insert(0, "")
import dill
call = json.loads(sys.stdin.read())
provider = dill.loads(base64.b64decode(call["provider"]))
getattr(provider, call["method"])("crds", *call["arguments"])
"""

NEW: dict[str, Any] = {"status": {"acceptedNames": {"kind": "", "plural": ""}, "conditions": None}}
UNSEEN: dict[str, Any] = {}
SERVED: dict[str, Any] = {"status": {"conditions": [{"type": "Established", "status": "True"}]}}


def test_a_crd_whose_conditions_are_still_null_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Any = crds._provider()  # pyright: ignore[reportPrivateUsage]
    answers = [UNSEEN, NEW, SERVED]
    monkeypatch.setattr(provider, "_call", lambda *_: answers.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    provider._wait(None, "rayjobs.ray.io", established=True)
    assert answers == []


def plugged(folder: Path, method: str, *arguments: Any) -> list[tuple[str, str]]:
    """Methods and CRDs that the API server was asked for, in a plugin's process of its own."""
    asked: list[tuple[str, str]] = []

    def respond(request: Request) -> tuple[int, Any]:
        asked.append((request.method, request.path.rsplit("/", 1)[-1]))
        removed = ("DELETE", asked[-1][1]) in asked
        return (404, {}) if removed and request.method == "GET" else (200, SERVED)

    server = JsonServer(respond)
    cluster = {"name": "c", "cluster": {"server": server.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    config = {"current-context": "c", "clusters": [cluster], "contexts": [context], "users": [user]}
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    provider: Any = crds._provider()  # pyright: ignore[reportPrivateUsage]
    call = {"provider": serialize_provider(provider), "method": method, "arguments": arguments}
    try:
        subprocess.run(
            [sys.executable, "-c", PLUGIN], cwd=Path(crds.__file__).parents[1], input=json.dumps(call), text=True,
            check=True, env={**os.environ, "KUBECONFIG": str(folder / "kubeconfig")},
            timeout=120,
        )  # fmt: skip
    finally:
        server.end()
    return asked


def test_crds_are_removed_and_their_end_awaited(tmp_path: Path) -> None:
    gone = ["a.example.com", "b.example.com"]
    assert plugged(tmp_path, "delete", {"names": gone}) == [
        *(("DELETE", name) for name in gone), *(("GET", name) for name in gone),
    ]  # fmt: skip


def test_a_crd_that_a_newer_set_lacks_is_removed_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text(yaml.safe_dump({"metadata": {"name": "kept.example.com"}}))
    news = {"folder": str(tmp_path), "digests": crds.digests(tmp_path)}
    olds = {**news, "names": ["kept.example.com", "left.example.com"]}
    asked = plugged(tmp_path, "update", olds, news)
    assert ("DELETE", "left.example.com") in asked
    assert ("DELETE", "kept.example.com") not in asked
