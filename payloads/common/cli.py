"""Command line from a pydantic model: one flag a field, `--weight-decay 0.0001`.

The model is the only description of the parameters: help, types, ranges and defaults come from it, so a flag cannot
drift from what the code reads.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from payloads.common.errors import PayloadError

Settings = TypeVar("Settings", bound=BaseModel)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PayloadError(f"{message} (--help lists the flags)")


def parse(model: type[Settings], description: str, arguments: Sequence[str] | None = None) -> Settings:
    """Parse `arguments` (default: the process's) into `model`; `--a-b` and `--a_b` are the same flag.

    Raises PayloadError with one sentence for an unknown flag (with the nearest known one), a value of the wrong
    type or out of range. Values never pass through a shell or eval.
    """
    parser = _Parser(description=description, allow_abbrev=False)
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)}"
        parser.add_argument(
            *_spellings(name),
            dest=name,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{field.description or name} ({default})".replace("%", "%%"),
        )
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise PayloadError(_unknown(unknown[0], model))
    try:
        return model.model_validate(vars(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise PayloadError(f"{_spellings(name)[0]} is required (--help lists the flags)") from None
        text = first["msg"].removeprefix("Value error, ")
        raise PayloadError(f"{_spellings(name)[0]}: {text} (got {first['input']!r})" if name else text) from None


def render(settings: BaseModel) -> list[str]:
    """The flags that `parse` reads back into an equal model."""
    arguments: list[str] = []
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        arguments += [_spellings(name)[0], str(value)]
    return arguments


def _spellings(name: str) -> list[str]:
    return list(dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"]))


def _unknown(argument: str, model: type[BaseModel]) -> str:
    flag = argument.split("=", 1)[0]
    known = [_spellings(name)[0] for name in model.model_fields]
    near = difflib.get_close_matches(flag, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "--help lists the flags"
    return f"unknown argument {flag}: {hint}"
