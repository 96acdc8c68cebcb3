"""`aws eks get-token`, as the AWS CLI makes it: a signed GetCallerIdentity URL that EKS's authenticator sends to STS.

Credentials come from where every AWS SDK looks for them, never from the command line.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import botocore.session
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from local import errors
from local.errors import MantaError

_PREFIX = "k8s-aws-v1."
_CLUSTER_HEADER = "x-k8s-aws-id"
_URL_LIFE_S = 60
# The token is good for 15 minutes; a client that asks anew a minute earlier never sends one that has just ended.
_TOKEN_LIFE = timedelta(minutes=14)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="aws", description="the part of the AWS CLI that kubeconfigs of EKS use")
    parser.add_argument("--region")
    parser.add_argument("--profile")
    parser.add_argument("--output", choices=["json"])
    parser.add_argument("service", choices=["eks"])
    parser.add_argument("operation", choices=["get-token"])
    parser.add_argument("--cluster-name", required=True)
    parser.add_argument("--role-arn")
    # Global options may stand behind the operation as well.
    known = parser.parse_intermixed_args(arguments)
    if known.role_arn:
        raise MantaError("aws eks get-token --role-arn is not part of the simulation: leave the role out")
    print(json.dumps(credential(known.cluster_name, known.region, known.profile)))
    return 0


def credential(cluster: str, region: str | None = None, profile: str | None = None) -> dict[str, Any]:
    """The ExecCredential for `cluster`, in the caller's own name."""
    session: Any = botocore.session.Session(profile=profile)
    keys = session.get_credentials()
    if keys is None:
        raise MantaError("no AWS credentials were found: set AWS_PROFILE, or AWS_SHARED_CREDENTIALS_FILE")
    where = region or session.get_config_variable("region") or "us-east-1"
    signer = RequestSigner(ServiceId("STS"), where, "sts", "v4", keys, session.get_component("event_emitter"))
    request: Any = {
        "method": "GET",
        "url": f"https://sts.{where}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {_CLUSTER_HEADER: cluster},
        "context": {},
    }
    sign = cast(Callable[..., str], signer.generate_presigned_url)
    url = sign(request, operation_name="", expires_in=_URL_LIFE_S, region_name=where)
    token = _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    expires = (datetime.now(UTC) + _TOKEN_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"expirationTimestamp": expires, "token": token}
    return {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "spec": {},
        "status": status,
    }


if __name__ == "__main__":
    sys.exit(errors.run(lambda: main(sys.argv[1:])))
