"""Pulumi property values to plain Python and back, with secrets remembered by their paths.

Numbers travel as 64-bit floats: whole ones become `int`, which the API server insists on for integer fields. Beyond
2**53 they have lost digits before they come here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf import struct_pb2

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105, the protocol's mark, no secret
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
ASSET_SIGNATURES: Final = {
    "c44067f5952c0a294b673a41bacd8c17": "asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "archive",
}
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Path = tuple[str | int, ...]


class ValueRefusedError(Exception):
    """A property holds something that no Kubernetes object can."""


class Unknown:
    """A value that is known only once another resource exists; one instance, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: dict[int, Any]) -> Unknown:
        return self


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Decoded:
    """A property map as plain Python, and where its secrets were."""

    value: dict[str, Any]
    secrets: frozenset[Path]


def decode(message: struct_pb2.Struct | None) -> Decoded:
    """Plain values; unknowns are `UNKNOWN`, secrets are unwrapped and their paths kept, nulls in maps are dropped.

    Raises ValueRefusedError for assets and archives.
    """
    secrets: set[Path] = set()
    value = _decode_fields(message.fields if message is not None else {}, (), secrets)
    return Decoded(cast(dict[str, Any], value), frozenset(secrets))


def _decode_fields(fields: Any, path: Path, secrets: set[Path]) -> Any:
    signature = fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in fields else None
    if signature in (SECRET_SIGNATURE, OUTPUT_SIGNATURE):
        if signature == SECRET_SIGNATURE or ("secret" in fields and fields["secret"].bool_value):
            secrets.add(path)
        return _decode_value(fields["value"], path, secrets) if "value" in fields else UNKNOWN
    if signature in ASSET_SIGNATURES:
        raise ValueRefusedError(
            f"{text(path)} is an {ASSET_SIGNATURES[signature]}, which no Kubernetes object can hold: read the file "
            "in the program and pass its content."
        )
    if signature == RESOURCE_SIGNATURE:
        raise ValueRefusedError(f"{text(path)} is a resource: pass one of its outputs, its name for example.")
    result: dict[str, Any] = {}
    for key, value in fields.items():
        if value.WhichOneof("kind") == "null_value":
            continue
        result[key] = _decode_value(value, (*path, key), secrets)
    return result


def _decode_value(value: Any, path: Path, secrets: set[Path]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_STRING else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return _decode_fields(value.struct_value.fields, path, secrets)
    if kind == "list_value":
        return [_decode_value(item, (*path, i), secrets) for i, item in enumerate(value.list_value.values)]
    return None


def encode(value: dict[str, Any], secrets: Iterable[Path] = ()) -> struct_pb2.Struct:
    """The reverse of `decode`; paths that no longer exist mark their nearest ancestor that does.

    A secret that moved within a list must not surface in plain, so a secret in a list makes the whole list one.
    """
    message = struct_pb2.Struct()
    marked = {_settled(value, path) for path in secrets}
    for key, item in value.items():
        _encode_value(message.fields[key], item, (key,), marked)
    return message


def _settled(value: Any, path: Path) -> Path:
    settled: Path = ()
    for part in path:
        if isinstance(value, dict):
            if part not in value:
                break
            value = cast(dict[Any, Any], value)[part]
            settled = (*settled, part)
        else:
            break
    return settled


def _encode_value(target: struct_pb2.Value, value: Any, path: Path, secrets: set[Path]) -> None:
    if path in secrets:
        fields = target.struct_value.fields
        fields[SIGNATURE_KEY].string_value = SECRET_SIGNATURE
        _encode_value(fields["value"], value, path, set())
    elif value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, Unknown):
        target.string_value = UNKNOWN_STRING
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        for key, item in cast(dict[str, Any], value).items():
            _encode_value(target.struct_value.fields[key], item, (*path, key), secrets)
    elif isinstance(value, (list, tuple)):
        target.list_value.SetInParent()
        for i, item in enumerate(cast(list[Any], value)):
            _encode_value(target.list_value.values.add(), item, (*path, i), secrets)
    else:
        raise TypeError(f"{text(path)}: cannot encode a {type(value).__name__}")


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_unknown(item) for item in cast(dict[str, Any], value).values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in cast(list[Any], value))
    return isinstance(value, Unknown)


def text(path: Path) -> str:
    """A property path as the engine writes it: `spec.ports[0].name`, `data["a.b"]`."""
    result = ""
    for part in path:
        if isinstance(part, int):
            result += f"[{part}]"
        elif part.replace("_", "a").replace("-", "a").isalnum():
            result += f".{part}" if result else part
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            result += f'["{quoted}"]'
    return result
