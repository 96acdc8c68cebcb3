"""Making Services of the cluster reachable on 127.0.0.1 of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from local.cluster import haproxy, names, ports
from local.cluster.api import Api, ApiUnavailableError
from local.cluster.files import write_private
from local.cluster.handle import Cluster
from local.cluster.haproxy import Route
from local.cluster.health import find
from local.cluster.layout import Layout
from local.errors import MantaError
from local.settings import LocalSettings

_ROUTES_FILE = "routes.json"
_RELOAD_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Publication:
    """Port `port` of Service `service` in `namespace`, to be reached at 127.0.0.1:`local_port`."""

    name: str
    local_port: int
    namespace: str
    service: str
    port: int


def publish(settings: LocalSettings, publications: Sequence[Publication]) -> tuple[Publication, ...]:
    """Publish exactly these beside the API server and return those whose Service exists; connections that are open stay
    open. What was published before and is not named is no longer. Calling it again changes nothing."""
    layout, cluster = Layout(settings.state_dir), find(settings)
    if cluster is None:
        raise MantaError("nothing can be published, for the local cluster is not running: run `make up`")
    api = Api(layout, settings.ports.api)
    routes: list[Route] = []
    published: list[Publication] = []
    for wanted in publications:
        address = _address(api, wanted)
        if address:
            routes.append(Route(wanted.name, wanted.local_port, address, wanted.port))
            published.append(wanted)
    before = {route.local_port for route in remembered(layout, settings)} | {settings.ports.api}
    ports.require_free({route.name: route.local_port for route in routes if route.local_port not in before})
    write_private(layout.config / _ROUTES_FILE, json.dumps([asdict(route) for route in routes]))
    if write_configuration(layout, settings):
        _reload(cluster)
    return tuple(published)


def remembered(layout: Layout, settings: LocalSettings) -> list[Route]:
    """What was published last, beside the API server, on the ports that the settings say now; a Service keeps its
    address while the cluster is down."""
    try:
        routes = [Route(**item) for item in json.loads((layout.config / _ROUTES_FILE).read_text())]
    except (FileNotFoundError, ValueError, TypeError):
        return []
    chosen = settings.ports.by_name()
    return [replace(route, local_port=chosen.get(route.name, route.local_port)) for route in routes]


def write_configuration(layout: Layout, settings: LocalSettings) -> bool:
    """Write HAProxy's configuration; false when it said the same before."""
    api = Route("api", settings.ports.api, "127.0.0.1", names.API_PORT)
    others = [route for route in remembered(layout, settings) if route.local_port != api.local_port]
    return write_private(layout.config / "haproxy.cfg", haproxy.configuration([api, *others]))


def _address(api: Api, wanted: Publication) -> str | None:
    try:
        service = api.get(f"/api/v1/namespaces/{wanted.namespace}/services/{wanted.service}").body
    except ApiUnavailableError as error:
        raise MantaError(f"{wanted.name} cannot be published, for the API server does not answer: {error}") from None
    address = service.get("spec", {}).get("clusterIP")
    return None if address in (None, "", "None") else address


def _reload(cluster: Cluster) -> None:
    """Ask the supervisor for it, and return when the worker with the new configuration has taken over."""
    before = _worker(cluster)
    os.kill(cluster.supervisor, signal.SIGHUP)
    deadline = time.monotonic() + _RELOAD_PATIENCE_S
    while _worker(cluster) in (None, before):
        if time.monotonic() > deadline:
            file = Layout(cluster.state_dir).logs / "haproxy.log"
            raise MantaError(f"HAProxy did not take its new configuration in {_RELOAD_PATIENCE_S:.0f} s: read {file}")
        time.sleep(0.05)


def _worker(cluster: Cluster) -> str | None:
    """Process id of HAProxy's current worker, by its master's word."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(f"{cluster.root}{names.HAPROXY_SOCKET}")
            connection.sendall(b"show proc\n")
            answer = b""
            while b"# programs" not in answer and (chunk := connection.recv(4096)):  # it keeps the connection open
                answer += chunk
    except OSError:
        return None
    return current_worker(answer.decode(errors="replace"))


def current_worker(show_proc: str) -> str | None:
    section = ""
    for line in show_proc.splitlines():
        if line.startswith("#") and line.rstrip().endswith("workers"):
            section = line.strip("# ")
        elif section == "workers" and line.strip() and not line.startswith("#"):
            return line.split()[0]
    return None
