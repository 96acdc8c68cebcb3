"""The ResourceProvider service: property maps in, property maps out; what a type is, elsewhere."""

from __future__ import annotations

import os
from typing import Any

import grpc
from botocore.exceptions import ClientError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.engine.aws import comparing, configuration, functions, schema, types
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError, UnsupportedError, is_missing, sentence, told
from local.engine.aws.kinds import Kind, Values
from local.engine.kubernetes.failures import abort_not_ready
from local.engine.kubernetes.values import UNKNOWN, Decoded, Path, decode, encode, has_unknown, text

VERSION = "7.51.1"
_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self) -> None:
        self._cloud: Cloud | None = None

    @property
    def cloud(self) -> Cloud:
        if self._cloud is None:
            raise AwsError("the AWS provider was used before it was configured")
        return self._cloud

    def close(self) -> None:
        """Nothing is held that outlives a call."""

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return context.abort(grpc.StatusCode.UNIMPLEMENTED, "The stand-in AWS provider of Manta carries no schema.")

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        failures = configuration.check(decode(request.news).value)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        old, new = decode(request.old_inputs).value, decode(request.news).value
        changed = sorted(key for key in {**old, **new} if key != "version" and old.get(key) != new.get(key))
        # Another region is another place; everything else is another way to the same.
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "region"],
        )

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            self._cloud = Cloud(configuration.parse(decode(request.args).value, os.environ))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            kind = types.of(request.type)
            news = decode(request.news)
            inputs = self._with_tags(kind, {key: value for key, value in news.value.items() if value is not None})
            failures = schema.failures(inputs, kind.properties) or kind.judge(inputs)
        if failures:
            return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))
        return provider_pb2.CheckResponse(inputs=encode(inputs, _secrets(kind, inputs, news.secrets)))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            kind = types.of(request.type)
            old, new = decode(request.old_inputs).value, decode(request.news).value
            changes = comparing.changes(kind, old, new)
        response = provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
            deleteBeforeReplace=comparing.must_go_first(kind, old, new, changes),
            hasDetailedDiff=True,
            diffs=sorted({str(change.path[0]) for change in changes}),
            replaces=sorted({str(change.path[0]) for change in changes if change.replaces}),
        )
        for change in changes:
            detail = response.detailedDiff[text(change.path)]
            detail.kind = _KINDS[change.kind, change.replaces]
            detail.inputDiff = True
        return response

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        news = decode(request.properties)
        with told(context):
            kind = types.of(request.type)
            if request.preview:
                return provider_pb2.CreateResponse(
                    properties=encode(news.value, _secrets(kind, news.value, news.secrets))
                )
            self.cloud.account  # noqa: B018 - refuses another account
            identifier = kind.create(self.cloud, news.value)
        state = self._settle(context, kind, identifier, news, {}, request.properties)
        return provider_pb2.CreateResponse(id=identifier, properties=state)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        news, old = decode(request.news), decode(request.olds)
        with told(context):
            kind = types.of(request.type)
            if request.preview:
                merged = {**old.value, **news.value}
                secrets = _secrets(kind, merged, news.secrets | old.secrets)
                return provider_pb2.UpdateResponse(properties=encode(merged, secrets))
        state = self._settle(context, kind, request.id, news, old.value, request.news)
        return provider_pb2.UpdateResponse(properties=state)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            kind = types.of(request.type)
            known = {**decode(request.old_inputs).value, **decode(request.properties).value}
            try:
                kind.delete(self.cloud, request.id, known)
            except ClientError as error:
                # Gone is gone; but what is missing may be something else, and the resource still there.
                if not is_missing(error) or self.cloud.find(lambda: kind.read(self.cloud, request.id, known)):
                    raise
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            kind = types.of(request.type)
            old, state = decode(request.inputs), decode(request.properties)
            live = self.cloud.find(lambda: kind.read(self.cloud, request.id, {**old.value, **state.value}))
            if live is None:
                return provider_pb2.ReadResponse()
            live = self._seen(kind, live, old.value)
            inputs = comparing.refreshed(kind, old.value, live) if old.value else comparing.imported(kind, live)
            secrets = old.secrets | state.secrets
            outputs = {**state.value, **comparing.settled(kind, {**state.value, **inputs}, live)}
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=encode(inputs, _secrets(kind, inputs, secrets)),
            properties=encode(outputs, _secrets(kind, outputs, secrets)),
        )

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            result = functions.invoke(self.cloud, request.tok)
        response = provider_pb2.InvokeResponse()
        # `return` is a keyword, so the field has no attribute of that name.
        getattr(response, "return").CopyFrom(encode(result))
        return response

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        with told(context):
            raise UnsupportedError(f"{request.type} needs Pulumi's official AWS provider")

    def _settle(self, context: Any, kind: Kind, identifier: str, news: Decoded, had: Values, declared: Any) -> Any:
        """The state of what exists. A failure keeps it there, so that nothing is made twice or forgotten."""
        want = news.value
        try:
            kind.settle(self.cloud, identifier, want, had)
            live = kind.read(self.cloud, identifier, {**had, **want})
            if live is None:
                raise AwsError("it is gone right after it was made")
        except Exception as error:  # whatever it is: the resource exists, and what is not recorded is orphaned
            state = {**had, **want}
            encoded = encode(state, _secrets(kind, state, news.secrets))
            abort_not_ready(context, identifier, encoded, declared, [sentence(error)])
        live = self._seen(kind, live, want)
        state = comparing.settled(kind, want, live)
        return encode(state, _secrets(kind, state, news.secrets))

    def _with_tags(self, kind: Kind, inputs: Values) -> Values:
        """`tagsAll`: the provider's default tags under the resource's own, so that a change of either is seen."""
        inputs.pop("tagsAll", None)
        if not kind.tagged:
            return inputs
        own = inputs.get("tags", {})
        if has_unknown(own) and not isinstance(own, dict):
            return {**inputs, "tagsAll": UNKNOWN}
        return {**inputs, "tagsAll": {**self.cloud.configuration.default_tags, **own}}

    def _seen(self, kind: Kind, live: Values, want: Values) -> Values:
        live = {"region": self.cloud.region, **live}
        if kind.tagged:
            every = {key: value for key, value in live.get("tagsAll", {}).items() if not key.startswith("aws:")}
            own, defaults = want.get("tags", {}), self.cloud.configuration.default_tags
            live["tagsAll"] = every
            live["tags"] = {key: value for key, value in every.items() if key in own or defaults.get(key) != value}
        return live


def _failures(failures: list[tuple[str, str]]) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=name.split(".")[0].split("[")[0], reason=reason) for name, reason in failures
    ]


def _secrets(kind: Kind, values: Values, marked: frozenset[Path]) -> set[Path]:
    return {*marked, *((name,) for name, wanted in kind.properties.items() if wanted.secret and name in values)}
