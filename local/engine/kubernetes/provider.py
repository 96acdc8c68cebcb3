"""The ResourceProvider service: property maps in, property maps out, everything else elsewhere."""

from __future__ import annotations

import os
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.engine.kubernetes import configuration, functions, helm_calls, inputs
from local.engine.kubernetes.connection import parse_settings
from local.engine.kubernetes.diff import difference
from local.engine.kubernetes.engine import EngineMessages
from local.engine.kubernetes.failures import told
from local.engine.kubernetes.helm_release import TOKEN as RELEASE
from local.engine.kubernetes.identity import (
    UnsupportedError,
    name_of,
    object_type,
    parse_type,
)
from local.engine.kubernetes.lifecycle import LifecycleCalls
from local.engine.kubernetes.naming import urn_name
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import ValueRefusedError, decode, encode, text
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


class KubernetesProvider(LifecycleCalls, provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, engine_address: str) -> None:
        self._messages = EngineMessages(engine_address)

    def close(self) -> None:
        if self._session is not None:
            self._session.cancelled.set()

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
        with told(context, {}, frozenset()):
            settings = parse_settings(decode(request.args).value, os.environ)
            self._session = Session(settings, self._messages)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        if request.type == RELEASE:
            return helm_calls.check(request)
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
        if request.type == RELEASE:
            return helm_calls.diff(request)
        self.session.mark_known(request.urn)
        old, new = decode(request.old_inputs), decode(request.news)
        with told(context, new.value, new.secrets):
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

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = decode(request.args)
        with told(context, {}, frozenset()):
            result = functions.invoke(request.tok, arguments.value)
        response = provider_pb2.InvokeResponse()
        # `return` is a keyword, so the field has no attribute of that name.
        getattr(response, "return").CopyFrom(encode(result, {("result",)} if arguments.secrets else ()))
        return response

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context, {}, frozenset()):
            parse_type(request.type)
            raise UnsupportedError(f"{request.type} needs Pulumi's official Kubernetes provider.")
