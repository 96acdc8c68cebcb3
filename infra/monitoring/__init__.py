"""What is measured, what is alarming, and how it is shown: pure functions that render what the operators read."""

from __future__ import annotations

from infra.monitoring.alerts_platform import CAPACITY, PLATFORM
from infra.monitoring.alerts_ray import CORE, RUNS, SERVING
from infra.monitoring.rule import Group

GROUPS = (CORE, RUNS, SERVING, PLATFORM, CAPACITY)


def groups(cloud: bool) -> tuple[Group, ...]:
    """Those whose metrics exist: without `cloud` there is neither Karpenter nor kube-state-metrics."""
    return tuple(group for group in GROUPS if cloud or not group.cloud)
