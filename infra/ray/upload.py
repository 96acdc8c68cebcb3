"""The bundle as a content-addressed object on S3, put there from inside the cluster.

`rollout: in_place` needs it: Serve replaces replicas in place only if the code's address is in serveConfigV2, and the
machine that runs Pulumi may not reach the storage.
"""

from __future__ import annotations

from typing import Any

from infra.kubernetes.security import container_context, pod_context, resources
from infra.ray.cluster import ROLE_LABEL, credentials, labels
from infra.ray.specs import BUNDLE_FILE, BUNDLE_FOLDER, Surroundings

# Ray strips a remote zip's only top-level folder, so the bundle's own paths go one level down.
_SCRIPT = """
import io, os, sys, zipfile
import boto3, botocore.config
source, bucket, key = sys.argv[1:]
packed = io.BytesIO()
with zipfile.ZipFile(source) as bundle, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
    for entry in bundle.infolist():
        out.writestr(zipfile.ZipInfo("bundle/" + entry.filename, entry.date_time), bundle.read(entry))
retries = {"max_attempts": 10, "mode": "standard"}
s3 = boto3.client("s3", config=botocore.config.Config(retries=retries, connect_timeout=5))
s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
print(f"uploaded s3://{bucket}/{key}")
"""


def bundle_uri(storage: str, bundle_hash: str) -> str:
    return f"{storage.rstrip('/')}/bundles/{bundle_hash}.zip"


def upload_manifest(
    name: str, stack: str, image: str, config_map: str, uri: str, around: Surroundings
) -> dict[str, Any]:
    """A Job, named after the bundle since a Job cannot be changed, that uploads `config_map`'s zip to `uri`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    env = [
        {"name": "AWS_ENDPOINT_URL", "value": around.s3_endpoint},
        {"name": "AWS_DEFAULT_REGION", "value": around.s3_region},
    ]
    pod_labels = {**labels(stack, name), ROLE_LABEL: "upload"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{config_map}-upload", "namespace": around.namespace, "labels": pod_labels},
        "spec": {
            "backoffLimit": 4,
            "activeDeadlineSeconds": 300,
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": around.service_account,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_context(),
                    "containers": [
                        {
                            "name": "upload",
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["python", "-c", _SCRIPT, f"{BUNDLE_FOLDER}/{BUNDLE_FILE}", bucket, key],
                            "env": [entry for entry in env if entry["value"]] + credentials(around.credentials_secret),
                            "resources": resources("50m", "128Mi", "1", "512Mi"),
                            "securityContext": container_context(read_only=True),
                            "volumeMounts": [{"name": "bundle", "mountPath": BUNDLE_FOLDER, "readOnly": True}],
                        }
                    ],
                    "volumes": [{"name": "bundle", "configMap": {"name": config_map}}],
                },
            },
        },
    }
