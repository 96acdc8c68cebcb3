"""Object storage of an environment without a cloud: versitygw over a folder, with one bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.kubernetes.objects import register
from infra.kubernetes.security import container_context, pod_context, resources
from infra.kubernetes.storage import claim_manifest, volume_manifest
from infra.kubernetes.tenancy import S3_ACCOUNT
from infra.kubernetes.workload import Server, server_manifest, service_manifest
from infra.settings.platform import StorageSettings

NAME = "s3"
PORT = 9000
REGION = "us-east-1"
SECRET = "s3-credentials"  # noqa: S105 - a name
_CREATE_BUCKET = """
import sys, time
import boto3, botocore.config, botocore.exceptions
s3 = boto3.client("s3", config=botocore.config.Config(connect_timeout=5, read_timeout=5, retries={"max_attempts": 1}))
for attempt in range(60):
    try:
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        if sys.argv[1] not in names:
            s3.create_bucket(Bucket=sys.argv[1])
        print("bucket", sys.argv[1], "is there")
        sys.exit(0)
    except botocore.exceptions.BotoCoreError as error:
        print(error, flush=True)
        time.sleep(1)
sys.exit("the S3 server did not answer for a minute")
"""


@dataclass(frozen=True)
class S3Args:
    """`image` is the S3 server's, `tools_image` one with boto3 in it; the credentials are made by the platform."""

    namespace: str
    node: str
    settings: StorageSettings
    image: pulumi.Input[str]
    tools_image: pulumi.Input[str]


def endpoint(namespace: str) -> str:
    return f"http://{NAME}.{namespace}.svc.cluster.local:{PORT}"


def s3_server(args: S3Args) -> Server:
    return Server(
        name=NAME,
        namespace=args.namespace,
        account=S3_ACCOUNT,
        image=args.image,  # pyright: ignore[reportArgumentType] - Pulumi resolves it within the manifest
        args=["--port", f":{PORT}", "--health", "/health", "--quiet", "posix", "/data"],
        env=[
            _from_secret("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            _from_secret("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
            {"name": "VGW_REGION", "value": REGION},
        ],
        port=PORT,
        probe_path="/health",
        resources=resources("50m", "64Mi", "2", "512Mi"),
        claim=NAME,
    )


def bucket_manifest(namespace: str, bucket: str, image: pulumi.Input[str]) -> dict[str, Any]:
    """A Job that makes the bucket; named after what it does, since a Job cannot be changed."""
    labels = {"app": "s3-bucket"}
    content = hashlib.sha256(f"{bucket}{_CREATE_BUCKET}".encode()).hexdigest()[:8]
    container = {
        "name": "bucket",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", _CREATE_BUCKET, bucket],
        "env": [
            {"name": "AWS_ENDPOINT_URL", "value": endpoint(namespace)},
            {"name": "AWS_DEFAULT_REGION", "value": REGION},
            _from_secret("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
            _from_secret("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        ],
        "resources": resources("50m", "128Mi", "1", "512Mi"),
        "securityContext": container_context(read_only=True),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"s3-bucket-{content}", "namespace": namespace, "labels": labels},
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 300,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": S3_ACCOUNT,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_context(),
                    "containers": [container],
                },
            },
        },
    }


class S3(pulumi.ComponentResource):
    """Volume, server, Service and bucket. The Secret with the credentials comes first, through `depends_on`."""

    def __init__(self, name: str, args: S3Args, *, protect: bool, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("manta:kubernetes:S3", name, None, opts)
        settings = args.settings
        volume = volume_manifest(NAME, settings.path, settings.size, args.node, args.namespace)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        pv = register("volume", volume, kept)
        claim = register(
            "claim",
            claim_manifest(NAME, settings.size, args.namespace),
            pulumi.ResourceOptions(parent=self, protect=protect, depends_on=[pv]),
        )
        server = register(
            "server", server_manifest(s3_server(args)), pulumi.ResourceOptions(parent=self, depends_on=[claim])
        )
        service = register(
            "service",
            service_manifest(NAME, args.namespace, PORT),
            pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.bucket = register(
            "bucket",
            bucket_manifest(args.namespace, settings.bucket, args.tools_image),
            # The Job's name says what it does; another image does the same.
            pulumi.ResourceOptions(parent=self, depends_on=[service], ignore_changes=["spec"]),
        )
        self.register_outputs({"endpoint": endpoint(args.namespace)})


def _from_secret(variable: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
