"""Who may do what on AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from policies.rule import About, Finding, Resource, Stack
from policies.security_aws import statements
from policies.values import at, section

ROLE, INLINE, ATTACHED = (
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
)
DOCUMENTS = (INLINE, "aws:iam/policy:Policy", "aws:iam/userPolicy:UserPolicy", "aws:iam/groupPolicy:GroupPolicy")
_READING = re.compile(
    r"[a-z0-9-]+:(Describe|Get|List|BatchGet|Search|Lookup|View|Check|Simulate|Query|Scan)[A-Za-z*]*$"
)
_GITHUB = "token.actions.githubusercontent.com"
_SUBJECT = re.compile(r"repo:[^:*?]+/[^:*?]+:environment:[^:*?]+")
# What a node needs to join and to pull images; all else belongs to the pods that need it.
_NODE_POLICIES = frozenset({
    "AmazonEKSWorkerNodePolicy", "AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly", "AmazonSSMManagedInstanceCore",
})  # fmt: skip


@About(
    "aws-iam-narrow", "security", "critical",
    "A role that may change everything is a role that may delete everything.",
    "name the actions, and the resources or a condition on their tags",
).resources(*DOCUMENTS)  # fmt: skip
def narrow(resource: Resource) -> Iterator[str]:
    for number, statement in enumerate(statements(at(resource.props, "policy")), 1):
        if statement.get("Effect") != "Allow":
            continue
        where = f"statement {statement.get('Sid') or number}"
        if "NotAction" in statement:
            yield f"{where} allows everything but what it names"
        for action in _texts(statement.get("Action")):
            if _READING.fullmatch(action):
                continue
            if action == "*" or action.endswith(":*"):
                yield f"{where} allows {action}"
            elif "*" in _texts(statement.get("Resource")) and not statement.get("Condition"):
                yield f"{where} allows {action} on every resource"


@About(
    "aws-node-role", "security", "high",
    "What a node may do, every pod on it may try; Pod Identity gives a role to one pod alone.",
    "move the permission to a role of the pod's own, by EKS Pod Identity",
).stack()  # fmt: skip
def node_role(stack: Stack) -> Iterator[Finding]:
    nodes = [role for role in stack.of(ROLE) if "ec2.amazonaws.com" in str(at(role.props, "assumeRolePolicy"))]
    for role in nodes:
        name = str(at(role.props, "name") or role.name)
        for attached in stack.of(ATTACHED):
            policy = str(at(attached.props, "policyArn")).rsplit("/", 1)[-1]
            if at(attached.props, "role") == name and policy not in _NODE_POLICIES:
                yield Finding(f"the nodes' role {name} has the policy {policy}", attached.urn)
        for inline in stack.of(INLINE):
            if at(inline.props, "role") == name:
                yield Finding(f"the nodes' role {name} has a policy of its own, {inline.name}", inline.urn)


@About(
    "aws-federation-narrow", "security", "critical",
    "A role for all jobs of a repository is a role for every branch, and so for whoever may push one.",
    "let the trust's condition be StringEquals on sub repo:OWNER/NAME:environment:NAME and on aud sts.amazonaws.com",
).resources(ROLE)  # fmt: skip
def federation(resource: Resource) -> Iterator[str]:
    for statement in statements(at(resource.props, "assumeRolePolicy")):
        if statement.get("Effect") != "Allow" or _GITHUB not in str(at(statement, "Principal", "Federated")):
            continue
        exact = section(statement, "Condition", "StringEquals")
        subjects = _texts(exact.get(f"{_GITHUB}:sub"))
        if not subjects or not all(_SUBJECT.fullmatch(subject) for subject in subjects):
            yield f"GitHub's jobs may take the role as {', '.join(subjects) or 'anybody'}, and not from one environment"
        if _texts(exact.get(f"{_GITHUB}:aud")) != ["sts.amazonaws.com"]:
            yield "the trust does not ask for whom GitHub has said it (aud)"


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in cast(list[Any], value or [])]
