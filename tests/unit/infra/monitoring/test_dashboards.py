"""Dashboards are JSON that Grafana takes, and ask only for what rules record or somebody is known to export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.monitoring import GROUPS
from infra.monitoring.dashboards import BOARDS, dashboards, expressions
from infra.monitoring.rule import Record, metric_names
from ops.dashboards import dashboards as write
from tests.unit.infra.monitoring.metrics import ELSEWHERE, KUBERAY, PROMETHEUS

RECORDED = {rule.name for group in GROUPS for rule in group.rules if isinstance(rule, Record)}
RENDERED = dashboards()


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    board: dict[str, Any] = json.loads(json.dumps(RENDERED[name]))
    assert board["uid"] == f"manta-{name}"
    assert [panel["title"] for panel in board["panels"]] == [chart.title for chart in BOARDS[name].charts]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places), "panels lie on each other"
    for panel in board["panels"]:
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert panel["datasource"]["uid"] == "${source}", "a dashboard works with any Prometheus"


def test_they_are_written_for_a_grafana_that_is_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "boards")
    assert len(capsys.readouterr().out.splitlines()) == len(BOARDS)
    for name in BOARDS:
        assert json.loads((tmp_path / "boards" / f"manta-{name}.json").read_text()) == RENDERED[name]


def test_every_variable_of_an_expression_is_one_of_its_dashboard() -> None:
    for name, board in RENDERED.items():
        variables = {variable["name"] for variable in board["templating"]["list"]}
        for panel in board["panels"]:
            for target in panel["targets"]:
                used = {word for word in ("ray_io_cluster", "manta_stack") if f"${word}" in target["expr"]}
                assert used <= variables, f"{name}, {panel['title']}"


def test_what_is_shown_is_measured_by_somebody() -> None:
    unknown = {
        name
        for expr in expressions()
        for name in metric_names(expr)
        if not name.startswith("ray_") and name not in RECORDED | KUBERAY | PROMETHEUS | set(ELSEWHERE)
    }
    assert not unknown, "name who exports it in metrics.py; those of Ray are looked for in a real Ray's scrape"


def test_every_expression_has_a_metric() -> None:
    for expr in expressions():
        assert metric_names(expr), expr
