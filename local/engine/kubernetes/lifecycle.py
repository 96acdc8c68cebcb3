"""Create, Update, Delete and Read: property maps to objects and back, with what is secret kept secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from local.engine.kubernetes import helm_calls, inputs, operations, outputs, preview, reading
from local.engine.kubernetes.awaiting import NotReadyError
from local.engine.kubernetes.errors import NoSuchKindError
from local.engine.kubernetes.failures import abort_not_ready, told
from local.engine.kubernetes.helm_release import TOKEN as RELEASE
from local.engine.kubernetes.identity import (
    FIELD_MANAGER_KEY,
    format_id,
    name_of,
    namespace_of,
    object_type,
    parse_id,
)
from local.engine.kubernetes.naming import field_manager
from local.engine.kubernetes.operations import Target
from local.engine.kubernetes.ownership import parse_path
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import Decoded, Path, decode, encode


class LifecycleCalls:
    """The part of the ResourceProvider service that touches objects."""

    _session: Session | None = None

    @property
    def session(self) -> Session:
        if self._session is None:
            raise operations.OperationError("The Kubernetes provider was used before it was configured.")
        return self._session

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.type == RELEASE:
            return helm_calls.create(self.session, request, context)
        news = decode(request.properties)
        with told(context, news.value, news.secrets):
            target = Target(request.urn, object_type(request.type, news.value), news.value)
            if request.preview:
                previewed = preview.preview_create(self.session, target)
                return provider_pb2.CreateResponse(properties=_encoded(previewed, target, news.secrets, ""))
            manager = operations.manager_of(target, {})
            try:
                live, manager = operations.create(self.session, target, request.timeout)
            except NotReadyError as error:
                _abort_not_ready(context, error, target, news, manager, request.properties)
            identifier = format_id(namespace_of(live), name_of(live))
            state = _encoded(live, target, news.secrets, manager)
            return provider_pb2.CreateResponse(id=identifier, properties=state)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.type == RELEASE:
            return helm_calls.update(self.session, request, context)
        news, olds = decode(request.news), decode(request.olds)
        with told(context, news.value, news.secrets):
            target = Target(request.urn, object_type(request.type, news.value), news.value)
            ignored = tuple(path for item in request.ignoreChanges if (path := parse_path(item)))
            manager = operations.manager_of(target, olds.value)
            if request.preview:
                previewed = preview.preview_update(self.session, target, olds.value, ignored)
                return provider_pb2.UpdateResponse(properties=_encoded(previewed, target, news.secrets, manager))
            try:
                live, manager = operations.update(self.session, target, olds.value, ignored, request.timeout)
            except NotReadyError as error:
                _abort_not_ready(context, error, target, news, manager, request.news)
            return provider_pb2.UpdateResponse(properties=_encoded(live, target, news.secrets, manager))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.type == RELEASE:
            return helm_calls.delete(self.session, request, context)
        state, old = decode(request.properties), decode(request.old_inputs)
        known = old.value or state.value
        with told(context, known, old.secrets | state.secrets):
            target = Target(request.urn, object_type(request.type, known), known)
            namespace, name = parse_id(request.id)
            operations.delete(self.session, target, state.value, namespace, name, request.timeout)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.type == RELEASE:
            return helm_calls.read(self.session, request, context)
        old, state = decode(request.inputs), decode(request.properties)
        secrets = old.secrets | state.secrets
        with told(context, old.value, secrets):
            kind = object_type(request.type, state.value or old.value)
            namespace, name = parse_id(request.id)
            try:
                live = reading.read(self.session, kind.gvk, namespace, name)
            except NoSuchKindError:
                if not state.value:
                    raise
                # The definition went, and all its objects with it.
                live = None
            if live is None:
                return provider_pb2.ReadResponse()
            is_ours = bool(old.value and state.value)
            new = (
                reading.refreshed_inputs(self.session, old.value, state.value, live)
                if is_ours
                else reading.imported_inputs(live)
            )
        target = Target(request.urn, kind, new)
        manager = str(state.value.get(FIELD_MANAGER_KEY) or field_manager(request.urn))
        return provider_pb2.ReadResponse(
            id=format_id(namespace_of(live), name_of(live)),
            inputs=encode(new, inputs.secret_paths(new, kind.gvk.kind, secrets)),
            properties=_encoded(live, target, secrets, manager),
        )


def _encoded(live: Mapping[str, Any], target: Target, declared: frozenset[Path], manager: str) -> Any:
    state = dict(live)
    if manager:
        state = outputs.state_of(live, manager, target.type.gvk.api_version)
    return encode(state, outputs.secret_paths(state, target.type.gvk.kind, declared))


def _abort_not_ready(
    context: Any,
    error: NotReadyError,
    target: Target,
    news: Decoded,
    manager: str,
    properties: Any,
) -> NoReturn:
    message = outputs.redacted(str(error), outputs.values_at(news.value, news.secrets))
    state = _encoded(error.live, target, news.secrets, manager)
    identifier = format_id(namespace_of(error.live), name_of(error.live))
    abort_not_ready(context, identifier, state, properties, [message])
