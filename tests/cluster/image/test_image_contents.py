"""In a pod of the payloads' image: what KubeRay and the restricted level ask of it, and nothing that the build left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.versions import VERSIONS


def test_it_runs_as_the_user_that_the_manifests_name(host: Any) -> None:
    user = host.user()
    assert (user.name, user.uid, user.gid, user.home) == ("ray", 1000, 1000, "/home/ray")
    assert host.check_output("touch ~/probe /tmp/probe && echo $HOME") == "/home/ray"


@pytest.mark.parametrize("shell", ["bash -c", "bash -lc"])
def test_ray_is_found_by_both_shells_that_kuberay_may_start(host: Any, shell: str) -> None:
    assert host.check_output(f"{shell} 'command -v ray'") == "/opt/venv/bin/ray"
    assert host.check_output(f"{shell} 'command -v python'") == "/opt/venv/bin/python"


def test_wget_is_there_for_kuberays_probes(host: Any) -> None:
    assert host.exists("wget")


def test_the_versions_are_those_of_the_matrix(host: Any) -> None:
    code = "import importlib.metadata as m, json, sys; print(json.dumps([sys.version, *map(m.version, sys.argv[1:])]))"
    python, *found = json.loads(host.check_output(f"python -c '{code}' ray torch mlflow"))
    assert python.startswith(VERSIONS["python"] + ".")
    assert found == [VERSIONS[name] for name in ("ray", "torch", "mlflow")]


def test_what_payloads_import_works_and_was_compiled_beforehand(host: Any) -> None:
    names = "torch, mlflow.pytorch, ray.data, ray.serve, ray.train.torch, ray.tune, sklearn.datasets, boto3, optuna"
    imported = host.run(f"python -v -c 'import {names}' 2> /tmp/imports")
    assert imported.rc == 0, host.run("tail -n 5 /tmp/imports").stdout
    compiled = host.run("grep -cE '^# code object from .*/opt/venv/.*\\.py$' /tmp/imports").stdout
    assert int(compiled) == 0, f"{compiled} modules are compiled anew at every start"


def test_a_ray_head_starts_answers_and_stops(host: Any) -> None:
    started = host.run("ulimit -n 65536; ray start --head --num-cpus=1 --disable-usage-stats")
    assert started.rc == 0, started.stderr
    try:
        ran = host.run(
            'python -c \'import ray; ray.init(address="auto", log_to_driver=False);'
            " print(ray.get(ray.remote(lambda: 6 * 7).remote()))'"
        )
        assert ran.stdout.strip().endswith("42"), ran.stderr
    finally:
        assert host.run("ray stop --force").rc == 0


def test_the_build_left_nothing_behind(host: Any) -> None:
    dangling = host.check_output("find /opt /home -xtype l")
    assert not dangling, "a link into the builder's cache was not turned into its file"
    assert not host.check_output(
        "find /var/cache/uv /var/lib/apt/lists /var/cache/apt/archives -type f 2>/dev/null; true"
    )
    assert not host.check_output(
        "find / -xdev -name '*.sock' -o -xdev -name '.netrc' -o -xdev -name 'pip.conf' 2>/dev/null; true"
    )
    assert not host.file("/etc/apt/sources.list").exists, (
        "the archive of the machine that built it may answer nobody else"
    )


def test_the_environment_names_nothing_of_the_machine_that_built_it(host: Any) -> None:
    names = {line.partition("=")[0] for line in host.check_output("env").splitlines()}
    foreign = {name for name in names if name.startswith(("UV_", "PIP_", "SSL_", "http", "HTTP", "AWS_", "MANTA_"))}
    assert not foreign


def test_nothing_in_it_can_be_changed_by_the_user(host: Any) -> None:
    writable = host.check_output("find /opt /usr /etc -xdev -writable -not -type l 2>/dev/null; true")
    assert not writable
