"""MLflow: the record of runs and the registry of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from infra.kubernetes import mlflow_access
from infra.kubernetes.objects import register
from infra.kubernetes.security import resources
from infra.kubernetes.storage import claim_manifest, volume_manifest
from infra.kubernetes.tenancy import MLFLOW_ACCOUNT
from infra.kubernetes.workload import Server, server_manifest, service_manifest
from infra.ray.cluster import credentials
from infra.settings.platform import MlflowSettings

NAME = "mlflow"
PORT = 5000
# On the server's own volume, where there is no database.
_RECORDS_HERE, ACCOUNTS_HERE = "sqlite:////data/mlflow.db", "sqlite:////data/accounts.db"


@dataclass(frozen=True)
class MlflowArgs:
    """`image` is the Ray image, which has MLflow of the matrix in it.

    With `database` (a Secret that holds `uri`) the server keeps its records there, and has no volume on `node`. With
    `asks` nobody is heard without the login of `infra.kubernetes.mlflow_access`."""

    namespace: str
    node: str
    settings: MlflowSettings
    image: pulumi.Input[str]
    bucket: str
    s3_endpoint: str
    s3_region: str
    credentials_secret: str
    database: str = ""
    asks: bool = False


def uri(namespace: str) -> str:
    return f"http://{NAME}.{namespace}.svc.cluster.local:{PORT}"


def allowed_hosts(namespace: str, further: list[str]) -> str:
    """Host headers that MLflow answers. The list replaces MLflow's own, under which only its health check would pass
    through a Service's name; the wildcard address is for the kubelet's probes."""
    names = [NAME, f"{NAME}.{namespace}", f"{NAME}.{namespace}.svc", f"{NAME}.{namespace}.svc.cluster.local"]
    own = [f"{name}{port}" for name in names for port in ("", f":{PORT}")]
    return ",".join([*own, "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", *further])


def mlflow_server(args: MlflowArgs) -> Server:
    values = {
        "AWS_ENDPOINT_URL": args.s3_endpoint,
        "AWS_DEFAULT_REGION": args.s3_region,
        # Runs of MLflow's own jobs inside the server: nothing here uses them, and they cost 500 MB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "HOME": "/tmp",  # noqa: S108 - the one writable folder of the pod
    }
    plain: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items() if value]
    login = mlflow_access.server_environment() if args.asks else []
    return Server(
        name=NAME,
        namespace=args.namespace,
        account=MLFLOW_ACCOUNT,
        image=args.image,  # pyright: ignore[reportArgumentType] - Pulumi resolves it within the manifest
        command=["mlflow", "server"],
        args=[
            "--host", "0.0.0.0",  # noqa: S104 - inside a pod, behind NetworkPolicies
            "--port", str(PORT),
            "--workers", "1",
            *([] if args.database else ["--backend-store-uri", _RECORDS_HERE]),
            "--serve-artifacts",
            "--artifacts-destination", f"s3://{args.bucket}/mlflow",
            "--allowed-hosts", allowed_hosts(args.namespace, args.settings.allowed_hosts),
            *(["--app-name", "basic-auth"] if args.asks else []),
        ],
        env=plain + _database(args.database) + credentials(args.credentials_secret) + login,
        files=(mlflow_access.SERVER_SECRET, mlflow_access.FOLDER) if args.asks else None,
        before=["python", "-c", mlflow_access.ACCOUNTS] if args.asks else [],
        before_env=plain + mlflow_access.accounts_environment() if args.asks else [],
        port=PORT,
        probe_path="/health",
        resources=resources("50m", "512Mi", "1", "2Gi"),
        claim=None if args.database else NAME,
        # Its first start migrates a fresh database, which takes tens of seconds on a busy machine.
        startup_seconds=240,
    )  # fmt: skip


def _database(secret: str) -> list[dict[str, Any]]:
    # By the environment: a command line shows in the list of processes.
    source = {"secretKeyRef": {"name": secret, "key": "uri"}}
    return [{"name": "MLFLOW_BACKEND_STORE_URI", "valueFrom": source}] if secret else []


class Mlflow(pulumi.ComponentResource):
    """Volume, server and Service."""

    def __init__(
        self, name: str, args: MlflowArgs, *, protect: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("manta:kubernetes:Mlflow", name, None, opts)
        settings = args.settings
        needs: list[pulumi.Resource] = []
        if not args.database:
            volume = volume_manifest(NAME, settings.path, settings.size, args.node, args.namespace)
            pv = register("volume", volume, pulumi.ResourceOptions(parent=self, protect=protect))
            claim = register(
                "claim",
                claim_manifest(NAME, settings.size, args.namespace),
                pulumi.ResourceOptions(parent=self, protect=protect, depends_on=[pv]),
            )
            needs.append(claim)
        server = register(
            "server", server_manifest(mlflow_server(args)), pulumi.ResourceOptions(parent=self, depends_on=needs)
        )
        register(
            "service",
            service_manifest(NAME, args.namespace, PORT),
            pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.register_outputs({"uri": uri(args.namespace)})
