"""Alerts fire when they should and are silent when they should not, says Prometheus' own promtool."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.monitoring import GROUPS, groups
from infra.monitoring.rule import Alert, Record, metric_names, rendered
from local.monitoring import debian
from local.settings import load
from tests.unit.infra.monitoring.cases import CASES, Case

PROJECT = Path(__file__).resolve().parents[4]
ALERTS = {alert.name: alert for group in GROUPS for alert in group.alerts}
# There is no time at which it is silent.
ALWAYS = {"Watchdog"}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return debian.promtool(load())


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rendered(GROUPS)))
    return path


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prometheus_accepts_every_rule(promtool: Path, rules: Path) -> None:
    checked = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_case_fires_as_often_as_it_says(promtool: Path, rules: Path) -> None:
    file = rules.with_name("cases.yaml")
    file.write_text(
        yaml.safe_dump(
            {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [promtool_test(case) for case in CASES]}
        )
    )
    tested = run(promtool, "test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def promtool_test(case: Case) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    fires = [{"labels": "{}", "value": case.fires}] if case.fires else []
    return {
        "name": f"{case.alert}, {case.fires} at {case.minutes} min, {case.series}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": f"{case.minutes}m", "exp_samples": fires}],
    }


def test_every_alert_is_seen_firing_and_seen_silent() -> None:
    fired, silent = Counter(), Counter()
    for case in CASES:
        (fired if case.fires else silent)[case.alert] += 1
    assert set(fired) == set(ALERTS)
    assert set(silent) == set(ALERTS) - ALWAYS


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_page_that_says_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    page = (PROJECT / "docs" / "runbooks" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Look here", "## Do this"):
        assert heading in page, f"{name}.md lacks {heading}"


def test_there_is_no_page_without_its_alert() -> None:
    pages = {path.stem for path in (PROJECT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == set(ALERTS)


def test_counters_end_in_total_wherever_their_rate_is_taken() -> None:
    for expr in (rule.expr for group in GROUPS for rule in group.rules):
        if "increase(" in expr or "rate(" in expr:
            counted = {name for name in metric_names(expr) if not name.startswith(("stack:", "ray_manta"))}
            assert any(name.endswith(("_total", "_bucket")) for name in counted), expr


def test_what_the_cloud_alone_measures_is_asked_on_the_cloud_alone() -> None:
    here = {name for group in groups(cloud=False) for rule in group.rules for name in metric_names(rule.expr)}
    assert not [name for name in here if name.startswith(("karpenter_", "kube_"))]


def test_recorded_series_are_recorded_before_they_are_used() -> None:
    recorded: set[str] = set()
    for rule in (rule for group in GROUPS for rule in group.rules):
        asked = {name for name in metric_names(rule.expr) if ":" in name}
        assert asked <= recorded, f"{rule} uses what no rule before it records"
        if isinstance(rule, Record):
            recorded.add(rule.name)
        assert not isinstance(rule, Alert) or rule.summary.endswith("."), rule
