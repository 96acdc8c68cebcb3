"""An API server that answers with what was recorded, over HTTP, and remembers what it was told to change."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


class Api:
    """`lists` by the path's end (`rayjobs`), `answers` by parts of paths; a path in `refused` is forbidden."""

    def __init__(
        self, lists: Mapping[str, Sequence[Any]], answers: Mapping[str, Any] | None = None, refused: Sequence[str] = ()
    ) -> None:
        self.lists, self.answers, self.refused = lists, dict(answers or {}), refused
        self.changes: list[tuple[str, Any]] = []
        self.status = 200
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if api.status != 200 or any(part in self.path for part in api.refused):
                    self.answer(403 if api.status == 200 else api.status, {"kind": "Status"})
                    return
                for part, answer in api.answers.items():
                    if part in self.path:
                        self.answer(200, answer)
                        return
                plural = self.path.partition("?")[0].rsplit("/", 1)[-1]
                if plural not in api.lists:
                    self.answer(404, {"kind": "Status"})
                    return
                items = list(api.lists[plural])
                kind = items[0]["kind"] if items else "Nothing"
                self.answer(200, {"kind": f"{kind}List", "apiVersion": "v1", "items": items})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.changes.append((self.path, body))
                self.answer(200, {})

            def answer(self, status: int, value: Any) -> None:
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {"token": "t0ken"}}]
        content = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
        return path

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()
