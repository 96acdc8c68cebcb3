"""A node that is about to go away: what was trained is saved between two steps, and no failure is counted."""

from __future__ import annotations

import threading
from typing import Any

import mlflow
import pytest
from drivers import Output, train
from nodes import CPUS, Node, two_nodes
from services import Mlflow

# A row a worker and step: an epoch takes a second or two, and the notice comes in the middle of one.
SLOW = {"batch_size": 2, "epochs": 5, "lr": 1e-4, "max_failures": 0, "drain_check_steps": 25, "gate_accuracy": 0.01}
BOTH_ON_ONE = CPUS // 2
ONE_EACH = CPUS - 2
# Longer than a save takes; Ray Train leaves the node when it is over at the latest.
NOTICE_S = 20


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.5")


@pytest.fixture(scope="module")
def undisturbed(ray_cluster: str) -> Output:
    output = train(run_name="undisturbed", **SLOW)
    assert output.status == 0, output.text
    return output


def drained(nodes: list[Node], **flags: Any) -> Output:
    """A run that loses a node: it is told in the second epoch, and the node ends once something was saved."""
    warned, gone = threading.Event(), threading.Event()
    left: list[Node] = []

    def disturb(line: str) -> None:
        if line.startswith("progress: epoch 1/") and not warned.is_set():
            warned.set()
            left.append(next(node for node in nodes if node.busy))
            left[0].announce_end(NOTICE_S)
        elif "a node goes away: saved epoch" in line and not gone.is_set():
            gone.set()
            left[0].end()

    output = train(disturb, **{**SLOW, **flags})
    assert gone.is_set(), output.text
    assert output.status == 0, output.text
    assert not any("failed (" in line for line in output.lines), output.text
    assert sorted(set(output.epochs)) == [1, 2, 3, 4, 5]
    return output


def test_a_node_that_goes_away_costs_no_finished_step_and_no_failure(
    undisturbed: Output, ray_cluster: str, watching: None, mlflow_server: Mlflow
):
    with two_nodes(ray_cluster) as nodes:
        output = drained(nodes, run_name="disturbed", cpus_per_worker=BOTH_ON_ONE)
    client = mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)
    wanted, found = (
        [metric.value for metric in client.get_metric_history(run.result["run_id"], "loss")]
        for run in (undisturbed, output)
    )
    assert found == wanted, "it went on between two steps as if nothing had happened"


def test_elastic_workers_go_on_with_fewer_when_a_node_goes_away(
    ray_cluster: str, watching: None, mlflow_server: Mlflow
):
    with two_nodes(ray_cluster) as nodes:
        output = drained(nodes, run_name="elastic", cpus_per_worker=ONE_EACH, min_workers=1)
    assert any("training goes on with 1 workers instead of 2" in line for line in output.lines), output.text
