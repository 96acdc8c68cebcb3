"""kubectl, for tests that make things to ask about."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    def run(*arguments: str, text: str | None = None) -> str:
        result = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture(scope="session")
def ray_image(kubectl: Kubectl) -> str:
    return kubectl("-n", "kube-public", "get", "configmap", "manta-images", "-o", "jsonpath={.data.ray}")
