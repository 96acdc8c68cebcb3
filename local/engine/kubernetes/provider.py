"""The ResourceProvider service: property maps in, property maps out, everything else elsewhere."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.engine.kubernetes import configuration, functions, inputs, operations, outputs, preview, reading
from local.engine.kubernetes.awaiting import NotReadyError
from local.engine.kubernetes.connection import parse_settings
from local.engine.kubernetes.diff import difference
from local.engine.kubernetes.engine import EngineMessages
from local.engine.kubernetes.errors import NoSuchKindError
from local.engine.kubernetes.failures import EXPECTED, abort, abort_not_ready, describe_api_error
from local.engine.kubernetes.identity import (
    FIELD_MANAGER_KEY,
    UnsupportedError,
    format_id,
    name_of,
    namespace_of,
    object_type,
    parse_id,
    parse_type,
)
from local.engine.kubernetes.naming import field_manager, urn_name
from local.engine.kubernetes.operations import Target
from local.engine.kubernetes.ownership import parse_path
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import Decoded, Path, ValueRefusedError, decode, encode, text
from local.engine.kubernetes.waits import custom, registry

VERSION = "4.34.2"
_NAMING_MODES: tuple[inputs.NamingMode, ...] = ("propose", "enforce", "disable")
_CHANGE_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, engine_address: str) -> None:
        self._messages = EngineMessages(engine_address)
        self._session: Session | None = None

    def close(self) -> None:
        if self._session is not None:
            self._session.cancelled.set()

    @property
    def session(self) -> Session:
        if self._session is None:
            raise operations.OperationError("The Kubernetes provider was used before it was configured.")
        return self._session

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False, supports_autonaming_configuration=True
        )

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return context.abort(
            grpc.StatusCode.UNIMPLEMENTED, "The stand-in Kubernetes provider of Manta carries no schema."
        )

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.close()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        failures = configuration.check(decode(request.news).value)
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures],
        )

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        changed, replaces = configuration.compare(decode(request.old_inputs).value, decode(request.news).value)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
        )

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context, {}, frozenset()):
            settings = parse_settings(decode(request.args).value, os.environ)
            self._session = Session(settings, self._messages)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        try:
            news, olds = decode(request.news), decode(request.olds)
            declared = parse_type(request.type)
            kind = object_type(request.type, news.value)
            if olds.value:
                self.session.mark_known(request.urn)
            naming = inputs.Naming(
                urn_name(request.urn),
                request.randomSeed,
                request.autonaming.proposed_name if request.HasField("autonaming") else "",
                _NAMING_MODES[int(request.autonaming.mode)] if request.HasField("autonaming") else "propose",
            )
            checked = inputs.pruned(news.value)
            checked.setdefault("apiVersion", declared.gvk.api_version)
            checked.setdefault("kind", declared.gvk.kind)
            if not declared.is_patch:
                checked = inputs.named(checked, olds.value, naming)
            elif not name_of(checked):
                raise inputs.InputError("metadata.name", "a Patch resource needs the name of the object to change")
            custom_wait = registry.find(kind.gvk, checked)
            registry.timeout_s(0, checked, custom_wait.timeout_s if custom_wait else 0)
        except (inputs.InputError, custom.WaitForError, UnsupportedError, ValueRefusedError) as error:
            name = error.property_path if isinstance(error, inputs.InputError) else ""
            failure = provider_pb2.CheckFailure(property=name, reason=str(error))
            return provider_pb2.CheckResponse(inputs=request.news, failures=[failure])
        secrets = inputs.secret_paths(checked, kind.gvk.kind, news.secrets)
        return provider_pb2.CheckResponse(inputs=encode(checked, secrets))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.session.mark_known(request.urn)
        old, new = decode(request.old_inputs), decode(request.news)
        with _told(context, new.value, new.secrets):
            kind = object_type(request.type, new.value)
            settings = self.session.settings
            mutable = {"ConfigMap": settings.config_map_mutable, "Secret": settings.secret_mutable}
            found = difference(
                kind.gvk,
                old.value,
                new.value,
                default_namespace=self.session.default_namespace,
                content_mutable=mutable.get(kind.gvk.kind, False) or kind.is_patch,
            )
        response = provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found.changes else provider_pb2.DiffResponse.DIFF_NONE,
            deleteBeforeReplace=found.delete_before_replace,
            hasDetailedDiff=True,
            diffs=sorted({str(c.path[0]) for c in found.changes}),
            replaces=sorted({str(c.path[0]) for c in found.changes if c.replaces}),
        )
        for change in found.changes:
            detail = response.detailedDiff[text(change.path)]
            detail.kind = _CHANGE_KINDS[change.kind, change.replaces]
            detail.inputDiff = True
        return response

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        news = decode(request.properties)
        with _told(context, news.value, news.secrets):
            target = Target(request.urn, object_type(request.type, news.value), news.value)
            if request.preview:
                previewed = preview.preview_create(self.session, target)
                return provider_pb2.CreateResponse(properties=self._encoded(previewed, target, news.secrets, ""))
            manager = operations.manager_of(target, {})
            try:
                live, manager = operations.create(self.session, target, request.timeout)
            except NotReadyError as error:
                self._abort_not_ready(context, error, target, news, manager, request.properties)
            identifier = format_id(namespace_of(live), name_of(live))
            state = self._encoded(live, target, news.secrets, manager)
            return provider_pb2.CreateResponse(id=identifier, properties=state)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        news, olds = decode(request.news), decode(request.olds)
        with _told(context, news.value, news.secrets):
            target = Target(request.urn, object_type(request.type, news.value), news.value)
            ignored = tuple(path for item in request.ignoreChanges if (path := parse_path(item)))
            manager = operations.manager_of(target, olds.value)
            if request.preview:
                previewed = preview.preview_update(self.session, target, olds.value, ignored)
                return provider_pb2.UpdateResponse(properties=self._encoded(previewed, target, news.secrets, manager))
            try:
                live, manager = operations.update(self.session, target, olds.value, ignored, request.timeout)
            except NotReadyError as error:
                self._abort_not_ready(context, error, target, news, manager, request.news)
            return provider_pb2.UpdateResponse(properties=self._encoded(live, target, news.secrets, manager))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        state, old = decode(request.properties), decode(request.old_inputs)
        known = old.value or state.value
        with _told(context, known, old.secrets | state.secrets):
            target = Target(request.urn, object_type(request.type, known), known)
            namespace, name = parse_id(request.id)
            operations.delete(self.session, target, state.value, namespace, name, request.timeout)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        old, state = decode(request.inputs), decode(request.properties)
        secrets = old.secrets | state.secrets
        with _told(context, old.value, secrets):
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
            properties=self._encoded(live, target, secrets, manager),
        )

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = decode(request.args)
        with _told(context, {}, frozenset()):
            result = functions.invoke(request.tok, arguments.value)
        response = provider_pb2.InvokeResponse()
        # `return` is a keyword, so the field has no attribute of that name.
        getattr(response, "return").CopyFrom(encode(result, {("result",)} if arguments.secrets else ()))
        return response

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context, {}, frozenset()):
            parse_type(request.type)
            raise UnsupportedError(f"{request.type} needs Pulumi's official Kubernetes provider.")

    def _encoded(self, live: Mapping[str, Any], target: Target, declared: frozenset[Path], manager: str) -> Any:
        state = dict(live)
        if manager:
            state = outputs.state_of(live, manager, target.type.gvk.api_version)
        return encode(state, outputs.secret_paths(state, target.type.gvk.kind, declared))

    def _abort_not_ready(
        self,
        context: Any,
        error: NotReadyError,
        target: Target,
        news: Decoded,
        manager: str,
        properties: Any,
    ) -> NoReturn:
        message = outputs.redacted(str(error), outputs.values_at(news.value, news.secrets))
        state = self._encoded(error.live, target, news.secrets, manager)
        identifier = format_id(namespace_of(error.live), name_of(error.live))
        abort_not_ready(context, identifier, state, properties, [message])


@contextmanager
def _told(context: Any, values: Mapping[str, Any], secrets: frozenset[Path]) -> Generator[None]:
    """Ends the call with a sentence for every failure that is a person's business; others are bugs and stay loud."""
    try:
        yield
    except EXPECTED as error:
        message = describe_api_error(error, values)
        kind = str(values.get("kind") or "")
        marked = inputs.secret_paths(values, kind, secrets)
        abort(context, error, outputs.redacted(message, outputs.values_at(values, marked)))
