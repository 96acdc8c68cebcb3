"""Every rule beside the checklist: a resource that breaks it, and this project's own, which break none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.kubernetes.network import network_manifests
from policies import serve_keys
from policies.catalogue import RULES
from tests.contract.manifests import (
    platform_manifests,
    platform_settings,
    ray_ingress,
    ray_job,
    ray_service,
    run_manifests,
    scheduled,
)
from tests.unit.policies import test_checklist, test_workbench_and_ingress
from tests.unit.policies.analyzer import MANDATORY, PACK, UNKNOWN, Analyzer, changed, kind_of
from tests.unit.policies.good import bent, with_variable

SPOT, ON_DEMAND = ({"karpenter.sh/capacity-type": value} for value in ("spot", "on-demand"))
DEPLOYMENT = "serve:applications/0/deployments/0"
JOB, HEAD, WORKERS = ray_job("gpus"), "spec/rayClusterSpec/headGroupSpec", "spec/rayClusterSpec/workerGroupSpecs/0"
CRON = scheduled()["schedule"]
SERVICE = ray_service("as in the repository")
SERVICE_HEAD, SERVICE_WORKERS = "spec/rayClusterConfig/headGroupSpec", "spec/rayClusterConfig/workerGroupSpecs/0"
POD, CONTAINER = f"{WORKERS}/template/spec", f"{WORKERS}/template/spec/containers/0"
TOLERATION = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def placed(manifest: dict[str, Any]) -> dict[str, Any]:
    """As a platform on AWS places a run: head on demand, GPU workers on either."""
    manifest = bent(manifest, f"{HEAD}/template/spec/nodeSelector", ON_DEMAND)
    return bent(manifest, f"{POD}/tolerations", TOLERATION)


def with_gpus(workers: int) -> dict[str, Any]:
    """An endpoint of so many workers with a GPU each."""
    manifest = bent(SERVICE, f"{SERVICE_WORKERS}/maxReplicas", workers)
    return bent(manifest, f"{SERVICE_WORKERS}/template/spec/containers/0/resources/limits/nvidia.com~gpu", "1")


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Sid": "It", "Effect": "Allow", "Action": action, "Resource": resource, **more}


def jobs(subject: Any, operator: str = "StringEquals", audience: str = "sts.amazonaws.com") -> dict[str, Any]:
    """A role that GitHub's jobs may take."""
    github = "token.actions.githubusercontent.com"
    condition = {operator: {f"{github}:sub": subject, f"{github}:aud": audience}}
    principal = {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{github}"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity"}
    return {"assumeRolePolicy": json.dumps({"Statement": [{**statement, "Condition": condition}]})}


def bounded(limits: dict[str, str], families: list[str], sizes: list[str]) -> tuple[str, dict[str, Any]]:
    """A NodePool of such machines."""
    requirements = [
        {"key": f"karpenter.k8s.aws/instance-{key}", "operator": "In", "values": values}
        for key, values in (("family", families), ("size", sizes))
    ]
    spec = {"limits": limits, "template": {"spec": {"requirements": requirements}}}
    return "kubernetes:karpenter.sh/v1:NodePool", {"spec": spec}


def pool(name: str = "gpu-spot", capacity: str = "spot", weight: int = 50, limit: str | None = "8") -> dict[str, Any]:
    requirement = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity]}
    return {
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name},
        "spec": {
            "weight": weight, "limits": {"nvidia.com/gpu": limit} if limit else {},
            "disruption": {"consolidateAfter": "300s"},
            "template": {"metadata": {"labels": {"manta/nodes": "gpu"}}, "spec": {"requirements": [requirement]}},
        },
    }  # fmt: skip


EKS: dict[str, Any] = {
    "vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]},
    "encryptionConfig": {"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:x"}},
    "enabledClusterLogTypes": ["api", "audit", "authenticator"],
    "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
    "tags": {"manta:environment": "prod", "manta:owner": "ml"},
}
SERVICE_OF_RAY = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "targetPort": 8265}]},
}  # fmt: skip
INGRESS = {
    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
    "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "ray", "port": {"number": 8265}}}}]}}]},
}  # fmt: skip
BALANCER = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "annotations": {}},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 443, "targetPort": 8000}]},
}  # fmt: skip


def balanced(path: str, delay: int) -> dict[str, Any]:
    prefix = "service.beta.kubernetes.io~aws-load-balancer-"
    annotated = changed(BALANCER, f"metadata/annotations/{prefix}healthcheck-path", path)
    attributes = f"deregistration_delay.timeout_seconds={delay}"
    return changed(annotated, f"metadata/annotations/{prefix}target-group-attributes", attributes)


TEMPLATE = {
    "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}],
}
AWS = {
    "template": "aws:ec2/launchTemplate:LaunchTemplate", "eks": "aws:eks/cluster:Cluster",
    "database": "aws:rds/instance:Instance", "policy": "aws:iam/rolePolicy:RolePolicy",
    "bucket": "aws:s3/bucket:Bucket", "role": "aws:iam/role:Role",
    "volume": "aws:ebs/volume:Volume", "node class": "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass",
}  # fmt: skip
KEPT = {"manta:environment": "prod", "manta:owner": "ml"}
# Rule, resource type (empty: the manifest's own), resource, words of the message.
BROKEN: list[tuple[str, str, dict[str, Any], str]] = [
    ("serve-one-image", "", bent(SERVICE, f"{SERVICE_WORKERS}/template/spec/containers/0/image", "other@sha256:b"),
     "run 2 images"),
    ("serve-graceful", "", bent(SERVICE, f"{DEPLOYMENT}/graceful_shutdown_timeout_s", 5), "5 is not within 20 to 300"),
    ("serve-graceful", "", bent(SERVICE, f"{DEPLOYMENT}/graceful_shutdown_timeout_s", 200),
     "not below the pods' 110 s"),
    ("serve-room-for-both", "", with_gpus(33), "need 66 GPUs side by side, and prod may have 64"),
    ("serve-health", "", bent(SERVICE, f"{DEPLOYMENT}/health_check_period_s", None), "period_s is not set"),
    ("serve-health", "", bent(SERVICE, f"{DEPLOYMENT}/health_check_timeout_s", 600), "is 600"),
    ("serve-known-keys", "", bent(SERVICE, f"{DEPLOYMENT}/max_ongoing_request", 1),
     "did you mean max_ongoing_requests"),
    ("serve-known-keys", "", changed(SERVICE, "spec/serveConfigV2", "a: [b"), "is no YAML with applications"),
    ("serve-ports", "", bent(SERVICE, f"{SERVICE_HEAD}/template/spec/containers/0/ports",
     [{"name": "http", "containerPort": 8000}]), "not serve 8000"),
    ("serve-survives-a-node", "", bent(SERVICE, f"{SERVICE_WORKERS}/minReplicas", 1), "1 worker pods at least"),
    ("serve-survives-a-node", "", bent(SERVICE, f"{DEPLOYMENT}/num_replicas", 1), "1 replicas at least"),
    ("serve-traffic-off-the-head", "", bent(SERVICE, "spec/excludeHeadPodFromServeSvc", None), "answers requests too"),
    ("spot-head-on-demand", "", bent(placed(JOB), f"{HEAD}/template/spec/nodeSelector", SPOT),
     "may be placed on a spot"),
    ("spot-head-on-demand", "", bent(placed(JOB), f"{HEAD}/template/spec/nodeSelector", None),
     "may be placed on a spot"),
    ("spot-workers-tolerate-gpus", "", JOB, "does not tolerate the taint nvidia.com/gpu"),
    ("spot-evictable", "", bent(placed(JOB), f"{WORKERS}/template/metadata/annotations",
     {"karpenter.sh/do-not-disrupt": "true"}), "carries karpenter.sh/do-not-disrupt"),
    ("spot-evictable", "", bent(placed(JOB), f"{POD}/tolerations", [{"operator": "Exists"}]), "tolerates every taint"),
    ("spot-retries", "", bent(placed(JOB), "spec/backoffLimit", 0), "workers may run on spot"),
    ("spot-grace", "", bent(placed(JOB), f"{POD}/terminationGracePeriodSeconds", 300), "grace of 300 s"),
    ("pods-restricted", "", bent(JOB, f"{CONTAINER}/securityContext/privileged", True), "privileged"),
    ("pods-restricted", "", bent(JOB, f"{CONTAINER}/securityContext", None), "runAsNonRoot|capabilities do not drop"),
    ("pods-restricted", "", bent(JOB, f"{POD}/hostNetwork", True), "hostNetwork is true"),
    ("pods-restricted", "", bent(CRON, "spec/jobTemplate/spec/template/spec/hostPID", True), "hostPID is true"),
    ("pods-restricted", "", bent(JOB, f"{POD}/volumes", [{"name": "v", "hostPath": {"path": "/"}}]), "is a hostPath"),
    ("pods-restricted", "", bent(JOB, f"{CONTAINER}/securityContext/capabilities/add", ["SYS_ADMIN"]), "SYS_ADMIN"),
    ("pods-allowed-registries", "", bent(JOB, f"{CONTAINER}/image", "docker.io/evil/ray@sha256:" + "a" * 64),
     "evil/ray"),
    ("secrets-not-in-variables", "", with_variable(JOB, WORKERS, "HF_TOKEN", "hf_abc"), "variable HF_TOKEN holds"),
    ("secrets-not-in-variables", "", with_variable(JOB, WORKERS, "DB", "postgres://u:pw@host/db"), "variable DB holds"),
    ("ray-token-auth", "", bent(JOB, "spec/rayClusterSpec/authOptions", None), "authOptions.mode is not set"),
    ("ray-private-ports", "", SERVICE_OF_RAY, "publishes port 80 as LoadBalancer"),
    ("ray-private-ports", "", INGRESS, "an Ingress leads to port 8265 of ray"),
    ("ray-private-ports", "", bent(JOB, f"{HEAD}/headService/spec/type", "NodePort"), "is of type NodePort"),
    ("ray-private-ports", "", bent(JOB, f"{HEAD}/enableIngress", True), "makes the dashboard public"),
    ("namespaces-enforce-restricted", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}},
     "not set"),
    ("aws-imds", AWS["template"], {}, "httpTokens is not set"),
    ("aws-imds", AWS["template"], changed(TEMPLATE, "metadataOptions/httpPutResponseHopLimit", 2), "HopLimit is 2"),
    ("aws-imds", AWS["node class"], {"spec": {"metadataOptions": {"httpTokens": "optional"}}},
     "httpTokens is optional"),
    ("aws-encrypted", AWS["template"], changed(TEMPLATE, "blockDeviceMappings/0/ebs/encrypted", None),
     "/dev/xvda is not"),
    ("aws-encrypted", AWS["volume"], {"size": 10}, "encrypted is not true"),
    ("aws-encrypted", AWS["database"], {}, "storageEncrypted is not true"),
    ("aws-database-private", AWS["database"], {"publiclyAccessible": True}, "publiclyAccessible is true"),
    ("aws-eks-endpoint", AWS["eks"], changed(EKS, "vpcConfig", {}), "open to the whole internet"),
    ("aws-eks-endpoint", AWS["eks"], changed(EKS, "vpcConfig/publicAccessCidrs", ["0.0.0.0/0"]), "whole internet"),
    ("aws-eks-hardened", AWS["eks"], changed(EKS, "encryptionConfig", None), "encrypts no secrets"),
    ("aws-eks-hardened", AWS["eks"], changed(EKS, "enabledClusterLogTypes", ["api"]), "lacks audit, authenticator"),
    ("aws-eks-hardened", AWS["eks"], changed(EKS, "accessConfig", {}), "authenticationMode is not set"),
    ("aws-iam-narrow", AWS["policy"], policy(allow("*")), "statement It allows *"),
    ("aws-iam-narrow", AWS["policy"], policy(allow(["s3:GetObject", "s3:*"], "arn:x")), "allows s3:*"),
    ("aws-iam-narrow", AWS["policy"], policy(allow("ec2:TerminateInstances")), "ec2:TerminateInstances on every"),
    ("aws-iam-narrow", AWS["policy"], policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
     "but what it"),
    ("aws-federation-narrow", AWS["role"], jobs("repo:o/n:pull_request"), "and not from one environment"),
    ("aws-federation-narrow", AWS["role"], jobs("repo:o/n:*", "StringLike"), "may take the role as anybody"),
    ("aws-federation-narrow", AWS["role"], jobs(["repo:o/n:environment:prod", "repo:o/n:ref:refs/heads/x"]),
     "not from one environment"),
    ("aws-federation-narrow", AWS["role"], jobs("repo:o/n:environment:prod", audience="x"), "(aud)"),
    ("serve-load-balancer", "", BALANCER, "health check path is not set|timeout_seconds is not set"),
    ("serve-load-balancer", "", balanced("/healthz", 60), "path is /healthz, not /-/healthz"),
    ("serve-load-balancer", "", balanced("/-/healthz", 300), "is 300, not within 30 and 120"),
    ("serve-load-balancer", "", changed(INGRESS, "spec/rules/0/http/paths/0/backend/service/port", {"name": "serve"}),
     "health check path is not set"),
    ("cost-gpu-ceiling", "", bent(JOB, f"{WORKERS}/maxReplicas", 65), "up to 65 GPUs, and prod may have 64"),
    ("cost-gpu-ceiling", "", pool(limit="1000"), "up to 1000 GPUs"),
    ("cost-pool-bounded", "", pool(limit=None), "spec.limits is not set"),
    ("cost-pool-bounded", "", bent(pool(), "spec/disruption", {}), "never removed"),
    ("cost-idle", "", bent(ray_job("autoscaling"), "spec/rayClusterSpec/autoscalerOptions/idleTimeoutSeconds", 9999),
     "stay for 9999 s"),
    ("cost-run-ends", "", bent(JOB, "spec/shutdownAfterJobFinishes", False), "is not true"),
    ("cost-run-ends", "", bent(JOB, "spec/activeDeadlineSeconds", None), "hangs for ever"),
    ("cost-run-ends", "", bent(JOB, "spec/ttlSecondsAfterFinished", 9_000_000), "stays for 9000000 s"),
    ("cost-tags", AWS["bucket"], {"tags": {"manta:owner": "ml"}}, "lacks the tags manta:environment"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "kind", "props", "words"), BROKEN, ids=[f"{row[0]}: {row[3]}" for row in BROKEN])
def test_a_broken_rule_stops_production(
    prod: Analyzer, rule: str, kind: str, props: dict[str, Any], words: str
) -> None:
    said = [each for each in prod.resource(kind or kind_of(props), props) if each.rule == rule]
    assert all(word in "\n".join(each.message for each in said) for word in words.split("|")), said
    assert {each.level for each in said} == {MANDATORY}


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("", placed(JOB)),
    ("", bent(SERVICE, f"{SERVICE_HEAD}/template/spec/nodeSelector", ON_DEMAND)),
    # More would not fit twice; in place it need not.
    ("", bent(bent(bent(with_gpus(33), "spec/upgradeStrategy/type", "None"),
     f"{SERVICE_HEAD}/template/spec/nodeSelector", ON_DEMAND),
     f"{SERVICE_WORKERS}/template/spec/tolerations", TOLERATION)),
    ("", {"apiVersion": "v1", "kind": "Namespace",
          "metadata": {"name": "x", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
    ("", balanced("/-/healthz", 60)),
    ("", pool()),
    (AWS["template"], TEMPLATE),
    (AWS["eks"], EKS),
    (AWS["database"], {"storageEncrypted": True, "publiclyAccessible": False, "tags": KEPT}),
    (AWS["node class"], {"spec": {"blockDeviceMappings": [{"ebs": {"encrypted": True}}]}}),
    (AWS["policy"], policy(allow("ec2:DescribeInstances"), allow("s3:PutObject", "arn:aws:s3:::b/*"),
     allow("ec2:RunInstances", Condition={"StringEquals": {"aws:RequestTag/a": "b"}}))),
    (AWS["bucket"], {"tags": KEPT}),
    (AWS["role"], jobs("repo:o/n:environment:prod")),
    ("", ray_ingress()),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "props"), GOOD)
def test_a_good_resource_breaks_no_rule_in_production(prod: Analyzer, kind: str, props: dict[str, Any]) -> None:
    said = prod.resource(kind or kind_of(props), props)
    assert [each for each in said if each.rule != "ray-drill-recorded"] == []


def test_default_tags_of_a_provider_count(prod: Analyzer) -> None:
    given = {"defaultTags": json.dumps({"tags": KEPT})}
    assert prod.resource(AWS["bucket"], {}, provider=given) == []


@pytest.mark.parametrize(
    "manifest", [*platform_manifests(), *run_manifests(), ray_job("as in the repository"), SERVICE],
    ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}",
)  # fmt: skip
def test_nothing_that_the_local_stacks_make_breaks_a_rule(local: Analyzer, manifest: dict[str, Any]) -> None:
    assert local.resource(kind_of(manifest), manifest) == []


def namespace(name: str) -> tuple[str, dict[str, Any]]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return "kubernetes:core/v1:Namespace", {"metadata": {"name": name, "labels": labels}}


def deny(namespace: str, **spec: Any) -> tuple[str, dict[str, Any]]:
    return "kubernetes:networking.k8s.io/v1:NetworkPolicy", {
        "metadata": {"namespace": namespace}, "spec": {"policyTypes": ["Ingress", "Egress"], **spec},
    }  # fmt: skip


TLS = json.dumps(
    {"Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}, "Action": "s3:*"}]}
)
BLOCK = {
    "bucket": "b", "blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}  # fmt: skip
NODE_ROLE = {"name": "node", "assumeRolePolicy": '{"Statement":[{"Principal":{"Service":"ec2.amazonaws.com"}}]}'}
ATTACHED = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
WHOLE: list[tuple[str, dict[str, tuple[str, dict[str, Any]]], str]] = [
    ("network-default-deny", {"ray": namespace("ray")}, "namespace ray has no NetworkPolicy"),
    ("network-default-deny", {"ray": namespace("ray"), "p": deny("other")}, "namespace ray has no NetworkPolicy"),
    ("network-default-deny", {"ray": namespace("ray"), "p": deny("ray", ingress=[{}])}, "namespace ray has no"),
    ("network-default-deny", {"ray": namespace("ray"), "p": deny("ray")}, ""),
    ("network-default-deny", {"ray": namespace("ray"), "p": (deny("ray")[0], {})}, ""),  # of no cluster yet
    ("aws-buckets-private", {"b": (AWS["bucket"], {"bucket": "b"})}, "public access is not blocked"),
    ("aws-buckets-private", {"b": (AWS["bucket"], {"bucket": "b"}),
     "k": ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", BLOCK)}, "no policy denies requests without TLS"),
    ("aws-buckets-private", {"x": (AWS["bucket"], {"bucket": "b"}),
     "k": ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", BLOCK),
     "p": ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "b", "policy": TLS})}, ""),
    ("aws-node-role", {"r": ("aws:iam/role:Role", NODE_ROLE),
     "a": (ATTACHED, {"role": "node", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})},
     "has the policy AdministratorAccess"),
    ("aws-node-role", {"r": ("aws:iam/role:Role", NODE_ROLE),
     "a": (ATTACHED, {"role": "node", "policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"})}, ""),
    ("aws-node-role", {"r": ("aws:iam/role:Role", NODE_ROLE), "i": (AWS["policy"], {"role": "node"})}, "of its own"),
    ("cost-budget", {"c": (AWS["eks"], EKS)}, "without a budget"),
    ("cost-budget", {"c": (AWS["eks"], EKS), "b": ("aws:budgets/budget:Budget", {})}, ""),
    # g6e.8xlarge costs 4.53 USD for its one GPU, g6e.48xlarge 3.77 for each of its eight; m7i.large 0.05 for a vCPU.
    ("cost-hourly-ceiling", {"p": bounded({"nvidia.com/gpu": "64"}, ["g6e"], ["48xlarge"])}, ""),
    ("cost-hourly-ceiling", {"p": bounded({"nvidia.com/gpu": "64"}, ["g6e"], ["48xlarge"]),
     "q": bounded({"nvidia.com/gpu": "64"}, ["g6e"], ["8xlarge"])},
     "up to 531 USD an hour at on-demand prices (q 290, p 241), and prod may cost 400"),
    ("cost-hourly-ceiling", {"p": bounded({"cpu": "1000"}, ["m7i"], ["large"])}, ""),
    ("cost-hourly-ceiling", {"p": bounded({"cpu": "10000"}, ["m7i"], ["large"])}, "up to 504 USD an hour"),
    ("cost-hourly-ceiling", {"p": bounded({"nvidia.com/gpu": "1"}, ["g5", "g99"], ["xlarge"])}, "no price of g99"),
    ("cost-hourly-ceiling", {"n": ("aws:eks/nodeGroup:NodeGroup",
     {"instanceTypes": ["p5.48xlarge"], "scalingConfig": {"maxSize": 10}})}, "USD an hour"),
    ("cost-hourly-ceiling", {"p": ("kubernetes:karpenter.sh/v1:NodePool", {})}, ""),  # of no cluster yet
    ("spot-fallback", {"s": ("kubernetes:karpenter.sh/v1:NodePool", pool())}, "nothing of a lower weight takes over"),
    ("spot-fallback", {"s": ("kubernetes:karpenter.sh/v1:NodePool", pool()),
     "d": ("kubernetes:karpenter.sh/v1:NodePool", pool("d", "on-demand", 90))}, "nothing of a lower weight"),
    ("spot-fallback", {"s": ("kubernetes:karpenter.sh/v1:NodePool", pool()),
     "d": ("kubernetes:karpenter.sh/v1:NodePool", pool("d", "on-demand", 10))}, ""),
]  # fmt: skip


RAY_POLICY = network_manifests(platform_settings(), platform_settings().network)["ray-cluster"]


def as_ray(policy: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """A platform whose only opening is `policy`."""
    return {"deny": deny("ray"), "ray": (kind_of(policy), policy)}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (as_ray(RAY_POLICY), ""),
        ({"deny": deny("ray")}, "no NetworkPolicy opens anything to Ray's pods"),
        (as_ray(changed(RAY_POLICY, "spec/ingress", [{"ports": [{"port": 8265}]}])), "port 6379, 8000 of the head"),
        (as_ray(changed(RAY_POLICY, "spec/ingress", [{"ports": [{"port": 6000, "endPort": 9000}]}])), ""),
        (as_ray(changed(RAY_POLICY, "spec/podSelector", {"matchLabels": {"ray.io/node-type": "head"}})),
         "nothing reaches port 8000 of the worker"),
    ],
)  # fmt: skip
def test_a_platform_opens_the_ports_without_which_ray_hangs(
    running: Analyzer, resources: dict[str, tuple[str, dict[str, Any]]], words: str
) -> None:
    running.configure("platform-prod")
    said = [each for each in running.whole(resources) if each.rule == "serve-ports-open"]
    assert words in "\n".join(each.message for each in said)
    assert {each.level for each in said} == ({MANDATORY} if words else set())


@pytest.mark.parametrize(("rule", "resources", "words"), WHOLE)
def test_a_rule_about_a_whole_stack(
    prod: Analyzer, rule: str, resources: dict[str, tuple[str, dict[str, Any]]], words: str
) -> None:
    said = "\n".join(each.message for each in prod.whole(resources) if each.rule == rule)
    assert words in said
    assert bool(said) == bool(words)


def test_a_secret_in_a_variable_is_named_and_not_shown(prod: Analyzer) -> None:
    manifest = with_variable(JOB, WORKERS, "HF_TOKEN", "hf_verysecret")
    assert "hf_verysecret" not in str(prod.resource(kind_of(manifest), manifest))


def test_an_unknown_policy_document_is_not_taken_for_a_good_one(prod: Analyzer) -> None:
    (said,) = prod.resource(AWS["policy"], {"policy": UNKNOWN})
    assert "can't run policy 'aws-iam-narrow'" in said.message


# Rules of a platform, each with a test of its own that has broken and kept cases.
ELSEWHERE = test_checklist.BROKEN_ELSEWHERE | {"serve-ports-open"}


def test_every_rule_has_a_case_that_breaks_it() -> None:
    rows = (*BROKEN, *test_checklist.BROKEN, *test_workbench_and_ingress.BROKEN)
    broken = {row[0] for row in rows} | {row[0] for row in WHOLE if row[2]}
    assert {rule.name for rule in RULES} - broken - ELSEWHERE == set()


def test_every_rule_has_a_case_that_keeps_it() -> None:
    """A resource of a type that the rule looks at is among those of which nothing is said."""
    kept = {row[0] for row in WHOLE if not row[2]} | ELSEWHERE
    kinds = {kind or kind_of(props) for kind, props in GOOD}
    assert [rule.name for rule in RULES if rule.name not in kept and not rule.types & kinds] == []


def test_the_keys_that_rules_know_are_those_that_the_program_knows() -> None:
    from infra.ray import rules_serve

    for name in ("TOP_LEVEL", "APPLICATION", "DEPLOYMENT", "AUTOSCALING"):
        assert getattr(serve_keys, name) == getattr(rules_serve, name)


def test_the_documentation_lists_every_rule_as_it_is() -> None:
    shown = (PACK.parent / "docs" / "policies.md").read_text()
    rows = {f"| `{rule.name}` | {rule.severity} | {rule.why} | {rule.fix} |" for rule in RULES}
    assert {row for row in rows if row not in shown} == set()
    assert shown.count("\n| `") == len(RULES)
