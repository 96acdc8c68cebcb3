"""What may break a rule for a while, and until when."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import yaml

_KEYS = ("rule", "resource", "reason", "expires")


class ExemptionError(ValueError):
    """One sentence: what is wrong with the file of exemptions."""


@dataclass(frozen=True)
class Exemption:
    """`resource` is a URN in which * stands for anything; `expires` is the last day on which it holds."""

    rule: str
    resource: str
    reason: str
    expires: datetime.date

    def covers(self, rule: str, urn: str) -> bool:
        return self.rule == rule and fnmatchcase(urn, self.resource)

    def holds(self, today: datetime.date) -> bool:
        return today <= self.expires


def load(path: Path, rules: Collection[str]) -> list[Exemption]:
    """The exemptions in `path`, none if there is no such file; raises ExemptionError for one that is not whole."""
    if not path.exists():
        return []
    try:
        content: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        raise ExemptionError(f"{path.name} is no YAML: mend it") from None
    if not isinstance(content, list):
        raise ExemptionError(f"{path.name} holds no list: each exemption is an entry of {', '.join(_KEYS)}")
    listed = cast(list[Any], content)
    return [_exemption(f"{path.name}, entry {number}", entry, rules) for number, entry in enumerate(listed, 1)]


def _exemption(where: str, entry: Any, rules: Collection[str]) -> Exemption:
    if not isinstance(entry, dict):
        raise ExemptionError(f"{where} is no mapping of {', '.join(_KEYS)}")
    given = cast(dict[str, Any], entry)
    if unknown := [key for key in given if key not in _KEYS]:
        raise ExemptionError(f"{where}: {unknown[0]} is no key; an exemption has {', '.join(_KEYS)}")
    if missing := [key for key in _KEYS if not given.get(key)]:
        raise ExemptionError(f"{where} names no {missing[0]}")
    if str(given["rule"]) not in rules:
        close = difflib.get_close_matches(str(given["rule"]), rules, n=1)
        hint = f"did you mean {close[0]}?" if close else "list them with python -m ops policies"
        raise ExemptionError(f"{where}: {given['rule']} is no rule ({hint})")
    if not re.search(r"[^*:]", str(given["resource"])):
        raise ExemptionError(f"{where}: resource {given['resource']} is every resource; name the one it is about")
    expires = given["expires"]
    if isinstance(expires, datetime.datetime) or not isinstance(expires, datetime.date):
        raise ExemptionError(f"{where}: expires {expires} is no day; write it as 2027-01-31")
    return Exemption(str(given["rule"]), str(given["resource"]), str(given["reason"]), expires)
