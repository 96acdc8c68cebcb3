"""What a call demands of its caller's policies: which actions, on which resources, in which context."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from local.sim.cloud.calls import Call
from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.policies import Context, Demand

Tags = dict[str, str]
_PUBLIC = ("image", "snapshot")
_MAY_LAUNCH = ("instance", "volume", "network-interface")


def demands(call: Call, principal: Context) -> list[Demand]:
    """All of them must be allowed. `principal`: the condition keys of the caller itself."""
    base: Context = {**principal, "aws:requestedregion": (call.region,), "aws:securetransport": ("true",)}
    found = _BY_SERVICE.get(call.service, _anything)(call)
    return [Demand(action, resource, {**base, **context}) for action, resource, context in found]


Wanted = list[tuple[str, str, Context]]


def _anything(call: Call) -> Wanted:
    return [(call.action, "*", {})]


def _ec2(call: Call) -> Wanted:
    backend: Any = ec2_backends[ACCOUNT][call.region]
    requested = _tag_specifications(call.parameters)
    arn = f"arn:aws:ec2:{call.region}:{ACCOUNT}"
    operation = call.action.partition(":")[2]

    def existing(identifier: str) -> tuple[str, str, Context]:
        kind = _kind(identifier)
        if kind in _PUBLIC:  # AWS's own images belong to no account of ours
            return call.action, f"arn:aws:ec2:{call.region}::{kind}/{identifier}", {"ec2:owner": ("amazon",)}
        return call.action, f"{arn}:{kind}/{identifier}", _resource_tags(backend, identifier)

    def tagging(kind: str, tags: Tags) -> tuple[str, str, Context]:
        return "ec2:CreateTags", f"{arn}:{kind}/*", {**_request_tags(tags), "ec2:createaction": (operation,)}

    if operation in ("CreateFleet", "RunInstances"):
        return _launch(call, backend, requested, existing, tagging, arn)
    if operation == "CreateLaunchTemplate":
        tags = requested.get("launch-template", {})
        created = (call.action, f"{arn}:launch-template/*", _request_tags(tags))
        return [created, *([tagging("launch-template", tags)] if tags else [])]
    if operation == "DeleteLaunchTemplate":
        return [existing(_template(backend, call.parameters).id)]
    if operation in ("CreateTags", "DeleteTags"):
        tags = _tags(call.parameters, "Tag")
        return [
            (action, resource, {**context, **_request_tags(tags)})
            for action, resource, context in map(existing, _numbered(call.parameters, "ResourceId"))
        ]
    if operation == "TerminateInstances":
        return [existing(identifier) for identifier in _numbered(call.parameters, "InstanceId")]
    return _anything(call)


def _launch(
    call: Call,
    backend: Any,
    requested: dict[str, Tags],
    existing: Callable[..., tuple[str, str, Context]],
    tagging: Callable[[str, Tags], tuple[str, str, Context]],
    arn: str,
) -> Wanted:
    """A fleet is allowed by the rights to create it, to run instances, to tag both, and to pass the instances' role."""
    values = call.parameters
    wanted: Wanted = []
    used = [value for key, value in values.items() if re.search(r"(SubnetId|ImageId)$", key)]
    prefixes = sorted({match.group(1) for key in values if (match := re.match(r"(LaunchTemplateConfigs\.\d+\.)", key))})
    for prefix in prefixes or [""]:
        template = _template(backend, values, prefix)
        if template is None:
            continue
        data = template.latest_version().data
        used += [template.id, *data.get("SecurityGroupIds", [])]
        attached: dict[str, Any] = data.get("IamInstanceProfile") or {}
        wanted += _pass_role(str(attached["Name"])) if attached.get("Name") else []
    for identifier in dict.fromkeys(used):
        action, resource, context = existing(identifier)
        wanted += [(name, resource, context) for name in dict.fromkeys((action, "ec2:RunInstances"))]
    for kind in dict.fromkeys((*_MAY_LAUNCH, *requested)):
        tags = requested.get(kind) or requested.get("instance", {})
        names = ("ec2:CreateFleet",) if kind == "fleet" else (call.action, "ec2:RunInstances")
        wanted += [(name, f"{arn}:{kind}/*", _request_tags(tags)) for name in dict.fromkeys(names)]
        if requested.get(kind):
            wanted.append(tagging(kind, requested[kind]))
    return wanted


def _iam(call: Call) -> Wanted:
    values = call.parameters
    if "InstanceProfileName" in values:
        name = str(values["InstanceProfileName"])
        known = next((item for item in _profiles() if item.name == name), None)
        path = known.path if known else values.get("Path", "/")
        context = {**_request_tags(_tags(values, "Tags.member"))}
        if known is not None:
            tags = _plain(known.tags)
            context |= {f"aws:resourcetag/{key.lower()}": (value,) for key, value in tags.items()}
        wanted: Wanted = [(call.action, f"arn:aws:iam::{ACCOUNT}:instance-profile{path}{name}", context)]
        if "RoleName" in values and call.action == "iam:AddRoleToInstanceProfile":
            wanted.append(
                ("iam:PassRole", _role(str(values["RoleName"])), {"iam:passedtoservice": ("ec2.amazonaws.com",)})
            )
        return wanted
    if "RoleName" in values:
        return [(call.action, _role(str(values["RoleName"])), {})]
    return _anything(call)


def _sqs(call: Call) -> Wanted:
    name = str(call.parameters.get("QueueName") or call.parameters.get("QueueUrl", "")).rpartition("/")[2]
    return [(call.action, f"arn:aws:sqs:{call.region}:{ACCOUNT}:{name or '*'}", {})]


def _ssm(call: Call) -> Wanted:
    name = str(call.parameters.get("Name", "*"))
    owner = "" if name.startswith("/aws/service/") else ACCOUNT
    return [(call.action, f"arn:aws:ssm:{call.region}:{owner}:parameter/{name.lstrip('/')}", {})]


def _eks(call: Call) -> Wanted:
    match = re.match(r"/clusters/([^/]+)", call.path)
    return [(call.action, f"arn:aws:eks:{call.region}:{ACCOUNT}:cluster/{match.group(1)}" if match else "*", {})]


def _s3(call: Call) -> Wanted:
    bucket, _, key = unquote(call.path).lstrip("/").partition("/")
    if not key:
        context = {"s3:prefix": (call.query.get("prefix", ""),), "s3:delimiter": (call.query.get("delimiter", ""),)}
        if call.action == "s3:DeleteObject":  # of many at once, named in the body
            keys = re.findall(rb"<Key>([^<]+)</Key>", call.body)
            return [(call.action, f"arn:aws:s3:::{bucket}/{name.decode()}", {}) for name in keys]
        return [(call.action, f"arn:aws:s3:::{bucket}" if bucket else "*", context)]
    return [(call.action, f"arn:aws:s3:::{bucket}/{key}", {})]


_BY_SERVICE: dict[str, Callable[[Call], Wanted]] = {
    "ec2": _ec2, "iam": _iam, "sqs": _sqs, "ssm": _ssm, "eks": _eks, "s3": _s3,
}  # fmt: skip


def _plain(tags: Any) -> Tags:
    """moto keeps tags as a mapping here and as pairs there."""
    if isinstance(tags, dict):
        return dict(cast(Tags, tags))
    pairs: list[Tags] = tags or []
    return {tag["Key"]: tag["Value"] for tag in pairs}


def _pass_role(profile: str) -> Wanted:
    roles = [role for item in _profiles() if item.name == profile for role in item.roles]
    return [("iam:PassRole", role.arn, {"iam:passedtoservice": ("ec2.amazonaws.com",)}) for role in roles]


def _profiles() -> list[Any]:
    return list(iam_backends[ACCOUNT]["aws"].instance_profiles.values())


def _role(name: str) -> str:
    for role in list(iam_backends[ACCOUNT]["aws"].roles.values()):
        if role.name == name:
            return role.arn
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def _template(backend: Any, values: dict[str, Any], prefix: str = "") -> Any:
    inner = f"{prefix}LaunchTemplateSpecification." if prefix else ""
    for start in dict.fromkeys((inner, "LaunchTemplate.", "")):
        if name := values.get(f"{start}LaunchTemplateName"):
            return backend.get_launch_template_by_name(name)
        if identifier := values.get(f"{start}LaunchTemplateId"):
            return backend.get_launch_template(identifier)
    return None


_KINDS = {
    "i": "instance", "lt": "launch-template", "subnet": "subnet", "sg": "security-group", "ami": "image",
    "vol": "volume", "eni": "network-interface", "fleet": "fleet", "cr": "capacity-reservation",
}  # fmt: skip


def _kind(identifier: str) -> str:
    return _KINDS.get(identifier.partition("-")[0], "*")


def _resource_tags(backend: Any, identifier: str) -> Context:
    tags = backend.describe_tags(filters={"resource-id": [identifier]})
    found = {str(tag["key"]): str(tag["value"]) for tag in tags}
    both = ("aws:resourcetag", "ec2:resourcetag")
    return {f"{prefix}/{key.lower()}": (value,) for prefix in both for key, value in found.items()}


def _request_tags(tags: Tags) -> Context:
    keys: Context = {"aws:tagkeys": tuple(tags)} if tags else {}
    return {**keys, **{f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}}


def _tag_specifications(values: dict[str, Any]) -> dict[str, Tags]:
    found: dict[str, Tags] = {}
    for key, kind in values.items():
        if match := re.fullmatch(r"(TagSpecifications?\.\d+\.)ResourceType", key):
            found[str(kind)] = _tags(values, f"{match.group(1)}Tag")
    return found


def _tags(values: dict[str, Any], prefix: str) -> Tags:
    pattern = re.compile(re.escape(prefix) + r"s?\.(?:member\.)?(\d+)\.Key")
    found = {match.group(1): key for key in values if (match := pattern.fullmatch(key))}
    return {str(values[key]): str(values.get(key.removesuffix("Key") + "Value", "")) for key in found.values()}


def _numbered(values: dict[str, Any], prefix: str) -> list[str]:
    return [str(value) for key, value in values.items() if re.fullmatch(rf"{prefix}s?\.\d+", key)]
