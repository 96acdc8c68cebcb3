"""The rules of the policy pack, listed."""

from __future__ import annotations

from ops.show import Json, as_json, table
from policies.catalogue import RULES


def policies(json: Json = False) -> None:
    """List the rules that every preview is judged by: how bad, why, and how to mend it."""
    if json:
        keys = ("name", "category", "severity", "why", "fix")
        as_json([{key: getattr(rule, key) for key in keys} for rule in RULES])
    else:
        rows = [(rule.name, rule.category, rule.severity, f"{rule.why}\n→ {rule.fix}") for rule in RULES]
        table(("rule", "about", "severity", "why, and how to mend it"), rows)
