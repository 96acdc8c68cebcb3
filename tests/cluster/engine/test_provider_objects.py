"""The life of objects on the real API server: created, changed, read back, deleted, and refused where they must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from local.engine.kubernetes.values import SECRET_SIGNATURE, SIGNATURE_KEY, decode
from tests.cluster.engine.provider_process import UNKNOWN, Provider, secret

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"
SERVICE = "kubernetes:core/v1:Service"
CRD = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

Kubectl = Callable[..., str]


def _config_map(namespace: str, name: str = "", **data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, **({"name": name} if name else {})}, "data": data}


def test_an_object_is_created_changed_in_place_read_and_deleted(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    inputs = {"metadata": {"namespace": namespace, "name": "x", "labels": {"a": "1"}}, "data": {"a": "1"}}
    created = provider.create(CONFIG_MAP, inputs)
    assert created.id == f"{namespace}/x"

    changed = {**inputs, "metadata": {"namespace": namespace, "name": "x", "labels": {"b": "2"}}}
    found = provider.diff(created, changed)
    assert not found.replaces
    assert set(found.detailedDiff) == {"metadata.labels.a", "metadata.labels.b"}
    updated = provider.update(created, changed)

    live = json.loads(kubectl("get", "cm", "x", "-n", namespace, "-o", "json"))
    assert live["metadata"]["labels"] == {"b": "2"}, "a label taken out of the program must go from the object"
    assert updated.value["metadata"]["uid"] == created.value["metadata"]["uid"]
    provider.delete(updated)
    assert "NotFound" in kubectl("get", "cm", "x", "-n", namespace, check=False)
    provider.delete(updated)


def test_generated_names_differ_and_stay(provider: Provider, namespace: str) -> None:
    created = provider.create(CONFIG_MAP, _config_map(namespace, a="1"), name="web")

    assert created.id.startswith(f"{namespace}/web-")
    again = provider.check(CONFIG_MAP, _config_map(namespace, a="1"), name="web", old=created.inputs)
    assert again.inputs == created.inputs
    assert provider.diff(created, _config_map(namespace, a="1"), name="web").changes == 1  # DIFF_NONE


def test_changed_content_makes_a_new_object_first_if_the_name_is_generated(provider: Provider, namespace: str) -> None:
    generated = provider.create(CONFIG_MAP, _config_map(namespace, a="1"), name="gen")
    fixed = provider.create(CONFIG_MAP, _config_map(namespace, "fixed", a="1"), name="fix")

    found = provider.diff(generated, _config_map(namespace, a="2"), name="gen")
    assert (list(found.replaces), found.deleteBeforeReplace) == (["data"], False)
    found = provider.diff(fixed, _config_map(namespace, "fixed", a="2"), name="fix")
    assert (list(found.replaces), found.deleteBeforeReplace) == (["data"], True)


def test_creating_an_object_that_exists_is_refused_and_leaves_it_alone(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    kubectl("create", "cm", "mine", "-n", namespace, "--from-literal=a=kept")

    for preview in (True, False):
        with pytest.raises(grpc.RpcError, match=r"already exists.*import_"):
            provider.create(CONFIG_MAP, _config_map(namespace, "mine", a="other"), preview=preview)

    assert "kept" in kubectl("get", "cm", "mine", "-n", namespace, "-o", "yaml")


def test_what_an_interrupted_update_left_is_taken_over(start_provider: Callable[..., Provider], namespace: str) -> None:
    first = start_provider().create(CONFIG_MAP, _config_map(namespace, "left", a="1"))

    second_run = start_provider()
    again = second_run.create(CONFIG_MAP, _config_map(namespace, "left", a="2"))

    assert again.value["metadata"]["uid"] == first.value["metadata"]["uid"]
    assert "interrupted update" in second_run.engine.texts()


def test_the_object_of_a_resource_in_the_state_is_never_taken_for_its_replacement(
    provider: Provider, namespace: str
) -> None:
    created = provider.create(CONFIG_MAP, _config_map(namespace, "same", a="1"), name="same")
    provider.diff(created, _config_map(namespace, "same", a="2"), name="same")

    with pytest.raises(grpc.RpcError, match="already exists"):
        provider.create(CONFIG_MAP, _config_map(namespace, "same", a="2"), name="same")


def test_two_managers_of_one_field_conflict_and_force_takes_it_over(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    inputs = {"metadata": {"namespace": namespace, "name": "x", "labels": {"owner": "us"}}}
    created = provider.create(CONFIG_MAP, inputs)
    kubectl("label", "cm", "x", "-n", namespace, "owner=them", "--overwrite", "--field-manager=them")

    again = {"metadata": {**inputs["metadata"], "labels": {"owner": "us-again"}}}
    for preview in (True, False):
        with pytest.raises(grpc.RpcError, match=r'metadata\.labels\.owner \(owned by "them"\).*patchForce'):
            provider.update(created, again, preview=preview)
    again["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    assert provider.update(created, again).value["metadata"]["labels"] == {"owner": "us-again"}


def test_an_ignored_field_stays_with_its_new_owner(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    inputs = {"metadata": {"namespace": namespace, "name": "x", "labels": {"scale": "1", "mine": "1"}}}
    created = provider.create(CONFIG_MAP, inputs)
    kubectl("label", "cm", "x", "-n", namespace, "scale=5", "--overwrite", "--field-manager=scaler")

    inputs["metadata"]["labels"]["mine"] = "2"
    updated = provider.update(created, inputs, ignore=("metadata.labels.scale",))

    assert updated.value["metadata"]["labels"] == {"scale": "5", "mine": "2"}


def test_a_preview_shows_the_api_servers_own_errors_and_changes_nothing(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    wrong = {"metadata": {"namespace": namespace, "name": "x"}, "spec": {"ports": [{"port": 70000}]}}

    with pytest.raises(grpc.RpcError, match="must be between 1 and 65535"):
        provider.create(SERVICE, wrong, preview=True)
    with pytest.raises(grpc.RpcError, match="field not declared in schema"):
        provider.create(CONFIG_MAP, {**_config_map(namespace, "x"), "dat": {}}, preview=True)
    provider.create(CONFIG_MAP, _config_map(namespace, "x", a="1"), preview=True)
    assert "NotFound" in kubectl("get", "cm", "x", "-n", namespace, check=False)


def test_a_previewed_object_has_what_the_server_adds_and_no_invented_identity(
    provider: Provider, namespace: str
) -> None:
    spec = {"ports": [{"port": 80}], "selector": {"app": "x"}}
    inputs = {"metadata": {"namespace": namespace, "name": "x"}, "spec": spec}
    previewed = provider.create(SERVICE, inputs, preview=True)

    assert previewed.state["spec"]["type"] == "ClusterIP"
    assert previewed.state["spec"]["clusterIP"] == UNKNOWN
    assert previewed.state["metadata"]["uid"] == UNKNOWN
    assert previewed.state["status"] == UNKNOWN


def test_unknown_values_are_kept_unknown_in_a_preview(provider: Provider, namespace: str) -> None:
    previewed = provider.create(CONFIG_MAP, _config_map(namespace, "x", a=UNKNOWN, b="1"), preview=True)

    assert previewed.state["data"]["a"] == UNKNOWN
    assert previewed.state["data"]["b"] == "1"


def test_objects_of_a_namespace_and_kind_that_the_same_preview_brings_are_no_error(
    start_provider: Callable[..., Provider],
) -> None:
    provider = start_provider()
    provider.create(NAMESPACE, {"metadata": {"name": "engine-not-there"}}, name="ns", preview=True)
    provider.create(CRD, _definition("previewed"), name="crd", preview=True)

    provider.create(CONFIG_MAP, _config_map("engine-not-there", "x"), preview=True)
    thing = {"metadata": {"namespace": "default", "name": "x"}, "spec": {}}
    provider.create("kubernetes:previewed.example.com/v1:Thing", thing, preview=True)

    assert provider.engine.messages == []
    provider.create(CONFIG_MAP, _config_map("engine-elsewhere", "x"), preview=True)
    assert '"engine-elsewhere" does not exist yet' in provider.engine.texts()


def _definition(group: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"things.{group}.example.com"},
        "spec": {
            "group": f"{group}.example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}}}
            ],
        },
    }  # fmt: skip


def test_a_custom_resource_follows_its_definition_at_once(provider: Provider, namespace: str) -> None:
    group = namespace.replace("engine-", "g")
    definition = provider.create(CRD, _definition(group), name="crd")
    token = f"kubernetes:{group}.example.com/v1:Thing"
    inputs = {
        "metadata": {"namespace": namespace, "name": "x"},
        "spec": {"whole": 3, "big": 12345678901234, "ratio": 0.25, "port": "http", "empty": {}, "none": [], "on": True},
    }

    created = provider.create(token, inputs)

    assert created.value["spec"] == inputs["spec"]
    provider.delete(created)
    provider.delete(definition)


def test_a_definition_of_over_a_megabyte_is_applied_and_read_back(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    definition = _definition(namespace.replace("engine-", "big"))
    properties = {f"field{i}": {"type": "string", "description": "x" * 1000} for i in range(1250)}
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"] = {"spec": {"type": "object", "properties": properties}}
    assert len(json.dumps(definition)) > 1_250_000

    created = provider.create(CRD, definition, name="big")

    assert provider.diff(created, definition, name="big").changes == 1  # DIFF_NONE
    provider.delete(created)


def test_an_unknown_kind_is_named(provider: Provider, namespace: str) -> None:
    with pytest.raises(grpc.RpcError, match='knows no kind "Deploymnet" in apps/v1'):
        provider.create("kubernetes:apps/v1:Deploymnet", {"metadata": {"namespace": namespace}}, preview=True)


def test_the_content_of_a_secret_is_marked_everywhere_and_never_quoted(provider: Provider, namespace: str) -> None:
    metadata = {"namespace": namespace, "name": "s"}
    created = provider.create(SECRET, {"metadata": metadata, "stringData": {"password": "correct horse battery"}})

    for message in (created.inputs["stringData"], created.state["data"], provider.read(created).inputs["stringData"]):
        assert message[SIGNATURE_KEY] == SECRET_SIGNATURE
    plain = {k: v for k, v in created.value.items() if k != "data"}
    assert "correct horse" not in str(plain)
    assert "Y29ycmVjdCBob3Jz" not in str(plain)
    with pytest.raises(grpc.RpcError) as caught:
        provider.create(SECRET, {"metadata": {**metadata, "name": "t"}, "data": {"password": "correct horse battery"}})
    assert "correct horse" not in str(caught.value)


def test_a_secret_value_stays_secret_in_the_outputs_of_any_kind(provider: Provider, namespace: str) -> None:
    inputs = {"metadata": {"namespace": namespace, "name": "x"}, "data": {"token": secret("hush"), "plain": "1"}}

    created = provider.create(CONFIG_MAP, inputs)

    assert created.state["data"]["token"][SIGNATURE_KEY] == SECRET_SIGNATURE
    assert created.state["data"]["plain"] == "1"


def test_refresh_reports_foreign_changes_and_nothing_else(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    quota = {"metadata": {"namespace": namespace, "name": "q"}, "spec": {"hard": {"cpu": "1000m", "pods": 4}}}
    created = provider.create("kubernetes:core/v1:ResourceQuota", quota)
    assert provider.read(created).inputs == created.inputs, "1000m written as 1 is no change"

    kubectl("patch", "resourcequota", "q", "-n", namespace, "--type=merge", "-p", '{"spec":{"hard":{"pods":"9"}}}')

    assert decode(provider.read(created).inputs).value["spec"] == {"hard": {"cpu": "1000m", "pods": "9"}}
    kubectl("delete", "resourcequota", "q", "-n", namespace)
    assert provider.read(created).id == "", "an object that is gone goes from the state"


def test_import_and_get_read_by_id(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    kubectl("create", "cm", "x", "-n", namespace, "--from-literal=a=1")

    found = provider.get(CONFIG_MAP, f"{namespace}/x")

    assert found.id == f"{namespace}/x"
    assert decode(found.properties).value["data"] == {"a": "1"}
    assert decode(found.inputs).value["metadata"] == {"name": "x", "namespace": namespace}
    assert provider.get(NAMESPACE, namespace).id == namespace
    assert provider.get(CONFIG_MAP, f"{namespace}/nothing").id == ""


def test_a_patch_owns_its_fields_and_gives_them_up(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    kubectl("create", "cm", "shared", "-n", namespace, "--from-literal=a=1")
    inputs = {"metadata": {"namespace": namespace, "name": "shared", "labels": {"ours": "1"}}}
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", **inputs}

    created = provider.create("kubernetes:core/v1:ConfigMapPatch", inputs)
    assert created.value["metadata"]["labels"] == {"ours": "1"}
    provider.delete(created)

    live = json.loads(kubectl("get", "cm", "shared", "-n", namespace, "-o", "json"))
    assert "labels" not in live["metadata"]
    assert live["data"] == {"a": "1"}


def test_forty_objects_at_once(provider: Provider, namespace: str) -> None:
    def make(number: int) -> str:
        inputs = _config_map(namespace, f"x{number}", a=str(number))
        return provider.create(CONFIG_MAP, inputs, name=f"r{number}").value["data"]["a"]

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(make, range(40))) == [str(number) for number in range(40)]


def test_an_unreachable_cluster_is_one_clear_sentence(
    start_provider: Callable[..., Provider], tmp_path: Path, namespace: str
) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    provider = start_provider(kubeconfig=kubeconfig)
    with pytest.raises(
        grpc.RpcError, match=r"https://127\.0\.0\.1:9 cannot be reached \(connection refused\).*KUBECONFIG"
    ):
        provider.create(CONFIG_MAP, _config_map(namespace, "x"))
    reachable = start_provider()
    created = reachable.create(CONFIG_MAP, _config_map(namespace, "x"))
    with pytest.raises(grpc.RpcError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        provider.delete(created)
    start_provider(kubeconfig=kubeconfig, PULUMI_K8S_DELETE_UNREACHABLE="true").delete(created)
    assert reachable.read(created).id, "the object itself was not touched"
