"""EKS Pod Identity: pods whose service account has an association are given a way to its role's credentials.

The webhook puts into such a pod what EKS puts there, and the address of this AWS beside it, which on AWS the SDKs know.
"""

from __future__ import annotations

import base64
import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local.sim.cloud.config import ACCOUNT, AGENT_ADDRESS, ENDPOINT_IN_CLUSTER
from local.sim.cloud.eks import Eks
from local.sim.cloud.kubernetes import Kubernetes

AUDIENCE = "pods.eks.amazonaws.com"
_VOLUME = "eks-pod-identity-token"
_FOLDER = f"/var/run/secrets/{AUDIENCE}/serviceaccount"
_TOKEN_LIFE_S = 86_400
_SESSION = timedelta(hours=6)


class RefusedError(Exception):
    """Nobody gets credentials, for the reason in the message."""


def admit(eks: Eks, review: dict[str, Any]) -> dict[str, Any]:
    """The answer to an AdmissionReview of a new pod."""
    request = review["request"]
    pod, namespace = request["object"], request["namespace"]
    account = pod["spec"].get("serviceAccountName") or "default"
    association = eks.association(namespace, account)
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if association is not None:
        region = association["associationArn"].split(":")[3]
        patch = json.dumps(_patch(pod["spec"], region)).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}


def _patch(spec: dict[str, Any], region: str) -> list[dict[str, Any]]:
    variables = {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{AGENT_ADDRESS}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{_FOLDER}/{_VOLUME}",
        "AWS_ENDPOINT_URL": ENDPOINT_IN_CLUSTER,
    }
    patch: list[dict[str, Any]] = []
    for kind in ("containers", "initContainers"):
        containers = copy.deepcopy(spec.get(kind) or [])
        for container in containers:
            environment = container.setdefault("env", [])
            own = {item["name"] for item in environment}
            environment += [{"name": key, "value": value} for key, value in variables.items() if key not in own]
            mount = {"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)
        if containers:
            patch.append({"op": "add", "path": f"/spec/{kind}", "value": containers})
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_LIFE_S, "path": _VOLUME}
    volume = {"name": _VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
    return [*patch, {"op": "add", "path": "/spec/volumes", "value": [*(spec.get("volumes") or []), volume]}]


class Agent:
    """Exchanges a pod's token for credentials of its service account's role.

    `tags` maps an access key to the session tags that EKS gives it: policies may refer to them.
    """

    def __init__(self, eks: Eks, kubernetes: Kubernetes) -> None:
        self._eks = eks
        self._kubernetes = kubernetes
        self.tags: dict[str, dict[str, str]] = {}

    def credentials(self, token: str) -> dict[str, str]:
        """As the SDKs' container provider expects them; raises RefusedError."""
        pod = self._reviewed(token)
        _, _, namespace, account = str(pod["username"]).split(":")
        association = self._eks.association(namespace, account)
        if association is None:
            raise RefusedError(f"service account {namespace}/{account} has no pod identity association")
        role = association["roleArn"]
        _require_trust(role)
        region = association["associationArn"].split(":")[3]
        session = sts_backends[ACCOUNT]["aws"].assume_role(
            region_name=region,
            role_session_name=f"eks-{association['clusterName']}-{account}"[:64],
            role_arn=role,
            policy="",
            duration=int(_SESSION.total_seconds()),
            external_id="",
        )
        self.tags[session.access_key_id] = {
            "eks-cluster-name": association["clusterName"],
            "kubernetes-namespace": namespace,
            "kubernetes-service-account": account,
            "kubernetes-pod-name": str((pod.get("extra", {}).get("authentication.kubernetes.io/pod-name") or [""])[0]),
        }
        return {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "AccountId": ACCOUNT,
            "Expiration": (datetime.now(UTC) + _SESSION).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _reviewed(self, token: str) -> dict[str, Any]:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        status = self._kubernetes.create("/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]
        if not status.get("authenticated"):
            raise RefusedError("the token is no service account's of this cluster")
        return status["user"]


def _require_trust(role_arn: str) -> None:
    """EKS assumes the role and tags the session: the role's trust policy must let it do both."""
    role: Any = iam_backends[ACCOUNT]["aws"].get_role_by_arn(role_arn)
    document = role.assume_role_policy_document
    parsed: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    allowed: set[str] = set()
    for statement in _listed(parsed["Statement"]):
        if statement["Effect"] == "Allow" and AUDIENCE in _listed(statement.get("Principal", {}).get("Service", [])):
            allowed.update(_listed(statement["Action"]))
    missing = {"sts:AssumeRole", "sts:TagSession"} - allowed
    if missing:
        raise RefusedError(f"{role_arn} does not let {AUDIENCE} do {', '.join(sorted(missing))}")


def _listed(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else [value]
