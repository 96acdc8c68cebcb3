"""What changed between two wordings of a resource, and what of it means another resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from local.engine.aws.kinds import Kind, Values
from local.engine.aws.schema import Property, same
from local.engine.aws.schema import settled as settled_value
from local.engine.kubernetes.values import Path, has_unknown


@dataclass(frozen=True)
class Change:
    path: Path
    kind: Literal["add", "delete", "update"]
    replaces: bool


def changes(kind: Kind, old: Values, new: Values) -> list[Change]:
    return list(_changes(kind.properties, old, new, ()))


def _changes(properties: Mapping[str, Property], old: Values, new: Values, at: Path) -> list[Change]:
    found: list[Change] = []
    for name in sorted({**old, **new}):
        wanted = properties.get(name)
        if wanted is None:
            continue
        before, after = old.get(name), new.get(name)
        if after is None and (before is None or wanted.computed):
            continue
        if not has_unknown(after) and (same(wanted, before, after) or _both_empty(before, after)):
            continue
        if wanted.kind == "object" and isinstance(before, dict) and isinstance(after, dict):
            found += _changes(wanted.fields, cast(Values, before), cast(Values, after), (*at, name))
            continue
        what: Literal["add", "delete", "update"] = "add" if before is None else "delete" if after is None else "update"
        found.append(Change((*at, name), what, wanted.replaces))
    return found


def _both_empty(before: Any, after: Any) -> bool:
    return before in (None, [], {}, "") and after in (None, [], {}, "")


def must_go_first(kind: Kind, old: Values, new: Values, found: list[Change]) -> bool:
    """Whether the old one holds the name that its replacement needs."""
    replaced = any(change.replaces for change in found)
    return bool(replaced and kind.named_by and old.get(kind.named_by) == new.get(kind.named_by))


def settled(kind: Kind, want: Values, live: Values) -> Values:
    """The state: everything that AWS says, in the program's own wording where that means the same."""
    state = dict(want)
    for name, value in live.items():
        wanted = kind.properties.get(name)
        if value is None and name in want:
            continue
        state[name] = value
        # Objects keep what AWS adds to them: those are outputs.
        if name in want and wanted is not None and wanted.kind != "object" and same(wanted, want[name], value):
            state[name] = want[name]
    return state


def refreshed(kind: Kind, old: Values, live: Values) -> Values:
    """The inputs as they are in the account: changed ones as they are there, and set ones that the program left out."""
    found: Values = {}
    for name, wanted in kind.properties.items():
        now = live.get(name)
        if name in old:
            if name not in live or now is None:
                # Written and never read back, as a password is, or gone.
                if name in live and not wanted.secret:
                    continue
                found[name] = old[name]
            else:
                found[name] = settled_value(wanted, old[name], now)
        elif not wanted.computed and now not in (None, False, "", [], {}, 0):
            found[name] = now
    return found


def imported(kind: Kind, live: Values) -> Values:
    return {name: live[name] for name in kind.properties if live.get(name) not in (None, "", [], {})}
