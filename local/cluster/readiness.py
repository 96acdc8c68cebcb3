"""Waiting until the cluster does what it is for, with a reason whenever it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from local.cluster import bootstrap, dns, names
from local.cluster.api import Answer, Api, ApiUnavailableError
from local.cluster.handle import Cluster
from local.cluster.health import find, read, status
from local.cluster.layout import Layout
from local.errors import MantaError
from local.progress import Stage
from local.settings import LocalSettings

_POLL_S = 0.1
_LOG_LINES = 15
_KEEPS_ENDING = 3  # deaths while starting; one or two are a slow machine's


@dataclass(frozen=True)
class Check:
    """One thing that must hold: `holds` may raise ApiUnavailableError; `component` is whose log explains a failure."""

    what: str
    component: str
    holds: Callable[[], bool]


def checks(cluster: Cluster, settings: LocalSettings) -> tuple[Check, ...]:
    layout = Layout(settings.state_dir)
    api = Api(layout, settings.ports.api)

    def api_ready() -> bool:
        return api.get("/readyz").status == 200

    def rights_granted() -> bool:
        # The last of them: the order of grant() makes it stand for all.
        path, _ = bootstrap.manifests()[-1]
        if api.get(path).status != 200:
            bootstrap.grant(api)
        return True

    def node_ready() -> bool:
        node = api.get(f"/api/v1/nodes/{names.NODE_NAME}")
        return is_ready(node, read(layout).get("kubelet", {}).get("started_at", 0.0))

    def accounts_made() -> bool:
        return api.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200

    def names_resolved() -> bool:
        service = f"kubernetes.default.svc.{names.CLUSTER_DOMAIN}"
        return cluster.in_netns(lambda: dns.resolves(names.NODE_ADDRESS, service))

    return (
        Check("the API server answers", "apiserver", api_ready),
        Check("access rights are granted", "apiserver", rights_granted),
        Check("the node is ready", "kubelet", node_ready),
        Check("service accounts are made", "controller-manager", accounts_made),
        Check("cluster DNS answers", "coredns", names_resolved),
        Check("every component is well", "supervisor", lambda: status(settings).healthy),
    )


def is_ready(node: Answer, kubelet_started_at: float) -> bool:
    """Whether the kubelet that started then (seconds since the epoch) says so: after a power cut the API server still
    holds what the last one said."""
    if node.status != 200:
        return False
    for condition in node.body.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            heartbeat = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
            return condition["status"] == "True" and kubelet_started_at > 0 and heartbeat >= int(kubelet_started_at)
    return False


def wait(cluster: Cluster, settings: LocalSettings, stage: Stage, *, patience_s: float) -> None:
    """Return when every check holds; MantaError with the end of the log in question when one does not in time."""
    deadline = time.monotonic() + patience_s
    layout = Layout(settings.state_dir)
    for check in checks(cluster, settings):
        stage.update(detail=f"waiting until {check.what}")
        reason = ""
        while True:
            try:
                if check.holds():
                    break
            except (ApiUnavailableError, OSError) as error:
                reason = str(error)
            if find(settings) != cluster:
                raise _failure("the cluster ended while it was starting", layout, "supervisor")
            if time.monotonic() > deadline:
                because = f" ({reason})" if reason else ""
                what = f"after {patience_s:.0f} s it is still not so that {check.what}{because}"
                raise _failure(what, layout, _failing(layout) or check.component)
            time.sleep(_POLL_S)


def _failing(layout: Layout) -> str | None:
    """The first component, in the order of their start, that keeps ending: the others only wait for it."""
    recorded = read(layout)
    return next((name for name in recorded if recorded[name]["restarts"] >= _KEEPS_ENDING), None)


def _failure(what: str, layout: Layout, component: str) -> MantaError:
    file = layout.logs / f"{component}.log"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    sentence = f"{what}: {component} is to blame, see {file}; `make down` and `make up` start afresh and lose nothing"
    return MantaError(sentence, "\n".join(lines[-_LOG_LINES:]))
