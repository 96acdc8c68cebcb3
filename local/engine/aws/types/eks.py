"""EKS clusters and their node groups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from local.engine.aws import shelf, tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.parts import listed, rows, table, words
from local.engine.aws.schema import block, blocks, flag, listing, mapping, names, number, required, text
from local.engine.aws.types.vpc import CIDR
from local.engine.kubernetes.values import has_unknown

ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/.+"
CLUSTER = r"[0-9A-Za-z][A-Za-z0-9_-]*"
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
# The API server that stands for the cluster, where the simulation does not say it itself.
KUBECONFIG_VARIABLE = "MANTA_SIM_KUBECONFIG"
_SHELF = "eks/cluster"


def require_role(cloud: Cloud, arn: str) -> None:
    """Raises the service's own error for a role that does not exist."""
    cloud.client("iam").get_role(RoleName=arn.rpartition("/")[2])


def _endpoint(found: dict[str, Any]) -> tuple[str, str]:
    """(address, certificate authority) of the API server."""
    if path := os.environ.get(KUBECONFIG_VARIABLE):
        content = yaml.safe_load(Path(path).read_text())
        cluster = content["clusters"][0]["cluster"]
        return str(cluster["server"]), str(cluster.get("certificate-authority-data", ""))
    return found["endpoint"], found["certificateAuthority"]["data"]


@kind("aws:eks/cluster:Cluster")
class Cluster(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=CLUSTER, longest=100),
        "roleArn": text(required=True, replaces=True, pattern=ROLE),
        "version": text(required=True, choices=("1.32", "1.33", "1.34", "1.35")),
        "bootstrapSelfManagedAddons": flag(replaces=True),
        "deletionProtection": flag(),
        "enabledClusterLogTypes": names(choices=LOGS),
        "accessConfig": block(
            {
                "authenticationMode": text(choices=("API", "API_AND_CONFIG_MAP", "CONFIG_MAP")),
                "bootstrapClusterCreatorAdminPermissions": flag(replaces=True),
            }
        ),
        "encryptionConfig": block(
            {
                "provider": required(
                    block({"keyArn": required(text(replaces=True, pattern=r"arn:aws[a-z-]*:kms:.+"))})
                ),
                "resources": required(names(choices=("secrets",))),
            }
        ),
        "kubernetesNetworkConfig": block(
            {
                "serviceIpv4Cidr": text(replaces=True, pattern=CIDR),
                "ipFamily": text(replaces=True, choices=("ipv4", "ipv6")),
            },
            computed=True,
        ),
        "upgradePolicy": block({"supportType": text(choices=("STANDARD", "EXTENDED"))}),
        "vpcConfig": block(
            {
                "subnetIds": required(names()),
                "securityGroupIds": names(),
                "endpointPrivateAccess": flag(),
                "endpointPublicAccess": flag(),
                "publicAccessCidrs": names(pattern=CIDR, computed=True),
            },
            required=True,
        ),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        config = want.get("vpcConfig", {})
        subnets = config.get("subnetIds")
        if subnets and not has_unknown(subnets) and len(set(map(str, listed(subnets)))) < 2:
            return [("vpcConfig", "vpcConfig.subnetIds: a cluster needs subnets in two zones at least")]
        if config.get("endpointPrivateAccess") is False and config.get("endpointPublicAccess") is False:
            return [("vpcConfig", "vpcConfig: private and public access to the endpoint cannot both be off")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        eks, config = cloud.client("eks"), want["vpcConfig"]
        require_role(cloud, want["roleArn"])
        zones = {
            subnet["AvailabilityZone"]
            for subnet in cloud.client("ec2").describe_subnets(SubnetIds=config["subnetIds"])["Subnets"]
        }
        if len(zones) < 2:
            raise AwsError(
                "CreateCluster: subnets specified must be in at least two different AZs (InvalidParameterException)"
            )
        if key := want.get("encryptionConfig", {}).get("provider", {}).get("keyArn"):
            cloud.client("kms").describe_key(KeyId=key)
        eks.create_cluster(
            name=want["name"],
            roleArn=want["roleArn"],
            version=want["version"],
            resourcesVpcConfig=self._vpc(want),
            logging=self._logging(want),
            **self._network(want),
            **self._encryption(want),
            tags=tagging.wanted(want),
        )
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        eks = cloud.client("eks")
        found = eks.describe_cluster(name=identifier)["cluster"]
        kept = shelf.get(cloud, _SHELF, identifier)
        if had:
            before = had.get("version")
            if before and float(before.split(".")[1]) > float(want["version"].split(".")[1]):
                raise AwsError(
                    f"UpdateClusterVersion: {before} cannot go back to {want['version']} (InvalidParameterException)"
                )
            eks.update_cluster_config(name=identifier, resourcesVpcConfig=self._vpc(want), logging=self._logging(want))
        group = found["resourcesVpcConfig"].get("clusterSecurityGroupId") or kept.get("securityGroup")
        names = ("version", "accessConfig", "deletionProtection", "upgradePolicy", "bootstrapSelfManagedAddons")
        kept = {name: want[name] for name in names if name in want}
        shelf.put(cloud, _SHELF, identifier, {**kept, **({"securityGroup": group} if group else {})})
        if not group:
            group = self._group(cloud, identifier, want["vpcConfig"]["subnetIds"])
            shelf.put(cloud, _SHELF, identifier, {**kept, "securityGroup": group})
        write, remove = tagging.differences(found.get("tags", {}), want)
        if write:
            eks.tag_resource(resourceArn=found["arn"], tags=write)
        if remove:
            eks.untag_resource(resourceArn=found["arn"], tagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("eks").describe_cluster(name=identifier)["cluster"]
        kept = shelf.get(cloud, _SHELF, identifier)
        config = found["resourcesVpcConfig"]
        address, authority = _endpoint(found)
        encryption = rows(found, "encryptionConfig")
        enabled = [entry for entry in found.get("logging", {}).get("clusterLogging", []) if entry.get("enabled")]
        network = found.get("kubernetesNetworkConfig", {})
        return {
            "arn": found["arn"],
            "name": found["name"],
            "clusterId": None,
            "status": found["status"],
            "roleArn": found["roleArn"],
            "version": kept.get("version", found["version"]),
            "platformVersion": found.get("platformVersion"),
            "endpoint": address,
            "certificateAuthority": {"data": authority},
            "certificateAuthorities": [{"data": authority}],
            "identities": [{"oidcs": [{"issuer": found["identity"]["oidc"]["issuer"]}]}],
            "accessConfig": kept.get("accessConfig"),
            "deletionProtection": kept.get("deletionProtection"),
            "upgradePolicy": kept.get("upgradePolicy"),
            "bootstrapSelfManagedAddons": kept.get("bootstrapSelfManagedAddons"),
            "enabledClusterLogTypes": sorted({name for entry in enabled for name in entry["types"]}),
            "encryptionConfig": {
                "provider": {"keyArn": encryption[0]["provider"]["keyArn"]},
                "resources": encryption[0]["resources"],
            } if encryption else None,
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": network.get("serviceIpv4Cidr"),
                "ipFamily": network.get("ipFamily", "ipv4"),
            },
            "vpcConfig": {
                "subnetIds": config["subnetIds"],
                "securityGroupIds": config.get("securityGroupIds", []),
                "endpointPrivateAccess": config.get("endpointPrivateAccess", False),
                "endpointPublicAccess": config.get("endpointPublicAccess", True),
                "publicAccessCidrs": config.get("publicAccessCidrs", []),
                "clusterSecurityGroupId": config.get("clusterSecurityGroupId") or kept.get("securityGroup"),
                "vpcId": _vpc_of(cloud, config["subnetIds"]),
            },
            "tagsAll": found.get("tags", {}),
        }  # fmt: skip

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        kept = shelf.get(cloud, _SHELF, identifier)
        if kept.get("deletionProtection"):
            raise AwsError(
                f"DeleteCluster: {identifier} has deletion protection on: set "
                "manta:aws.cluster.deletionProtection=false, bring the stack up, and destroy it "
                "then (InvalidRequestException)"
            )
        cloud.find(lambda: cloud.client("eks").delete_cluster(name=identifier))
        if group := kept.get("securityGroup"):
            cloud.find(lambda: cloud.client("ec2").delete_security_group(GroupId=group))
        shelf.remove(cloud, _SHELF, identifier)

    def _group(self, cloud: Cloud, name: str, subnets: list[str]) -> str:
        """The group that EKS makes for control plane and nodes: all within it, and everything out."""
        ec2 = cloud.client("ec2")
        vpc = _vpc_of(cloud, subnets)
        title = f"eks-cluster-sg-{name}"
        filters = [{"Name": "group-name", "Values": [title]}, {"Name": "vpc-id", "Values": [vpc]}]
        if found := ec2.describe_security_groups(Filters=filters)["SecurityGroups"]:
            return found[0]["GroupId"]
        tags = {"Name": title, f"kubernetes.io/cluster/{name}": "owned"}
        group = ec2.create_security_group(
            GroupName=title,
            Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tagging.pairs(tags)}],
        )["GroupId"]
        within = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=within)
        return group

    def _vpc(self, want: Values) -> dict[str, Any]:
        config = want["vpcConfig"]
        return {
            "subnetIds": config["subnetIds"],
            "securityGroupIds": config.get("securityGroupIds", []),
            "endpointPrivateAccess": config.get("endpointPrivateAccess", False),
            "endpointPublicAccess": config.get("endpointPublicAccess", True),
            "publicAccessCidrs": config.get("publicAccessCidrs")
            or (["0.0.0.0/0"] if config.get("endpointPublicAccess", True) else []),
        }

    def _logging(self, want: Values) -> dict[str, Any]:
        types = words(want, "enabledClusterLogTypes")
        return {
            "clusterLogging": [{"types": types, "enabled": True}]
            if types
            else [{"types": list(LOGS), "enabled": False}]
        }

    def _network(self, want: Values) -> dict[str, Any]:
        config = want.get("kubernetesNetworkConfig")
        return {"kubernetesNetworkConfig": config} if config else {}

    def _encryption(self, want: Values) -> dict[str, Any]:
        config = want.get("encryptionConfig")
        return {"encryptionConfig": [config]} if config else {}


def _vpc_of(cloud: Cloud, subnets: list[str]) -> str:
    return cloud.client("ec2").describe_subnets(SubnetIds=subnets[:1])["Subnets"][0]["VpcId"]


@kind("aws:eks/nodeGroup:NodeGroup")
class NodeGroup(Kind):
    properties = {
        "clusterName": text(required=True, replaces=True, pattern=CLUSTER),
        "nodeGroupName": text(required=True, replaces=True, pattern=CLUSTER, longest=63),
        "nodeRoleArn": text(required=True, replaces=True, pattern=ROLE),
        "subnetIds": names(required=True, replaces=True),
        "amiType": text(replaces=True, pattern=r"[A-Z0-9]+(_[A-Za-z0-9]+)*"),
        "capacityType": text(replaces=True, choices=("ON_DEMAND", "SPOT", "CAPACITY_BLOCK")),
        "instanceTypes": listing(replaces=True, pattern=r"[a-z0-9-]+\.[a-z0-9-]+"),
        "launchTemplate": block({"id": text(replaces=True), "version": required(text())}),
        "scalingConfig": block(
            {"desiredSize": required(number()), "minSize": required(number()), "maxSize": required(number())},
            required=True,
        ),
        "updateConfig": block({"maxUnavailable": number(), "maxUnavailablePercentage": number()}),
        "labels": mapping(),
        "taints": blocks(
            {
                "key": required(text(longest=63)),
                "value": text(longest=63),
                "effect": required(text(choices=("NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"))),
            }
        ),
    }
    named_by = "nodeGroupName"

    def judge(self, want: Values) -> list[tuple[str, str]]:
        size = want.get("scalingConfig", {})
        numbers = [size.get(name) for name in ("minSize", "desiredSize", "maxSize")]
        if all(isinstance(item, int) for item in numbers) and numbers != sorted(numbers):  # pyright: ignore
            return [("scalingConfig", f"scalingConfig: {numbers} are not minSize <= desiredSize <= maxSize")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        require_role(cloud, want["nodeRoleArn"])
        cloud.client("ec2").describe_subnets(SubnetIds=want["subnetIds"])
        if template := want.get("launchTemplate"):
            cloud.client("ec2").describe_launch_templates(LaunchTemplateIds=[template["id"]])
        optional = {
            "amiType": want.get("amiType"),
            "capacityType": want.get("capacityType"),
            "instanceTypes": want.get("instanceTypes"),
            "launchTemplate": want.get("launchTemplate"),
            "labels": want.get("labels"),
            "taints": want.get("taints"),
            "tags": want.get("tagsAll"),
        }
        cloud.client("eks").create_nodegroup(
            clusterName=want["clusterName"],
            nodegroupName=want["nodeGroupName"],
            nodeRole=want["nodeRoleArn"],
            subnets=want["subnetIds"],
            scalingConfig=_numbers(want["scalingConfig"]),
            **{key: value for key, value in optional.items() if value},
        )
        return f"{want['clusterName']}:{want['nodeGroupName']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        # The simulation keeps neither the template's version nor a group's tags in step.
        kept = {"launchTemplate": want.get("launchTemplate"), "updateConfig": want.get("updateConfig")}
        shelf.put(cloud, "eks/nodegroup", identifier.replace(":", "/"), {**kept, "tags": tagging.wanted(want)})
        if not had:
            return
        cluster, _, name = identifier.partition(":")
        live = cloud.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
        labels, taints = table(want, "labels"), rows(want, "taints")
        cloud.client("eks").update_nodegroup_config(
            clusterName=cluster,
            nodegroupName=name,
            labels={
                "addOrUpdateLabels": labels,
                "removeLabels": [key for key in live.get("labels", {}) if key not in labels],
            },
            taints={
                "addOrUpdateTaints": taints,
                "removeTaints": [taint for taint in live.get("taints", []) if taint not in taints],
            },
            scalingConfig=_numbers(want["scalingConfig"]),
        )

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        cluster, _, name = identifier.partition(":")
        found = cloud.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
        kept = shelf.get(cloud, "eks/nodegroup", f"{cluster}/{name}")
        return {
            "arn": found["nodegroupArn"],
            "clusterName": cluster,
            "nodeGroupName": name,
            "nodeRoleArn": found["nodeRole"],
            "subnetIds": found["subnets"],
            "amiType": found.get("amiType"),
            "capacityType": found.get("capacityType"),
            "instanceTypes": found.get("instanceTypes"),
            "launchTemplate": kept.get("launchTemplate"),
            "updateConfig": kept.get("updateConfig"),
            "scalingConfig": {key: int(value) for key, value in found["scalingConfig"].items()},
            "labels": found.get("labels") or {},
            "taints": found.get("taints") or [],
            "status": found["status"],
            "tagsAll": kept.get("tags", found.get("tags", {})),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cluster, _, name = identifier.partition(":")
        cloud.find(lambda: cloud.client("eks").delete_nodegroup(clusterName=cluster, nodegroupName=name))
        shelf.remove(cloud, "eks/nodegroup", f"{cluster}/{name}")


def _numbers(size: dict[str, Any]) -> dict[str, int]:
    return {key: int(value) for key, value in size.items()}
