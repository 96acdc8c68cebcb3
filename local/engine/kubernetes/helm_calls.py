"""The engine's calls for Helm releases."""

from __future__ import annotations

from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from local.engine.kubernetes import helm_release
from local.engine.kubernetes.failures import abort_not_ready, told
from local.engine.kubernetes.helm import HelmError
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import Decoded, decode, encode


def check(request: Any) -> Any:
    news = decode(request.news)
    inputs = {key: value for key, value in news.value.items() if value is not None}
    failures = [provider_pb2.CheckFailure(property=name, reason=why) for name, why in helm_release.check(inputs)]
    return provider_pb2.CheckResponse(inputs=encode(inputs, news.secrets), failures=failures)


def diff(request: Any) -> Any:
    changed = helm_release.changed(decode(request.old_inputs).value, decode(request.news).value)
    replaced = [key for key in changed if key in helm_release.REPLACING]
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=changed,
        replaces=replaced,
        deleteBeforeReplace=bool(replaced),
    )


def create(session: Session, request: Any, context: Any) -> Any:
    news = decode(request.properties)
    if request.preview:
        return provider_pb2.CreateResponse(properties=encode(news.value, news.secrets))
    with told(context, news.value, news.secrets):
        identifier = helm_release.identifier_of(session, news.value)
        state = _install(session, context, identifier, news, request.properties)
    return provider_pb2.CreateResponse(id=identifier, properties=state)


def update(session: Session, request: Any, context: Any) -> Any:
    news, olds = decode(request.news), decode(request.olds)
    if request.preview:
        return provider_pb2.UpdateResponse(properties=encode({**olds.value, **news.value}, news.secrets))
    with told(context, news.value, news.secrets):
        state = _install(session, context, request.id, news, request.news)
    return provider_pb2.UpdateResponse(properties=state)


def delete(session: Session, request: Any, context: Any) -> Any:
    state = decode(request.properties)
    with told(context, state.value, state.secrets):
        helm_release.uninstall(session, request.id, state.value)
    return empty_pb2.Empty()


def read(session: Session, request: Any, context: Any) -> Any:
    old, state = decode(request.inputs), decode(request.properties)
    secrets = old.secrets | state.secrets
    with told(context, old.value, secrets):
        live = helm_release.state_of(session, request.id, state.value)
        if live is None:
            return provider_pb2.ReadResponse()
        inputs = helm_release.refreshed(session, request.id, old.value)
    return provider_pb2.ReadResponse(
        id=request.id, inputs=encode(inputs, secrets), properties=encode({**live, **inputs}, secrets)
    )


def _install(session: Session, context: Any, identifier: str, news: Decoded, declared: Any) -> Any:
    """A release that did not become ready is kept in the state, so that the next run puts it right."""
    try:
        helm_release.install(session, news.value)
    except HelmError as error:
        found = helm_release.state_of(session, identifier, news.value)
        if found is None:
            raise
        message = f"Helm release {identifier}: {error}"
        abort_not_ready(context, identifier, encode(found, news.secrets), declared, [message])
    return encode(helm_release.state_of(session, identifier, news.value) or news.value, news.secrets)
