"""All rules, in the order in which they are listed."""

from __future__ import annotations

from policies import (
    checklist_cluster,
    checklist_serving,
    cost,
    cost_hourly,
    security_aws,
    security_identity,
    security_pods,
    security_reach,
    serving_hygiene,
    serving_reach,
    spot,
)
from policies.rule import Rule

_MODULES = (
    checklist_cluster,
    checklist_serving,
    serving_hygiene,
    serving_reach,
    spot,
    security_pods,
    security_reach,
    security_aws,
    security_identity,
    cost,
    cost_hourly,
)
RULES: tuple[Rule, ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Rule)
)
