"""A simulated account in a process of its own: moto, and the part of EKS's API that it lacks. Prints its address."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # read when the first role is asked for

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket
from werkzeug.serving import make_server

from local.sim.cloud import additions
from local.sim.cloud.calls import read
from local.sim.cloud.eks import ApiError, Eks

_READS = re.compile(r"[a-z0-9-]+:(Describe|Get|List|Head)")


class Account:
    """Also counts what is asked, and refuses what a test orders: POST /test/refuse {"action": "ec2:CreateVpc"}, or
    {"each_once": true} for the first call of every action that changes something."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._eks = Eks()
        self._refused: list[str] = []
        self._seen: list[str] = []
        self._each_once = False
        self._refused_once: set[str] = set()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ["PATH_INFO"]
        if path == "/test/refuse":
            asked = json.loads(body)
            self._refused = [asked["action"]] if asked.get("action") else []
            refused, self._refused_once = sorted(self._refused_once), set()
            self._each_once = bool(asked.get("each_once"))
            return _json(start, 200, {"refused": refused})
        if path == "/test/seen":
            seen, self._seen = self._seen, []
            return _json(start, 200, {"actions": seen})
        call = read(environ, body)
        self._seen.append(call.action)
        if self._is_refused(call.action):
            return _json(start, 400, {"__type": "InternalFailure", "message": "refused by the test"})
        if call.service == "eks" and self._eks.handles(call.method, call.path):
            try:
                return _json(start, 200, self._eks.answer(call.method, call.path, call.region, call.body_json()))
            except ApiError as error:
                return _json(start, error.status, {"__type": error.code, "message": str(error)}, error.code)
        return self._moto(environ, start)

    def _is_refused(self, action: str) -> bool:
        if self._each_once and not _READS.match(action) and action not in self._refused_once:
            self._refused_once.add(action)
            return True
        return any(re.fullmatch(pattern, action) for pattern in self._refused)


def _json(start: Any, status: int, document: dict[str, Any], code: str = "") -> list[bytes]:
    headers = [("Content-Type", "application/json"), *([("x-amzn-ErrorType", code)] if code else [])]
    start(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [json.dumps(document, default=str).encode()]


class _Quiet(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def main() -> None:
    buckets: Any = FakeBucket
    buckets.get_permission = additions.bucket_permission
    server = make_server("127.0.0.1", 0, Account(), threaded=True, request_handler=_Quiet)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends with the test that holds the other end


if __name__ == "__main__":
    main()
