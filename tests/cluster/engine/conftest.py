"""A namespace of their own for tests of the engine's parts, and the provider as a process."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine.environment import engine_environment
from local.engine.stacks import ensure_stack
from local.progress import reporter
from local.settings import LocalSettings
from local.toolchain import build
from local.toolchain.build import Toolchain
from tests.cluster.engine import project, provider_process
from tests.cluster.engine.project import Project
from tests.cluster.engine.provider_process import Provider

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of the cluster under test: the local one, or any other by ENGINE_TEST_KUBECONFIG."""
    given = os.environ.get("ENGINE_TEST_KUBECONFIG")
    return Path(given) if given else request.getfixturevalue("kubeconfig")


@pytest.fixture(scope="session")
def kubectl(api: Path) -> Kubectl:
    program = os.environ.get("ENGINE_TEST_KUBECTL", "kubectl")

    def run(*arguments: str, check: bool = True, stdin: str | None = None) -> str:
        result = subprocess.run(
            [*program.split(), "--kubeconfig", str(api), *arguments],
            input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stderr}"
        return result.stdout if result.returncode == 0 else result.stderr

    return run


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    name = f"engine-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def shared_provider(api: Path) -> Iterator[Provider]:
    provider = provider_process.start(api)
    yield provider
    provider_process.stop(provider)


@pytest.fixture
def provider(shared_provider: Provider, request: pytest.FixtureRequest) -> Provider:
    shared_provider.engine.messages.clear()
    shared_provider.scope = request.node.name
    return shared_provider


@pytest.fixture
def start_provider(api: Path) -> Iterator[Callable[..., Provider]]:
    started: list[Provider] = []

    def start(arguments: dict[str, Any] | None = None, kubeconfig: Path = api, **environment: str) -> Provider:
        started.append(provider_process.start(kubeconfig, arguments, **environment))
        return started[-1]

    yield start
    for provider in started:
        if provider.process.poll() is None:
            provider_process.stop(provider)


@pytest.fixture(scope="session")
def toolchain(local_settings: LocalSettings) -> Toolchain:
    """Our own CLI, built if it is not; ENGINE_TEST_PULUMI names another."""
    given = os.environ.get("ENGINE_TEST_PULUMI")
    if given:
        return Toolchain(Path(given).parent, Path(given))
    return build.ensure(local_settings, reporter())


@pytest.fixture
def new_project(tmp_path: Path, toolchain: Toolchain) -> Callable[..., Project]:
    """Projects that share one state of their own, which no other test sees."""
    # The CLI counts as ours if it lies in the cache folder.
    settings = LocalSettings(state_dir=tmp_path / "state", cache_dir=toolchain.pulumi.parents[0])

    def make(program: str, *, name: str = "project", kubeconfig: Path | None = None, **files: str) -> Project:
        folder = project.create(tmp_path / name, program, **files)
        base = engine_environment(settings, toolchain, kubeconfig=str(kubeconfig or "/nowhere"))
        # These programs are about the engine; our policies would refuse the bare pods that show it.
        del base["PULUMI_OPTION_POLICY_PACK"]
        environment = ensure_stack(toolchain.pulumi, base, folder, "test")
        return Project(folder, toolchain.pulumi, environment)

    return make
