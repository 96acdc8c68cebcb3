"""The comment under a pull request: what it says first, what blocks, and what never gets into it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from local.errors import MantaError
from ops.prices.table import load
from ops.report.markdown import MARKER, MOST, comment
from ops.report.read import parse
from ops.report.weigh import ALLOW_LABEL, Weighed, weigh
from tests.contract.manifests import ray_job, ray_service
from tests.unit.ops.previews import (
    BUCKET,
    DEPLOYMENT,
    POOL,
    RAY_JOB,
    RAY_SERVICE,
    Step,
    digest,
    policy,
    step,
    stream,
    urn,
)  # fmt: skip
from tests.unit.policies.analyzer import changed

HARMLESS = step("update", DEPLOYMENT, "operator", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}})


def weighed(
    text: str, base: str | None = None, *, stack: str = "platform-prod", labels: tuple[str, ...] = ()
) -> Weighed:
    before = parse(base, stack, "base.json") if base else None
    return weigh(parse(text, stack, "head.json"), before, load(), frozenset(labels))


def written(text: str, base: str | None = None, *, stack: str = "platform-prod", labels: tuple[str, ...] = ()) -> str:
    return comment([weighed(text, base, stack=stack, labels=labels)], load())


def test_a_harmless_change_passes_and_says_what_it_changes() -> None:
    assert weighed(stream(HARMLESS)).blocked == []
    text = written(stream(HARMLESS))
    assert text.startswith(f"{MARKER}\n### ✅")
    assert "- changed `operator` `kubernetes:apps/v1:Deployment`\n  - `spec.replicas` `1` → `2`" in text


@pytest.mark.parametrize(
    ("dangerous", "words"),
    [
        (step("delete", BUCKET, "models", {}), "**DELETED: `models`** `aws:s3/bucket:Bucket` (holds state)"),
        (step("delete", DEPLOYMENT, "operator", {}, protect=True), "**DELETED: `operator`**"),
        (step("replace", "aws:eks/cluster:Cluster", "main", {"name": "a"}, {"name": "b"}, forced_by=["name"]),
         "**REPLACED: `main`** `aws:eks/cluster:Cluster` (holds state), because `name` cannot be changed in place"),
    ],
)  # fmt: skip
def test_what_would_be_lost_blocks_and_comes_before_all_else(dangerous: Step, words: str) -> None:
    found = weighed(stream(HARMLESS, dangerous))
    assert found.blocked == ["1 destructive change to what is protected or holds data"]
    text = written(stream(HARMLESS, dangerous))
    assert "### ⛔ This change is blocked" in text
    assert words in text
    assert text.index(words) < text.index("`operator` `kubernetes:apps/v1:Deployment`\n")


def test_what_is_replaced_for_something_elses_sake_is_said_to_be() -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    vpc = step(
        "replace",
        "aws:ec2/vpc:Vpc",
        "vpc",
        {"cidrBlock": "10.1.0.0/16"},
        {"cidrBlock": "10.2.0.0/16"},
        protect=True,
        forced_by=["cidrBlock"],
    )
    subnet = step(
        "replace",
        "aws:ec2/subnet:Subnet",
        "a",
        {"vpcId": "vpc-0123456789abcdef0"},
        {"vpcId": unknown},
        forced_by=["vpcId"],
    )
    text = written(stream(subnet, vpc))
    assert "**REPLACED: `a`** `aws:ec2/subnet:Subnet` (holds state), because what it stands on is replaced" in text
    assert text.index("REPLACED: `vpc`") < text.index("REPLACED: `a`")
    assert "`vpcId` `vpc-0123456789abcdef0` → _known after the update_" in text


def test_what_costs_as_before_is_no_news() -> None:
    database = step("same", "aws:rds/instance:Instance", "database", {"a": 1}, {"a": 1})
    assert "#### Cost" not in written(stream(database, HARMLESS), stream(database))


def test_a_label_allows_what_is_destructive_but_no_broken_rule() -> None:
    broken = policy("ray-head-idle", "the head offers 2 CPUs", resource=urn(RAY_JOB, "job"))
    text = stream(step("delete", BUCKET, "models", {}), policies=[broken])
    assert weighed(text, labels=(ALLOW_LABEL,)).blocked == ["1 broken mandatory rule"]
    assert weighed(stream(step("delete", BUCKET, "models", {})), labels=(ALLOW_LABEL,)).blocked == []
    assert "Destructive, and allowed" in written(stream(step("delete", BUCKET, "models", {})), labels=(ALLOW_LABEL,))


def test_a_stateless_replacement_is_no_danger() -> None:
    assert weighed(stream(step("replace", DEPLOYMENT, "operator", {"a": 1}, {"a": 2}))).blocked == []


def test_the_three_steps_of_a_replacement_are_one_change() -> None:
    steps = [step(name, BUCKET, "b", {"n": 1}, {"n": 2}) for name in ("create-replacement", "replace")]
    steps.append(step("delete-replaced", BUCKET, "b", {"n": 1}))
    (change,) = weighed(stream(*steps)).preview.changes
    assert (change.operation, change.old, change.new) == ("replace", {"n": 1}, {"n": 2})


@pytest.mark.parametrize("form", [digest, stream])
def test_both_forms_of_a_preview_say_the_same(form: Any) -> None:
    steps = (HARMLESS, step("delete", BUCKET, "models", {}), step("same", BUCKET, "kept", {"a": 1}, {"a": 1}))
    preview = parse(form(*steps), "platform-dev", "x")
    assert [(each.operation, each.name) for each in preview.changes] == [("update", "operator"), ("delete", "models")]
    assert preview.unchanged == 1


def test_a_preview_of_production_that_no_policy_judged_is_blocked() -> None:
    assert weighed(digest(HARMLESS)).blocked == ["no policy pack judged this preview"]
    assert weighed(digest(HARMLESS), stack="platform-dev").blocked == []


def test_a_rule_that_cannot_be_judged_yet_blocks_production_only() -> None:
    unknown = policy("ray-versions-pinned", "can't run policy 'ray-versions-pinned' from policy pack", level="advisory")
    text = stream(HARMLESS, policies=[unknown])
    assert weighed(text).blocked == ["1 rule that cannot be judged before the update"]
    assert weighed(text, stack="platform-dev").blocked == []
    assert "rules that cannot be judged before the update" in written(text)


def test_a_warning_is_folded_away_and_blocks_nothing() -> None:
    text = stream(HARMLESS, policies=[policy("ray-head-idle", "the head offers 2 CPUs", level="advisory")])
    assert weighed(text).blocked == []
    assert "<summary>platform-prod: 1 warning of the policy pack</summary>" in written(text)


def test_what_the_base_branch_would_do_too_is_said() -> None:
    text = written(stream(HARMLESS), stream(HARMLESS))
    assert "_(pending on the base branch too)_" in text


def test_money_is_the_difference_to_the_base_branch() -> None:
    cluster = step("same", "aws:eks/cluster:Cluster", "main", {"name": "a"}, {"name": "a"})
    gateways = [step("create", "aws:ec2/natGateway:NatGateway", name, new={}) for name in ("a", "b")]
    found = weighed(stream(cluster, *gateways), stream(cluster, gateways[0]))
    assert (round(found.bill_before.high, 3), round(found.bill.high, 3)) == (0.145, 0.19)
    assert "| NAT gateways | 0.045 → 0.090 | 66 (+33) |" in comment([found], load())


def test_a_price_that_is_missing_is_said_and_not_guessed() -> None:
    group = {"instanceTypes": ["g99.xlarge"], "scalingConfig": {"minSize": 1, "maxSize": 2}, "capacityType": "SPOT"}
    found = weighed(stream(step("create", "aws:eks/nodeGroup:NodeGroup", "gpus", new=group)))
    assert found.bill.high == 0
    assert found.bill.unpriced == ["gpus: no price for instance type g99.xlarge in the table"]


def test_gpu_capacity_is_counted_before_and_after() -> None:
    pools = [{"spec": {"limits": {"nvidia.com/gpu": count}}} for count in (4, 16)]
    text = written(stream(step("update", POOL, "gpu", *pools)))
    assert "| 4 → 16 |" in text


SERVICE = ray_service("as in the repository")
TEMPLATE = ray_job("by the clock")
OTHER_CODE = changed(SERVICE, "spec/serveConfigV2", "applications: []")
OTHER_POD = changed(SERVICE, "spec/rayClusterConfig/headGroupSpec/template/spec/enableServiceLinks", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (step("update", RAY_SERVICE, "service", SERVICE, OTHER_CODE), "replicas are replaced in place"),
        (step("update", RAY_SERVICE, "service", SERVICE, OTHER_POD),
         "a second Ray cluster starts and traffic moves to it, which needs up to 3 CPUs, 9 GiB more"),
        (step("replace", RAY_SERVICE, "service", SERVICE, OTHER_POD), "it does not answer meanwhile"),
        (step("create", RAY_JOB, "job", new=ray_job("gpus")), "starts: up to 9 CPUs, 19 GiB, 2 GPUs"),
        (step("replace", RAY_JOB, "job", ray_job("gpus"), ray_job("autoscaling")), "starts again as a new RayJob"),
        (step("create", RAY_JOB, "template", new=TEMPLATE), "will start by the clock: up to 5 CPUs, 9 GiB each"),
        (step("update", RAY_JOB, "template", TEMPLATE, changed(TEMPLATE, "spec/entrypoint", "true")),
         "the next run of digits by the clock is of the new form"),
        (step("delete", RAY_JOB, "template", TEMPLATE), "no more runs of digits start by the clock"),
    ],
)  # fmt: skip
def test_what_a_change_means_for_runs_and_endpoints_is_said(change: Step, words: str) -> None:
    assert words in "\n".join(weighed(stream(change)).meaning)


SECRETS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "hunter2", "eyJhbGciOiJIUzI1NiJ9.e30.x")


def test_no_secret_gets_into_the_comment() -> None:
    access, key, password, token = SECRETS
    env = [{"name": "DB_PASSWORD", "value": password}, {"name": "NOTE", "value": key}, {"name": "A", "value": access}]
    old = {"spec": {"containers": [{"name": "c", "env": []}]}, "data": {"x": "1"}}
    new = {"spec": {"containers": [{"name": "c", "env": env}]}, "data": {"x": "2"}}
    secret = step(
        "update", "kubernetes:core/v1:Secret", "s", {"stringData": {"a": "b"}}, {"stringData": {"a": password}}
    )
    error = {"diagnosticEvent": {"severity": "error", "message": f"denied for {access} with {token}"}}
    text = stream(step("update", DEPLOYMENT, "d", old, new), secret)
    text += "\n" + json.dumps({"sequence": 99, **error})
    shown = written(text)
    assert "env[DB_PASSWORD].value" in shown
    for each in SECRETS:
        assert each not in shown


HOSTILE = "x`](http://evil) @everyone | <img src=x onerror=y>\n# heading\u202e\x1b[31m **bold**"


def test_a_name_cannot_break_out_of_its_place() -> None:
    changes = [
        step("update", DEPLOYMENT, HOSTILE, {HOSTILE: 1}, {HOSTILE: HOSTILE}),
        step("delete", BUCKET, HOSTILE, {}),
    ]
    said = policy(HOSTILE, HOSTILE.replace("\n", " "), resource=urn(BUCKET, HOSTILE))
    text = written(stream(*changes, policies=[said]))
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n# heading" not in text
    for piece in ("<img", "](http://evil)", "@everyone", "**bold**"):
        assert piece not in outside


def many(count: int) -> list[Step]:
    inputs = [{f"property{number}": f"{'long text ' * 20}{place}" for number in range(40)} for place in range(2)]
    return [step("replace", BUCKET, f"bucket-{number}-{'x' * 200}", *inputs) for number in range(count)]


def test_the_comment_of_a_huge_change_fits_and_says_what_was_left_out() -> None:
    said = [policy("ray-head-idle", f"{'much ' * 200}{number}") for number in range(500)]
    stacks = [weighed(stream(*many(100), policies=said)) for _ in range(8)]
    text = comment(stacks, load(), "https://example.com/run/1")
    assert len(text) <= MOST
    assert "**DELETED" not in text
    assert "- **REPLACED: `bucket-0-" in text
    assert "Details were left out" in text


def test_five_hundred_resources_are_reported_within_a_second() -> None:
    text = stream(*many(500))
    start = time.process_time()
    written(text)
    assert time.process_time() - start < 1


def test_no_command_waits_for_what_another_one_imports() -> None:
    script = "import sys, ops.__main__; print({'boto3', 'botocore', 'kubernetes'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (stream(HARMLESS)[:-30], "the preview was cut off"),
        ("\n".join(stream(HARMLESS).splitlines()[:-1]), "ends before the preview did"),
        (digest(HARMLESS)[:-10], "was cut off"),
        ('{"version": 4, "changes": []}', "no preview that Pulumi 3.259 writes"),
        ('{"steps": [{"operation": "create"}]}', "not those of Pulumi 3.259"),
        ("[1, 2]", "no preview that Pulumi 3.259 writes"),
    ],
)
def test_a_preview_that_is_not_whole_is_an_error_that_says_how_to_make_one(text: str, words: str) -> None:
    with pytest.raises(MantaError, match="pulumi preview --json > FILE") as caught:
        parse(text, "platform-prod", "head.json")
    assert words in str(caught.value)


def test_a_failed_preview_is_blocked_with_its_reasons() -> None:
    text = json.dumps({"diagnostics": [{"severity": "error", "message": "error: stack x: manta:workrs is no setting"}]})
    found = weighed(text, stack="platform-dev")
    assert found.blocked == ["the preview failed"]
    assert "manta:workrs is no setting" in comment([found], load())


def test_the_command_answers_with_files_and_exit_statuses(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ops.__main__ import app

    (tmp_path / "platform-prod.json").write_text(stream(step("delete", BUCKET, "models", {})))
    out = tmp_path / "comment.md"
    runner = CliRunner()
    blocked = runner.invoke(app, ["report", str(tmp_path), "--out", str(out)])
    assert blocked.exit_code == 1
    assert "DELETED: `models`" in out.read_text()
    allowed = runner.invoke(app, ["report", str(tmp_path), "--label", ALLOW_LABEL, "--json"])
    assert allowed.exit_code == 0
    assert json.loads(allowed.stdout)[0]["allowed"] == ["1 destructive change allowed by the label allow-destructive"]
