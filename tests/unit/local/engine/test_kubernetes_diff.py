"""What counts as a change, what takes a new object, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from local.engine.kubernetes.diff import Difference, compare, difference
from local.engine.kubernetes.identity import AUTONAMED, GroupVersionKind
from local.engine.kubernetes.values import UNKNOWN


def _diff(kind: str, old: dict[str, Any], new: dict[str, Any], **options: Any) -> Difference:
    api_version, _, name = kind.rpartition("/")
    return difference(GroupVersionKind.parse(api_version, name), old, new, default_namespace="default", **options)


def _replaced(found: Difference) -> list[str]:
    return sorted(".".join(str(part) for part in change.path) for change in found.changes if change.replaces)


def test_equal_objects_do_not_differ() -> None:
    value = {"metadata": {"name": "x"}, "spec": {"a": [1, {"b": 2}], "c": {}}}

    assert not _diff("apps/v1/Deployment", value, dict(value)).changes


def test_changes_are_reported_at_the_topmost_differing_path() -> None:
    old = {"a": {"b": 1, "gone": {"x": 1}}, "l": [1, 2]}
    new = {"a": {"b": 2, "new": {"y": 1}}, "l": [1, 3, 4]}

    assert dict(compare(old, new)) == {
        ("a", "b"): "update",
        ("a", "gone"): "delete",
        ("a", "new"): "add",
        ("l", 1): "update",
        ("l", 2): "add",
    }


def test_true_and_one_differ() -> None:
    assert list(compare({"a": True}, {"a": 1})) == [(("a",), "update")]


def test_bookkeeping_and_the_default_namespace_spelt_out_are_no_change() -> None:
    old = {"metadata": {"name": "x"}, "__fieldManager": "a"}
    new = {"metadata": {"name": "x", "namespace": "default"}}

    assert not _diff("v1/ConfigMap", old, new).changes


def test_a_new_name_or_namespace_takes_a_new_object_made_before_the_old_one_goes() -> None:
    old = {"metadata": {"name": "x", "namespace": "a"}}

    for metadata in ({"name": "y", "namespace": "a"}, {"name": "x", "namespace": "b"}):
        found = _diff("v1/ConfigMap", old, {"metadata": metadata})
        assert found.replaces
        assert not found.delete_before_replace


def test_writing_a_generated_name_into_the_program_is_no_change() -> None:
    old = {"metadata": {"name": "x-1234", "annotations": {AUTONAMED: "true", "mine": "1"}}}

    assert not _diff("v1/ConfigMap", old, {"metadata": {"name": "x-1234", "annotations": {"mine": "1"}}}).changes


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("v1/ConfigMap", "data.a"),
        ("v1/ConfigMap", "binaryData.a"),
        ("v1/Secret", "stringData.a"),
        ("v1/Secret", "type"),
        ("v1/Service", "spec.clusterIP"),
        ("v1/PersistentVolumeClaim", "spec.accessModes"),
        ("v1/PersistentVolumeClaim", "spec.storageClassName"),
        ("v1/PersistentVolume", "spec.local.path"),
        ("v1/PersistentVolume", "spec.nodeAffinity"),
        ("v1/Pod", "spec.containers"),
        ("apps/v1/Deployment", "spec.selector.matchLabels.app"),
        ("apps/v1/StatefulSet", "spec.serviceName"),
        ("apps/v1/StatefulSet", "spec.volumeClaimTemplates"),
        ("apps/v1/DaemonSet", "spec.selector"),
        ("batch/v1/Job", "spec.template.spec.containers"),
        ("batch/v1/Job", "spec.selector"),
        ("rbac.authorization.k8s.io/v1/RoleBinding", "roleRef.name"),
        ("storage.k8s.io/v1/StorageClass", "volumeBindingMode"),
        ("scheduling.k8s.io/v1/PriorityClass", "value"),
        ("apiextensions.k8s.io/v1/CustomResourceDefinition", "spec.scope"),
    ],
)
def test_fields_that_the_api_server_does_not_let_change_take_a_new_object(kind: str, path: str) -> None:
    old, new = _with(path, "old"), _with(path, "new")

    assert _replaced(_diff(kind, old, new)) == [path]
    assert _diff(kind, old, new).delete_before_replace, "the new object has the same fixed name"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("v1/ConfigMap", "metadata.labels.a"),
        ("v1/Service", "spec.ports"),
        ("v1/PersistentVolumeClaim", "spec.resources.requests.storage"),
        ("v1/PersistentVolume", "spec.persistentVolumeReclaimPolicy"),
        ("apps/v1/Deployment", "spec.template.spec.containers"),
        ("apps/v1/StatefulSet", "spec.replicas"),
        ("batch/v1/Job", "spec.backoffLimit"),
        ("batch/v1/Job", "spec.suspend"),
        ("rbac.authorization.k8s.io/v1/RoleBinding", "subjects"),
        ("ray.io/v1/RayJob", "spec.entrypoint"),
    ],
)
def test_other_fields_change_in_place(kind: str, path: str) -> None:
    found = _diff(kind, _with(path, "old"), _with(path, "new"))

    assert found.changes
    assert not found.replaces
    assert not found.delete_before_replace


def _with(path: str, value: str) -> dict[str, Any]:
    result: dict[str, Any] = {"metadata": {"name": "x"}}
    parts = path.split(".")
    inner = result
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
    inner[parts[-1]] = value
    return result


def test_a_generated_name_lets_the_new_object_be_made_first() -> None:
    metadata = {"name": "x-1234", "annotations": {AUTONAMED: "true"}}
    old, new = ({"metadata": metadata, "data": {"a": value}} for value in ("1", "2"))

    found = _diff("v1/ConfigMap", old, new)

    assert found.replaces
    assert not found.delete_before_replace


def test_mutable_content_changes_in_place_unless_the_object_itself_is_immutable() -> None:
    old, new = _with("data.a", "1"), _with("data.a", "2")

    assert not _diff("v1/ConfigMap", old, new, content_mutable=True).replaces
    assert _diff("v1/ConfigMap", {**old, "immutable": True}, {**new, "immutable": True}, content_mutable=True).replaces


def test_an_immutable_object_that_becomes_mutable_is_made_anew() -> None:
    old = {"metadata": {"name": "x"}, "immutable": True}

    assert _replaced(_diff("v1/Secret", old, {"metadata": {"name": "x"}}, content_mutable=True)) == ["immutable"]


def test_a_whole_section_added_replaces_only_if_the_immutable_field_is_in_it() -> None:
    bare = {"metadata": {"name": "x"}}

    assert not _diff("v1/Service", bare, _with("spec.ports", "p")).replaces
    assert _diff("v1/Service", bare, _with("spec.clusterIP", "None")).replaces


def test_an_unknown_value_counts_as_a_change() -> None:
    found = _diff("v1/ConfigMap", _with("data.a", "1"), {"metadata": {"name": "x"}, "data": {"a": UNKNOWN}})

    assert _replaced(found) == ["data.a"]


def test_another_version_of_the_same_group_is_an_update_and_another_group_a_new_object() -> None:
    old = {"apiVersion": "ray.io/v1alpha1", "kind": "RayJob", "metadata": {"name": "x"}}

    assert not _diff("ray.io/v1/RayJob", old, {**old, "apiVersion": "ray.io/v1"}).replaces
    assert _diff("ray.io/v1/RayJob", old, {**old, "apiVersion": "other.io/v1"}).replaces
