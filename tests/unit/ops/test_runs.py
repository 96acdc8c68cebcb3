"""Runs and their stacks: read from what a real cluster and MLflow answered."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from local.errors import MantaError
from ops import moments
from ops.__main__ import app
from ops.cost import recorded
from ops.prices.table import load
from ops.report.costs import bill
from ops.runs.run import Run, from_job
from ops.runs.stacks import Stack, forgotten
from ops.watch import history
from ops.watch.command import lines
from ops.watch.history import Epoch, History, sparkline
from ops.watch.nodes import spent, under
from ops.watch.questions import View
from tests.unit.ops.api import Api
from tests.unit.ops.recordings import FOLDER

JOB = json.loads((FOLDER / "run.json").read_text())
MLFLOW = json.loads((FOLDER / "mlflow.json").read_text())
NOW = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
DAY = 86_400.0


def job(state: str, name: str = "digits-bd00cf68", stack: str = "train-local", **status: Any) -> dict[str, Any]:
    """The recorded run in another state."""
    labels = {"manta/run": name, "manta/stack": stack}
    metadata = {**JOB["metadata"], "name": name, "labels": labels}
    return {**JOB, "metadata": metadata, "status": {**JOB["status"], "jobDeploymentStatus": state, **status}}


Serve = Callable[..., Api]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    started: list[Api] = []

    def start(lists: Mapping[str, Any], answers: Mapping[str, Any] | None = None, **more: Any) -> Api:
        started.append(Api(lists, answers, **more))
        monkeypatch.setenv("KUBECONFIG", str(started[-1].kubeconfig(tmp_path)))
        return started[-1]

    yield start
    for api in started:
        api.end()


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_a_run_is_read_from_its_rayjob() -> None:
    run = from_job(JOB)
    assert (run.name, run.stack, run.state, run.attempts) == ("digits-bd00cf68", "train-local", "Complete", 1)
    assert run.seconds(NOW) == 30  # until its program's end, not until the last look
    assert run.result["accuracy"] == pytest.approx(0.9591, abs=1e-4)


def test_a_run_that_goes_on_counts_until_now() -> None:
    run = from_job(job("Running", endTime=None, rayJobInfo={}))
    assert not run.over
    assert run.seconds(datetime.datetime(2026, 11, 21, 18, 33, tzinfo=datetime.UTC)) == 30


def test_runs_are_listed_with_their_results(serve: Serve) -> None:
    serve({"rayjobs": [JOB, job("Failed", "other-1", "train-local-other", reason="AppFailed")]})
    listed = json.loads(call("runs", "list", "--json").stdout)
    assert [each["run"] for each in listed] == ["digits-bd00cf68", "other-1"]
    text = call("runs", "list").stdout
    assert "0.9591" in text
    assert "(AppFailed)" in text


def made_by_the_clock() -> list[dict[str, Any]]:
    """A schedule's template, and a run that it was made to."""
    template, run = job("Suspended", "nightly", "train-local-nightly"), job("Running", "nightly-29384720")
    template["metadata"]["labels"]["manta/role"] = "template"
    run["metadata"]["labels"]["manta/stack"] = "train-local-nightly"
    return [template, run]


def test_what_runs_are_made_of_is_no_run(serve: Serve) -> None:
    api = serve({"rayjobs": made_by_the_clock()})
    assert [each["run"] for each in json.loads(call("runs", "list", "--json").stdout)] == ["nightly-29384720"]
    assert "manta:schedule.suspend holds the schedule" in str(call("runs", "resume", "nightly").exception)
    assert api.changes == [], "resumed, the template would run beside its schedule"
    assert call("runs", "stop", "train-local-nightly").exit_code == 0
    assert [path.rsplit("/", 1)[-1] for path, _ in api.changes] == ["nightly-29384720"]


def test_a_stack_whose_runs_start_by_the_clock_is_never_forgotten() -> None:
    template, run = map(from_job, made_by_the_clock())
    stack = Stack("train-local-nightly", NOW - datetime.timedelta(days=300), 7)
    old = dataclasses.replace(run, state="Complete", ended=NOW - datetime.timedelta(days=200))
    assert forgotten([stack], [template, old], 7 * DAY, NOW) == []
    assert forgotten([stack], [old], 7 * DAY, NOW) != [], "by its runs alone it would be"


def test_a_run_is_stopped_and_resumed_by_suspending_its_rayjob(serve: Serve) -> None:
    api = serve({"rayjobs": [job("Running")]})
    assert call("runs", "stop", "train-local").exit_code == 0
    ((path, patch),) = api.changes
    assert path.endswith("/namespaces/ray/rayjobs/digits-bd00cf68")
    assert patch == {"spec": {"suspend": True}}
    assert "was not stopped" in str(call("runs", "resume", "digits-bd00cf68").exception)


@pytest.mark.parametrize("state", ["Complete", "Failed"])
def test_a_run_that_has_ended_cannot_be_stopped(serve: Serve, state: str) -> None:
    api = serve({"rayjobs": [job(state)]})
    assert f"has ended ({state})" in str(call("runs", "stop", "digits-bd00cf68").exception)
    assert api.changes == []


def test_a_name_that_is_no_run_is_answered_with_those_that_are(serve: Serve) -> None:
    serve({"rayjobs": [JOB]})
    for command in (["runs", "stop", "nope"], ["watch", "nope"], ["runs", "compare", "nope"]):
        assert "there is no run nope in namespace ray: there are digits-bd00cf68" in str(call(*command).exception)


def test_compared_runs_show_where_they_differ(serve: Serve) -> None:
    other = job("Complete", "digits-2", "train-local-two")
    other["spec"] = {**JOB["spec"], "entrypoint": JOB["spec"]["entrypoint"] + " --lr 0.5"}
    serve({"rayjobs": [JOB, other]})
    columns = json.loads(call("runs", "compare", "digits-bd00cf68", "digits-2", "--json").stdout)
    assert columns["digits-2"]["lr"] == "0.5"
    text = call("runs", "compare", "digits-bd00cf68", "digits-2").stdout
    assert "lr" in text
    assert "num-workers" not in text  # the same in both


def ended(stack: str, days: float, state: str = "Complete") -> Run:
    moment = (NOW - datetime.timedelta(days=days)).isoformat()
    return from_job(job(state, f"{stack}-x", stack, rayJobInfo={"endTime": moment}))


@pytest.mark.parametrize(
    ("stack", "runs", "gone"),
    [
        ("train-dev-old", [ended("train-dev-old", 8)], True),
        ("train-dev-new", [ended("train-dev-new", 6)], False),
        ("train-dev-two", [ended("train-dev-two", 30), ended("train-dev-two", 1)], False),
        ("train-dev-long", [ended("train-dev-long", 30, "Running")], False),
        ("train-dev", [ended("train-dev", 30)], False),
        ("serve-dev", [], False),
        ("train-dev-empty", [], True),
    ],
)
def test_only_stacks_of_named_runs_that_ended_long_ago_are_forgotten(stack: str, runs: list[Run], gone: bool) -> None:
    known = [Stack(stack, NOW - datetime.timedelta(days=20), 7)]
    assert [each.stack for each in forgotten(known, runs, 7 * DAY, NOW)] == ([stack] if gone else [])


def test_a_stack_that_was_never_updated_is_not_taken_for_an_old_one() -> None:
    assert forgotten([Stack("train-dev-just-made", None, 0)], [], DAY, NOW) == []


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("36h", 129_600), ("7d", 604_800)])
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert moments.length(text) == seconds


@pytest.mark.parametrize("text", ["7", "0d", "-1d", "1w", "", "1.5h", "7d\n"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(MantaError, match="is no length of time"):
        moments.length(text)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (61, "1 min 1 s"), (3600, "1 h"), (93_600, "1 d 2 h"), (-5, "0 s")]
)
def test_a_length_of_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert moments.said(seconds) == words


def test_a_history_is_read_from_what_mlflow_answers() -> None:
    """The recorded run lost a worker: it stood still once, and then went on."""
    told = history.read(MLFLOW["run"], MLFLOW["loss"])
    assert (told.done, told.total, told.interruptions) == (40, 40, 1)
    assert told.left_seconds == 0
    assert told.epochs[0].loss > told.epochs[-1].loss


def test_the_time_left_is_foretold_from_the_newest_epochs() -> None:
    slow = [Epoch(number, 1.0, 100.0 * number) for number in range(1, 6)]
    fast = [Epoch(number, 1.0, 1000 + 2.0 * number) for number in range(6, 20)]
    assert History((*slow, *fast), 30).left_seconds == pytest.approx(22)
    assert History((slow[0],), 30).left_seconds is None
    assert History(tuple(slow), 0).left_seconds is None


def test_an_epoch_that_was_done_twice_counts_with_its_newest_value() -> None:
    points = [{"step": 1, "value": 5.0, "timestamp": 1000}, {"step": 1, "value": 3.0, "timestamp": 2000}]
    assert [epoch.loss for epoch in history.read({}, {"metrics": points}).epochs] == [3.0]


@pytest.mark.parametrize(("values", "bars"), [([], ""), ([1, 1], "▁▁"), ([0, 7], "▁█"), (range(8), "▁▂▃▄▅▆▇█")])
def test_a_sparkline_goes_from_least_to_greatest(values: Any, bars: str) -> None:
    assert sparkline(list(values)) == bars
    assert len(sparkline([float(number % 9) for number in range(500)])) == 40


def pod(node: str, minutes: float) -> dict[str, Any]:
    start = NOW - datetime.timedelta(minutes=minutes)
    return {"spec": {"nodeName": node}, "status": {"startTime": start.isoformat()}}


def node(name: str, kind: str) -> dict[str, Any]:
    labels = {"node.kubernetes.io/instance-type": kind, "karpenter.sh/capacity-type": "spot"}
    return {"metadata": {"name": name, "labels": labels}}


def test_nodes_have_list_prices_and_an_unknown_type_has_none() -> None:
    nodes = under(
        [pod("a", 30), pod("a", 60), pod("b", 60)], [node("a", "g5.xlarge"), node("b", "x99.huge")], load(), NOW
    )
    price = load().types["g5.xlarge"].hourly
    assert [(each.hourly, each.pods) for each in nodes] == [(price, 2), (None, 1)]
    assert nodes[0].spent == pytest.approx(price)
    assert spent(nodes) == f"at most {price:.2f} USD at on-demand prices, 1 of 2 nodes without a price"
    assert spent(nodes[1:]) == "no price known"


def test_a_view_says_how_far_the_run_is_and_what_it_cost() -> None:
    told = history.read(MLFLOW["run"], {"metrics": MLFLOW["loss"]["metrics"][:20]})
    nodes = under([pod("a", 60)], [node("a", "g5.xlarge")], load(), NOW)
    view = View(from_job(job("Running", rayJobInfo={}, endTime=None)), told, tuple(nodes), {"Running": 3})
    text = "\n".join(lines(view))
    assert "20/40" in text
    assert "left" in text
    assert "pods      3 Running" in text
    assert "node      a: g5.xlarge spot, 1 pods" in text
    assert "result" not in text


def test_a_failed_run_is_followed_by_what_says_why() -> None:
    view = View(
        from_job(job("Failed", reason="AppFailed") | {"metadata": {"name": "x", "labels": {}}}), History(), (), {}
    )
    assert "result    none (Failed): `python -m ops diagnose x` says why" in lines(view)


def test_a_run_is_watched_through_the_api_server_alone(serve: Serve) -> None:
    answers = {
        "experiments/search": {"experiments": [{"experiment_id": "1"}]}, "runs/search": {"runs": [MLFLOW["run"]]},
        "metrics/get-history": MLFLOW["loss"],
    }  # fmt: skip
    serve({"rayjobs": [JOB], "pods": [], "nodes": []}, answers)
    result = call("watch", "train-local")
    assert result.exit_code == 0, result.output
    assert "40/40" in result.stdout
    assert "result    accuracy 0.9591" in result.stdout


def test_a_run_is_shown_without_mlflow_and_without_the_right_to_see_nodes(serve: Serve) -> None:
    serve({"rayjobs": [job("Failed")], "pods": [], "nodes": []}, refused=["/nodes"])
    result = call("watch", "train-local")
    assert result.exit_code == 1
    assert "you may not read nodes" in result.stdout


@pytest.mark.parametrize(("status", "words"), [(401, "does not know these credentials"), (500, "answered 500")])
def test_an_api_server_that_refuses_is_one_sentence(serve: Serve, status: int, words: str) -> None:
    serve({"rayjobs": []}).status = status
    for command in (["runs", "list"], ["diagnose"], ["watch", "x"]):
        assert words in str(call(*command).exception)


def test_a_stack_costs_what_its_state_holds() -> None:
    resources = [
        {"urn": "urn:pulumi:s::p::aws:eks/cluster:Cluster::main", "type": "aws:eks/cluster:Cluster", "custom": True},
        {"urn": "urn:pulumi:s::p::aws:ec2/instance:Instance::odd", "type": "aws:ec2/instance:Instance", "custom": True,
         "inputs": {"instanceType": "x99.huge"}},
        {"urn": "urn:pulumi:s::p::manta:aws:Cluster::main", "type": "manta:aws:Cluster"},
    ]  # fmt: skip
    found = bill(recorded({"deployment": {"resources": resources}}), load())
    assert found.high == pytest.approx(load().service("eks-cluster"))
    assert found.unpriced == ["odd: no price for instance type x99.huge in the table"]
    with pytest.raises(MantaError, match="does not"):
        recorded({})


def test_the_nodes_of_a_cluster_are_summed_and_what_has_no_price_is_said(serve: Serve) -> None:
    made = {"creationTimestamp": "2026-11-21T00:00:00Z"}
    nodes = [node("a", "g5.xlarge"), node("b", "x99.huge")]
    serve({"nodes": [{"kind": "Node", "metadata": {**each["metadata"], **made}} for each in nodes]})
    text = call("cost").stdout
    assert "in no sum: 1 nodes of a type that the price table does not have" in text
    assert "not fetched from AWS" in " ".join(text.split())
