"""What is tried again, what is not, and how waiting lives through an API server that goes away."""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
import urllib3.exceptions

from local.engine.kubernetes import awaiting, client
from local.engine.kubernetes.awaiting import NotGoneError, NotReadyError
from local.engine.kubernetes.client import Client, Resource
from local.engine.kubernetes.errors import ApiError, ClusterUnreachableError, NoSuchKindError
from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.waits.registry import Wait
from local.engine.kubernetes.waits.status import Failed, Ready, Status, Waiting

CONFIG_MAP = Resource(GroupVersionKind("", "v1", "ConfigMap"), "configmaps", True)
NODE = Resource(GroupVersionKind("", "v1", "Node"), "nodes", False)
REFUSED = urllib3.exceptions.ProtocolError("x: [Errno 111] Connection refused")


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.data = json.dumps(body).encode()


class Server:
    """Gives the prepared answers in turn, the last one for ever."""

    server = "https://api"

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, Any]] = []
        self.pool: Any = self

    def headers(self) -> dict[str, str]:
        return {"Authorization": "Bearer t"}

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], **_: Any) -> Answer:
        assert headers["Authorization"] == "Bearer t"
        self.requests.append((method, url, json.loads(body) if body else None))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _client(server: Server) -> Client:
    return Client(server, threading.Event())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_FOR_S", 1.0)
    monkeypatch.setattr(awaiting, "LAST_POLL_S", 0.05)


@pytest.mark.parametrize("trouble", [REFUSED, Answer(503, {}), Answer(429, {})])
def test_what_is_transient_is_tried_again(trouble: Answer | Exception) -> None:
    server = Server(trouble, Answer(200, {"ok": True}))

    assert _client(server).request("GET", "/x") == {"ok": True}
    assert len(server.requests) == 2


def test_a_refusal_is_not_tried_again() -> None:
    server = Server(Answer(403, {"kind": "Status", "reason": "Forbidden", "message": "not you"}))

    with pytest.raises(ApiError, match="not you"):
        _client(server).request("GET", "/x")
    assert len(server.requests) == 1


def test_a_server_that_was_given_up_is_asked_once_by_the_next_request() -> None:
    server = Server(REFUSED)
    api = _client(server)
    with pytest.raises(ClusterUnreachableError, match=r"https://api cannot be reached \(connection refused\)"):
        api.request("GET", "/x")
    asked = len(server.requests)
    assert asked > 1

    with pytest.raises(ClusterUnreachableError):
        api.request("GET", "/x")

    assert len(server.requests) == asked + 1


def test_cancelling_ends_the_retries() -> None:
    cancelled = threading.Event()
    cancelled.set()
    server = Server(REFUSED)

    with pytest.raises(ClusterUnreachableError):
        Client(server, cancelled).request("GET", "/x")
    assert len(server.requests) == 1


def test_kinds_are_asked_for_once_and_again_when_one_is_missing() -> None:
    without = Answer(200, {"resources": [{"kind": "A", "name": "as", "namespaced": True}]})
    added = [
        {"kind": "B", "name": "bs", "namespaced": False},
        {"kind": "B", "name": "bs/status", "namespaced": False},
    ]
    server = Server(without, without, Answer(200, {"resources": added}))
    api = _client(server)

    assert api.resource(GroupVersionKind("g.io", "v1", "A")).plural == "as"
    api.resource(GroupVersionKind("g.io", "v1", "A"))
    assert len(server.requests) == 1
    with pytest.raises(NoSuchKindError, match=r'no kind "B" in g\.io/v1: is the CustomResourceDefinition installed'):
        api.resource(GroupVersionKind("g.io", "v1", "B"))
    assert not api.resource(GroupVersionKind("g.io", "v1", "B")).namespaced


def test_an_api_group_that_is_not_served_has_no_kinds() -> None:
    with pytest.raises(NoSuchKindError):
        _client(Server(Answer(404, {}))).resource(GroupVersionKind("g.io", "v1", "A"))


def test_paths_follow_the_scope_of_the_kind() -> None:
    assert CONFIG_MAP.path("ns", "x") == "/api/v1/namespaces/ns/configmaps/x"
    assert NODE.path("", "n") == "/api/v1/nodes/n"
    custom = Resource(GroupVersionKind("ray.io", "v1", "RayJob"), "rayjobs", True)
    assert custom.path("ns") == "/apis/ray.io/v1/namespaces/ns/rayjobs"


def test_applying_names_the_manager_and_refuses_unknown_fields() -> None:
    server = Server(Answer(200, {}))
    body = {"metadata": {"name": "x", "namespace": "ns"}}

    _client(server).apply(CONFIG_MAP, body, manager="m", dry_run=True)

    method, url, sent = server.requests[0]
    assert (method, sent) == ("PATCH", body)
    query = {key: value[0] for key, value in parse_qs(urlsplit(url).query).items()}
    assert query == {"fieldManager": "m", "force": "false", "fieldValidation": "Strict", "dryRun": "All"}


def test_deleting_what_is_gone_says_so() -> None:
    assert _client(Server(Answer(404, {}))).delete(CONFIG_MAP, "ns", "x", propagation="Foreground") is False
    assert _client(Server(Answer(200, {}))).delete(CONFIG_MAP, "ns", "x", propagation="Foreground") is True


def _object(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "ns", "uid": "1", **changes}
    return {"kind": "ConfigMap", "metadata": metadata}


def _phases(*phases: Status) -> Wait:
    remaining = list(phases)
    return Wait(lambda _: (), lambda *_: remaining.pop(0) if len(remaining) > 1 else remaining[0])


def _until_ready(server: Server, wait: Wait, *, timeout_s: float = 30, cancelled: bool = False) -> list[str]:
    event = threading.Event()
    if cancelled:
        event.set()
    reported: list[str] = []
    awaiting.until_ready(
        Client(server, threading.Event()), CONFIG_MAP, _object(), wait,
        timeout_s=timeout_s, cancelled=event, report=reported.append,
    )  # fmt: skip
    return reported


def test_waiting_reports_reasons_and_clears_them_at_the_end() -> None:
    reported = _until_ready(Server(Answer(200, _object())), _phases(Waiting("no pods"), Waiting("one pod"), Ready()))

    assert reported == ["no pods", "one pod", ""]


def test_waiting_lives_through_an_api_server_that_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_FOR_S", 0.0)
    server = Server(Answer(200, _object()), REFUSED, REFUSED, Answer(200, _object()))

    reported = _until_ready(server, _phases(Waiting("no pods"), Ready()))

    assert reported[0] == "no pods"
    assert "cannot be reached" in reported[1]
    assert reported[-1] == ""


@pytest.mark.parametrize(
    ("server", "wait", "options", "words"),
    [
        (Server(Answer(404, {})), _phases(Ready()), {}, "was deleted while it was waited for"),
        (Server(Answer(200, _object())), _phases(Failed("it broke.")), {}, "is not ready: it broke.$"),
        (
            Server(Answer(200, _object())),
            _phases(Waiting("no pods")),
            {"timeout_s": 0.2},
            "not ready after 0 s: no pods",
        ),
        (Server(Answer(200, _object())), _phases(Waiting("no pods")), {"cancelled": True}, "update was cancelled"),
    ],
)
def test_a_wait_that_fails_keeps_the_object(server: Server, wait: Wait, options: dict[str, Any], words: str) -> None:
    with pytest.raises(NotReadyError, match=words) as caught:
        _until_ready(server, wait, **options)

    assert caught.value.live["metadata"]["uid"] == "1"


def _until_gone(server: Server, timeout_s: float = 30) -> list[str]:
    reported: list[str] = []
    awaiting.until_gone(
        Client(server, threading.Event()), CONFIG_MAP, _object(),
        timeout_s=timeout_s, cancelled=threading.Event(), report=reported.append,
    )  # fmt: skip
    return reported


def test_an_object_of_the_same_name_is_another_one() -> None:
    assert _until_gone(Server(Answer(200, _object()), Answer(200, _object(uid="2")))) == ["being deleted", ""]


def test_finalizers_that_hold_an_object_are_named() -> None:
    held = _object(finalizers=["a.io/one"])

    with pytest.raises(NotGoneError, match=r"not gone after 0 s: waiting for its finalizers \(a\.io/one\)"):
        _until_gone(Server(Answer(200, held)), timeout_s=0.1)


def test_what_remains_in_a_namespace_is_told() -> None:
    conditions = [{"type": "NamespaceContentRemaining", "status": "True", "message": "pods has 2 resource instances"}]
    namespace = {**_object(), "kind": "Namespace", "status": {"conditions": conditions}}

    with pytest.raises(NotGoneError, match="pods has 2 resource instances"):
        _until_gone(Server(Answer(200, namespace)), timeout_s=0.1)
