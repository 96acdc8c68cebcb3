"""The roles that workflows on GitHub take, one for each thing that they do, and GitHub's identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.policies import Statement, allow, document
from infra.aws.registry import REPOSITORY
from infra.aws.system_nodes import CNI_POLICY, NODE_POLICIES

GITHUB = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# What a platform's own roles are attached to; a deploy role may attach nothing else.
_ATTACHABLE = (
    "AmazonEKSClusterPolicy", *NODE_POLICIES, CNI_POLICY, "service-role/AmazonEBSCSIDriverPolicy",
)  # fmt: skip
_SERVICES = ("eks.amazonaws.com", "ec2.amazonaws.com", "pods.eks.amazonaws.com", "vpc-flow-logs.amazonaws.com")


@dataclass(frozen=True)
class Duty:
    """What one of the workflows' roles is for. It is taken from the environment `<name>-<environment>` on GitHub, or,
    for the one that deploys, from the environment itself."""

    name: str
    managed: str | None
    statements: list[Statement]


@dataclass(frozen=True)
class PipelineArgs:
    """`bucket` holds the stacks' state, and `key`, an ARN, encrypts its secrets. With `make_provider` GitHub's identity
    provider is made; an account has one."""

    place: Place
    repository: str
    bucket: str
    key: str
    make_provider: bool


def federated_trust(provider: str, subject: str) -> str:
    """A role for jobs of one environment. A subject such as `repo:o/n:pull_request` would let in every branch's."""
    return document({
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {"StringEquals": {f"{GITHUB}:aud": AUDIENCE, f"{GITHUB}:sub": subject}},
    })  # fmt: skip


def subject(repository: str, duty: str, environment: str) -> str:
    on_github = environment if duty == "deploy" else f"{duty}-{environment}"
    return f"repo:{repository}:environment:{on_github}"


def duties(place: Place, bucket: str, key: str) -> list[Duty]:
    """Preview and drift only read. A preview runs the program of a pull request, so it sees no data and no secrets but
    those of the stacks' own configuration."""
    state = f"arn:{place.partition}:s3:::{bucket}"
    read_state = [
        allow("ListState", ["s3:ListBucket", "s3:GetBucketLocation"], [state]),
        allow("ReadState", ["s3:GetObject"], [f"{state}/*"]),
        allow("DecryptState", ["kms:Decrypt"], [key]),
    ]
    write_state = [
        *read_state,
        allow("WriteState", ["s3:PutObject", "s3:DeleteObject"], [f"{state}/*"]),
        allow("EncryptState", ["kms:Encrypt", "kms:GenerateDataKey"], [key]),
    ]
    blind: Statement = {
        "Sid": "NoData",
        "Effect": "Deny",
        "Action": ["s3:GetObject", "s3:GetObjectVersion", "secretsmanager:GetSecretValue", "ssm:GetParameter*",
                   "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "logs:GetLogEvents", "ecr:BatchGetImage"],
        "NotResource": [f"{state}/*"],
    }  # fmt: skip
    return [
        Duty("preview", "ReadOnlyAccess", [*read_state, blind]),
        Duty("drift", "ReadOnlyAccess", [*read_state, _own_secrets(place)]),
        Duty("image", None, _own_image(place)),
        Duty("deploy", "PowerUserAccess", [*write_state, *_own_roles(place)]),
    ]


def _own_image(place: Place) -> list[Statement]:
    """What a push and a scan of what was pushed need; an image is never deleted, and a tag never moved."""
    actions = [
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]  # fmt: skip
    return [
        # It has no resource to be bound to.
        allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
        allow("Push", actions, [place.arn("ecr", f"repository/{place.cluster}/{REPOSITORY}")]),
    ]


def _own_secrets(place: Place) -> Statement:
    """A refresh of a secret's version reads it."""
    return allow(
        "ReadSecrets", ["secretsmanager:GetSecretValue"], [place.arn("secretsmanager", f"secret:{place.cluster}*")]
    )


def _own_roles(place: Place) -> list[Statement]:
    """Of IAM, which PowerUserAccess leaves out: the roles that a platform makes, and none of the workflows' own."""
    roles = place.iam_arn(f"role/{place.cluster}-*")
    profiles = place.iam_arn(f"instance-profile/{place.cluster}-*")
    attachable = [place.managed_policy(name) for name in _ATTACHABLE]
    return [
        allow("Roles", ["iam:CreateRole", "iam:DeleteRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
                        "iam:TagRole", "iam:UntagRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy"], [roles]),
        allow("Attach", ["iam:AttachRolePolicy", "iam:DetachRolePolicy"], [roles],
              {"ArnEquals": {"iam:PolicyARN": attachable}}),
        allow("Profiles", ["iam:CreateInstanceProfile", "iam:DeleteInstanceProfile", "iam:AddRoleToInstanceProfile",
                           "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile"], [profiles, roles]),
        allow("Pass", ["iam:PassRole"], [roles], {"StringEquals": {"iam:PassedToService": list(_SERVICES)}}),
        {
            "Sid": "NotItself",
            "Effect": "Deny",
            "Action": ["iam:*Role*", "sts:AssumeRole"],
            "Resource": [place.iam_arn(f"role/{role_name(place, '*')}")],
        },
    ]  # fmt: skip


def role_name(place: Place, duty: str) -> str:
    """Apart from `manta-<environment>-*`, which the deploy role may change."""
    return f"manta-workflow-{place.environment}-{duty}"


class Pipeline(pulumi.ComponentResource):
    """`roles` are ARNs by duty."""

    def __init__(self, name: str, args: PipelineArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Pipeline", name, None, opts)
        place = args.place
        inside = pulumi.ResourceOptions(parent=self)
        provider = place.iam_arn(f"oidc-provider/{GITHUB}")
        made: list[pulumi.Resource] = []
        if args.make_provider:
            # Its ARN follows from its address, so that the trust policies can be read in a preview.
            made.append(
                aws.iam.OpenIdConnectProvider(
                    "github", url=f"https://{GITHUB}", client_id_lists=[AUDIENCE], opts=inside
                )
            )
        after = pulumi.ResourceOptions(parent=self, depends_on=made)
        found: dict[str, pulumi.Output[str]] = {}
        for duty in duties(place, args.bucket, args.key):
            role = aws.iam.Role(
                duty.name,
                name=role_name(place, duty.name),
                assume_role_policy=federated_trust(provider, subject(args.repository, duty.name, place.environment)),
                max_session_duration=3600 if duty.name != "deploy" else 4 * 3600,
                opts=after,
            )
            if duty.managed:
                aws.iam.RolePolicyAttachment(
                    duty.name, role=role.name, policy_arn=place.managed_policy(duty.managed), opts=inside
                )
            aws.iam.RolePolicy(
                duty.name, name=duty.name, role=role.name, policy=document(*duty.statements), opts=inside
            )
            found[duty.name] = role.arn
        self.roles: Mapping[str, pulumi.Output[str]] = found
        self.register_outputs({f"{key}Role": arn for key, arn in found.items()})
