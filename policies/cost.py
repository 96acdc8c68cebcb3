"""What keeps a mistake from costing more than it must."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policies import limits
from policies.facts import GPU
from policies.pods import RAY, RAY_CLUSTER, RAY_JOB, cluster_of, gpus_at_most, gpus_of, groups
from policies.rule import About, Finding, Resource, Stack
from policies.spot import NODE_POOL
from policies.values import at, number, plain, section

# Types that AWS takes tags on and bills by.
_TAGGED = (
    "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:s3/bucket:Bucket", "aws:rds/instance:Instance",
    "aws:ec2/natGateway:NatGateway", "aws:ec2/vpc:Vpc", "aws:ec2/instance:Instance", "aws:kms/key:Key",
    "aws:ecr/repository:Repository", "aws:ebs/volume:Volume", "aws:ec2/eip:Eip", "aws:ec2/vpcEndpoint:VpcEndpoint",
)  # fmt: skip
MOST_IDLE_S, MOST_TTL_S = 3600, 7 * 86_400


@About(
    "cost-gpu-ceiling", "cost", "high",
    "One wrong digit in a worker count is a month's budget in a weekend.",
    "lower the count, or raise the environment's gpus in policies/limits.json in a change of its own",
).resources(NODE_POOL, *RAY)  # fmt: skip
def gpu_ceiling(resource: Resource) -> Iterator[str]:
    most = limits.load().gpus.get(resource.environment)
    if most is None:
        return
    if resource.type == NODE_POOL:
        wanted = number(at(resource.props, "spec", "limits", GPU)) or 0
    else:
        wanted = gpus_at_most(resource)
    if wanted > most:
        yield f"up to {wanted:g} GPUs, and {resource.environment} may have {most:g}"


@About(
    "cost-pool-bounded", "cost", "high",
    "A NodePool without limits follows every mistake to its end, and nodes that never go idle are never given back.",
    "set spec.limits and spec.disruption.consolidateAfter",
).resources(NODE_POOL)  # fmt: skip
def pool_bounded(resource: Resource) -> Iterator[str]:
    if not section(resource.props, "spec", "limits"):
        yield "spec.limits is not set"
    if at(resource.props, "spec", "disruption", "consolidateAfter") in (None, "Never"):
        yield "empty nodes are never removed"


@About(
    "cost-idle", "cost", "medium",
    "Workers that wait for nothing cost what workers cost.",
    f"set autoscalerOptions.idleTimeoutSeconds to at most {MOST_IDLE_S}; a standing cluster starts with no GPU worker",
).resources(*RAY)  # fmt: skip
def idle(resource: Resource) -> Iterator[str]:
    cluster = cluster_of(resource)
    if at(cluster, "enableInTreeAutoscaling") is True:
        seconds = number(at(cluster, "autoscalerOptions", "idleTimeoutSeconds"))
        if seconds is not None and seconds > MOST_IDLE_S:
            yield f"idle workers stay for {seconds:g} s"
    elif resource.type == RAY_CLUSTER:
        yield "a standing cluster without enableInTreeAutoscaling never gives its workers back"
    if resource.type == RAY_CLUSTER:
        for group in groups(resource):
            least = number(at(group.spec, "minReplicas")) or 0
            if group.role == "worker" and least and gpus_of(group):
                yield f"{group.where}: minReplicas {least:g} keeps GPUs whether anybody works or not"


@About(
    "cost-run-ends", "cost", "high",
    "A run that is over keeps its GPUs until somebody remembers it.",
    f"set shutdownAfterJobFinishes, ttlSecondsAfterFinished up to {MOST_TTL_S} and activeDeadlineSeconds",
).resources(RAY_JOB)  # fmt: skip
def run_ends(resource: Resource) -> Iterator[str]:
    spec = section(resource.props, "spec")
    if at(spec, "shutdownAfterJobFinishes") is not True and not section(spec, "deletionStrategy"):
        yield "shutdownAfterJobFinishes is not true"
    if (number(at(spec, "ttlSecondsAfterFinished")) or 0) > MOST_TTL_S:
        yield f"the cluster stays for {plain(at(spec, 'ttlSecondsAfterFinished'))} s after the run"
    if number(at(spec, "activeDeadlineSeconds")) is None:
        yield "activeDeadlineSeconds is not set: a run that hangs hangs for ever"


@About(
    "cost-budget", "cost", "medium",
    "Without a budget the bill at the end of the month is the first to tell.",
    "add an aws.budgets.Budget that writes to somebody",
).stack()  # fmt: skip
def budget(stack: Stack) -> Iterator[Finding]:
    if stack.of("aws:eks/cluster:Cluster") and not stack.of("aws:budgets/budget:Budget"):
        yield Finding("a platform on AWS without a budget")


@About(
    "cost-tags", "cost", "medium",
    "What carries no tag is in nobody's bill, and the audit after a destroy cannot find it.",
    "set the tags of policies/limits.json on the resource, or as default_tags of its provider",
).resources(*_TAGGED)  # fmt: skip
def tags(resource: Resource) -> Iterator[str]:
    by_default = section(_decoded(at(resource.provider, "defaultTags")), "tags")
    carried = {*section(resource.props, "tags"), *by_default}
    if missing := [tag for tag in limits.load().tags if tag not in carried]:
        yield f"lacks the tags {', '.join(missing)}"


def _decoded(value: Any) -> Any:
    """Providers get what is nested as JSON text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
