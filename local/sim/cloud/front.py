"""The door: every request to the simulated AWS comes in here, is judged, and goes to what answers it."""

from __future__ import annotations

import io
import ipaddress
import json
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from local.cluster import names
from local.sim.cloud import spot, tokens
from local.sim.cloud.calls import Call, read
from local.sim.cloud.capacity import Capacity
from local.sim.cloud.eks import ApiError, Eks
from local.sim.cloud.identity import Agent, RefusedError, admit
from local.sim.cloud.judge import DeniedError, Judge
from local.sim.cloud.prices import Prices

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}


class Front:
    """A WSGI application around moto's."""

    def __init__(
        self, moto: Any, eks: Eks, agent: Agent, capacity: Capacity, prices: Prices, judge: Judge, account: str
    ) -> None:
        self._moto = moto
        self._eks = eks
        self._agent = agent
        self._capacity = capacity
        self._prices = prices
        self._judge = judge
        self._account = account
        self._failures: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        body = _body(environ)
        path = str(environ["PATH_INFO"])
        try:
            if path.startswith("/sim/") and not _is_from_a_pod(environ):
                return _json(start, 200, self._control(path, json.loads(body or b"{}")))
            if path == "/v1/credentials":
                return _json(start, 200, self._agent.credentials(environ.get("HTTP_AUTHORIZATION", "")))
        except RefusedError as error:
            return _json(start, 403, {"message": str(error)})
        except (KeyError, TypeError, ValueError) as error:
            return _json(start, 400, {"message": f"{type(error).__name__}: {error}"})
        call = read(environ, body)
        try:
            self._judge.check(call)
            self._fail_if_asked(call)
            if call.service == "pricing":
                return _json(start, 200, self._prices.products(json.loads(body)), "application/x-amz-json-1.1")
            if call.service == "eks" and self._eks.handles(call.method, call.path):
                return _json(start, 200, self._eks.answer(call.method, call.path, call.region, call.body_json()))
        except DeniedError as denied:
            return _error(start, call, 403, denied.code, str(denied))
        except ApiError as error:
            return _error(start, call, error.status, error.code, str(error))
        return self._moto(environ, start)

    def _control(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What only a simulation has, for tests and for `python -m local.sim`, and what the API server asks EKS."""
        match path:
            case "/sim/account":
                return {"account": self._account}
            case "/sim/tokens":
                return tokens.review(self._eks, body)
            case "/sim/pods":
                return admit(self._eks, body)
            case "/sim/capacity":
                if "shortages" in body:
                    self._capacity.set(body["shortages"])
                return {"shortages": self._capacity.shown()}
            case "/sim/interrupt":
                return spot.interrupt(body["instance"], notice_s=float(body.get("notice_s", spot.NOTICE_S)))
            case "/sim/failures":
                with self._lock:
                    self._failures = list(body.get("failures", self._failures))
                return {"failures": self._failures}
            case "/sim/calls":
                return {"calls": self._judge.seen()}
            case _:
                raise KeyError(path)

    def _fail_if_asked(self, call: Call) -> None:
        """Answer with an error of AWS's that a test ordered: `{"action": "ec2:CreateVpc", "times": 1}`."""
        with self._lock:
            for failure in self._failures:
                if failure.get("times", 1) > 0 and re.fullmatch(failure["action"], call.action):
                    failure["times"] = failure.get("times", 1) - 1
                    raise ApiError(failure.get("status", 400), failure.get("code", "InternalFailure"), "asked for")


def _is_from_a_pod(environ: Environ) -> bool:
    return ipaddress.ip_address(environ["REMOTE_ADDR"]) in ipaddress.ip_network(names.POD_NETWORK)


def _body(environ: Environ) -> bytes:
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _json(start: Start, status: int, document: dict[str, Any], kind: str = "application/json") -> list[bytes]:
    text = json.dumps(document).encode()
    start(f"{status} {_REASONS.get(status, 'Error')}", [("Content-Type", kind), ("Content-Length", str(len(text)))])
    return [text]


def _error(start: Start, call: Call, status: int, code: str, message: str) -> list[bytes]:
    """As the service's protocol writes it."""
    if call.target or call.service in ("eks", "pricing"):
        text = json.dumps({"__type": code, "message": message}).encode()
        kind = "application/x-amz-json-1.1"
    else:
        inner = f"<Code>{code}</Code><Message>{_escaped(message)}</Message>"
        if call.service == "ec2":
            text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>sim</RequestID></Response>".encode()
        elif call.service == "s3":
            text = f"<Error>{inner}</Error>".encode()
        else:
            error = f"<Error><Type>Sender</Type>{inner}</Error>"
            text = f"<ErrorResponse>{error}<RequestId>sim</RequestId></ErrorResponse>".encode()
        kind = "text/xml"
    headers = [("Content-Type", kind), ("Content-Length", str(len(text))), ("x-amzn-ErrorType", code)]
    start(f"{status} {_REASONS.get(status, 'Error')}", headers)
    return [text]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
