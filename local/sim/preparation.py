"""What the node of the simulated AWS gets beyond Kubernetes: its programs, their keys and their configuration."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import issue, kubeconfigs, names, pki, preparation
from local.cluster.files import write_private
from local.cluster.layout import NODE_STATE, Layout
from local.cluster.pki import Request
from local.cluster.spec import Addition, Component
from local.environment import CHECKOUT, VENV
from local.sim.cloud.config import API_PORT, CloudConfig
from local.sim.settings import SimSettings

REGION = "us-east-1"
_CONFIG = NODE_STATE / "config"
_NODE_TOOLS = "/opt/manta/aws"
_SERVICES = 2  # the stage in which containerd and DNS are stopped: after the pods
_API = f"tcp:127.0.0.1:{names.API_PORT}"


@dataclass(frozen=True)
class Keys:
    """Of the user `deployer`."""

    access_key: str
    secret_key: str


def prepare(settings: SimSettings, tools: Path) -> Addition:
    """Write all that is read at the start of the node. `tools`: the toolchain's entry for AWS."""
    layout = Layout(settings.cluster.state_dir)
    preparation.require_root()
    preparation.make_folders(layout)
    pki.ensure(layout)
    keys = ensure_keys(settings)
    _certificate(layout)
    config = CloudConfig(
        host_port=settings.aws_port,
        cluster_endpoint=f"https://127.0.0.1:{settings.cluster.ports.api}",
        certificate_authority=base64.b64encode((layout.pki / "cluster-ca.crt").read_bytes()).decode(),
        prices=f"{_NODE_TOOLS}/share/karpenter/prices.go",
        account=str(NODE_STATE / "run" / "account"),
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        certificate=str(NODE_STATE / "pki" / "aws.crt"),
        key=str(NODE_STATE / "pki" / "aws.key"),
    )
    write_private(layout.config / "aws.json", config.to_json())
    write_private(layout.config / "tokens.kubeconfig", _tokens_kubeconfig())
    kubeconfigs.write_for_node(layout, "kwok", "admin")
    write_private(layout.config / "stages.yaml", stages(tools / "share" / "kwok"))
    interpreter = Path(sys.base_prefix)
    visible = [CHECKOUT / "local", VENV, *([] if interpreter.is_relative_to("/usr") else [interpreter])]
    return Addition(
        components=(_cloud(), _kwok()),
        readable=(*((str(path), str(path)) for path in visible), (str(tools.resolve()), _NODE_TOOLS)),
        apiserver=(
            f"--authentication-token-webhook-config-file={_CONFIG}/tokens.kubeconfig",
            "--authentication-token-webhook-version=v1",
            # EKS sees a changed access entry after seconds, not after the two minutes that are the default here.
            "--authentication-token-webhook-cache-ttl=5s",
        ),
    )


def ensure_keys(settings: SimSettings) -> Keys:
    """The deployer's keys, also as a credentials file for the AWS SDKs."""
    folder = settings.aws_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "keys.json"
    if not file.exists():
        made = {"access_key": f"AKIA{secrets.token_hex(8).upper()}", "secret_key": secrets.token_urlsafe(30)}
        write_private(file, json.dumps(made))
    keys = Keys(**json.loads(file.read_text()))
    lines = ("[default]", f"aws_access_key_id = {keys.access_key}", f"aws_secret_access_key = {keys.secret_key}")
    write_private(folder / "credentials", "\n".join(lines) + "\n")
    write_private(folder / "config", f"[default]\nregion = {REGION}\n")
    return keys


def stages(folder: Path) -> str:
    """KWOK's own stages, that play a kubelet, as one file.

    The one that ends pods of Jobs at once is left out: a Ray run's submitter runs for as long as its run.
    """
    files = (path for path in sorted(folder.rglob("*.yaml")) if path.stem not in ("kustomization", "pod-complete"))
    return "\n---\n".join(path.read_text() for path in files)


def _cloud() -> Component:
    command = (str(VENV / "bin" / "python"), "-m", "local.sim.cloud", f"{_CONFIG}/aws.json")
    environment = {
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # The Python SDK is inside moto itself, which must never look for credentials on the machine.
        "AWS_ACCESS_KEY_ID": "unused",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # AWS's own policies, which roles of the platform are given.
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }
    return Component("aws", command, environment=environment, stop_stage=_SERVICES, stop_seconds=0.2)


def _kwok() -> Component:
    options = (
        f"--kubeconfig={_CONFIG}/kwok.kubeconfig",
        f"--config={_CONFIG}/stages.yaml",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.245.0.0/16",
    )
    return Component(
        "kwok",
        (f"{_NODE_TOOLS}/bin/kwok", *options),
        environment={"GOGC": "50"},
        after=(_API,),
        stop_stage=_SERVICES,
        stop_seconds=0.5,
    )


def _certificate(layout: Layout) -> None:
    """For the webhook that the API server calls. Renewed with the cluster's own authority."""
    authority = issue.authority(layout.authorities, layout.pki, "cluster")
    note = layout.authorities / "aws.issuer"
    if note.exists() and note.read_text() == authority.fingerprint and (layout.pki / "aws.crt").exists():
        return
    request = Request("aws", "cluster", "manta:aws", hosts=(names.NODE_ADDRESS, "127.0.0.1"), client=False)
    certificate, key, _ = issue.certificate(authority, request)
    write_private(layout.pki / "aws.key", key)
    write_private(layout.pki / "aws.crt", certificate)
    write_private(note, authority.fingerprint)


def _tokens_kubeconfig() -> str:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "aws", "cluster": {"server": f"http://127.0.0.1:{API_PORT}/sim/tokens"}}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "aws", "context": {"cluster": "aws", "user": "apiserver"}}],
        "current-context": "aws",
    }
    return json.dumps(document)
