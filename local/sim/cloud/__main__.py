"""`python -m local.sim.cloud CONFIG`: serve until the node ends."""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from moto.ec2.responses import EC2Response
from moto.eks.models import Cluster
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket, FakeDeleteMarker
from werkzeug.serving import BaseWSGIServer, make_server

from local.cluster import names, syscalls
from local.cluster.files import write_private
from local.sim.cloud import additions, fleet
from local.sim.cloud.capacity import Capacity
from local.sim.cloud.config import ACCOUNT, AGENT_ADDRESS, AGENT_PORT, API_PORT, DEPLOYER, WEBHOOK_PORT, CloudConfig
from local.sim.cloud.eks import Eks
from local.sim.cloud.front import Front
from local.sim.cloud.identity import Agent
from local.sim.cloud.judge import Judge
from local.sim.cloud.kubernetes import Kubernetes
from local.sim.cloud.machines import Machines
from local.sim.cloud.prices import Prices


def main(config: CloudConfig) -> None:
    prices, capacity, eks, kubernetes = Prices.read(Path(config.prices)), Capacity(), Eks(), Kubernetes()
    responses: Any = EC2Response
    responses.create_fleet = fleet.handler(prices, capacity)
    identities: Any = IamResponse
    identities.list_instance_profiles = additions.instance_profiles
    buckets: Any = FakeBucket
    buckets.get_permission = additions.bucket_permission
    markers: Any = FakeDeleteMarker
    markers.dispose = additions.nothing_to_dispose
    responses.describe_spot_price_history = additions.spot_prices(prices)
    _real_cluster(config)
    _deployer(config)
    agent = Agent(eks, kubernetes)
    account = secrets.token_hex(8)
    moto = DomainDispatcherApplication(create_backend_app)
    front = Front(moto, eks, agent, capacity, prices, Judge(agent), account)
    subprocess.run(["ip", "address", "add", f"{AGENT_ADDRESS}/32", "dev", "lo"], check=False, capture_output=True)
    servers = [
        _server(front, _listening(names.NODE_ADDRESS, API_PORT)),
        _server(front, _listening("127.0.0.1", API_PORT)),
        _server(front, _listening(AGENT_ADDRESS, AGENT_PORT)),
        _server(front, _on_the_host(config.host_port)),
        _server(front, _listening(names.NODE_ADDRESS, WEBHOOK_PORT), _tls(config)),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    write_private(Path(config.account), account)
    additions.install(kubernetes)
    Machines(kubernetes, config.boot_seconds).run()


def _real_cluster(config: CloudConfig) -> None:
    """Let every EKS cluster of this account be the one on this machine."""
    made: Any = Cluster.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self.endpoint = config.cluster_endpoint
        self.certificate_authority = {"data": config.certificate_authority}

    Cluster.__init__ = init


def _deployer(config: CloudConfig) -> None:
    """The one person of the account, who brings the stacks up."""
    backend: Any = iam_backends[ACCOUNT]["aws"]
    backend.create_user("us-east-1", DEPLOYER)
    key = backend.create_access_key(DEPLOYER)
    del backend.access_keys[key.access_key_id]
    key.access_key_id, key.secret_access_key = config.access_key, config.secret_key
    backend.access_keys[config.access_key] = key


def _listening(address: str, port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(128)
    return server


def _on_the_host(port: int) -> socket.socket:
    """A socket keeps the network namespace in which it was made, whatever its process does later."""
    made: list[socket.socket] = []

    def work() -> None:
        with Path("/run/netns", names.HOST_NETWORK).open() as namespace:
            syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
        made.append(_listening("127.0.0.1", port))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


def _tls(config: CloudConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.certificate, config.key)
    return context


def _server(app: Any, listener: socket.socket, tls: ssl.SSLContext | None = None) -> BaseWSGIServer:
    address, port = listener.getsockname()
    return make_server(
        address, port, app, threaded=True, request_handler=_Handler, fd=listener.detach(), ssl_context=tls
    )


class _Handler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only what failed: Karpenter asks a dozen times a second."""
        if str(code)[:1] not in "23":
            super().log_request(code, size)


if __name__ == "__main__":
    main(CloudConfig.read(Path(sys.argv[1])))
