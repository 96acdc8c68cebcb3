"""HAProxy's configuration: it runs in the cluster's network namespace and binds its ports in the host's.

Not the other way round (`server ... namespace`): a worker that is told to finish closes its namespaces first, and loses
the connections that it has accepted but not passed on (seen with 2.6: a request in a thousand during reloads).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from local.cluster import names


@dataclass(frozen=True)
class Route:
    """`address`:`port` in the cluster, reachable as 127.0.0.1:`local_port` on the host."""

    name: str
    local_port: int
    address: str
    port: int


def configuration(routes: Iterable[Route]) -> str:
    """TCP only: watches, log streams and WebSockets pass for as long as both ends live, so the timeouts are days, and
    dead peers are found by keep-alives. A reload leaves open connections to the old process until they end."""
    head = """global
  maxconn 4096
  nbthread 2
  user nobody
  group nogroup
  chroot /srv
  hard-stop-after 12h
  log stdout format raw local0 notice

defaults
  mode tcp
  log global
  maxconn 4096
  retries 2
  option tcpka
  timeout connect 5s
  timeout client 7d
  timeout server 7d
  timeout client-fin 60s
"""
    return head + "".join(_listen(route) for route in sorted(routes, key=lambda route: route.local_port))


def _listen(route: Route) -> str:
    return f"""
listen {route.name}
  bind 127.0.0.1:{route.local_port} namespace {names.HOST_NETWORK}
  server {route.name} {route.address}:{route.port}
"""
