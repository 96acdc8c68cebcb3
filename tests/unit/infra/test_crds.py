"""Waiting for CRDs by what the API server really says of one that was just applied."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes import crds

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
