"""AWS resources: what is encrypted, what is public, what is logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from policies.rule import About, Finding, Resource, Stack
from policies.values import Values, at, each, entries, items, number, section

CLUSTER, BUCKET = "aws:eks/cluster:Cluster", "aws:s3/bucket:Bucket"
TEMPLATE, INSTANCE = "aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
DATABASES = ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ANYWHERE = ("0.0.0.0/0", "::/0")


@About(
    "aws-imds", "security", "critical",
    "A pod that reaches the instance's metadata takes the node's own role.",
    "set httpTokens to required and httpPutResponseHopLimit to 1 in the metadata options",
).resources(TEMPLATE, INSTANCE, NODE_CLASS)  # fmt: skip
def imds(resource: Resource) -> Iterator[str]:
    inside = section(resource.props, "spec") if resource.type == NODE_CLASS else resource.props
    options = section(inside, "metadataOptions")
    # Karpenter's own defaults are the safe ones; EC2's are not.
    given = {"httpTokens": "required", "httpPutResponseHopLimit": 1} if resource.type == NODE_CLASS else {}
    tokens = at(options, "httpTokens") or given.get("httpTokens")
    hops = number(at(options, "httpPutResponseHopLimit") or given.get("httpPutResponseHopLimit"))
    if tokens != "required":
        yield f"httpTokens is {tokens or 'not set'}"
    if hops != 1:
        yield f"httpPutResponseHopLimit is {'not set' if hops is None else f'{hops:g}'}"


@About(
    "aws-encrypted", "security", "high",
    "A disk that is not encrypted can be read by whoever gets a copy of it.",
    "set encrypted on the volume, or storageEncrypted on the database",
).resources(TEMPLATE, INSTANCE, NODE_CLASS, "aws:ebs/volume:Volume", *DATABASES)  # fmt: skip
def encrypted(resource: Resource) -> Iterator[str]:
    props = resource.props
    if resource.type in DATABASES and not _true(at(props, "storageEncrypted")):
        yield "storageEncrypted is not true"
    if resource.type == "aws:ebs/volume:Volume" and not _true(at(props, "encrypted")):
        yield "encrypted is not true"
    if resource.type == INSTANCE:
        for disk in (section(props, "rootBlockDevice"), *entries(props, "ebsBlockDevices")):
            if not _true(at(disk, "encrypted")):
                yield f"disk {at(disk, 'deviceName') or 'root'} is not encrypted"
    inside = section(props, "spec") if resource.type == NODE_CLASS else props

    def mapping(found: Values) -> Iterator[str]:
        if "ebs" in found and not _true(at(found, "ebs", "encrypted")):
            yield f"disk {at(found, 'deviceName')} is not encrypted"

    yield from each(entries(inside, "blockDeviceMappings"), mapping)


@About(
    "aws-database-private", "security", "critical",
    "A database with a public address is attacked within minutes.",
    "set publiclyAccessible to false",
).resources(*DATABASES)  # fmt: skip
def database_private(resource: Resource) -> Iterator[str]:
    if _true(at(resource.props, "publiclyAccessible")):
        yield "publiclyAccessible is true"


@About(
    "aws-eks-endpoint", "security", "critical",
    "An API server that answers the whole internet is one stolen token away from everybody.",
    "switch endpointPublicAccess off, or list the networks that may reach it in publicAccessCidrs",
).resources(CLUSTER)  # fmt: skip
def eks_endpoint(resource: Resource) -> Iterator[str]:
    config = section(resource.props, "vpcConfig")
    public = at(config, "endpointPublicAccess")
    if public is not None and not _true(public):
        return
    networks = [str(network) for network in items(config, "publicAccessCidrs")]
    if not networks or any(network in _ANYWHERE for network in networks):
        yield "the API server's public endpoint is open to the whole internet"


@About(
    "aws-eks-hardened", "security", "high",
    "Without encryption, logs and access entries nobody can say later who read what.",
    "set encryptionConfig for secrets, enabledClusterLogTypes with audit and authenticationMode API",
).resources(CLUSTER)  # fmt: skip
def eks_hardened(resource: Resource) -> Iterator[str]:
    props = resource.props
    if "secrets" not in items(props, "encryptionConfig", "resources"):
        yield "encryptionConfig encrypts no secrets"
    missing = {"api", "audit", "authenticator"} - {str(kind) for kind in items(props, "enabledClusterLogTypes")}
    if missing:
        yield f"enabledClusterLogTypes lacks {', '.join(sorted(missing))}"
    if at(props, "accessConfig", "authenticationMode") != "API":
        yield f"authenticationMode is {at(props, 'accessConfig', 'authenticationMode') or 'not set'}"
    if at(props, "accessConfig", "bootstrapClusterCreatorAdminPermissions") is not False:
        yield "whoever creates the cluster becomes its admin for good"


@About(
    "aws-buckets-private", "security", "critical",
    "A bucket without both is one wrong policy away from being public, or read in plain text.",
    "add a BucketPublicAccessBlock with all four switches and a policy that denies requests without TLS",
).stack()  # fmt: skip
def buckets_private(stack: Stack) -> Iterator[Finding]:
    blocks = stack.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    documents = stack.of("aws:s3/bucketPolicy:BucketPolicy")

    def bucket(found: Resource) -> Iterator[Finding]:
        if not any(_about(block, found) and all(_true(at(block.props, key)) for key in _BLOCKS) for block in blocks):
            yield Finding("its public access is not blocked by all four switches", found.urn)
        if not any(_about(policy, found) and _tls_only(at(policy.props, "policy")) for policy in documents):
            yield Finding("no policy denies requests without TLS", found.urn)

    yield from each(stack.of(BUCKET), bucket)


def _about(other: Resource, bucket: Resource) -> bool:
    """Whether `other` belongs to `bucket`: by the name in the program, which is known before the bucket's own is."""
    if other.name == bucket.name:
        return True
    named = at(other.props, "bucket")
    return named is not None and named == at(bucket.props, "bucket")


def _tls_only(policy: Any) -> bool:
    for statement in statements(policy):
        condition = json.dumps(statement.get("Condition", {}))
        if statement.get("Effect") == "Deny" and '"aws:SecureTransport": "false"' in condition:
            return True
    return False


def statements(policy: Any) -> list[dict[str, Any]]:
    """The statements of an IAM document, which is JSON text."""
    try:
        document: Any = json.loads(str(policy))
    except ValueError:
        return []
    found: Any = cast(dict[str, Any], document).get("Statement", []) if isinstance(document, dict) else []
    return [found] if isinstance(found, dict) else cast(list[dict[str, Any]], found)


def _true(value: Any) -> bool:
    """EC2's launch templates write truth values as text."""
    return value is True or value == "true"
