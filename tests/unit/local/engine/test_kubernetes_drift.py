"""Refresh reports what was changed behind the program's back and nothing else; ownership is read correctly."""

from __future__ import annotations

from local.engine.kubernetes.drift import live_inputs
from local.engine.kubernetes.ownership import foreign_owners, has_applied, parse_path, without_foreign


def test_values_that_the_api_server_writes_differently_are_no_drift() -> None:
    inputs = {"spec": {"cpu": "1000m", "ports": [{"port": 80}]}, "stringData": {"a": "b"}}
    expected = {"spec": {"cpu": "1", "ports": [{"port": 80, "protocol": "TCP"}], "extra": 1}, "data": {"a": "Yg=="}}

    assert live_inputs(inputs, expected, expected) == inputs


def test_a_changed_field_takes_its_live_value_and_only_that_field() -> None:
    inputs = {"spec": {"replicas": 2, "cpu": "1000m"}}
    expected = {"spec": {"replicas": 2, "cpu": "1"}}

    assert live_inputs(inputs, expected, {"spec": {"replicas": 5, "cpu": "1"}}) == {
        "spec": {"replicas": 5, "cpu": "1000m"}
    }


def test_a_removed_field_is_missing_so_that_the_next_update_sets_it_again() -> None:
    inputs = {"metadata": {"labels": {"a": "1", "b": "2"}}}

    assert live_inputs(inputs, inputs, {"metadata": {"labels": {"b": "2"}}}) == {"metadata": {"labels": {"b": "2"}}}


def test_a_list_of_another_length_is_taken_whole() -> None:
    inputs = {"args": ["a"]}

    assert live_inputs(inputs, inputs, {"args": ["a", "b"]}) == {"args": ["a", "b"]}


LIVE = {
    "metadata": {
        "managedFields": [
            {"manager": "ours", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:spec": {}}},
            {
                "manager": "sidecar",
                "operation": "Update",
                "fieldsV1": {"f:spec": {"f:ports": {'k:{"name":"b"}': {"f:port": {}}}}},
            },
        ]
    },
    "spec": {"replicas": 5, "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
}


def test_owners_are_found_through_maps_and_keyed_list_items() -> None:
    assert foreign_owners(LIVE, ("spec", "replicas"), "ours") == ["hpa"]
    assert foreign_owners(LIVE, ("spec", "ports", 1, "port"), "ours") == ["sidecar"]
    assert foreign_owners(LIVE, ("spec", "ports", 0, "port"), "ours") == []
    assert foreign_owners(LIVE, ("spec", "template"), "ours") == []


def test_an_ignored_field_is_left_to_its_other_owner_and_kept_when_it_has_none() -> None:
    body = {"spec": {"replicas": 2, "paused": False}}

    result = without_foreign(body, LIVE, [("spec", "replicas"), ("spec", "paused")], "ours")

    assert result == {"spec": {"paused": False}}
    assert body["spec"]["replicas"] == 2, "the caller's object must stay as it is"


def test_only_an_apply_counts_as_ours() -> None:
    assert has_applied(LIVE, "ours")
    assert not has_applied(LIVE, "hpa")


def test_ignore_changes_paths_are_parsed_and_wildcards_name_no_field() -> None:
    assert parse_path("spec.replicas") == ("spec", "replicas")
    assert parse_path('metadata.annotations["a.b/c"]') == ("metadata", "annotations", "a.b/c")
    assert parse_path("spec.ports[1].port") == ("spec", "ports", 1, "port")
    assert parse_path("spec.groups[*].replicas") is None
