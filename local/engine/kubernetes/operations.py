"""Create, update and delete on the real cluster, each ending when the object is ready or gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.engine.kubernetes import ownership
from local.engine.kubernetes.awaiting import Report, describe, until_gone, until_ready
from local.engine.kubernetes.client import Resource
from local.engine.kubernetes.errors import ApiError, ClusterUnreachableError, NoSuchKindError, explain_conflict
from local.engine.kubernetes.identity import FIELD_MANAGER_KEY, ResourceType, annotations_of, name_of, namespace_of
from local.engine.kubernetes.inputs import placed
from local.engine.kubernetes.naming import field_manager
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import Path
from local.engine.kubernetes.waits import registry

PATCH_FORCE = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"
PROPAGATIONS = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}
DELETE_TIMEOUT_S = 600.0


class OperationError(Exception):
    """Nothing was changed; the message is for the person."""


@dataclass(frozen=True)
class Target:
    """One resource of the program and the object that it stands for."""

    urn: str
    type: ResourceType
    inputs: Mapping[str, Any]


def report_to(session: Session, urn: str) -> Report:
    return lambda text: session.messages.status(urn, text)


def manager_of(target: Target, old_state: Mapping[str, Any]) -> str:
    """Stays the same for the object's life, or fields set before could never be taken back."""
    asked = annotations_of(target.inputs).get(PATCH_FIELD_MANAGER)
    return str(asked or old_state.get(FIELD_MANAGER_KEY) or field_manager(target.urn))


def forces(session: Session, inputs: Mapping[str, Any]) -> bool:
    asked = annotations_of(inputs).get(PATCH_FORCE)
    return session.settings.patch_force if asked is None else str(asked).lower() == "true"


def create(session: Session, target: Target, timeout_s: float) -> tuple[Mapping[str, Any], str]:
    """(the live object, its field manager). Raises NotReadyError once the object exists, else OperationError."""
    resource = session.resource(target.type.gvk, target.urn)
    body = placed(target.inputs, resource.namespaced, session.default_namespace)
    manager = manager_of(target, {})
    existing = session.client.get(resource, namespace_of(body), name_of(body))
    if target.type.is_patch:
        if existing is None:
            raise OperationError(
                f"{describe(body)} does not exist, and a Patch resource only changes existing objects."
            )
    elif existing is not None and not session.settings.upsert_existing:
        _refuse_unless_interrupted(session, target, existing, manager)
    live = _apply(session, resource, body, manager, urn=target.urn)
    return _wait(session, resource, target, live, timeout_s), manager


def _refuse_unless_interrupted(session: Session, target: Target, existing: Mapping[str, Any], manager: str) -> None:
    """An object that this very resource applied before is what an interrupted update left; any other is not ours.

    A resource that is in the state already is being replaced: its object must not be taken for the new one, or the
    deletion of the old one would delete it.
    """
    if existing["metadata"].get("deletionTimestamp"):
        raise OperationError(f"{describe(existing)} is still being deleted: try again when it is gone.")
    if ownership.has_applied(existing, manager) and not session.is_known(target.urn):
        session.messages.warning(
            target.urn, f"{describe(existing)} was left by an interrupted update of this stack; it is taken over."
        )
        return
    raise OperationError(
        f"{describe(existing)} already exists, and creating it would overwrite it: import it (resource option "
        "import_), choose another name, or add an alias if the resource was renamed in the program."
    )


def update(
    session: Session,
    target: Target,
    old_state: Mapping[str, Any],
    ignored: tuple[Path, ...],
    timeout_s: float,
) -> tuple[Mapping[str, Any], str]:
    """As `create`."""
    resource = session.resource(target.type.gvk, target.urn)
    body = placed(target.inputs, resource.namespaced, session.default_namespace)
    manager = manager_of(target, old_state)
    if ignored:
        existing = session.client.get(resource, namespace_of(body), name_of(body))
        if existing is not None:
            body = ownership.without_foreign(body, existing, ignored, manager)
    live = _apply(session, resource, body, manager, urn=target.urn)
    return _wait(session, resource, target, live, timeout_s), manager


def _apply(
    session: Session, resource: Resource, body: Mapping[str, Any], manager: str, *, urn: str
) -> Mapping[str, Any]:
    attempts = 20
    while True:
        try:
            return session.client.apply(resource, body, manager=manager, force=forces(session, body))
        except ApiError as error:
            if error.is_conflict:
                raise OperationError(f"{describe(body)}: {explain_conflict(error)}") from None
            # The namespace may be created by something that this resource does not depend on; and a server that has
            # just been given a definition can still answer 404 for a moment.
            attempts -= 1
            if not error.is_not_found or attempts <= 0:
                raise
            session.messages.status(urn, str(error))
            if session.cancelled.wait(0.5):
                raise


def _wait(
    session: Session, resource: Resource, target: Target, live: Mapping[str, Any], timeout_s: float
) -> Mapping[str, Any]:
    wait = registry.find(target.type.gvk, target.inputs)
    if wait is None or target.type.is_patch:
        return live
    return until_ready(
        session.client,
        resource,
        live,
        wait,
        timeout_s=registry.timeout_s(timeout_s, target.inputs, wait.timeout_s),
        cancelled=session.cancelled,
        report=report_to(session, target.urn),
    )


def delete(
    session: Session, target: Target, state: Mapping[str, Any], namespace: str, name: str, timeout_s: float
) -> None:
    """An object, kind or API group that is gone already is success. Raises NotGoneError, OperationError."""
    try:
        resource = session.client.resource(target.type.gvk)
        namespace = (namespace or session.default_namespace) if resource.namespaced else ""
        existing = session.client.get(resource, namespace, name)
        if existing is None:
            return
        if target.type.is_patch:
            _relinquish(session, target, state, resource, existing)
            return
        propagation = _propagation(target.inputs)
        if not session.client.delete(resource, namespace, name, propagation=propagation):
            return
    except NoSuchKindError:
        return
    except ClusterUnreachableError as error:
        if session.settings.delete_unreachable:
            session.messages.warning(target.urn, f"{name} is dropped from the state without being deleted: {error}")
            return
        raise OperationError(
            f"{error} If the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true drops its objects from "
            "the state."
        ) from None
    until_gone(
        session.client,
        resource,
        existing,
        timeout_s=registry.timeout_s(timeout_s, target.inputs, DELETE_TIMEOUT_S),
        cancelled=session.cancelled,
        report=report_to(session, target.urn),
    )


def _relinquish(
    session: Session, target: Target, state: Mapping[str, Any], resource: Resource, existing: Mapping[str, Any]
) -> None:
    """Applying nothing gives up every field that the patch owned; those nobody else owns go away."""
    metadata = {key: existing["metadata"][key] for key in ("name", "namespace") if key in existing["metadata"]}
    nothing = {"apiVersion": existing["apiVersion"], "kind": existing["kind"], "metadata": metadata}
    session.client.apply(resource, nothing, manager=manager_of(target, state), force=True)


def _propagation(inputs: Mapping[str, Any]) -> str:
    asked = str(annotations_of(inputs).get(DELETION_PROPAGATION) or "foreground").lower()
    if asked not in PROPAGATIONS:
        raise OperationError(f"{DELETION_PROPAGATION} is {asked!r}; it can be {', '.join(PROPAGATIONS)}.")
    return PROPAGATIONS[asked]
