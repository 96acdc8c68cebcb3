"""Every place that repeats a version of the matrix says the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from infra.versions import VERSIONS

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("ray", "torch", "mlflow", "pulumi", "pulumi-aws", "pulumi-kubernetes", "pulumi-policy")
IN_THE_IMAGE = ("ray", "torch", "mlflow")


def text(path: str) -> str:
    return (PROJECT / path).read_text()


def pins(path: str) -> dict[str, str]:
    """Exactly pinned packages of a requirements file, without their extras."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", text(path), re.MULTILINE)
    return {name.lower(): version for name, version in found}


def module_version(path: str, module: str) -> str:
    match = re.search(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", text(path), re.MULTILINE)
    assert match, f"{path} does not require {module}"
    return match[1]


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("path", ["requirements.in", "requirements.txt"])
def test_the_python_environment_has_the_matrix_versions(path: str, name: str) -> None:
    assert pins(path).get(name) == VERSIONS[name]


@pytest.mark.parametrize("name", IN_THE_IMAGE)
def test_the_image_has_the_matrix_versions(name: str) -> None:
    assert pins("payloads/requirements.txt").get(name) == VERSIONS[name]


def test_what_is_in_the_image_is_what_the_tests_run_with() -> None:
    image, here = pins("payloads/requirements.txt"), pins("requirements.txt")
    differing = {name: (version, here[name]) for name, version in image.items() if here.get(name, version) != version}
    assert differing == {}


@pytest.mark.parametrize(
    ("path", "module", "version"),
    [
        ("local/toolchain/cluster/go.mod", "github.com/ray-project/kuberay/ray-operator", VERSIONS["kuberay"]),
        ("local/toolchain/pulumi/go.mod", "github.com/pulumi/pulumi/pkg/v3", VERSIONS["pulumi"]),
        ("local/toolchain/pulumi/go.mod", "github.com/pulumi/pulumi/sdk/v3", VERSIONS["pulumi"]),
    ],
)
def test_the_toolchain_builds_the_matrix_versions(path: str, module: str, version: str) -> None:
    assert module_version(path, module) == version


def test_the_toolchain_builds_kubernetes_of_the_matrix() -> None:
    built = module_version("local/toolchain/cluster/go.mod", "k8s.io/kubernetes")
    assert built.startswith(f"{VERSIONS['kubernetes']}."), built


def test_the_published_base_of_the_image_is_ray_of_the_matrix() -> None:
    match = re.search(r"^ARG BASE=rayproject/ray:(\S+?)-py(\d)(\d+)-", text("payloads/Dockerfile"), re.MULTILINE)
    assert match, "the Dockerfile's base is no published Ray image with a spelled-out Python"
    assert match[1] == VERSIONS["ray"]
    assert f"{match[2]}.{match[3]}" == VERSIONS["python"]


def test_the_python_of_the_project_is_that_of_the_matrix() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    assert project["project"]["requires-python"] == f"=={VERSIONS['python']}.*"
    assert project["tool"]["pyright"]["pythonVersion"] == VERSIONS["python"]
    assert project["tool"]["ruff"]["target-version"] == f"py{VERSIONS['python'].replace('.', '')}"


def test_the_stand_in_language_host_speaks_as_the_matrix_version() -> None:
    assert f'VERSION = "{VERSIONS["pulumi"]}"' in text("local/engine/language_host/server.py")
