"""What `make up` promises: the summary's own command answers with the digit, and a second run changes nothing."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from kubernetes import client

from local.image import record
from local.settings import LocalSettings
from local.up.digit import real_digit
from tests.cluster.main_job.conftest import Stacks
from tests.conftest import make

MainJob = subprocess.CompletedProcess[str]


def test_the_command_in_the_summary_returns_the_digit(main_job: MainJob) -> None:
    command = next(line for line in main_job.stdout.splitlines() if line.startswith("curl "))
    answer = json.loads(subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout)  # noqa: S602
    assert int(answer["label"]) == real_digit().label
    assert answer["confidence"] > 0.5


def test_the_summary_states_an_accuracy_that_passes_the_gate(main_job: MainJob) -> None:
    found = re.search(r"accuracy\s+(\d+\.\d)%", main_job.stdout)
    assert found, main_job.stdout
    assert float(found[1]) >= 95.0


def test_no_secret_is_printed(main_job: MainJob) -> None:
    token = make("token").stdout.strip().splitlines()[-1]
    assert len(token) >= 32
    assert token not in main_job.stdout


def test_a_second_up_changes_nothing(main_job: MainJob) -> None:
    again = make("up").stdout
    stages = re.findall(r"stack (\S+): .*\((.*)\)", again)
    assert [name for name, _ in stages] == ["platform-local", "train-local", "serve-local"]
    assert {outcome for _, outcome in stages} == {"nothing changed"}, again


def test_a_cluster_of_kubeconfig_is_used_and_said(
    main_job: MainJob, local_settings: LocalSettings, tmp_path: Path
) -> None:
    theirs = tmp_path / "kubeconfig"
    theirs.write_bytes(local_settings.kubeconfig.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(theirs))
        patch.setenv("MANTA_PORT_SERVE", str(free_port()))
        printed, shown = make("up").stdout, make("status").stdout
    assert f"cluster: yours, of KUBECONFIG={theirs}" in printed
    assert "nothing changed" in printed
    for said in (printed, shown):
        assert "(right)" in said, "the model is asked through kubectl port-forward"
        assert "kubectl --namespace ray port-forward service/digits-serve-svc" in said


def test_a_cluster_without_images_is_refused_before_anything_is_deployed(
    deployed: Stacks, core: client.CoreV1Api, local_settings: LocalSettings, tmp_path: Path
) -> None:
    theirs = tmp_path / "kubeconfig"
    theirs.write_bytes(local_settings.kubeconfig.read_bytes())
    recorded = core.read_namespaced_config_map("manta-images", "kube-public")
    core.delete_namespaced_config_map("manta-images", "kube-public")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(theirs))
            refused = make("up", check=False)
    finally:
        record.record(local_settings.kubeconfig, recorded.data)
    assert refused.returncode != 0
    assert "does not name ray, ray-operator, versitygw" in refused.stdout
    assert "stack platform-local" not in refused.stdout
    assert "Traceback" not in refused.stdout


def test_the_checkout_stays_as_it_was_committed(main_job: MainJob) -> None:
    changed = subprocess.run(
        ["git", "status", "--porcelain", "stacks", "Pulumi.yaml"], check=True, capture_output=True, text=True
    ).stdout
    assert changed == "", "make up must not write into the stack files of the checkout"


def test_status_shows_the_same_and_ends_well(main_job: MainJob) -> None:
    shown = make("status").stdout
    assert "serve-local" in shown
    assert "curl -s" in shown


def test_a_misspelt_environment_is_refused_before_anything_is_done() -> None:
    refused = make("up", "ENV=locl", check=False)
    assert refused.returncode != 0
    assert "ENV=locl is not an environment" in refused.stdout
    assert "Traceback" not in refused.stdout


def test_arguments_without_a_run_are_refused() -> None:
    refused = make("up", "ARGS=lr=0.01", check=False)
    assert refused.returncode != 0
    assert "RUN=name" in refused.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
