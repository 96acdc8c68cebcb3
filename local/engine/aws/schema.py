"""What a type's properties are, said once: checks, comparison and replacement all follow from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from local.engine.aws.parts import listed
from local.engine.kubernetes.values import has_unknown

Failure = tuple[str, str]
Check = Callable[[Any], str | None]


@dataclass(frozen=True)
class Property:
    """`kind` is text, number, flag, list, set, map, policy, object or objects. `computed`: left out, AWS chooses.

    `replaces`: AWS cannot change it in place."""

    kind: str = "text"
    required: bool = False
    replaces: bool = False
    computed: bool = False
    secret: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    longest: int = 0
    fields: Mapping[str, Property] = field(default_factory=dict[str, "Property"])
    check: Check | None = None


def text(**more: Any) -> Property:
    return Property("text", **more)


def number(**more: Any) -> Property:
    return Property("number", **more)


def flag(**more: Any) -> Property:
    return Property("flag", **more)


def listing(**more: Any) -> Property:
    return Property("list", **more)


def names(**more: Any) -> Property:
    """Texts whose order means nothing."""
    return Property("set", **more)


def mapping(**more: Any) -> Property:
    return Property("map", **more)


def policy(**more: Any) -> Property:
    """JSON text, compared by what it says."""
    return Property("policy", **more)


def block(fields: Mapping[str, Property], **more: Any) -> Property:
    return Property("object", fields=fields, **more)


def blocks(fields: Mapping[str, Property], **more: Any) -> Property:
    return Property("objects", fields=fields, **more)


def required(found: Property) -> Property:
    return replace(found, required=True)


_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "number": (int, float, str), "flag": (bool, str), "list": (list,), "set": (list,), "map": (dict,),
    "policy": (str,), "object": (dict,), "objects": (list,),
}  # fmt: skip


def failures(values: Mapping[str, Any], properties: Mapping[str, Property], where: str = "") -> list[Failure]:
    """(path, what is wrong). What is not known yet is not judged."""
    found: list[Failure] = [
        (where + name, f"{where + name} is not a property that the stand-in AWS provider has")
        for name in values
        if name not in properties and not name.startswith("__")
    ]
    for name, wanted in properties.items():
        value, path = values.get(name), where + name
        if value is None:
            if wanted.required:
                found.append((path, f"{path} is missing"))
        elif has_unknown(value) and wanted.kind not in ("object", "objects"):
            continue
        else:
            found += _judged(value, wanted, path)
    return found


def _judged(value: Any, wanted: Property, path: str) -> list[Failure]:
    if has_unknown(value) and not _is(value, dict, list):
        return []
    if not _is(value, *_TYPES[wanted.kind]) or (wanted.kind == "number" and _is(value, bool)):
        return [(path, f"{path} must be of the kind {wanted.kind}, and it is a {type(value).__name__}")]
    if wanted.kind == "object":
        return failures(cast(dict[str, Any], value), wanted.fields, f"{path}.")
    if wanted.kind == "objects":
        items = cast(list[dict[str, Any]], value)
        return [
            one
            for index, item in enumerate(items)
            if isinstance(item, dict)  # pyright: ignore[reportUnnecessaryIsInstance] - it may be unknown
            for one in failures(item, wanted.fields, f"{path}[{index}].")
        ]
    if wanted.kind == "policy" and (reason := policy_fault(value)):
        return [(path, f"{path} is no policy: {reason}")]
    given = [str(item) for item in listed(value)]
    for item in given:
        if wanted.choices and item not in wanted.choices:
            return [(path, f"{path}={item} is none of {', '.join(wanted.choices)}")]
        if wanted.pattern and not re.fullmatch(wanted.pattern, item):
            return [(path, f"{path}={item} does not match {wanted.pattern}")]
        if wanted.longest and len(item) > wanted.longest:
            return [(path, f"{path}={item} has {len(item)} characters, and AWS allows {wanted.longest}")]
    if wanted.check and (reason := wanted.check(value)):
        return [(path, f"{path}: {reason}")]
    return []


def _is(value: object, *types: type) -> bool:
    return isinstance(value, types)


def policy_fault(value: str) -> str | None:
    """What IAM would say of a policy document's shape."""
    try:
        document = json.loads(value)
    except ValueError as error:
        return f"it is not JSON ({error})"
    if not isinstance(document, dict):
        return "it is no object"
    found = cast(dict[str, Any], document)
    if "Statement" not in found:
        return None  # lifecycle and event patterns are policies of another kind
    if found.get("Version") not in ("2012-10-17", "2008-10-17"):
        return "Version must be 2012-10-17"
    sids: list[str] = []
    for statement in cast(list[dict[str, Any]], listed(found["Statement"])):
        if unknown := set(statement) - {
            "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"
        }:  # fmt: skip
            return f"a statement has {', '.join(sorted(unknown))}"
        if statement.get("Effect") not in ("Allow", "Deny"):
            return "Effect must be Allow or Deny"
        if "Action" not in statement and "NotAction" not in statement:
            return "a statement has no Action"
        for one in ("Action", "Resource", "Principal"):
            if statement.keys() >= {one, f"Not{one}"}:
                return f"a statement has both {one} and Not{one}"
        if not statement.keys() & {"Resource", "NotResource", "Principal", "NotPrincipal"}:
            return "a statement has neither Resource nor Principal"
        resources = cast(list[str], listed(statement.get("Resource", statement.get("NotResource", []))))
        for resource in resources:
            if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5):
                return f"{resource} is no ARN"
        if "{" in json.dumps(statement).replace("${", "").replace('{"', ""):
            for resource in resources:
                if "{" in resource.replace("${", ""):
                    return f"{resource} has a placeholder in it"
        if sid := statement.get("Sid"):
            if not re.fullmatch(r"[A-Za-z0-9]+", str(sid)):
                return f"Sid {sid} has more than letters and digits"
            sids.append(str(sid))
    return f"Sid {sids[0]} is used twice" if len(sids) != len(set(sids)) else None


def same(wanted: Property | None, one: Any, other: Any) -> bool:
    """Whether two values mean the same to AWS."""
    if wanted is None or one is None or other is None:
        return one == other
    if wanted.kind == "policy":
        try:
            return canonical(json.loads(one)) == canonical(json.loads(other))
        except (TypeError, ValueError):
            return one == other
    if wanted.kind == "set":
        return sorted(map(str, listed(one))) == sorted(map(str, listed(other)))
    if wanted.kind in ("number", "flag"):
        return str(one).lower() == str(other).lower()
    if wanted.kind == "object" and isinstance(one, dict) and isinstance(other, dict):
        left, right = cast(dict[str, Any], one), cast(dict[str, Any], other)
        return all(same(wanted.fields.get(key), left.get(key), right.get(key)) for key in {**left, **right})
    if wanted.kind == "objects" and isinstance(one, list) and isinstance(other, list):
        left, right = cast(list[Any], one), cast(list[Any], other)
        inner = Property("object", fields=wanted.fields)
        return len(left) == len(right) and all(same(inner, a, b) for a, b in zip(left, right, strict=True))
    return one == other


def canonical(value: Any) -> Any:
    """A policy with its lists in order, and a list of one as that one."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        items = [canonical(item) for item in cast(list[Any], value)]
        return items[0] if len(items) == 1 else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return value


def settled(wanted: Property | None, old: Any, live: Any) -> Any:
    """`old` as it is now: its own wording where that means the same, without what AWS added to it."""
    if wanted is not None and wanted.kind == "object" and isinstance(old, dict) and isinstance(live, dict):
        now = cast(dict[str, Any], live)
        return {
            key: settled(wanted.fields.get(key), item, now[key]) if key in now else item
            for key, item in cast(dict[str, Any], old).items()
        }
    if wanted is not None and wanted.kind == "objects" and isinstance(old, list) and isinstance(live, list):
        before, now = cast(list[Any], old), cast(list[Any], live)
        inner = Property("object", fields=wanted.fields)
        if len(before) == len(now):
            return [settled(inner, a, b) for a, b in zip(before, now, strict=True)]
        return now
    return cast(object, old) if same(wanted, old, live) else cast(object, live)
