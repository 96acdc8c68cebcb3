"""The base of all settings, and the one sentence that says what is wrong with a stack file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from infra.errors import SettingsError
from infra.quantity import parse_quantity

Section = TypeVar("Section", bound="Settings")


class Settings(BaseModel):
    """Keys are camelCase in stack files; unknown ones are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True
    )


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("a quantity is a number or text, as 2, 500m or 2Gi")  # noqa: TRY004 - pydantic takes only this
    parse_quantity(str(value))
    return str(value)


def _number(value: Any) -> Any:
    # Python counts true as 1; a person who writes `count: true` means something else.
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")  # noqa: TRY004 - pydantic takes only this
    return value


Quantity = Annotated[str, BeforeValidator(_quantity)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=0, le=10_000)]
Positive = Annotated[int, BeforeValidator(_number), Field(ge=1, le=10_000)]
Seconds = Annotated[int, BeforeValidator(_number), Field(ge=1, le=30 * 86_400)]
# A tag can be moved to other content; a digest cannot, and it is part of a run's identity.
IMAGE_PATTERN = r"^[a-z0-9][a-zA-Z0-9./:_-]*@sha256:[0-9a-f]{64}$"
Image = Annotated[str, Field(pattern=IMAGE_PATTERN)]
Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=38)]

_IMAGE_HINT = "an image is named by digest, as registry/name@sha256:<64 hex digits>, since a tag can be moved"
_NAME_HINT = "a name has at most 38 lower-case letters, digits and hyphens and starts with a letter"


def read(section: type[Section], values: Mapping[str, Any], stack: str) -> Section:
    """`values` (keys without the project's namespace) as `section`.

    Raises SettingsError with one sentence that names the key, the stack and, for an unknown key, the nearest known one.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(_sentence(section, error, stack)) from None


def decode(text: str) -> Any:
    """A config value as Pulumi hands it over: objects and lists are JSON, everything else is text."""
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _sentence(section: type[BaseModel], error: ValidationError, stack: str) -> str:
    # A misspelt required key shows as a missing one too: the misspelling is what helps.
    first = min(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
    location = [part for part in first["loc"] if not str(part).startswith(("function-", "constrained-"))]
    key = "manta:" + ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(section, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"stack {stack}: {key} is not a setting ({hint})"
    if first["type"] == "missing":
        return f"stack {stack}: {key} is missing: set it in stacks/Pulumi.{stack}.yaml"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        message = _IMAGE_HINT if "sha256" in message else _NAME_HINT
    if not location:
        return f"stack {stack}: {message}"
    given = "" if isinstance(first["input"], (dict, list)) else f"={first['input']}"
    return f"stack {stack}: {key}{given} cannot be used: {message[0].lower()}{message[1:]}"


def _known_keys(section: type[BaseModel], path: list[int | str]) -> list[str]:
    """The keys that the model at `path` below `section` knows."""
    for part in path:
        if isinstance(part, str):
            for field in section.model_fields.values():
                if part == field.alias and (inner := _model_in(field.annotation)):
                    section = inner
    return [field.alias or name for name, field in section.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if model := _model_in(argument):
            return model
    return None
