"""Two things that the pack needs of pulumi-policy 1.21.0 and that it does not give.

The stack's name: the engine tells it once, at the start, and the SDK keeps it to itself.

One decoding of each resource for all rules: the SDK decodes a resource's inputs anew for every policy of the pack, and
for stack policies those of the whole stack. With fifty policies and KubeRay's definitions of a megabyte each that is
minutes for one preview. What it decodes is kept here by the message's own bytes.

Both hang on names inside the SDK, which is pinned; the tests of the pack fail if one of them is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pulumi_policy.policy as sdk
from google.protobuf import json_format

# A definition's schema is large, and no rule reads it.
_UNREAD_KIND = "CustomResourceDefinition"


def tell_stack(told: Callable[[str], None]) -> None:
    """Call `told` with the stack's name before any of its resources is judged."""

    class Servicer(sdk._PolicyAnalyzerServicer):  # pyright: ignore[reportPrivateUsage]
        def ConfigureStack(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the protocol's name
            told(request.stack)
            return super().ConfigureStack(request, _context)

    sdk._PolicyAnalyzerServicer = Servicer  # pyright: ignore[reportPrivateUsage]


def read_each_resource_once() -> None:
    decoded: dict[bytes, Any] = {}
    unread = {"kind": _UNREAD_KIND}

    def message_to_dict(message: Any) -> Any:
        if "kind" in message.fields and message.fields["kind"].string_value == _UNREAD_KIND:
            return unread
        key = message.SerializeToString()
        if key not in decoded:
            decoded[key] = json_format.MessageToDict(message)
        return decoded[key]

    sdk.json_format = SimpleNamespace(MessageToDict=message_to_dict)  # pyright: ignore[reportPrivateImportUsage, reportAttributeAccessIssue]
    sdk.deserialize_properties = _once(sdk.deserialize_properties)  # pyright: ignore[reportPrivateImportUsage]
    sdk.unknown_checking_proxy = _once(sdk.unknown_checking_proxy)  # pyright: ignore[reportPrivateImportUsage]


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of an object that is kept alive here, so that its identity stands for it."""
    seen: dict[int, tuple[Any, Any]] = {}

    def cached(value: Any, *rest: Any) -> Any:
        if rest:
            return function(value, *rest)
        if id(value) not in seen:
            seen[id(value)] = (value, function(value))
        return seen[id(value)][1]

    return cached
