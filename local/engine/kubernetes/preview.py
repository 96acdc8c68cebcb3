"""What a create or update would give, asked of the API server by a dry run, so that its own errors show in a preview.

An object with values that are not known yet cannot be sent; one whose namespace or kind the same preview brings cannot
be looked at yet. Those are shown as declared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from local.engine.kubernetes import ownership
from local.engine.kubernetes.awaiting import describe
from local.engine.kubernetes.client import Resource
from local.engine.kubernetes.errors import ApiError, NoSuchKindError, explain_conflict
from local.engine.kubernetes.identity import name_of, namespace_of
from local.engine.kubernetes.inputs import placed
from local.engine.kubernetes.operations import OperationError, Target, forces, manager_of
from local.engine.kubernetes.outputs import previewed_creation, unchecked_preview
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import Path, has_unknown

# Their name must be what their content says, so a dry run under another name is refused.
NAMED_BY_CONTENT = ("CustomResourceDefinition", "APIService")
ALLOCATED_TWICE = "already allocated"


def preview_create(session: Session, target: Target) -> dict[str, Any]:
    session.note_preview(target.type.gvk, target.inputs)
    if has_unknown(target.inputs):
        return unchecked_preview(target.inputs)
    resource = _resource(session, target)
    if resource is None:
        return unchecked_preview(target.inputs)
    body = placed(target.inputs, resource.namespaced, session.default_namespace)
    if session.will_have_namespace(namespace_of(body)):
        return unchecked_preview(body)
    manager = manager_of(target, {})
    existing = session.client.get(resource, namespace_of(body), name_of(body))
    if target.type.is_patch:
        pass
    elif existing is not None and session.is_known(target.urn):
        # A replacement: the old object is still there under the same name.
        if target.type.gvk.kind in NAMED_BY_CONTENT:
            return unchecked_preview(body)
        body = _renamed(body)
    elif existing is not None and not session.settings.upsert_existing and not ownership.has_applied(existing, manager):
        raise OperationError(
            f"{describe(existing)} already exists, and creating it would overwrite it: import it (resource option "
            "import_), choose another name, or add an alias if the resource was renamed in the program."
        )
    answer = _dry_run(session, target, resource, body, manager)
    if answer is None:
        return unchecked_preview(body)
    answer = {**answer, "metadata": {**answer["metadata"], "name": name_of(target.inputs)}}
    return previewed_creation(answer, target.inputs)


def preview_update(
    session: Session, target: Target, old_state: Mapping[str, Any], ignored: tuple[Path, ...]
) -> dict[str, Any]:
    if has_unknown(target.inputs):
        return dict(target.inputs)
    resource = _resource(session, target)
    if resource is None:
        return dict(target.inputs)
    body = placed(target.inputs, resource.namespaced, session.default_namespace)
    manager = manager_of(target, old_state)
    if ignored:
        existing = session.client.get(resource, namespace_of(body), name_of(body))
        if existing is not None:
            body = ownership.without_foreign(body, existing, ignored, manager)
    return dict(_dry_run(session, target, resource, body, manager) or target.inputs)


def _resource(session: Session, target: Target) -> Resource | None:
    gvk = target.type.gvk
    try:
        return session.client.resource(gvk)
    except NoSuchKindError as error:
        if session.will_have_kind(gvk) is not None:
            return None
        if gvk.is_builtin:
            raise
        session.messages.warning(target.urn, f"{error} This preview could not check the object.")
        return None


def _dry_run(
    session: Session, target: Target, resource: Resource, body: Mapping[str, Any], manager: str
) -> dict[str, Any] | None:
    """None when the namespace is not there yet."""
    try:
        return session.client.apply(resource, body, manager=manager, force=forces(session, body), dry_run=True)
    except ApiError as error:
        if error.is_conflict:
            raise OperationError(f"{describe(body)}: {explain_conflict(error)}") from None
        if error.missing_namespace:
            if not session.will_have_namespace(error.missing_namespace):
                session.messages.warning(
                    target.urn,
                    f'The namespace "{error.missing_namespace}" does not exist yet, so this preview could not check '
                    "the object.",
                )
            return None
        if ALLOCATED_TWICE in error.message and session.is_known(target.urn):
            # What a replacement asks for is still the old object's.
            return None
        raise


def _renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    name = name_of(body)
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return {**body, "metadata": {**body["metadata"], "name": f"{name[:50].rstrip('-.')}-{digits}"}}
