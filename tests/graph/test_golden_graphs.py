"""What each stack consists of, as the real engine sees it: types, names, parents and protection.

`pytest tests/graph --update` writes the lists anew; the difference is then what a reviewer reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.contract import VERSION
from tests.contract.manifests import PUBLISHED, SCALING
from tests.contract.schemas import load_settings, monitoring_folder
from tests.graph.engine import Engine, Preview

GOLDEN = Path(__file__).resolve().parent / "golden"
AUTOSCALED = {"workers": {"min": 0, "max": 2, "cpus": 2, "memory": "3Gi"}}
WITH_INGRESS = {**load_settings("platform-dev")["aws"], "ingress": {}}
WITH_KEDA = {"queues": ["arn:aws:sqs:us-east-1:111122223333:experiments"]}
MONITORED = {"source": "manifests", "crds": str(monitoring_folder())}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("platform-local", "platform-local", {}),
    ("platform-local, protected", "platform-local", {"protect": True}),
    ("platform-local, by chart", "platform-local", {"kuberay": {"source": "chart"}}),
    ("platform-local, monitored", "platform-local", {"monitoring": MONITORED}),
    ("bootstrap-dev", "bootstrap-dev", {}),
    ("platform-sim", "platform-sim", {}),
    ("platform-dev", "platform-dev", {}),
    ("platform-prod", "platform-prod", {}),
    ("train-local-fast", "train-local-fast", {}),
    ("train-local-fast, not awaited", "train-local-fast", {"wait": False, **AUTOSCALED}),
    ("train-local-fast, by the clock", "train-local-fast", {"schedule": "0 3 * * *"}),
    ("platform-local, with logins", "platform-local", {"mlflow": {"authentication": True}}),
    ("serve-local", "serve-local", {}),
    ("serve-local, in place", "serve-local", {"rollout": "in_place"}),
    ("workbench-local", "workbench-local", {}),
    ("workbench-dev", "workbench-dev", {}),
    ("workbench-dev, scaled by events", "workbench-dev", {"scaling": SCALING}),
    ("serve-dev, published", "serve-dev", {"ingress": PUBLISHED}),
    ("platform-dev, with ingress and KEDA", "platform-dev", {"aws": WITH_INGRESS, "keda": WITH_KEDA}),
]


def previewed(engine: Engine, standing: Engine, stack: str, changes: dict[str, Any]) -> Preview:
    return (engine if stack.startswith(("platform", "bootstrap")) else standing).preview(stack, changes)


@pytest.mark.parametrize(("title", "stack", "changes"), CASES, ids=[case[0] for case in CASES])
def test_a_stack_consists_of_what_its_golden_list_says(
    engine: Engine, standing: Engine, request: pytest.FixtureRequest, title: str, stack: str, changes: dict[str, Any]
) -> None:
    found = previewed(engine, standing, stack, changes).resources
    path = GOLDEN / f"{title}.txt"
    if request.config.getoption("--update"):
        path.write_text("\n".join(found) + "\n")
    assert path.exists(), f"there is no golden list {path.name}: run pytest tests/graph --update and read it"
    assert found == path.read_text().splitlines(), "run pytest tests/graph --update if this is wanted"


def test_a_stack_of_its_own_names_its_run(standing: Engine) -> None:
    preview = standing.preview("train-local-fast")
    assert [name for name in preview.manifests if name.startswith("RayJob fast-")]
    assert [name for name in preview.manifests if name.startswith("ConfigMap train-local-fast-bundle-")]


def test_runs_by_the_clock_are_made_of_a_run_that_the_policies_and_the_api_server_have_seen(standing: Engine) -> None:
    manifests = standing.preview("train-local-fast", {"schedule": "0 3 * * *"}).manifests
    assert manifests["RayJob fast"]["spec"]["suspend"] is True
    (cron,) = [found for name, found in manifests.items() if name.startswith("CronJob ")]
    assert cron["spec"]["schedule"] == "0 3 * * *"


def test_a_followed_model_version_reaches_serve_and_no_pod(standing: Engine) -> None:
    service = standing.preview("serve-local").manifests["RayService digits"]
    assert "MANTA_MODEL_VERSION: '7'" in service["spec"]["serveConfigV2"]
    assert "MANTA_MODEL_VERSION" not in str(service["spec"]["rayClusterConfig"])


def test_in_place_leaves_the_pods_out_of_the_code(standing: Engine) -> None:
    preview = standing.preview("serve-local", {"rollout": "in_place"})
    service = preview.manifests["RayService digits"]["spec"]
    (code,) = [name.split("-")[-1] for name in preview.manifests if name.startswith("ConfigMap serve-local-bundle-")]
    assert code not in str(service["rayClusterConfig"]), "a changed bundle would start a second cluster"
    assert f"s3://manta/bundles/{code}" in service["serveConfigV2"]
    assert f"Job serve-local-bundle-{code}-upload" in preview.manifests


@pytest.mark.parametrize(
    ("stack", "changes", "words"),
    [
        ("train-local-fast", {"workrs": {"count": 2}}, "manta:workrs is not a setting (did you mean workers?)"),
        ("serve-local", {"follow": "train-local-gone"}, "manta:follow=train-local-gone names no stack"),
        ("train-local-fast", {"entrypoint": "payloads.training.trian"}, "did you mean payloads.training.train?"),
    ],
)
def test_a_stack_that_cannot_be_is_refused_by_its_preview(
    standing: Engine, stack: str, changes: dict[str, Any], words: str
) -> None:
    result = standing.try_preview(stack, changes)
    assert result.returncode != 0
    assert words in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_bad_settings_of_an_aws_platform_are_refused_by_its_preview(engine: Engine) -> None:
    on = load_settings("platform-dev")["aws"]
    weak = {**on, "capacity": {**on["capacity"], "gpu": {**on["capacity"]["gpu"], "limit": 0}}}
    result = engine.try_preview("platform-dev", {"aws": weak})
    assert result.returncode != 0
    assert "manta:aws.capacity.gpu.limit=0 cannot be used" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_missing_or_other_platform_is_an_error_that_says_what_to_bring_up(pulumi: Path, tmp_path: Path) -> None:
    engine = Engine(pulumi, tmp_path)
    engine.init("train-local")
    missing = engine.try_preview("train-local")
    assert missing.returncode != 0
    assert "stands on platform-local, which does not exist: bring it up with `pulumi up -s platform-local`" in (
        missing.stdout
    )
    engine.record("platform-local", {"contract": {"version": 99}})
    other = engine.try_preview("train-local")
    assert other.returncode != 0
    assert f"keeps version 99 of the contract and train-local needs {VERSION}" in other.stdout
