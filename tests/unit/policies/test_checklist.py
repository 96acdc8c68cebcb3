"""Ray's production checklist: each point has a resource that breaks it and one that keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.monitoring.monitors import ray_monitors
from policies import facts
from policies.catalogue import RULES
from tests.contract.manifests import CODE, SERVE_SHAPES, TRAIN_SHAPES, ray_job, ray_service
from tests.unit.policies.analyzer import ADVISORY, MANDATORY, UNKNOWN, Analyzer, Said
from tests.unit.policies.good import bent, endpoint, kind, run, with_variable

HEAD, WORKERS = "spec/rayClusterSpec/headGroupSpec", "spec/rayClusterSpec/workerGroupSpecs/0"
DEPLOYMENT = "serve:applications/0/deployments/0"
TAGGED = "localhost/manta/ray:2.59.0@sha256:" + "a" * 64
CLUSTER = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "x"}}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": []}}
# Rule, what it is about, and words of its message.
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("ray-versions-pinned", bent(run(), f"{WORKERS}/template/spec/containers/0/image", "rayproject/ray:latest"),
     "worker group workers: image rayproject/ray:latest is not named by digest"),
    ("ray-versions-pinned", bent(run(), "spec/rayClusterSpec/rayVersion", None), "rayVersion is not set"),
    ("ray-versions-pinned", bent(run(), f"{HEAD}/template/spec/containers/0/image", TAGGED), "is of Ray 2.59.0"),
    ("ray-versions-pinned", bent(run(), "spec/submitterPodTemplate/spec/containers/0/image", "ray"),
     "submitter: image"),
    ("ray-versions-pinned", bent(ray_job("by the clock"), f"{HEAD}/template/spec/containers/0/image", "ray"),
     "head group: image ray is not named by digest"),
    ("ray-head-idle", bent(run(), f"{HEAD}/rayStartParams", {}), "the head offers all its CPUs"),
    ("ray-head-idle", bent(endpoint(), "spec/rayClusterConfig/headGroupSpec/rayStartParams/num-cpus", "2"), "offers 2"),
    ("ray-serve-ongoing", bent(endpoint(), f"{DEPLOYMENT}/max_ongoing_requests", None), "is not set"),
    ("ray-serve-ongoing", bent(endpoint(), f"{DEPLOYMENT}/user_config", {"max_batch_size": 512}),
     "128 is below the batch size 512"),
    ("ray-managed", {**CLUSTER, "spec": run()["spec"]["rayClusterSpec"]}, "a bare RayCluster"),
    ("ray-managed", POD, "is not started again"),
    ("ray-managed", bent(run(), "spec/submissionMode", "InteractiveMode"), "by hand"),
    ("ray-managed", bent(run(), "spec/clusterSelector", {"ray.io/cluster": "standing"}), "standing RayCluster"),
    ("ray-serve-downscale", bent(endpoint(), f"{DEPLOYMENT}/autoscaling_config/downscale_delay_s", 60), "60 is below"),
    ("ray-storage-s3", with_variable(run(), WORKERS, "MANTA_STORAGE", "/tmp/checkpoints"), "not an s3:// address"),
    ("ray-storage-s3", with_variable(run(), HEAD, "MANTA_STORAGE", None), "head group: MANTA_STORAGE is not set"),
    ("ray-register-timeout", with_variable(run(), WORKERS, "RAY_worker_register_timeout_seconds", "60"), "is 60"),
    ("ray-register-timeout", with_variable(run(), HEAD, "RAY_worker_register_timeout_seconds", None), "is not set"),
    ("ray-drill-recorded", run(), f"no passed drill is recorded for bundle {CODE[:12]}"),
    ("ray-drill-recorded", with_variable(with_variable(run(), WORKERS, "MANTA_BUNDLE_HASH", None), HEAD,
     "MANTA_BUNDLE_HASH", None), "no MANTA_BUNDLE_HASH"),
    ("ray-graceful-bounded", bent(run(), f"{WORKERS}/template/spec/terminationGracePeriodSeconds", 60),
     "grace of 60 s ends before Ray's drain of 95 s"),
    ("ray-graceful-bounded", bent(run(), f"{WORKERS}/template/spec/terminationGracePeriodSeconds", None),
     "Kubernetes' 30 s"),
    ("ray-graceful-bounded", bent(run(), f"{WORKERS}/maxReplicas", None), "are not both set"),
    ("ray-graceful-bounded", bent(run(), f"{WORKERS}/minReplicas", 9), "minReplicas 9 is above maxReplicas 4"),
    ("ray-graceful-bounded", bent(endpoint(), f"{DEPLOYMENT}/graceful_shutdown_timeout_s", None),
     "graceful_shutdown_timeout_s is not set"),
    ("ray-graceful-bounded", bent(endpoint(), f"{DEPLOYMENT}/autoscaling_config/max_replicas", None),
     "no max_replicas"),
]  # fmt: skip

# Of a whole stack, with a test of its own below: broken and kept.
BROKEN_ELSEWHERE = {"ray-metrics-scraped"}
# The ten points, in the order in which the list is usually given.
POINTS = (
    "ray-versions-pinned", "ray-head-idle", "ray-serve-ongoing", "ray-managed", "ray-serve-downscale",
    "ray-storage-s3", "ray-register-timeout", "ray-metrics-scraped", "ray-drill-recorded", "ray-graceful-bounded",
)  # fmt: skip


def test_each_of_the_ten_points_is_a_rule_with_a_case_that_breaks_it() -> None:
    assert sorted(POINTS) == sorted(rule.name for rule in RULES if rule.category == "checklist")
    assert set(POINTS) == {rule for rule, _, _ in BROKEN} | BROKEN_ELSEWHERE


def of(said: list[Said], rule: str) -> list[Said]:
    return [each for each in said if each.rule == rule]


@pytest.mark.parametrize(("rule", "manifest", "words"), BROKEN, ids=[f"{rule}: {words}" for rule, _, words in BROKEN])
def test_a_broken_point_of_the_checklist_stops_production(
    prod: Analyzer, rule: str, manifest: dict[str, Any], words: str
) -> None:
    found = of(prod.resource(kind(manifest), manifest), rule)
    assert words in "\n".join(each.message for each in found)
    assert {each.level for each in found} == {MANDATORY}


@pytest.mark.parametrize("manifest", [
    *(ray_job(shape) for shape in TRAIN_SHAPES), *(ray_service(shape) for shape in SERVE_SHAPES),
])  # fmt: skip
def test_what_this_project_makes_keeps_the_checklist(local: Analyzer, manifest: dict[str, Any]) -> None:
    checklist = {rule.name for rule in RULES if rule.category == "checklist"}
    assert [each for each in local.resource(kind(manifest), manifest) if each.rule in checklist] == []


@pytest.mark.parametrize("stack", ["serve-local", "train-dev-lr3", "platform-sim"])
def test_where_things_are_tried_out_a_broken_rule_is_a_warning(running: Analyzer, stack: str) -> None:
    running.configure(stack)
    manifest = bent(run(), f"{HEAD}/rayStartParams", {})
    assert [each.level for each in of(running.resource(kind(manifest), manifest), "ray-head-idle")] == [ADVISORY]


@pytest.mark.parametrize("stack", ["serve-prod", "train-prod-a", "something", "serve-staging"])
def test_a_stack_of_an_environment_that_nobody_knows_is_held_to_productions_rules(
    running: Analyzer, stack: str
) -> None:
    running.configure(stack)
    manifest = bent(run(), f"{HEAD}/rayStartParams", {})
    assert [each.level for each in of(running.resource(kind(manifest), manifest), "ray-head-idle")] == [MANDATORY]


def monitor(**spec: Any) -> tuple[str, dict[str, Any]]:
    return "kubernetes:monitoring.coreos.com/v1:PodMonitor", {
        "metadata": {"name": "ray", "namespace": "ray"},
        "spec": {"selector": {"matchLabels": {"ray.io/is-ray-node": "yes"}},
                 "podMetricsEndpoints": [{"port": "metrics"}], **spec},
    }  # fmt: skip


def head_only() -> tuple[str, dict[str, Any]]:
    return monitor(selector={"matchExpressions": [{"key": "ray.io/node-type", "operator": "In", "values": ["head"]}]})


@pytest.mark.parametrize(("resources", "missing"), [
    ({}, ["heads", "workers"]),
    ({"all": monitor()}, []),
    ({"head": head_only()}, ["workers"]),
    ({"nothing": monitor(selector={"matchLabels": {"app": "ray"}})}, ["heads", "workers"]),
    ({"port": monitor(podMetricsEndpoints=[{"port": "http"}])}, ["heads", "workers"]),
])  # fmt: skip
def test_a_platform_scrapes_heads_and_workers_by_monitors_that_select_them(
    running: Analyzer, resources: dict[str, tuple[str, dict[str, Any]]], missing: list[str]
) -> None:
    running.configure("platform-prod")
    found = of(running.whole(resources), "ray-metrics-scraped")
    assert {each.level for each in found} <= {MANDATORY}
    said = "\n".join(each.message for each in found)
    assert [role for role in ("heads", "workers") if f"scrapes the {role}" in said] == missing


def test_a_monitor_of_which_nothing_is_known_yet_is_not_taken_for_one_that_scrapes(running: Analyzer) -> None:
    running.configure("platform-prod")
    kind_of = "kubernetes:monitoring.coreos.com/v1:PodMonitor"
    (found,) = of(running.whole({"a": (kind_of, {})}), "ray-metrics-scraped")
    assert "can't be known during preview" in found.message


@pytest.mark.parametrize(
    "manifest", ray_monitors("manta-system", "ray").values(), ids=lambda found: found["metadata"]["name"]
)
def test_our_own_monitors_scrape_what_the_rule_asks_for(running: Analyzer, manifest: dict[str, Any]) -> None:
    running.configure("platform-prod")
    found = of(running.whole({"a": (kind(manifest), manifest)}), "ray-metrics-scraped")
    assert len(found) == 1, "one of the two kinds of pods is the other monitor's"


def test_a_value_that_is_not_known_is_said_and_hides_nothing_that_is(prod: Analyzer) -> None:
    manifest = bent(run(), f"{HEAD}/template/spec/containers/0/image", UNKNOWN)
    manifest = bent(manifest, f"{WORKERS}/template/spec/containers/0/image", "ray:latest")
    found = of(prod.resource(kind(manifest), manifest), "ray-versions-pinned")
    assert "ray:latest is not named by digest" in found[0].message
    assert found[0].level == MANDATORY
    assert "can't run policy 'ray-versions-pinned'" in found[1].message
    assert found[1].level == ADVISORY


def test_the_pack_holds_rays_version_to_the_matrix() -> None:
    from infra.versions import RAY

    assert facts.RAY_VERSION == RAY
