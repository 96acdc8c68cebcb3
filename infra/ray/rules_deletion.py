"""KubeRay 1.6.2's rules about what is deleted after a RayJob's end (part of `infra.ray.rules`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.plain import entries, section

# Deletion goes from the workers to the RayJob itself, so a later step must not be due before an earlier one.
_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")


def deletion_problems(spec: Mapping[str, Any]) -> Iterator[str]:
    strategy = spec.get("deletionStrategy")
    if strategy is None:
        return
    rules = entries(strategy, "deletionRules")
    legacy = {key: strategy[key] for key in ("onSuccess", "onFailure") if key in strategy}
    if rules and spec.get("shutdownAfterJobFinishes"):
        yield "deletionRules and shutdownAfterJobFinishes exclude each other"
    if rules and legacy:
        yield "deletionRules and onSuccess or onFailure exclude each other"
    elif rules:
        yield from _rule_problems(rules, spec)
    elif legacy:
        yield from _legacy_problems(legacy, spec)
    else:
        yield "deletionStrategy must not be empty"


def _rule_problems(rules: list[dict[str, Any]], spec: Mapping[str, Any]) -> Iterator[str]:
    due: dict[tuple[str, str], dict[str, int]] = {}
    for index, rule in enumerate(rules):
        where, policy, condition = f"deletionRules[{index}]", rule["policy"], rule["condition"]
        named = [key for key in ("jobStatus", "jobDeploymentStatus") if condition.get(key)]
        ttl = condition.get("ttlSeconds", 0)
        if len(named) != 1:
            yield f"{where} must name either jobStatus or jobDeploymentStatus"
            continue
        if ttl < 0:
            yield f"{where}: ttlSeconds must not be negative"
        if spec.get("clusterSelector") and policy in ("DeleteCluster", "DeleteWorkers"):
            yield f"{where}: {policy} excludes clusterSelector"
        if policy == "DeleteWorkers" and section(spec, "rayClusterSpec").get("enableInTreeAutoscaling"):
            yield f"{where}: DeleteWorkers excludes autoscaling"
        if policy == "DeleteSelf":
            # Not refused: Pulumi would find its RayJob gone and train again.
            yield f"{where}: DeleteSelf removes what Pulumi owns: use DeleteCluster"
        steps = due.setdefault((named[0], condition[named[0]]), {})
        if policy in steps:
            yield f"{where} repeats {policy} for {condition[named[0]]}"
        steps[policy] = ttl
    for (_, status), steps in due.items():
        ordered = [steps[policy] for policy in _ORDER if policy in steps]
        if ordered != sorted(ordered):
            yield f"deletionRules for {status}: ttlSeconds must not fall from {' over '.join(_ORDER)}"


def _legacy_problems(legacy: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    policies = [section(legacy, key).get("policy") for key in ("onSuccess", "onFailure")]
    if None in policies:
        yield "onSuccess and onFailure must both be set, each with a policy"
    if spec.get("clusterSelector") and any(policy in ("DeleteCluster", "DeleteWorkers") for policy in policies):
        yield "clusterSelector excludes DeleteCluster and DeleteWorkers"
    if "DeleteWorkers" in policies and section(spec, "rayClusterSpec").get("enableInTreeAutoscaling"):
        yield "DeleteWorkers excludes autoscaling"
    if "DeleteNone" in policies and spec.get("shutdownAfterJobFinishes"):
        yield "DeleteNone and shutdownAfterJobFinishes exclude each other"
