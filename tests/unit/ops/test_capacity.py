"""Room for runs and endpoints: now, ever, and beside themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.preflight import capacity, stackfile
from ops.preflight.capacity import GPU, Room
from tests.contract.manifests import serve_settings, train_settings
from tests.unit.ops.api import Api

PROJECT = Path(__file__).resolve().parents[3]
TRAIN, GPUS = train_settings("as in the repository"), train_settings("gpus")
SERVE = serve_settings("as in the repository")


def quota(hard: dict[str, str], used: dict[str, str]) -> dict[str, Any]:
    return {"kind": "ResourceQuota", "metadata": {"name": "runs"}, "status": {"hard": hard, "used": used}}


def pool(limit: str, taken: str = "0") -> dict[str, Any]:
    return {"kind": "NodePool", "spec": {"limits": {GPU: limit}}, "status": {"resources": {GPU: taken}}}


def room(free: float, most: float = 100) -> Room:
    return Room("the quota runs", {"cpu": most}, {"cpu": free})


def said(settings: Any, found: Room) -> list[tuple[str, str]]:
    return [(each.check, each.status) for each in capacity.judge(settings, found)]


def test_a_run_needs_its_head_and_all_its_workers() -> None:
    assert capacity.needed(TRAIN) == {"cpu": pytest.approx(0.1 + 2 * 0.2), "memory": 3 * 2**30, "pods": 3}
    assert capacity.needed(GPUS)[GPU] == 2


@pytest.mark.parametrize(
    ("free", "most", "status"), [(8, 8, "ok"), (0.5, 8, "ok"), (0.4, 8, "warning"), (0.4, 0.4, "failed")]
)
def test_a_run_fits_waits_or_never_fits(free: float, most: float, status: str) -> None:
    assert said(TRAIN, room(free, most)) == [("capacity", status)]


@pytest.mark.parametrize(("most", "status"), [(1.0, "ok"), (0.9, "warning")])
def test_an_endpoint_wants_room_for_an_update_beside_itself(most: float, status: str) -> None:
    assert said(SERVE, room(most, most)) == [("capacity", "ok"), ("rolling update", status)]


def test_an_endpoint_that_is_updated_in_place_wants_no_second_room() -> None:
    assert said(serve_settings("in place"), room(0.5, 0.5)) == [("capacity", "ok")]


def test_what_is_used_is_not_free() -> None:
    (found,) = capacity.rooms(
        [quota({"requests.cpu": "64", "pods": "200"}, {"requests.cpu": "1500m", "pods": "9"})], [], [], []
    )
    assert found.free == {"cpu": 62.5, "pods": 191}
    assert found.most == {"cpu": 64, "pods": 200}


def test_where_nodes_are_launched_the_pools_limits_count_and_elsewhere_the_nodes() -> None:
    node = {"status": {"allocatable": {"cpu": "2", "memory": "16Gi"}}}
    pod = {
        "spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "500m"}}}]},
        "status": {"phase": "Running"},
    }
    done = {**pod, "status": {"phase": "Succeeded"}}
    (launched,) = capacity.rooms([], [pool("8", "6"), pool("8", "9")], [node], [pod])
    assert (launched.most, launched.free) == ({GPU: 16}, {GPU: 2})
    (standing,) = capacity.rooms([], [], [node], [pod, done])
    assert standing.free["cpu"] == 1.5
    assert said(GPUS, standing) == [("capacity", "failed")]


def test_the_sentence_says_how_much_is_missing_and_what_will_happen() -> None:
    (outcome,) = capacity.judge(GPUS, Room("the NodePools' limits", {GPU: 8}, {GPU: 1}))
    sentence = "wants 2 GPUs (1 there) of the NodePools' limits: it waits until others end (`ops runs list`)"
    assert outcome.says == sentence


def test_preflight_asks_the_cluster_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api({"resourcequotas": [quota({"requests.cpu": "100m"}, {})], "nodes": []}, refused=["/nodes", "/pods"])
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
    try:
        result = CliRunner().invoke(app, ["preflight", "train-local", "--stacks", str(PROJECT / "stacks")])
    finally:
        api.end()
    assert result.exit_code == 1
    assert "wants 0.5 CPUs (0.1 there), more than the quota runs" in " ".join(result.stdout.split())


def test_without_a_cluster_it_is_not_known_and_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert [(each.check, each.status) for each in capacity.check(TRAIN)] == [("capacity", "unknown")]


def test_a_stack_file_that_its_program_would_refuse_is_refused_before_it_runs(tmp_path: Path) -> None:
    content = yaml.safe_load((PROJECT / "stacks" / "Pulumi.train-local.yaml").read_text())
    content["config"]["manta:workrs"] = content["config"].pop("manta:workers")
    (tmp_path / "Pulumi.train-local.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(MantaError, match=r"manta:workrs is not a setting \(did you mean workers\?\)"):
        stackfile.settings(tmp_path, "train-local")


@pytest.mark.parametrize(
    "stack", [path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in (PROJECT / "stacks").glob("*.yaml")]
)
def test_the_settings_of_every_stack_file_are_read(stack: str) -> None:
    found = stackfile.settings(PROJECT / "stacks", stack)
    assert (found is None) == stack.startswith(("platform", "bootstrap"))
