"""Official tools and the user's cluster win when they are complete, and the reason is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import choose
from local.errors import MantaError
from local.settings import LocalSettings

VERSION = choose.kubernetes_plugin_version()


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def program(path: Path, says: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def complete(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has installed Pulumi as its manual says."""
    program(tmp_path / "bin" / "pulumi", "v3.250.0")
    program(tmp_path / "bin" / "pulumi-language-python")
    program(plugin(tmp_path))
    return {"PATH": f"{tmp_path}/bin", "HOME": str(tmp_path)}


def plugin(home: Path) -> Path:
    return home / ".pulumi" / "plugins" / f"resource-kubernetes-v{VERSION}" / "pulumi-resource-kubernetes"


def test_a_complete_official_pulumi_is_used(settings: LocalSettings, complete: dict[str, str], tmp_path: Path) -> None:
    choice = choose.choose_engine(settings, complete)
    assert choice.pulumi == tmp_path / "bin" / "pulumi"
    assert not choice.own
    assert "official Pulumi v3.250.0" in choice.reason


def test_without_pulumi_ours_is_used(settings: LocalSettings, tmp_path: Path) -> None:
    choice = choose.choose_engine(settings, {"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert choice.own
    assert "no pulumi on PATH" in choice.reason


def test_without_its_language_host_ours_is_used(
    settings: LocalSettings, complete: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "pulumi-language-python").unlink()
    choice = choose.choose_engine(settings, complete)
    assert choice.own
    assert "has no pulumi-language-python" in choice.reason


def test_without_the_provider_ours_is_used_and_the_remedy_said(
    settings: LocalSettings, complete: dict[str, str], tmp_path: Path
) -> None:
    plugin(tmp_path).unlink()
    choice = choose.choose_engine(settings, complete)
    assert choice.own
    assert f"pulumi plugin install resource kubernetes {VERSION}" in choice.reason


def test_a_provider_on_path_counts(settings: LocalSettings, complete: dict[str, str], tmp_path: Path) -> None:
    plugin(tmp_path).unlink()
    program(tmp_path / "bin" / "pulumi-resource-kubernetes")
    assert not choose.choose_engine(settings, complete).own


@pytest.mark.parametrize("says", ["v2.25.2", "v4.0.0", "", "segmentation fault"])
def test_another_major_version_or_a_broken_cli_is_not_used(
    settings: LocalSettings, complete: dict[str, str], tmp_path: Path, says: str
) -> None:
    program(tmp_path / "bin" / "pulumi", says)
    choice = choose.choose_engine(settings, complete)
    assert choice.own
    assert "3.x is needed" in choice.reason


def test_what_make_env_puts_on_path_is_not_taken_for_official(settings: LocalSettings, tmp_path: Path) -> None:
    ours = settings.toolchain_dir / "pulumi-0123" / "bin"
    program(ours / "pulumi", "v3.259.0")
    path = f"{ours}:{choose.CHECKOUT}/local/engine/bin:{tmp_path}"
    choice = choose.choose_engine(settings, {"PATH": path, "HOME": str(tmp_path)})
    assert choice.own
    assert "no pulumi on PATH" in choice.reason


def test_without_kubeconfig_the_cluster_is_ours(settings: LocalSettings) -> None:
    for environment in ({}, {"KUBECONFIG": ""}):
        choice = choose.choose_cluster(settings, environment)
        assert choice.own
        assert choice.kubeconfig == str(settings.kubeconfig)


def test_the_users_kubeconfig_is_preferred(settings: LocalSettings, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("apiVersion: v1\n")
    choice = choose.choose_cluster(settings, {"KUBECONFIG": str(theirs)})
    assert not choice.own
    assert choice.kubeconfig == str(theirs)
    assert str(theirs) in choice.reason


@pytest.mark.parametrize("spelling", ["{state}/kubeconfig", "{state}/../state/kubeconfig", "{state}/kubeconfig:"])
def test_our_own_kubeconfig_does_not_count_as_the_users(settings: LocalSettings, spelling: str) -> None:
    environment = {"KUBECONFIG": spelling.format(state=settings.state_dir)}
    assert choose.choose_cluster(settings, environment).own


def test_a_kubeconfig_that_is_not_there_is_an_error_rather_than_another_cluster(settings: LocalSettings) -> None:
    with pytest.raises(MantaError, match="KUBECONFIG=/nowhere/config names no file"):
        choose.choose_cluster(settings, {"KUBECONFIG": "/nowhere/config"})
