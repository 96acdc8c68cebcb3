"""An HTTP request read as a call of an AWS action."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import botocore.session

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_QUERY_PROTOCOL = ("application/x-www-form-urlencoded",)


@dataclass(frozen=True)
class Call:
    """`action` as policies name it (`ec2:CreateFleet`); `path` as it came, percent-encoded: an ARN in it has slashes;
    `parameters` of the query protocol, flat (`Tag.1.Key`), or of JSON."""

    service: str
    region: str
    action: str
    access_key: str
    method: str
    path: str
    target: str
    body: bytes
    query: dict[str, str] = field(default_factory=dict[str, str])
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])

    def body_json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")


def read(environ: dict[str, Any], body: bytes) -> Call:
    """An unsigned request belongs to nobody: its access key is empty."""
    query = {
        key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
    }
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _CREDENTIAL.search(
        f"Credential={query.get('X-Amz-Credential', '')}"
    )
    key, region, service = signed.groups() if signed else ("", "us-east-1", "")
    target, method = environ.get("HTTP_X_AMZ_TARGET", ""), environ["REQUEST_METHOD"]
    path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    parameters: dict[str, Any] = {}
    operation = ""
    if target:
        operation = target.rpartition(".")[2]
        parameters = _json(body)
    elif str(environ.get("CONTENT_TYPE", "")).startswith(_QUERY_PROTOCOL):
        parameters = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        operation = str(parameters.get("Action", ""))
    elif service == "s3":
        operation = _s3_operation(method, path, query)
    elif service:
        operation = _rest_operation(service, method, path)
        parameters = _json(body)
    return Call(
        service=service,
        region=region,
        action=f"{service}:{operation}",
        access_key=key,
        method=method,
        path=path,
        target=target,
        body=body,
        query=query,
        parameters=parameters,
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return {}


def _s3_operation(method: str, path: str, query: dict[str, str]) -> str:
    """Policies call actions of S3 differently from its API: HeadObject and GetObject are both s3:GetObject."""
    _, _, key = path.lstrip("/").partition("/")
    if not key:
        if not path.strip("/"):
            return "ListAllMyBuckets"
        if "uploads" in query:
            return "ListBucketMultipartUploads"
        return {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(
            method, "DeleteObject"
        )
    if "uploadId" in query and method in ("GET", "DELETE"):
        return "ListMultipartUploadParts" if method == "GET" else "AbortMultipartUpload"
    if "tagging" in query:
        return {"GET": "GetObjectTagging", "PUT": "PutObjectTagging"}.get(method, "DeleteObjectTagging")
    return {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(method, "PutObject")


def _rest_operation(service: str, method: str, path: str) -> str:
    for verb, pattern, name in _rest_table(service):
        if verb == method and pattern.fullmatch(path):
            return name
    return ""


@cache
def _rest_table(service: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    session: Any = botocore.session.get_session()
    if service not in session.get_available_services():
        return ()
    model = session.get_service_model(service)
    found: list[tuple[str, re.Pattern[str], str]] = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        uri = re.escape(http["requestUri"].partition("?")[0])
        found.append((http["method"], re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", uri) + "/?"), name))
    return tuple(found)
