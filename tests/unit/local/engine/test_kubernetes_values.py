"""Property values cross the protocol unchanged, and secrets never lose their mark."""

from __future__ import annotations

import pytest
from google.protobuf import struct_pb2

from local.engine.kubernetes import values
from local.engine.kubernetes.values import UNKNOWN, decode, encode


def _struct(content: dict[str, object]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(content)
    return message


def _secret(value: object) -> dict[str, object]:
    return {values.SIGNATURE_KEY: values.SECRET_SIGNATURE, "value": value}


def test_whole_numbers_become_integers_and_others_stay_floats() -> None:
    decoded = decode(_struct({"replicas": 3, "big": 2**53 - 1, "ratio": 0.5, "flag": True, "text": "3"})).value

    assert decoded == {"replicas": 3, "big": 9007199254740991, "ratio": 0.5, "flag": True, "text": "3"}
    assert type(decoded["replicas"]) is int, "the API server refuses 3.0 for an integer field"
    assert type(decoded["flag"]) is bool


def test_empty_maps_and_lists_survive_and_nulls_in_maps_go() -> None:
    decoded = decode(_struct({"emptyDir": {}, "args": [], "gone": None, "list": [None, {"gone": None}]})).value

    assert decoded == {"emptyDir": {}, "args": [], "list": [None, {}]}
    assert decode(encode(decoded)).value == decoded


def test_secrets_are_unwrapped_and_marked_again_in_the_same_place() -> None:
    decoded = decode(_struct({"data": _secret({"password": "x"}), "spec": {"plain": 1, "deep": _secret("y")}}))

    assert decoded.value == {"data": {"password": "x"}, "spec": {"plain": 1, "deep": "y"}}
    assert decoded.secrets == {("data",), ("spec", "deep")}
    again = encode(decoded.value, decoded.secrets)
    assert again["data"][values.SIGNATURE_KEY] == values.SECRET_SIGNATURE
    assert again["spec"]["deep"]["value"] == "y"
    assert again["spec"]["plain"] == 1


def test_a_secret_inside_a_list_marks_the_whole_list() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": _secret("hush")}]
    decoded = decode(_struct({"spec": {"env": env}}))

    # The API server may give the list back in another order or length.
    live = {"spec": {"env": [{"name": "B", "value": "hush"}]}}
    message = encode(live, decoded.secrets)

    assert message["spec"]["env"][values.SIGNATURE_KEY] == values.SECRET_SIGNATURE


def test_a_secret_whose_place_is_gone_marks_its_nearest_ancestor() -> None:
    message = encode({"spec": {"other": "copied-secret"}}, {("spec", "password")})

    assert message["spec"][values.SIGNATURE_KEY] == values.SECRET_SIGNATURE


def test_unknown_values_are_one_object_that_survives_the_way_back() -> None:
    decoded = decode(_struct({"a": values.UNKNOWN_STRING, "b": [{"c": values.UNKNOWN_STRING}]})).value

    assert decoded["a"] is UNKNOWN
    assert values.has_unknown(decoded["b"])
    assert not values.has_unknown({"a": ["known", {"b": 1}]})
    assert encode(decoded)["a"] == values.UNKNOWN_STRING


def test_an_unknown_secret_output_is_unknown_and_secret() -> None:
    output = {values.SIGNATURE_KEY: values.OUTPUT_SIGNATURE, "secret": True}

    decoded = decode(_struct({"token": output}))

    assert decoded.value["token"] is UNKNOWN
    assert decoded.secrets == {("token",)}


@pytest.mark.parametrize(
    ("signature", "word"), [*values.ASSET_SIGNATURES.items(), (values.RESOURCE_SIGNATURE, "resource")]
)
def test_what_no_object_can_hold_is_refused_with_its_path(signature: str, word: str) -> None:
    message = _struct({"data": {"file.txt": {values.SIGNATURE_KEY: signature}}})

    with pytest.raises(values.ValueRefusedError, match=word) as caught:
        decode(message)

    assert 'data["file.txt"]' in str(caught.value)


def test_paths_are_written_as_the_engine_writes_them() -> None:
    path = ("spec", "ports", 0, "name", "kubernetes.io/x", 'quo"ted')

    assert values.text(path) == 'spec.ports[0].name["kubernetes.io/x"]["quo\\"ted"]'
