"""What is built follows from the module files alone, and every change of it gives the build another name."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infra.kubernetes import prometheus
from local.toolchain import modules

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def module(tmp_path: Path) -> modules.Module:
    copy = tmp_path / "cluster"
    shutil.copytree(modules.cluster().directory, copy)
    return replace(modules.cluster(), directory=copy)


def test_every_binary_that_the_cluster_needs_is_built() -> None:
    assert modules.cluster().binaries == ("kube", "coredns", "pause", "ray-operator", "versitygw")
    assert modules.pulumi().binaries == ("pulumi",)


def test_kubernetes_reports_the_version_that_the_module_requires() -> None:
    flags = " ".join(modules.cluster().flags)
    assert modules.required_version(modules.cluster().directory, "k8s.io/kubernetes") == "v1.34.4"
    for variable in ("gitVersion=v1.34.4", "gitMajor=1", "gitMinor=34"):
        assert f"-X k8s.io/component-base/version.{variable}" in flags


def test_the_cli_is_the_sdks_version() -> None:
    pinned = re.search(r"^pulumi==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"version.Version=v{pinned[1]}" in " ".join(modules.pulumi().flags)


def test_the_operator_is_told_which_prometheus_and_alertmanager_it_configures() -> None:
    assert f"version.Version={prometheus.PROMETHEUS_VERSION}" in " ".join(modules.prometheus().flags)
    pinned = modules.required_version(modules.monitoring().directory, "github.com/prometheus/alertmanager")
    assert pinned == f"v{prometheus.ALERTMANAGER_VERSION}"


def test_the_version_pins_are_read_from_both_spellings_of_require(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text(
        "module x\n\ngo 1.26\n\nrequire a.org/b v1.2.3\nrequire (\n\tc.org/d v2.0.0 // indirect\n)\n"
    )
    assert modules.required_version(tmp_path, "a.org/b") == "v1.2.3"
    assert modules.required_version(tmp_path, "c.org/d") == "v2.0.0"
    assert modules.go_version(tmp_path) == "1.26"
    with pytest.raises(ValueError, match="has no line like"):
        modules.required_version(tmp_path, "a.org")


def test_the_same_inputs_have_the_same_key_wherever_they_are(module: modules.Module) -> None:
    assert modules.key(module, "go1.26.8") == modules.key(modules.cluster(), "go1.26.8")


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "pause/main.go", "pause/new.go"])
def test_a_changed_or_new_file_changes_the_key(module: modules.Module, changed: str) -> None:
    before = modules.key(module, "go1.26.8")
    with (module.directory / changed).open("a") as stream:
        stream.write("// changed\n")
    assert modules.key(module, "go1.26.8") != before


def test_compiler_flags_packages_and_copied_files_are_part_of_the_key(module: modules.Module) -> None:
    before = modules.key(module, "go1.26.8")
    assert modules.key(module, "go1.26.9") != before
    for changed in (
        replace(module, flags=()),
        replace(module, packages=module.packages[:-1]),
        replace(module, shared=module.shared[:-1]),
    ):
        assert modules.key(changed, "go1.26.8") != before


def test_what_is_not_compiled_does_not_change_the_key(module: modules.Module) -> None:
    before = modules.key(module, "go1.26.8")
    (module.directory / "pause" / "main_test.go").write_text("package main\n")
    (module.directory / "notes.txt").write_text("x")
    assert modules.key(module, "go1.26.8") == before
