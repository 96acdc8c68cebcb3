"""Programs written with the official SDK, run by the real CLI against the real API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster.engine.project import Project

NewProject = Callable[..., Project]
Kubectl = Callable[..., str]

HEAD = "import pulumi, pulumi_kubernetes as k\nNS = '{namespace}'\n"


@pytest.fixture
def on_cluster(new_project: NewProject, api: Path, namespace: str) -> Callable[[str], Project]:
    def make(program: str) -> Project:
        return new_project(HEAD.format(namespace=namespace) + program, kubeconfig=api)

    return make


def _rewrite(project: Project, namespace: str, program: str) -> None:
    project.write(HEAD.format(namespace=namespace) + program)


def test_a_whole_stack_is_previewed_deployed_left_alone_and_destroyed(
    new_project: NewProject, api: Path, kubectl: Kubectl, namespace: str
) -> None:
    group = namespace.replace("engine-", "s")
    project = new_project(
        f"""
        import pulumi, pulumi_kubernetes as k

        space = k.core.v1.Namespace("space", metadata={{"name": "{namespace}-new"}})
        inside = {{"namespace": space.metadata.name}}
        schema = {{"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        definition = k.apiextensions.v1.CustomResourceDefinition(
            "definition", metadata={{"name": "things.{group}.example.com"}},
            spec={{"group": "{group}.example.com", "scope": "Namespaced",
                  "names": {{"kind": "Thing", "plural": "things"}},
                  "versions": [{{"name": "v1", "served": True, "storage": True,
                                "schema": {{"openAPIV3Schema": schema}}}}]}})
        k.apiextensions.CustomResource(
            "thing", api_version="{group}.example.com/v1", kind="Thing", metadata={{**inside, "name": "thing"}},
            spec={{"number": 3}}, opts=pulumi.ResourceOptions(depends_on=[definition]))
        settings = k.core.v1.ConfigMap("settings", metadata=inside, data={{"a": "1"}})
        labels = {{"app": "web"}}
        web = k.apps.v1.Deployment(
            "web", metadata={{**inside, "name": "web"}},
            spec={{"selector": {{"match_labels": labels}}, "replicas": 1,
                  "template": {{"metadata": {{"labels": labels}},
                               "spec": {{"termination_grace_period_seconds": 0, "containers": [
                                   {{"name": "main", "image": "localhost/manta/pause:1"}}]}}}}}})
        service = k.core.v1.Service(
            "web", metadata={{**inside, "name": "web"}}, spec={{"selector": labels, "ports": [{{"port": 80}}]}},
            opts=pulumi.ResourceOptions(depends_on=[web]))
        pulumi.export("name", settings.metadata.name)
        pulumi.export("address", service.spec.cluster_ip)
        pulumi.export("available", web.status.available_replicas)
        """,
        kubeconfig=api,
    )

    previewed = project.preview().output
    assert "7 to create" in previewed
    assert "warning: The namespace" not in previewed

    project.up()
    outputs = project.outputs()
    assert outputs["name"].startswith("settings-")
    assert outputs["address"].startswith("10.")
    assert outputs["available"] == 1

    assert "7 unchanged" in project.up("--expect-no-changes").output
    refreshed = project.run("refresh", "--yes", "--stack", "test", "--expect-no-changes").output
    assert "7 unchanged" in refreshed

    project.destroy()
    assert "NotFound" in kubectl("get", "namespace", f"{namespace}-new", check=False)
    assert "NotFound" in kubectl("get", "crd", f"things.{group}.example.com", check=False)


CONTENT = """
settings = k.core.v1.ConfigMap("settings", metadata={{"namespace": NS{name}}}, data={{"a": "{value}"}})
pulumi.export("name", settings.metadata.name)
"""


@pytest.mark.parametrize(("name", "order"), [("", "made first"), (', "name": "settings"', "deleted first")])
def test_changed_content_replaces_the_object_in_the_right_order(
    on_cluster: Callable[[str], Project], namespace: str, kubectl: Kubectl, name: str, order: str
) -> None:
    project = on_cluster(CONTENT.format(name=name, value="1"))
    project.up()
    before = project.outputs()["name"]

    _rewrite(project, namespace, CONTENT.format(name=name, value="2"))
    previewed = project.preview("--diff").output
    assert "kubernetes:core/v1:ConfigMap: (replace)" in previewed
    events = project.up().output

    after = project.outputs()["name"]
    assert (after == before) == (order == "deleted first")
    live = json.loads(kubectl("get", "cm", "-n", namespace, "-o", "json"))["items"]
    ours = {item["metadata"]["name"]: item["data"] for item in live if item["metadata"]["name"].startswith("settings")}
    assert ours == {after: {"a": "2"}}, "exactly one is left"
    created, deleted = events.index("created replacement"), events.index("deleted original")
    assert (created < deleted) == (order == "made first")


def test_a_workload_that_does_not_start_is_kept_and_healed_by_the_next_update(
    on_cluster: Callable[[str], Project], namespace: str
) -> None:
    program = """
labels = {{"app": "web"}}
k.apps.v1.Deployment("web", metadata={{"namespace": NS, "name": "web"}},
    spec={{"selector": {{"match_labels": labels}}, "template": {{"metadata": {{"labels": labels}}, "spec": {{
        "containers": [{{"name": "main", "image": "{image}", "image_pull_policy": "IfNotPresent"}}]}}}}}},
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="10s", update="120s")))
"""
    project = on_cluster(program.format(image="localhost/manta/absent:1"))

    failed = project.up(check=False)
    assert failed.code != 0
    assert f"Deployment {namespace}/web was not ready after 10 s" in failed.output
    assert "absent" in failed.output
    assert '"web"' in project.state_text(), "what exists must be in the state"

    _rewrite(project, namespace, program.format(image="localhost/manta/pause:1"))
    healed = project.up().output
    assert "1 updated" in healed


def test_secrets_are_in_no_plain_text_of_the_state_or_the_output(on_cluster: Callable[[str], Project]) -> None:
    project = on_cluster(
        """
password = pulumi.Output.secret("correct horse battery")
k.core.v1.Secret("typed", metadata={"namespace": NS}, string_data={"password": password})
k.core.v1.Secret("plain", metadata={"namespace": NS}, string_data={"password": "correct horse battery"})
k.core.v1.ConfigMap("carrier", metadata={"namespace": NS, "annotations": {"token": password}}, data={"a": password})
"""
    )

    shown = project.preview("--diff").output + project.up("--diff").output
    state = project.state_text()

    for text in (shown, state):
        assert "correct horse" not in text
        assert "Y29ycmVjdCBob3Jz" not in text


def test_a_provider_of_the_programs_own_takes_a_kubeconfig_as_text(
    on_cluster: Callable[[str], Project], api: Path, namespace: str
) -> None:
    project = on_cluster(
        f"""
from pathlib import Path
text = pulumi.Output.secret(Path({str(api)!r}).read_text())
provider = k.Provider("own", kubeconfig=text, namespace=NS, enable_server_side_apply=True)
made = k.core.v1.ConfigMap("x", data={{"a": "1"}}, opts=pulumi.ResourceOptions(provider=provider))
pulumi.export("namespace", made.metadata.namespace)
"""
    )

    project.up()

    assert project.outputs() == {"namespace": namespace}
    for credential in yaml.safe_load(api.read_text())["users"][0]["user"].values():
        assert str(credential) not in project.state_text()
    assert "3 unchanged" in project.up().output


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            'k.core.v1.ConfigMap("x", metadata={"namespace": NS, "name": "taken"})',
            "/taken already exists, and creating it would overwrite it: import it (resource option import_)",
        ),
        (
            'k.core.v1.Service("x", metadata={"namespace": NS}, spec={"ports": [{"port": 70000}]})',
            "Invalid value: 70000: must be between 1 and 65535",
        ),
        ('k.helm.v4.Chart("x", chart="ray")', "Helm charts need Pulumi's official Kubernetes provider"),
        (
            'k.core.v1.ConfigMap("x", metadata={"namespace": NS, "annotations": {"pulumi.com/waitFor": "Ready"}})',
            "is neither condition=Type[=Status] nor jsonpath={.path}[=value]",
        ),
        (
            'k.core.v1.ConfigMap("x", metadata={"namespace": NS}, data={"a": pulumi.StringAsset("x")})',
            "data.a is an asset, which no Kubernetes object can hold",
        ),
    ],
)
def test_errors_are_one_sentence_each(
    on_cluster: Callable[[str], Project], namespace: str, kubectl: Kubectl, program: str, sentence: str
) -> None:
    kubectl("create", "cm", "taken", "-n", namespace)

    result = on_cluster(program).preview(check=False)

    assert result.code != 0
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert "rpc error" not in result.output


def test_drift_is_mended_but_nothing_is_taken_from_another_owner_silently(
    on_cluster: Callable[[str], Project], namespace: str, kubectl: Kubectl
) -> None:
    project = on_cluster(
        'k.core.v1.ConfigMap("x", metadata={"namespace": NS, "name": "x", "labels": {"a": "1"}}, data={"k": "v"})\n'
    )
    project.up()

    kubectl("label", "cm", "x", "-n", namespace, "a-")
    assert "1 updated" in project.up("--refresh").output
    assert kubectl("get", "cm", "x", "-n", namespace, "-o", "jsonpath={.metadata.labels.a}") == "1"

    kubectl("label", "cm", "x", "-n", namespace, "a=2", "--overwrite")
    refused = project.preview("--refresh", check=False)
    assert refused.code != 0
    assert 'metadata.labels.a (owned by "kubectl-label")' in refused.output

    kubectl("delete", "cm", "x", "-n", namespace)
    assert "1 created" in project.up("--refresh").output


def test_an_existing_object_is_imported_and_then_managed(
    on_cluster: Callable[[str], Project], namespace: str, kubectl: Kubectl
) -> None:
    kubectl("create", "cm", "x", "-n", namespace, "--from-literal=a=1")
    project = on_cluster(
        'k.core.v1.ConfigMap("x", metadata={"namespace": NS, "name": "x"}, data={"a": "1"},'
        ' opts=pulumi.ResourceOptions(import_=f"{NS}/x"))\n'
    )

    assert "1 imported" in project.up().output

    _rewrite(project, namespace, 'k.core.v1.ConfigMap("x", metadata={"namespace": NS, "name": "x"}, data={"a": "1"})\n')
    assert "unchanged" in project.up("--expect-no-changes").output


def test_ignored_and_replacing_changes_are_the_programs_to_choose(
    on_cluster: Callable[[str], Project], namespace: str
) -> None:
    program = """
k.core.v1.ConfigMap("x", metadata={{"namespace": NS, "name": "x", "labels": {{"a": "{a}", "b": "{b}"}}}},
    opts=pulumi.ResourceOptions(ignore_changes=["metadata.labels.a"], replace_on_changes=["metadata.labels.b"],
                                delete_before_replace=True))
"""
    project = on_cluster(program.format(a="1", b="1"))
    project.up()

    _rewrite(project, namespace, program.format(a="2", b="1"))
    assert "2 unchanged" in project.up().output
    _rewrite(project, namespace, program.format(a="2", b="2"))
    assert "1 replaced" in project.up().output


def test_an_interrupted_update_releases_the_stack_and_goes_on_later(
    on_cluster: Callable[[str], Project], namespace: str, kubectl: Kubectl
) -> None:
    project = on_cluster(
        """
k.core.v1.ConfigMap("x", metadata={"namespace": NS, "name": "x",
    "annotations": {"pulumi.com/waitFor": "jsonpath={.data.done}"}}, data={"a": "1"})
"""
    )
    process = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview", "--stack", "test"),
        cwd=project.folder, env=dict(project.environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while "NotFound" in kubectl("get", "cm", "x", "-n", namespace, check=False):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    time.sleep(2)

    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "cancelled while ConfigMap" in output
    data = json.dumps({"data": {"done": "1"}})
    kubectl("patch", "cm", "x", "-n", namespace, "--type=merge", "-p", data)
    assert "1 updated" in project.up().output, "the object is in the state and its wait goes on"
