"""Waiting on the API server: for an object to be ready, and for one to be gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from local.engine.kubernetes.client import Client, Resource
from local.engine.kubernetes.errors import ApiError, ClusterUnreachableError, NoSuchKindError
from local.engine.kubernetes.identity import name_of, namespace_of
from local.engine.kubernetes.objects import Object, items
from local.engine.kubernetes.waits.registry import Wait
from local.engine.kubernetes.waits.status import Failed, Query, Ready, Status, Waiting

FIRST_POLL_S = 0.1
LAST_POLL_S = 2.0

Report = Callable[[str], None]


class NotReadyError(Exception):
    """The object exists and is not ready: it failed, time ran out or the update was cancelled."""

    def __init__(self, reason: str, live: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.live = live


class NotGoneError(Exception):
    """The object is marked for deletion and still there."""


def describe(obj: Mapping[str, Any]) -> str:
    namespace = namespace_of(obj)
    return f"{obj.get('kind')} {namespace + '/' if namespace else ''}{name_of(obj)}"


def until_ready(
    client: Client,
    resource: Resource,
    live: Mapping[str, Any],
    wait: Wait,
    *,
    timeout_s: float,
    cancelled: threading.Event,
    report: Report,
) -> Mapping[str, Any]:
    """The object as it was when it became ready. Raises NotReadyError.

    An API server that is away for a while is waited for as well: a control plane restarts.
    """
    deadline = time.monotonic() + timeout_s
    poll = FIRST_POLL_S
    while True:
        status: Status
        try:
            current = client.get(resource, namespace_of(live), name_of(live))
            if current is None:
                raise NotReadyError(f"{describe(live)} was deleted while it was waited for.", live)
            live = current
            related = [obj for query in wait.related(live) for obj in _find(client, query, namespace_of(live))]
            status = wait.status(live, related)
        except (ApiError, ClusterUnreachableError) as error:
            status = Waiting(str(error))
        if isinstance(status, Ready):
            report("")
            return live
        if isinstance(status, Failed):
            raise NotReadyError(f"{describe(live)} is not ready: {_clause(status.reason)}.", live)
        report(status.reason)
        left = deadline - time.monotonic()
        if left <= 0:
            raise NotReadyError(
                f"{describe(live)} was not ready after {timeout_s:.0f} s: {_clause(status.reason)}. A custom timeout "
                "or the annotation pulumi.com/timeoutSeconds gives it longer.",
                live,
            )
        if cancelled.wait(min(poll, left)):
            raise NotReadyError(
                f"The update was cancelled while {describe(live)} was waited for: {status.reason}.", live
            )
        poll = min(poll * 1.5, LAST_POLL_S)


def _clause(text: str) -> str:
    """Messages of Kubernetes end with a full stop or not; inside a sentence they must not."""
    return text.rstrip(".")


def _find(client: Client, query: Query, namespace: str) -> list[dict[str, Any]]:
    try:
        if query.name:
            found = client.get(client.resource(query.gvk), namespace, query.name)
            return [found] if found is not None else []
        return client.list(query.gvk, namespace, labelSelector=query.label_selector)
    except NoSuchKindError:
        return []
    except ApiError as error:
        if error.status == 403:
            # They only help to say what is wrong; someone who may not list pods may still deploy.
            return []
        raise


def until_gone(
    client: Client,
    resource: Resource,
    live: Mapping[str, Any],
    *,
    timeout_s: float,
    cancelled: threading.Event,
    report: Report,
) -> None:
    """Returns when the object, or any that took its name, is another or none. Raises NotGoneError."""
    uid = live["metadata"].get("uid")
    deadline = time.monotonic() + timeout_s
    poll = FIRST_POLL_S
    reason = "the API server has not answered"
    while True:
        try:
            current = client.get(resource, namespace_of(live), name_of(live))
            if current is None or current["metadata"].get("uid") != uid:
                report("")
                return
            reason = _remaining(current)
        except (ApiError, ClusterUnreachableError) as error:
            reason = str(error)
        report(reason)
        left = deadline - time.monotonic()
        if left <= 0:
            raise NotGoneError(f"{describe(live)} was not gone after {timeout_s:.0f} s: {reason}.")
        if cancelled.wait(min(poll, left)):
            raise NotGoneError(f"The update was cancelled while {describe(live)} was being deleted: {reason}.")
        poll = min(poll * 1.5, LAST_POLL_S)


def _remaining(obj: Object) -> str:
    if obj.get("kind") == "Namespace":
        for entry in items(obj, "status", "conditions"):
            if entry.get("status") == "True" and str(entry.get("type")).endswith("Remaining"):
                return str(entry.get("message"))
    finalizers = cast(list[str], obj["metadata"].get("finalizers") or [])
    if finalizers:
        return f"waiting for its finalizers ({', '.join(finalizers)})"
    return "being deleted"
