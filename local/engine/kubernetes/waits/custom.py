"""The annotation pulumi.com/waitFor: `jsonpath=...`, `condition=...`, or a JSON list of them that must all hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import jsonpath
from jsonpath import JSONPath
from jsonpath.exceptions import JSONPathError

from local.engine.kubernetes.objects import Object
from local.engine.kubernetes.waits.status import Ready, Status, Waiting, condition, settled

WAIT_FOR = "pulumi.com/waitFor"


class WaitForError(Exception):
    """The annotation cannot be understood."""


@dataclass(frozen=True)
class ConditionCheck:
    kind: str
    value: str

    def status(self, obj: Object) -> Status:
        found = condition(obj, self.kind)
        if found is None:
            return Waiting(f"no condition {self.kind} yet")
        observed = found.get("observedGeneration")
        if not settled(obj) or (observed is not None and observed < obj["metadata"].get("generation", 0)):
            return Waiting(f"condition {self.kind} is about an older version")
        if str(found.get("status")).lower() == self.value.lower():
            return Ready()
        detail = ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key))
        return Waiting(f"condition {self.kind} is {found.get('status')}{' (' + detail + ')' if detail else ''}")


@dataclass(frozen=True)
class PathCheck:
    source: str
    path: JSONPath
    value: str | None
    """None: the field only has to exist."""

    def status(self, obj: Object) -> Status:
        found = cast(list[Any], self.path.findall(cast(dict[str, Any], obj)))
        if not found:
            return Waiting(f"{self.source} is not there yet")
        if self.value is None:
            return Ready()
        texts = [_text(item) for item in found]
        # Comparing some of several values would be a guess about which one is meant.
        if len(found) == 1 and texts[0] == self.value:
            return Ready()
        return Waiting(f"{self.source} is {', '.join(texts)}, not {self.value}")


Check = ConditionCheck | PathCheck


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def parse(annotation: str) -> tuple[Check, ...]:
    """Raises WaitForError with what is wrong."""
    if not annotation.strip().startswith("["):
        return (_parse_one(annotation.strip()),)
    try:
        entries = json.loads(annotation)
    except ValueError as error:
        raise WaitForError(f"{WAIT_FOR} starts like a JSON list but is none: {error}") from None
    if not entries or not all(isinstance(entry, str) for entry in entries):
        raise WaitForError(f"{WAIT_FOR} must be a list of strings, at least one")
    return tuple(_parse_one(entry.strip()) for entry in cast(list[str], entries))


def _parse_one(text: str) -> Check:
    kind, separator, expression = text.partition("=")
    if kind == "condition" and expression:
        name, _, value = expression.partition("=")
        if name:
            return ConditionCheck(name, _unquoted(value) or "True")
    if kind == "jsonpath" and separator:
        match = re.fullmatch(r"\{(.*?)\}(?:=(.*))?|([^{=]+)(?:=(.*))?", expression, re.DOTALL)
        if match:
            path, value = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
            return PathCheck(path, _compile(path), _unquoted(value) if value is not None else None)
    raise WaitForError(f'{WAIT_FOR}: "{text}" is neither condition=Type[=Status] nor jsonpath={{.path}}[=value]')


def _compile(path: str) -> JSONPath:
    # kubectl lets the `$` and even the first dot be left out.
    full = path if path.startswith("$") else f"${path if path.startswith(('.', '[')) else '.' + path}"
    try:
        compiled = jsonpath.compile(full)
    except JSONPathError as error:
        raise WaitForError(f"{WAIT_FOR}: {path} is no JSONPath: {error}") from None
    if not isinstance(compiled, JSONPath):
        raise WaitForError(f"{WAIT_FOR}: {path} is several JSONPaths; use a list of one each")
    return compiled


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def custom_status(checks: tuple[Check, ...], obj: Mapping[str, Any]) -> Status:
    waiting = [status.reason for check in checks if isinstance(status := check.status(obj), Waiting)]
    return Waiting("; ".join(waiting)) if waiting else Ready()
