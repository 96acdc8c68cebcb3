"""Look through an account, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import boto3
import jmespath
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.audit.finders import FINDERS, Finder, Item
from ops.audit.marks import Marks

_PATIENT = Config(retries={"mode": "adaptive", "max_attempts": 8}, connect_timeout=10, read_timeout=60)


@dataclass(frozen=True)
class Leftover:
    """Something that is still there, and by what it is known to be the environment's."""

    service: str
    kind: str
    id: str
    name: str
    because: str


@dataclass(frozen=True)
class Unseen:
    """A kind that could not be looked at: nothing can be said of it."""

    service: str
    kind: str
    reason: str


def look(marks: Marks, region: str) -> tuple[list[Leftover], list[Unseen]]:
    """Everything of the environment in the account that the SDK's credentials belong to.

    Parts of a VPC are the environment's when the VPC is, tagged or not.
    """
    session = boto3.Session(region_name=region)
    number = str(client(session, "sts").get_caller_identity()["Account"])
    found: list[Leftover] = []
    unseen: list[Unseen] = []
    ours = _vpcs(session, marks, found, unseen)
    for finder in FINDERS:
        if finder.kind == "VPC":
            continue
        try:
            found += _matching(session, finder, marks, ours, number)
        except (ClientError, BotoCoreError) as error:
            unseen.append(Unseen(finder.service, finder.kind, _reason(error)))
    try:
        found += _keys(session, marks)
    except (ClientError, BotoCoreError) as error:
        unseen.append(Unseen("kms", "key", _reason(error)))
    return found, unseen


def client(session: boto3.Session, service: str) -> Any:
    make = cast(Callable[..., Any], session.client)  # pyright: ignore[reportUnknownMemberType]
    return make(service, config=_PATIENT)


def listed(api: Any, finder: Finder, **arguments: Any) -> Iterator[Item]:
    """Every item, of all pages; one that is a text becomes `{"id": text}`."""
    pages = (
        api.get_paginator(finder.operation).paginate(**arguments)
        if api.can_paginate(finder.operation)
        else [getattr(api, finder.operation)(**arguments)]
    )
    for page in pages:
        for item in cast(list[Any], jmespath.search(finder.key, page) or []):
            yield cast(Item, item if isinstance(item, dict) else {"id": item})


def tags_in(item: Item) -> dict[str, str]:
    """Tags as the services spell them: lists of Key and Value, of key and value, or a mapping."""
    fields = [name for name in ("Tags", "tags", "TagSet", "TagList") if item.get(name)]
    raw: Any = item[fields[0]] if fields else ()
    if isinstance(raw, Mapping):
        return {str(key): str(value) for key, value in cast(Mapping[str, Any], raw).items()}
    pairs = cast(list[dict[str, str]], raw)
    return {pair.get("Key", pair.get("key", "")): pair.get("Value", pair.get("value", "")) for pair in pairs}


def _vpcs(session: boto3.Session, marks: Marks, found: list[Leftover], unseen: list[Unseen]) -> set[str]:
    finder = next(finder for finder in FINDERS if finder.kind == "VPC")
    try:
        mine = _matching(session, finder, marks, set(), "")
    except (ClientError, BotoCoreError) as error:
        unseen.append(Unseen("ec2", "VPC", _reason(error)))
        return set()
    found += mine
    return {leftover.id for leftover in mine}


def _matching(session: boto3.Session, finder: Finder, marks: Marks, vpcs: set[str], number: str) -> list[Leftover]:
    api = client(session, finder.service)
    arguments = {**finder.arguments, **({"AccountId": number} if finder.service == "budgets" else {})}
    found: list[Leftover] = []
    for item in listed(api, finder, **arguments):
        if finder.gone(item):
            continue
        identifier = str(item[finder.id or "id"])
        name = str(item.get(finder.name, "")) or identifier.rpartition("/" if finder.service == "sqs" else ":")[2]
        because = (
            marks.of_name(name)
            or marks.of_tags(tags_in(item))
            or (f"in {item[finder.vpc]}" if finder.vpc and item.get(finder.vpc) in vpcs else None)
            or _by_further_tags(api, finder, item, marks)
        )
        if because:
            found.append(Leftover(finder.service, finder.kind, identifier, name, because))
    return found


def _by_further_tags(api: Any, finder: Finder, item: Item, marks: Marks) -> str | None:
    if finder.tags_of is None:
        return None
    operation, argument, source = finder.tags_of
    if source not in item:
        return None
    return marks.of_tags(tags_in(getattr(api, operation)(**{argument: item[source]})))


def _keys(session: boto3.Session, marks: Marks) -> list[Leftover]:
    """Keys have no name. One that is to be deleted stays for a week at least, costs nothing, and is no leftover."""
    api = client(session, "kms")
    found: list[Leftover] = []
    for item in listed(api, Finder("kms", "key", "list_keys", "Keys", "KeyId")):
        key = str(item["KeyId"])
        described = api.describe_key(KeyId=key)["KeyMetadata"]
        if described.get("KeyManager") == "AWS" or described.get("KeyState") == "PendingDeletion":
            continue
        tags = {tag["TagKey"]: tag["TagValue"] for tag in api.list_resource_tags(KeyId=key)["Tags"]}
        if because := marks.of_tags(tags):
            found.append(Leftover("kms", "key", key, str(described.get("Description", "")), because))
    return found


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]
