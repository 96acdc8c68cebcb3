"""Reading an object for refresh, import and `.get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.engine.kubernetes.drift import live_inputs
from local.engine.kubernetes.errors import ApiError
from local.engine.kubernetes.identity import FIELD_MANAGER_KEY, GroupVersionKind
from local.engine.kubernetes.inputs import pruned
from local.engine.kubernetes.session import Session


def read(session: Session, gvk: GroupVersionKind, namespace: str, name: str) -> Mapping[str, Any] | None:
    """None when there is no such object. An id without a namespace means the default one. Raises NoSuchKindError."""
    resource = session.client.resource(gvk)
    if resource.namespaced and not namespace:
        namespace = session.default_namespace
    return session.client.get(resource, namespace if resource.namespaced else "", name)


def refreshed_inputs(
    session: Session, inputs: Mapping[str, Any], state: Mapping[str, Any], live: Mapping[str, Any]
) -> dict[str, Any]:
    """The inputs as the cluster has them now: those of the program, changed where the live object was changed."""
    resource = session.client.resource(GroupVersionKind.parse(live["apiVersion"], live["kind"]))
    metadata = {**inputs.get("metadata", {}), "name": live["metadata"]["name"]}
    if "namespace" in live["metadata"]:
        metadata["namespace"] = live["metadata"]["namespace"]
    body = pruned({**inputs, "metadata": metadata})
    manager = str(state.get(FIELD_MANAGER_KEY) or "pulumi-kubernetes-refresh")
    try:
        expected = session.client.apply(resource, body, manager=manager, force=True, dry_run=True)
    except ApiError as error:
        # The inputs are no longer acceptable, or this identity may not write: compare with them as they are.
        if error.status not in (400, 403, 404, 409, 422, 500):
            raise
        expected = body
    result = live_inputs(body, expected, live)
    if "namespace" not in inputs.get("metadata", {}):
        result["metadata"].pop("namespace", None)
    return result


def imported_inputs(live: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of an object that no program has declared yet: everything but what the API server writes."""
    return pruned(live)
