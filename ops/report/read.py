"""Reading `pulumi preview --json`: its digest, or, with PULUMI_ENABLE_STREAMING_JSON_PREVIEW=1, its stream of events.

Only the stream holds what the policies said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from local.errors import MantaError
from ops.report.preview import Change, Inputs, Operation, Preview, Resource, Violation
from ops.report.shape import is_digest, is_event

_REMEDY = "write it with `PULUMI_ENABLE_STREAMING_JSON_PREVIEW=1 pulumi preview --json > FILE`"
_COLOUR_TAG = re.compile(r"<\{%[^%]*%\}>")
_REPLACING = frozenset({"replace", "create-replacement", "delete-replaced"})
_PLAIN: dict[str, Operation] = {"create": "create", "import": "create", "update": "update", "delete": "delete"}
_IDLE = frozenset({
    "same", "read", "refresh", "read-replacement", "read-discard", "discard-replaced", "remove-pending-replace",
})  # fmt: skip
_CANNOT_RUN = re.compile(r"can't run policy '([^']+)'")
Step = Mapping[str, Any]


def read(path: Path, stack: str) -> Preview:
    """The preview of `stack` in `path`; raises MantaError if it is not whole or of a form that is not known."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        raise MantaError(f"{path} cannot be read as text: {_REMEDY}") from None
    return parse(text, stack, str(path))


def parse(text: str, stack: str, where: str) -> Preview:
    """As `read`, of the text itself; `where` is what errors call it."""
    if not text.strip():
        raise MantaError(f"{where} is empty: the preview did not run, or failed before it could say why; {_REMEDY}")
    try:
        value: Any = json.loads(text)
    except ValueError:
        return _stream(_lines(text, where), stack, where)
    if isinstance(value, dict) and "steps" in value:
        return _digest(cast(Step, value), stack, where)
    if isinstance(value, dict) and "diagnostics" in value and is_digest(value):
        # A preview that failed before its first step leaves only its reasons.
        return Preview(stack, errors=_messages(cast(Step, value).get("diagnostics")))
    if is_event(value):
        return _stream([cast(Step, value)], stack, where)
    raise MantaError(f"{where} is JSON, but no preview that Pulumi 3.259 writes: {_REMEDY}")


def parse_refresh(text: str, stack: str, where: str) -> Preview:
    """What `pulumi refresh --preview-only --json` streams: a change is what is not as it is recorded."""
    events = _lines(text, where)
    # What a refresh finds is in the step's end; its beginning says of every resource that it is read.
    ends = [
        {"sequence": 0, "resourcePreEvent": event["resOutputsEvent"]} for event in events if "resOutputsEvent" in event
    ]
    others = [event for event in events if "resourcePreEvent" not in event and "resOutputsEvent" not in event]
    return _stream([*others, *ends], stack, where)


def _lines(text: str, where: str) -> list[Step]:
    events: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event: Any = json.loads(line)
        except ValueError:
            raise MantaError(f"{where}, line {number} is no JSON: the preview was cut off; {_REMEDY}") from None
        if not is_event(event):
            raise MantaError(f"{where}, line {number} is no event of Pulumi 3.259: {_REMEDY}")
        events.append(cast(Step, event))
    return events


def _digest(digest: Step, stack: str, where: str) -> Preview:
    if not is_digest(digest):
        raise MantaError(f"{where}: its steps are not those of Pulumi 3.259: {_REMEDY}")
    steps: Any = digest.get("steps") or []
    found = [(step, step.get("oldState"), step.get("newState")) for step in cast(list[Step], steps)]
    return _preview(stack, found, [], _messages(digest.get("diagnostics")), judged=False)


def _stream(events: list[Step], stack: str, where: str) -> Preview:
    if not any("summaryEvent" in event for event in events):
        raise MantaError(f"{where} ends before the preview did: run it again; {_REMEDY}")
    steps: list[tuple[Step, Any, Any]] = []
    violations: list[Violation] = []
    for event in events:
        if step := event.get("resourcePreEvent"):
            metadata = step["metadata"]
            steps.append((metadata, metadata.get("old"), metadata.get("new")))
        elif policy := event.get("policyEvent"):
            violations.append(_violation(policy))
    errors = _messages(event["diagnosticEvent"] for event in events if "diagnosticEvent" in event)
    judged = any("policyLoadEvent" in event for event in events)
    return _preview(stack, steps, violations, errors, judged=judged)


def _preview(
    stack: str, steps: list[tuple[Step, Any, Any]], violations: list[Violation], errors: list[str], *, judged: bool
) -> Preview:
    changes: dict[str, Change] = {}
    before: dict[str, Resource] = {}
    after: dict[str, Resource] = {}
    unchanged = 0
    for step, old, new in steps:
        operation, urn = str(step["op"]), str(step["urn"])
        state = cast(Step, new or old or {})
        kind = str(state.get("type") or step.get("type") or "")
        if old:
            before.setdefault(urn, Resource(urn, kind, _inputs(old)))
        if operation not in ("delete", "delete-replaced") and new:
            after[urn] = Resource(urn, kind, _inputs(new))
        if operation in _IDLE:
            unchanged += 1
            continue
        protected = any(cast(Step, each or {}).get("protect") for each in (old, new))
        merged: Operation = "replace" if operation in _REPLACING else _PLAIN.get(operation, "update")
        earlier = changes.get(urn)
        changes[urn] = Change(
            merged,
            urn,
            kind,
            protected or bool(earlier and earlier.protected),
            _inputs(old) or (earlier.old if earlier else {}),
            _inputs(new) or (earlier.new if earlier else {}),
            _forced_by(step) or (earlier.forced_by if earlier else ()),
        )
    kept = [change for change in changes.values() if not change.type.startswith("pulumi:providers:")]
    return Preview(stack, kept, list(before.values()), list(after.values()), violations, errors, judged, unchanged)


def _inputs(state: Any) -> Inputs:
    found: Any = cast(Step, state).get("inputs") if isinstance(state, dict) else None
    return cast(Inputs, found) if isinstance(found, dict) else {}


def _forced_by(step: Step) -> tuple[str, ...]:
    detailed: Any = step.get("detailedDiff") or {}
    paths = [
        str(path)
        for path, entry in cast(Step, detailed).items()
        if str(cast(Step, entry).get("kind") or cast(Step, entry).get("diffKind") or "").endswith("-replace")
    ]
    keys = cast(list[Any], step.get("replaceReasons") or step.get("keys") or [])
    return tuple(paths or [str(key) for key in keys])


def _violation(policy: Step) -> Violation:
    message = _COLOUR_TAG.sub("", str(policy.get("message", ""))).strip()
    cannot = _CANNOT_RUN.search(message)
    return Violation(
        rule=str(policy.get("policyName", "")),
        mandatory=policy.get("enforcementLevel") == "mandatory",
        severity=str(policy.get("severity") or "unspecified"),
        message=message.splitlines()[-1] if message else "",
        urn=str(policy.get("resourceUrn") or ""),
        judged=cannot is None,
    )


def _messages(diagnostics: Any) -> list[str]:
    """Errors once each, without the engine's own last word, which says only that there were some."""
    found: list[str] = []
    for each in cast(Iterable[Step], diagnostics or []):
        message = _COLOUR_TAG.sub("", str(each.get("message", ""))).strip().removeprefix("error: ")
        if each.get("severity") == "error" and message not in ("", "preview failed", "update failed", *found):
            found.append(message)
    return found
