"""What a type of resource is to the provider, and the list of those that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import UnsupportedError
from local.engine.aws.schema import Property, mapping

Values = dict[str, Any]


class Kind:
    """One type. Subclasses say its properties and speak to one service.

    `create` makes the thing with one call and returns its id; all else that can be said of it is said by `settle`, also
    after a failure and on each update, so that it must bear repetition. `read` returns all properties, inputs among
    them, or None. `delete` of what is gone is no error.
    """

    properties: ClassVar[Mapping[str, Property]] = {}
    tagged: ClassVar[bool] = True
    # The property that must be free before another of the same can be made.
    named_by: ClassVar[str] = ""

    def create(self, cloud: Cloud, want: Values) -> str:
        raise NotImplementedError

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        """Nothing more to say, for most."""

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        raise NotImplementedError

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        raise NotImplementedError

    def judge(self, want: Values) -> list[tuple[str, str]]:  # noqa: ARG002 - for those that look
        """(property, what is wrong) beyond what each property says of itself."""
        return []


_KINDS: dict[str, Kind] = {}


def kind(token: str) -> Callable[[type[Kind]], type[Kind]]:
    def enter(found: type[Kind]) -> type[Kind]:
        if found.tagged:
            found.properties = {**found.properties, "tags": mapping(), "tagsAll": mapping(computed=True)}
        _KINDS[token] = found()
        return found

    return enter


def of(token: str) -> Kind:
    """Raises UnsupportedError for a type that no program here uses."""
    found = _KINDS.get(token)
    if found is None:
        raise UnsupportedError(
            f"{token} is not among the types of the stand-in AWS provider: it has {', '.join(_KINDS)}"
        )
    return found


def tokens() -> list[str]:
    return sorted(_KINDS)
