"""Names, namespaces and what is cut out before an object goes to the API server."""

from __future__ import annotations

import pytest

from local.engine.kubernetes import naming, outputs
from local.engine.kubernetes.identity import AUTONAMED, UnsupportedError, format_id, object_type, parse_id, parse_type
from local.engine.kubernetes.inputs import InputError, Naming, named, placed, pruned, secret_paths
from local.engine.kubernetes.values import UNKNOWN

SEED = b"the engine's seed"


def test_a_generated_name_is_the_same_in_preview_and_update_and_differs_by_seed() -> None:
    name = naming.auto_name("web", SEED)

    assert name == naming.auto_name("web", SEED)
    assert name != naming.auto_name("web", b"another")
    assert len(name) == len("web-") + 8


def test_a_generated_name_is_a_valid_one_whatever_the_resource_is_called() -> None:
    name = naming.auto_name("My_App " + "x" * 300, SEED)

    assert name.startswith("my-app-x")
    assert len(name) <= 253


def test_a_missing_name_is_generated_and_marked() -> None:
    result = named({"metadata": {"labels": {"a": "b"}}}, {}, Naming("web", SEED))

    assert result["metadata"]["name"].startswith("web-")
    assert result["metadata"]["annotations"] == {AUTONAMED: "true"}
    assert result["metadata"]["labels"] == {"a": "b"}


def test_a_generated_name_is_kept_for_the_objects_life() -> None:
    first = named({}, {}, Naming("web", SEED))

    assert named({}, first, Naming("web", b"another seed")) == first


def test_a_name_of_the_programs_own_is_not_touched() -> None:
    assert named({"metadata": {"name": "fixed"}}, {}, Naming("web", SEED)) == {"metadata": {"name": "fixed"}}
    assert named({"metadata": {"name": UNKNOWN}}, {}, Naming("web", SEED)) == {"metadata": {"name": UNKNOWN}}


def test_a_name_that_was_fixed_before_is_not_taken_over_as_a_generated_one() -> None:
    result = named({}, {"metadata": {"name": "fixed"}}, Naming("web", SEED))

    assert result["metadata"]["name"] != "fixed"


def test_the_projects_autonaming_is_followed() -> None:
    assert named({}, {}, Naming("web", SEED, "proposed-1", "enforce"))["metadata"]["name"] == "proposed-1"
    with pytest.raises(InputError, match="disabled"):
        named({}, {}, Naming("web", SEED, "", "disable"))


def test_generate_name_gives_a_name_with_that_prefix() -> None:
    metadata = named({"metadata": {"generateName": "run-"}}, {}, Naming("x", SEED))["metadata"]

    assert metadata["name"].startswith("run-")
    assert "generateName" not in metadata, "server-side apply refuses generateName"


def test_cluster_wide_kinds_lose_their_namespace_and_others_get_the_default() -> None:
    assert placed({"metadata": {"name": "x", "namespace": "ns"}}, False, "default")["metadata"] == {"name": "x"}
    assert placed({"metadata": {"name": "x"}}, True, "team")["metadata"]["namespace"] == "team"
    assert placed({"metadata": {"namespace": "ns"}}, True, "team")["metadata"]["namespace"] == "ns"


def test_what_the_api_server_writes_is_cut_out_of_pasted_objects() -> None:
    pasted = {
        "kind": "ConfigMap",
        "metadata": {
            "name": "x",
            "uid": "1",
            "resourceVersion": "2",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
        },
        "status": {"phase": "Active"},
    }

    assert pruned(pasted) == {"kind": "ConfigMap", "metadata": {"name": "x", "annotations": {"mine": "1"}}}


def test_the_content_of_every_secret_is_secret_even_if_the_program_does_not_say_so() -> None:
    inputs = {"data": {"a": "YQ=="}, "stringData": {"b": "c"}, "type": "Opaque"}

    assert secret_paths(inputs, "Secret", frozenset()) == {("data",), ("stringData",)}
    assert secret_paths(inputs, "ConfigMap", frozenset({("data", "a")})) == {("data", "a")}


def test_state_holds_no_copy_of_the_configuration_outside_the_secret_fields() -> None:
    live = {
        "kind": "Secret",
        "metadata": {
            "name": "x",
            "managedFields": [{"fieldsV1": {"f:data": {}}}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"aHVzaA=="}}'},
        },
        "data": {"a": "aHVzaA=="},
    }

    state = outputs.state_of(live, "manager", "v1")

    assert "managedFields" not in state["metadata"]
    assert "aHVzaA==" not in str({k: v for k, v in state.items() if k != "data"})
    assert outputs.secret_paths(state, "Secret", frozenset({("stringData", "a")})) == {("data",)}


def test_error_messages_lose_the_secrets_that_they_quote_in_any_encoding() -> None:
    inputs = {"data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "correct horse"}}
    values = list(outputs.values_at(inputs, frozenset({("data",), ("stringData", "b")})))

    message = outputs.redacted("bad: hunter2, aHVudGVyMg==, correct horse, Y29ycmVjdCBob3JzZQ==, kept", iter(values))

    assert message == "bad: [secret], [secret], [secret], [secret], kept"


def test_type_tokens_name_the_api_group_and_version() -> None:
    assert parse_type("kubernetes:core/v1:ConfigMap").gvk.api_version == "v1"
    assert parse_type("kubernetes:apps/v1:Deployment").gvk.api_version == "apps/v1"
    assert parse_type("kubernetes:ray.io/v1:RayJob").gvk.group == "ray.io"
    assert parse_type("kubernetes:apps/v1:DeploymentPatch").is_patch
    assert parse_type("kubernetes:apps/v1:DeploymentPatch").gvk.kind == "Deployment"
    assert object_type("kubernetes:core/v1:X", {"apiVersion": "ray.io/v1", "kind": "RayJob"}).gvk.group == "ray.io"


@pytest.mark.parametrize(
    "token",
    ["kubernetes:helm.sh/v4:Chart", "kubernetes:yaml/v2:ConfigGroup"],
)
def test_what_only_the_official_provider_can_do_is_refused_with_a_way_out(token: str) -> None:
    with pytest.raises(UnsupportedError, match=r"official Kubernetes provider.*pulumi plugin install"):
        parse_type(token)


def test_lists_are_refused_but_a_custom_kind_may_end_in_list() -> None:
    with pytest.raises(UnsupportedError, match="one by one"):
        parse_type("kubernetes:core/v1:ConfigMapList")
    assert parse_type("kubernetes:example.com/v1:WaitList").gvk.kind == "WaitList"


def test_ids_hold_the_namespace_where_there_is_one() -> None:
    assert format_id("ns", "x") == "ns/x"
    assert format_id("", "x") == "x"
    assert parse_id("ns/x") == ("ns", "x")
    assert parse_id("x") == ("", "x")
