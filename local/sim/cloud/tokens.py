"""Who bears an `aws eks get-token` token: EKS's authenticator, asked by the API server (TokenReview)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.eks.models import eks_backends
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.eks import Eks

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
_LIFE = timedelta(minutes=15)
_POLICY = "arn:aws:eks::aws:cluster-access-policy/"
# What EKS's access policies let their bearer do, as Kubernetes' own roles.
POLICY_GROUPS = {
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSViewPolicy": "view",
    "AmazonEKSAdminViewPolicy": "view",
}


def review(eks: Eks, body: dict[str, Any]) -> dict[str, Any]:
    """The TokenReview in `body` with its status: a principal without an access entry is nobody."""
    principal = bearer(str(body.get("spec", {}).get("token", "")))
    access = eks.access(principal) if principal else None
    status: dict[str, Any] = {"authenticated": False}
    if access is not None:
        entry, policies = access
        groups = [*entry["kubernetesGroups"], *_groups(policies)]
        status = {"authenticated": True, "user": {"username": entry["username"], "groups": groups}}
    return {"apiVersion": body.get("apiVersion"), "kind": "TokenReview", "status": status}


def bearer(token: str) -> str | None:
    """ARN of the IAM user or role that signed the token for a cluster of this account, or None."""
    if not token.startswith(PREFIX):
        return None
    text = token.removeprefix(PREFIX)
    try:
        url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
        key, _, region, service, _ = query["X-Amz-Credential"].split("/")
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except (binascii.Error, UnicodeDecodeError, ValueError, KeyError):
        return None
    found = credentials(key)
    old = not (signed - _LIFE < datetime.now(UTC) < signed + _LIFE)
    if found is None or old or service != "sts" or query.get("Action") != "GetCallerIdentity":
        return None
    names = [name for backend in eks_backends[ACCOUNT].values() for name in backend.clusters]
    if not any(_is_signed(url, query, found[0], region, name) for name in names):
        return None
    return found[1]


def credentials(access_key: str) -> tuple[Credentials, str] | None:
    """The keys behind an access key id and the ARN of their user, or of the role of their session."""
    session = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key)
    if session is not None:
        return Credentials(access_key, session.secret_access_key, session.session_token), session.role_arn
    user = iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(access_key)
    if user is None:
        return None
    key = next(key for key in user.access_keys if key.access_key_id == access_key)
    return Credentials(access_key, key.secret_access_key), user.arn


def _is_signed(url: str, query: dict[str, str], keys: Credentials, region: str, cluster: str) -> bool:
    unsigned = urlencode({key: value for key, value in query.items() if key != "X-Amz-Signature"})
    request = AWSRequest("GET", urlunsplit(urlsplit(url)._replace(query=unsigned)), {CLUSTER_HEADER: cluster})
    request.context["timestamp"] = query["X-Amz-Date"]
    signer: Any = SigV4QueryAuth(keys, "sts", region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return hmac.compare_digest(signer.signature(text, request), query.get("X-Amz-Signature", ""))


def _groups(policies: Iterable[str]) -> list[str]:
    names = [policy.removeprefix(_POLICY) for policy in policies]
    admin = ["system:masters"] if "AmazonEKSClusterAdminPolicy" in names else []
    return [*admin, *(f"eks:{name}" for name in names if name in POLICY_GROUPS)]
