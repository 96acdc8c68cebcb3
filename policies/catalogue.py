"""All rules, in the order in which they are listed."""

from __future__ import annotations

from policies import checklist_cluster, checklist_serving
from policies.rule import Rule

_MODULES = (checklist_cluster, checklist_serving)
RULES: tuple[Rule, ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Rule)
)
