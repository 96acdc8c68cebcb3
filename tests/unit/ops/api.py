"""An API server that answers with what was recorded, over HTTP, and remembers what it was told to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.unit.ops.json_server import JsonServer, Request


class Api:
    """`lists` by the path's end (`rayjobs`), `answers` by parts of paths; a path in `refused` is forbidden."""

    def __init__(
        self, lists: Mapping[str, Sequence[Any]], answers: Mapping[str, Any] | None = None, refused: Sequence[str] = ()
    ) -> None:
        self.lists, self.answers, self.refused = lists, dict(answers or {}), refused
        self.changes: list[tuple[str, Any]] = []
        self.status = 200
        self.server = JsonServer(self._respond)

    def _respond(self, request: Request) -> tuple[int, Any]:
        if request.method == "PATCH":
            self.changes.append((f"{request.path}?{request.query}".rstrip("?"), request.body))
            return 200, {}
        path = f"{request.path}?{request.query}"
        if self.status != 200 or any(part in path for part in self.refused):
            return 403 if self.status == 200 else self.status, {"kind": "Status"}
        for part, answer in self.answers.items():
            if part in path:
                return 200, answer
        plural = request.path.rsplit("/", 1)[-1]
        if plural not in self.lists:
            return 404, {"kind": "Status"}
        items = list(self.lists[plural])
        kind = items[0]["kind"] if items else "Nothing"
        return 200, {"kind": f"{kind}List", "apiVersion": "v1", "items": items}

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": self.server.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {"token": "t0ken"}}]
        content = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
        return path

    def end(self) -> None:
        self.server.end()
