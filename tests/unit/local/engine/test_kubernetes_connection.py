"""The provider's configuration, read as the official provider reads it; errors that name the setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.engine.kubernetes import configuration, connection, errors, functions
from local.engine.kubernetes.connection import ConfigurationError
from local.engine.kubernetes.operations import OperationError


def _kubeconfig(server: str = "https://a", namespace: str | None = None) -> dict[str, Any]:
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    return {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "hunter2"}}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }


def test_a_kubeconfig_is_a_path_or_the_content_itself(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(_kubeconfig()))

    for given in (str(path), yaml.safe_dump(_kubeconfig()), json.dumps(_kubeconfig())):
        assert connection.load_kubeconfig(given, {})[0] == _kubeconfig()
    assert connection.load_kubeconfig(None, {"KUBECONFIG": f"/nowhere:{path}"}) == (_kubeconfig(), str(tmp_path))


def test_a_missing_kubeconfig_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="no kubeconfig at /nowhere: set KUBECONFIG"):
        connection.load_kubeconfig(None, {"KUBECONFIG": "/nowhere"})


def test_a_broken_kubeconfig_is_refused_without_being_quoted() -> None:
    for text in ("users: [{user: {token: hunter2}}\n", "token: hunter2\n"):
        with pytest.raises(ConfigurationError) as caught:
            connection.load_kubeconfig(text, {})
        assert "hunter2" not in str(caught.value)


def test_an_unknown_context_is_refused_with_those_that_exist() -> None:
    settings = connection.parse_settings({"context": "y"}, {})

    with pytest.raises(ConfigurationError, match='no context "y"; it has x'):
        connection.active_context(_kubeconfig(), settings)


def test_the_default_namespace_comes_from_the_provider_then_the_context() -> None:
    settings = connection.parse_settings({}, {})

    assert connection.default_namespace(_kubeconfig(), settings) == "default"
    assert connection.default_namespace(_kubeconfig(namespace="team"), settings) == "team"
    named = connection.parse_settings({"namespace": "mine"}, {})
    assert connection.default_namespace(_kubeconfig(namespace="team"), named) == "mine"


def test_switches_come_from_the_provider_or_the_environment_in_either_spelling() -> None:
    assert connection.parse_settings({"deleteUnreachable": "true"}, {}).delete_unreachable
    assert connection.parse_settings({}, {"PULUMI_K8S_DELETE_UNREACHABLE": "1"}).delete_unreachable
    assert not connection.parse_settings(
        {"deleteUnreachable": False}, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}
    ).delete_unreachable


@pytest.mark.parametrize("arguments", [{"renderYamlToDirectory": "out"}, {"enableServerSideApply": "false"}])
def test_modes_that_this_provider_lacks_are_refused_by_name(arguments: dict[str, str]) -> None:
    (name,) = arguments
    assert configuration.check(arguments)[0][0] == name


def test_another_server_is_another_cluster_and_new_credentials_are_not() -> None:
    old = {"kubeconfig": json.dumps(_kubeconfig())}
    rotated = _kubeconfig()
    rotated["users"][0]["user"]["token"] = "new"

    assert configuration.compare(old, old) == ([], [])
    assert configuration.compare(old, {"kubeconfig": json.dumps(rotated)}) == (["kubeconfig"], [])
    assert configuration.compare(old, {"kubeconfig": json.dumps(_kubeconfig("https://b"))})[1] == ["kubeconfig"]


def test_the_cluster_identifier_alone_decides_where_it_is_set() -> None:
    old = {"clusterIdentifier": "one", "kubeconfig": json.dumps(_kubeconfig())}

    assert configuration.compare(old, {**old, "kubeconfig": json.dumps(_kubeconfig("https://b"))})[1] == []
    assert configuration.compare(old, {**old, "clusterIdentifier": "two"})[1] == ["clusterIdentifier"]


def test_a_conflict_names_the_owner_the_field_and_the_way_out() -> None:
    body = {
        "kind": "Status",
        "reason": "Conflict",
        "message": "Apply failed with 1 conflict",
        "details": {"causes": [{"message": 'conflict with "kubectl" using v1', "field": ".spec.replicas"}]},
    }

    error = errors.parse(409, json.dumps(body).encode())

    assert error.is_conflict
    text = errors.explain_conflict(error)
    assert 'spec.replicas (owned by "kubectl")' in text
    assert "patchForce" in text
    assert "ignore_changes" in text


def test_a_missing_namespace_is_told_apart_from_a_missing_object() -> None:
    missing = {"kind": "Status", "message": "x", "details": {"kind": "namespaces", "name": "team"}}

    assert errors.parse(404, json.dumps(missing).encode()).missing_namespace == "team"
    assert errors.parse(404, b'{"kind": "Status", "details": {"kind": "configmaps"}}').missing_namespace is None


def test_an_answer_that_is_no_kubernetes_status_is_shown_in_part() -> None:
    error = errors.parse(502, b"<html>Bad Gateway</html>" + b"x" * 10_000)

    assert "HTTP 502" in str(error)
    assert len(str(error)) < 400


def test_yaml_is_decoded_into_objects_with_their_namespace() -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMapList
items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: own}}]
---
"""
    objects = functions.decode_yaml(text, "team")

    assert [item["metadata"] for item in objects] == [
        {"name": "a", "namespace": "team"},
        {"name": "b", "namespace": "own"},
    ]


@pytest.mark.parametrize("text", ["a: [", "a: 1", "- 1"])
def test_yaml_that_holds_no_objects_is_refused(text: str) -> None:
    with pytest.raises(OperationError):
        functions.decode_yaml(text, "")
