"""What a view of a run asks the cluster and MLflow, which answers through the API server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from infra.ray.cluster import RUN_LABEL
from local.errors import MantaError
from ops import moments
from ops.cluster import Cluster, ForbiddenError
from ops.prices import table as prices
from ops.runs.run import Run, from_job
from ops.watch import history
from ops.watch.history import History
from ops.watch.nodes import Node, under

MLFLOW, MLFLOW_NAMESPACE, MLFLOW_PORT = "mlflow", "manta-system", 5000
_RUN_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class View:
    """A run at one moment. `notes` say what could not be asked."""

    run: Run
    history: History
    nodes: tuple[Node, ...]
    pods: Mapping[str, int]
    notes: tuple[str, ...] = ()


def look(cluster: Cluster, namespace: str, name: str) -> View:
    """The run `name` (or the newest of the stack of that name) as it is now; raises MantaError if there is none."""
    run = _run(cluster, namespace, name)
    pods = cluster.list("pods", namespace, f"{RUN_LABEL}={run.name},ray.io/is-ray-node=yes")
    notes: list[str] = []
    try:
        every = cluster.list("nodes")
    except ForbiddenError:
        every = []
        notes.append("you may not read nodes: no prices")
    told = _history(cluster, run.name, notes)
    phases: dict[str, int] = {}
    for pod in pods:
        phase = str(pod["status"].get("phase", "Unknown"))
        phases[phase] = phases.get(phase, 0) + 1
    return View(run, told, tuple(under(pods, every, prices.load(), moments.now())), phases, tuple(notes))


def _run(cluster: Cluster, namespace: str, name: str) -> Run:
    runs = [run for run in map(from_job, cluster.list("rayjobs", namespace)) if not run.template]
    matching = [run for run in runs if name in (run.name, run.stack)]
    if not matching:
        known = ", ".join(sorted(run.name for run in runs)) or "none"
        raise MantaError(f"there is no run {name} in namespace {namespace}: there are {known}")
    return max(matching, key=lambda run: run.started.timestamp() if run.started else 0.0)


def _history(cluster: Cluster, name: str, notes: list[str]) -> History:
    if not _RUN_NAME.fullmatch(name):
        return History()
    try:
        found = _ask(cluster, "runs/search", {"experiment_ids": _experiments(cluster), **_tagged(name)})
        runs = cast(list[Mapping[str, Any]], found.get("runs") or [])
        if not runs:
            return History()
        query = urlencode({"run_id": runs[0]["info"]["run_id"], "metric_key": "loss", "max_results": 5000})
        return history.read(runs[0], _ask(cluster, f"metrics/get-history?{query}"))
    except (MantaError, ForbiddenError, ValueError, KeyError):
        # It restarts, or is still coming up with the platform: the run's state is worth showing all the same.
        notes.append("MLflow does not answer (with a login it never does, through the API server): no epochs")
        return History()


def _experiments(cluster: Cluster) -> list[str]:
    found = _ask(cluster, "experiments/search?max_results=1000")
    return [str(each["experiment_id"]) for each in found.get("experiments") or ()]


def _tagged(name: str) -> dict[str, Any]:
    return {"filter": f"tags.\"manta.run\" = '{name}'", "max_results": 1, "order_by": ["attributes.start_time DESC"]}


def _ask(cluster: Cluster, what: str, body: Any = None) -> Mapping[str, Any]:
    answer = cluster.through(MLFLOW, MLFLOW_NAMESPACE, MLFLOW_PORT, f"/api/2.0/mlflow/{what}", body)
    return cast(Mapping[str, Any], answer) if isinstance(answer, dict) else {}
