"""The real operator, Prometheus and Alertmanager on the cluster: every target is up, and alerts arrive."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from infra.monitoring import groups
from infra.monitoring.dashboards import BOARDS
from infra.monitoring.rule import metric_names
from tests.conftest import make
from tests.unit.infra.monitoring.metrics import ELSEWHERE, KUBERAY, PROMETHEUS

SYSTEM = "manta-system"
JOBS = {"ray-head", "ray-worker", "kuberay-operator", "prometheus"}
# Panels that show something of every Ray cluster, whatever it does.
SHOWN = {
    "Nodes", "Tasks by state", "Actors by state", "CPU used", "Memory used", "Object store", "CPUs by stack",
    "CPU used by stack", "Memory by stack", "Ray clusters",
}  # fmt: skip


class Server:
    """Prometheus or Alertmanager, through the API server."""

    def __init__(self, api: client.ApiClient, service: str) -> None:
        self._api, self._path = api, f"/api/v1/namespaces/{SYSTEM}/services/{service}:web/proxy"

    def ask(self, path: str, **parameters: str) -> Any:
        request = self._api.param_serialize(
            "GET", self._path + path, query_params=list(parameters.items()), auth_settings=["BearerToken"]
        )
        response = self._api.call_api(*request, _request_timeout=30)
        content = response.read()
        assert 200 <= response.status < 300, content[:500]
        return json.loads(content)

    def query(self, expr: str) -> list[dict[str, Any]]:
        return self.ask("/api/v1/query", query=expr)["data"]["result"]


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> client.ApiClient:
    make("up", "MONITORING=1")
    return config.new_client_from_config(str(kubeconfig))


@pytest.fixture(scope="module")
def prometheus(api: client.ApiClient) -> Server:
    return Server(api, "prometheus")


def eventually(found: Callable[[], bool], seconds: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found():
                return True
        except Exception as error:  # it is starting
            print(error)
        time.sleep(2)
    return False


def test_every_target_is_up(prometheus: Server) -> None:
    def jobs() -> set[str]:
        return {each["metric"]["job"] for each in prometheus.query("up == 1")}

    eventually(lambda: jobs() >= JOBS, 180)
    down = [each["metric"] for each in prometheus.query("up == 0")]
    assert not down
    assert jobs() >= JOBS


def test_every_rule_is_loaded_and_none_fails(prometheus: Server) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    wanted = sum(len(group.rules) for group in groups(cloud=False))
    eventually(lambda: len(rules()) == wanted and all(rule["health"] == "ok" for rule in rules()), 120)
    assert [rule["name"] for rule in rules() if rule["health"] != "ok"] == []
    assert len(rules()) == wanted


def test_what_the_rules_ask_of_the_operator_and_of_prometheus_is_there(prometheus: Server) -> None:
    asked = {name for group in groups(cloud=False) for rule in group.rules for name in metric_names(rule.expr)}
    wanted = (asked & (KUBERAY | PROMETHEUS)) - set(ELSEWHERE)
    assert wanted
    eventually(lambda: not missing(prometheus, wanted), 60)
    assert not missing(prometheus, wanted)


def missing(prometheus: Server, wanted: set[str]) -> set[str]:
    names = set(prometheus.ask("/api/v1/label/__name__/values")["data"])
    return wanted - names


def test_the_dashboards_have_something_to_show(prometheus: Server) -> None:
    charts = [chart for board in BOARDS.values() for chart in board.charts if chart.title in SHOWN]
    assert {chart.title for chart in charts} == SHOWN
    asked = {chart.title: expr for chart in charts for expr in chart.lines.values()}

    def empty() -> list[str]:
        return [title for title, expr in asked.items() if not prometheus.query(re.sub(r"\$\w+", ".*", expr))]

    eventually(lambda: not empty(), 60)
    assert not empty()


def test_an_alert_arrives_at_alertmanager(api: client.ApiClient) -> None:
    alerts = Server(api, "alertmanager")

    def arrived() -> bool:
        return any(each["labels"]["alertname"] == "Watchdog" for each in alerts.ask("/api/v2/alerts"))

    assert eventually(arrived, 180), "the heartbeat never came"
