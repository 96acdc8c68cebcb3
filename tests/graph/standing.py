"""A stack recorded as if it were up: made from its own preview, with what AWS would have answered filled in."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

from tests.graph.engine import Engine

# How a preview writes what is not known before the update.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MOMENT = "2026-01-01T00:00:00Z"
# What a program reads of a resource that is there, beside what it gave it.
ANSWERS: dict[str, dict[str, Any]] = {
    "aws:eks/cluster:Cluster": {
        "endpoint": "https://cluster.example.com",
        "certificateAuthority": {"data": "Y2VydA=="},
        "vpcConfig": {"clusterSecurityGroupId": "sg-0123456789abcdef0", "vpcId": "vpc-0123456789abcdef0"},
    },
    "aws:sqs/queue:Queue": {"url": "https://sqs.us-east-1.amazonaws.com/444455556666/manta-prod"},
    "aws:rds/instance:Instance": {
        "address": "database.example.com",
        "endpoint": "database.example.com:5432",
        "port": 5432,
    },
    "aws:ecr/repository:Repository": {"repositoryUrl": "444455556666.dkr.ecr.us-east-1.amazonaws.com/manta-prod/ray"},
    "pulumi-python:dynamic/manta:RandomSecret": {"text": "correct horse battery staple"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:kms/key:Key": {"keyId": "00000000-0000-0000-0000-000000000000"},
}


# Of the types whose ids AWS makes.
_PREFIXES = {
    "Vpc": "vpc", "Subnet": "subnet", "SecurityGroup": "sg", "DefaultSecurityGroup": "sg", "RouteTable": "rtb",
    "InternetGateway": "igw", "NatGateway": "nat", "Eip": "eipalloc", "LaunchTemplate": "lt", "VpcEndpoint": "vpce",
}  # fmt: skip
_ACCOUNT = "444455556666"
# Properties that want an ARN and do not say so.
_BY_ARN = frozenset({"logDestination"})
# By this key the engine knows a secret in its own files.
_SECRET = "4dabf18193072939515e22adb298388d"


def stand(engine: Engine, stack: str) -> None:
    """Record `stack`, which must be initialised, as its preview says it would be."""
    # At first nothing that AWS would have answered is known to those that use it. They would be replaced, which what is
    # protected must not be.
    first = _steps(engine, stack)
    _import(engine, stack, deployment(first, protected=False))
    secret = {
        (step["urn"], key): value
        for step in first
        for key, value in step.get("newState", {}).get("inputs", {}).items()
        if "[secret]" not in str(value)
    }
    second = _steps(engine, stack)
    for step in second:
        inputs = step.get("newState", {}).get("inputs", {})
        for key in [key for key, value in inputs.items() if "[secret]" in str(value)]:
            inputs[key] = secret.get((step["urn"], key), inputs[key])
    _import(engine, stack, deployment([*first, *second]))


def deployment(steps: list[dict[str, Any]], *, protected: bool = True) -> dict[str, Any]:
    """The state that a preview's `steps` lead to, as `pulumi stack import` takes it."""
    made = {step["urn"]: step["newState"] for step in steps if "newState" in step}
    resources: list[dict[str, Any]] = []
    known: set[str] = set()
    for resource in (_resource(state, made) for state in _in_order(made)):
        if not protected:
            resource.pop("protect", None)
        # A preview says nothing of the providers that a program does not make itself.
        urn = resource.get("provider", "").rpartition("::")[0]
        if urn and urn not in known:
            kind = urn.split("::")[2]
            resources.append(
                {"urn": urn, "type": kind, "custom": True, "id": _id(kind, ""), "inputs": {}, "outputs": {}}
            )
            known.add(urn)
        resources.append(resource)
        known.add(resource["urn"])
    manifest = {"time": MOMENT, "magic": "", "version": ""}
    return {"version": 3, "deployment": {"manifest": manifest, "resources": resources}}


def _in_order(states: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What a resource stands on comes before it."""
    ordered: dict[str, dict[str, Any]] = {}

    def add(urn: str) -> None:
        if urn in ordered or urn not in states:
            return
        state = states[urn]
        below = [state.get("parent", ""), state.get("provider", "").rpartition("::")[0], *state.get("dependencies", ())]
        for one in (*below, *(one for many in state.get("propertyDependencies", {}).values() for one in many or ())):
            add(one)
        ordered[urn] = state

    for urn in states:
        add(urn)
    return list(ordered.values())


def _steps(engine: Engine, stack: str) -> list[dict[str, Any]]:
    """The preview's steps, with what it hides of inputs that are new taken from its plan."""
    plan = engine.folder / f"{stack}.plan"
    result = engine.try_preview(stack, None, "--save-plan", str(plan), "--show-secrets")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    goals = json.loads(plan.read_text())["resourcePlans"]
    steps = json.loads(result.stdout)["steps"]
    for step in steps:
        inputs = step.get("newState", {}).get("inputs", {})
        difference = ((goals.get(step["urn"]) or {}).get("goal") or {}).get("inputDiff") or {}
        told = {**(difference.get("adds") or {}), **(difference.get("updates") or {})}
        for key in [key for key, value in inputs.items() if "[secret]" in str(value)]:
            if key in told:
                inputs[key] = _told(told[key])
    return steps


def _told(value: Any) -> Any:
    """`value` of a plan with its secrets in clear: they are no one's."""
    if isinstance(value, dict):
        if _SECRET in value:
            return json.loads(value["plaintext"])
        return {key: _told(inner) for key, inner in value.items()}
    return [_told(inner) for inner in value] if isinstance(value, list) else value


def _resource(state: dict[str, Any], states: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = state["urn"].rsplit("::", 1)[-1]
    resource = {
        key: _known(state[key], name, key, iter(()))
        for key in ("urn", "type", "custom", "parent", "protect", "dependencies", "propertyDependencies", "provider")
        if key in state
    }
    if not state.get("custom"):
        return resource
    below = state.get("propertyDependencies") or {}
    inputs = {
        key: _known(value, name, key, iter([states[urn] for urn in below.get(key) or () if urn in states]))
        for key, value in (state.get("inputs") or {}).items()
    }
    answers = _answers(state)
    identity = answers["id"]
    outputs = {**answers, **inputs, **_merged(inputs, ANSWERS.get(state["type"], {}))}
    return {**resource, "id": identity, "inputs": inputs, "outputs": outputs}


def _id(kind: str, name: str, urn: str = "") -> str:
    if kind.startswith("pulumi:providers:"):
        # Its resources name it by its id.
        return "00000000-0000-4000-8000-000000000001"
    prefix = _PREFIXES.get(kind.rpartition(":")[2]) if kind.startswith("aws:ec2/") else None
    return f"{prefix}-{hashlib.sha256(urn.encode()).hexdigest()[:17]}" if prefix else name


def _arn(kind: str, name: str) -> str:
    service, _, rest = kind.partition(":")[2].partition("/")
    if service == "s3":
        return f"arn:aws:s3:::{name}"
    region = "" if service == "iam" else "us-east-1"
    return f"arn:aws:{service}:{region}:{_ACCOUNT}:{rest.partition(':')[0]}/{name}"


def _answers(state: dict[str, Any]) -> dict[str, str]:
    """What AWS calls a resource."""
    inputs = state.get("inputs") or {}
    given = [inputs.get(key) for key in ("name", "bucket") if UNKNOWN not in str(inputs.get(key))]
    called = str(next(filter(None, given), state["urn"].rsplit("::", 1)[-1]))
    identity = state.get("id") or _id(state["type"], called, state["urn"])
    return {"id": identity, "name": called, "arn": _arn(state["type"], called)}


def _known(value: Any, name: str, key: str, below: Iterator[dict[str, Any]]) -> Any:
    """`value` with what is not known in it taken from the resources `below`, one after the other."""
    if isinstance(value, dict):
        return {inner: _known(one, name, inner, below) for inner, one in value.items()}
    if isinstance(value, list):
        return [_known(one, name, key, below) for one in value]
    if value == UNKNOWN:
        state = next((one for one in below if one.get("custom")), None)
        return f"known-{name}" if state is None else _answer(state, key)
    if isinstance(value, str) and UNKNOWN in value:
        provider = "::pulumi:providers:" in value
        return value.replace(UNKNOWN, _id("pulumi:providers:", "") if provider else f"known-{name}")
    return value


def _answer(state: dict[str, Any], key: str) -> str:
    """What a property called `key` was most likely given of a resource."""
    more = ANSWERS.get(state["type"], {})
    if key.endswith("KeyId") and "keyId" in more:
        return more["keyId"]
    if "text" in more:
        return more["text"]
    if key == "version":
        return "1"
    return _answers(state)["arn" if key.lower().endswith(("arn", "arns")) or key in _BY_ARN else "id"]


def _merged(given: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {**given[key], **value} if isinstance(value, dict) and isinstance(given.get(key), dict) else value
        for key, value in answered.items()
    }


def _import(engine: Engine, stack: str, state: dict[str, Any]) -> None:
    path = engine.folder / f"{stack}.state.json"
    path.write_text(json.dumps(state))
    command = [
        str(engine.pulumi),
        "--non-interactive",
        "stack",
        "import",
        "--force",
        "--stack",
        stack,
        "--file",
        str(path),
    ]
    result = subprocess.run(
        command, cwd=engine.folder / "scratch", env=engine.environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
