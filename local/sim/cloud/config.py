"""What the host tells the simulated AWS when it starts it, and the addresses that both know."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from local.cluster import names

ACCOUNT = "123456789012"  # moto's
API_PORT = 4566  # on the node, for pods
WEBHOOK_PORT = 9443
# Where EKS's agent answers on every node; the SDKs send a pod's token nowhere else over plain HTTP.
AGENT_ADDRESS, AGENT_PORT = "169.254.170.23", 80
ENDPOINT_IN_CLUSTER = f"http://{names.NODE_ADDRESS}:{API_PORT}"
DEPLOYER = "deployer"


@dataclass(frozen=True)
class CloudConfig:
    """`host_port`: on 127.0.0.1 of the machine. `cluster_endpoint`: the API server as people reach it.

    `prices`: Karpenter's price list. `account`: where the process notes which account it holds, a new one at every
    start. `access_key` and `secret_key`: of the user `deployer`, who may do everything. `boot_seconds`: from an
    instance's launch until it has joined the cluster. All paths are the node's.
    """

    host_port: int
    cluster_endpoint: str
    certificate_authority: str
    prices: str
    account: str
    access_key: str
    secret_key: str
    certificate: str
    key: str
    boot_seconds: float = 5.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def read(path: Path) -> CloudConfig:
        return CloudConfig(**json.loads(path.read_text()))
