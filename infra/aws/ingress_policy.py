"""What the AWS Load Balancer Controller may do: keep load balancers that carry this cluster's tag. Pure.

It follows the policy in the controller's own installation guide, without what is for add-ons that are switched off here
(WAF, Shield, Cognito, certificate discovery), and with every change bound to the cluster's tag by its value.
"""

from __future__ import annotations

from infra.aws.naming import DISCOVERY_TAG, ENVIRONMENT_TAG, Place
from infra.aws.policies import Statement, allow

# The controller puts it on all that it makes, with the cluster's name.
OWNER_TAG = "elbv2.k8s.aws/cluster"
_EC2_READS = (
    "AccountAttributes", "Addresses", "AvailabilityZones", "Instances", "InternetGateways", "NetworkInterfaces",
    "RouteTables", "SecurityGroups", "Subnets", "Tags", "VpcPeeringConnections", "Vpcs",
)  # fmt: skip
_ELB_READS = (
    "CapacityReservation", "ListenerAttributes", "ListenerCertificates", "Listeners", "LoadBalancerAttributes",
    "LoadBalancers", "Rules", "SSLPolicies", "Tags", "TargetGroupAttributes", "TargetGroups", "TargetHealth",
)  # fmt: skip
_CHANGES = (
    "AddListenerCertificates", "CreateListener", "CreateRule", "DeleteListener", "DeleteLoadBalancer", "DeleteRule",
    "DeleteTargetGroup", "DeregisterTargets", "ModifyListener", "ModifyListenerAttributes",
    "ModifyLoadBalancerAttributes", "ModifyRule", "ModifyTargetGroup", "ModifyTargetGroupAttributes", "RegisterTargets",
    "RemoveListenerCertificates", "SetIpAddressType", "SetRulePriorities", "SetSecurityGroups", "SetSubnets",
)  # fmt: skip
# Application load balancers alone: nothing here is a network or gateway load balancer.
_MADE = ("loadbalancer/app/*", "targetgroup/*", "listener/app/*", "listener-rule/app/*")


def statements(place: Place) -> list[Statement]:
    def by(kind: str, **tags: str) -> dict[str, dict[str, str]]:
        return {"StringEquals": {f"aws:{kind}/{key}": value for key, value in tags.items()}}

    ours = {OWNER_TAG: place.cluster}
    mine, asked = by("ResourceTag", **ours), by("RequestTag", **ours)
    here = {"StringEquals": {"aws:RequestedRegion": place.region}}
    groups = [place.arn("ec2", "security-group/*")]
    made = [place.arn("elasticloadbalancing", kind) for kind in _MADE]
    reads = [f"ec2:Describe{what}" for what in _EC2_READS] + ["ec2:GetSecurityGroupsForVpc"]
    reads += [f"elasticloadbalancing:Describe{what}" for what in _ELB_READS]
    making = ["CreateLoadBalancer", "CreateTargetGroup", "CreateListener", "CreateRule"]
    return [
        allow("Look", reads, ["*"], here),
        allow(
            "MakeTheServiceRole",
            ["iam:CreateServiceLinkedRole"],
            [place.iam_arn("role/aws-service-role/elasticloadbalancing.amazonaws.com/*")],
            {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        ),
        allow("MakeGroups", ["ec2:CreateSecurityGroup"], groups, asked),
        allow(
            "MakeGroupsInOurNetwork",
            ["ec2:CreateSecurityGroup"],
            [place.arn("ec2", "vpc/*")],
            by("ResourceTag", **{ENVIRONMENT_TAG: place.environment}),
        ),
        allow(
            "TagGroupsAsMade",
            ["ec2:CreateTags"],
            groups,
            {"StringEquals": {**asked["StringEquals"], "ec2:CreateAction": "CreateSecurityGroup"}},
        ),
        allow("TagOurGroups", ["ec2:CreateTags", "ec2:DeleteTags"], groups, mine),
        allow(
            "KeepOurGroups",
            ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteSecurityGroup"],
            groups,
            mine,
        ),
        # The nodes' own group lets the load balancers' group in.
        allow(
            "OpenTheNodes",
            ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"],
            groups,
            by("ResourceTag", **{DISCOVERY_TAG: place.cluster}),
        ),
        allow(
            "Make",
            ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"],
            made[:2],
            asked,
        ),
        allow(
            "TagAsMade",
            ["elasticloadbalancing:AddTags"],
            made,
            {"StringEquals": {**asked["StringEquals"], "elasticloadbalancing:CreateAction": making}},
        ),
        allow("TagOurs", ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"], made, mine),
        allow("KeepOurs", [f"elasticloadbalancing:{change}" for change in _CHANGES], made, mine),
    ]
