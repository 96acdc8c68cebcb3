"""Helm, run as a program: one call of it, with a kubeconfig of its own, that can be interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from local.engine.kubernetes.session import Session

HELM_VARIABLE = "MANTA_HELM"
_POLL_S = 0.2


class HelmError(Exception):
    """Helm refused, or is not there."""

    @property
    def is_unreachable(self) -> bool:
        return "cluster unreachable" in str(self) or "connection refused" in str(self)


def program(environment: Mapping[str, str]) -> str:
    """Helm's path; raises HelmError without one."""
    found = environment.get(HELM_VARIABLE) or shutil.which("helm", path=environment.get("PATH"))
    if not found or not Path(found).exists():
        raise HelmError(f"a Helm release needs the program helm: set {HELM_VARIABLE} to its path, or put it on PATH")
    return found


@contextmanager
def kubeconfig(session: Session) -> Generator[list[str]]:
    """The arguments that say which cluster; a kubeconfig given as content lies in a file for as long."""
    settings = session.settings
    context = ["--kube-context", settings.context] if settings.context else []
    given = settings.kubeconfig
    if given is None:
        yield context
    elif "\n" not in given and not given.startswith("{") and ": " not in given:
        yield ["--kubeconfig", given, *context]
    else:
        with tempfile.TemporaryDirectory(prefix="manta-helm-") as folder:
            path = Path(folder, "kubeconfig")
            path.touch(mode=0o600)
            path.write_text(given)
            yield ["--kubeconfig", str(path), *context]


def run(session: Session, arguments: Sequence[str], values: Mapping[str, Any] | None = None) -> str:
    """Helm's output; raises HelmError with its own last line. `values` go through its input, never its command line."""
    with kubeconfig(session) as where:
        command = [program(os.environ), *arguments, *where]
        if values is not None:
            command += ["--values", "-"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        given = yaml.safe_dump(dict(values)) if values is not None else None
        while True:
            try:
                output, errors = process.communicate(given, timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                given = None
                if session.cancelled.is_set():
                    # Helm notes the failure in the release, which the next run finds.
                    process.send_signal(signal.SIGINT)
                    output, errors = process.communicate()
                    break
    if process.returncode != 0:
        lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise HelmError((lines[-1] if lines else "helm failed").removeprefix("Error: "))
    return output


def status(session: Session, name: str, namespace: str) -> dict[str, Any] | None:
    """What Helm knows of a release, or None without one."""
    try:
        return json.loads(run(session, ["status", name, "--namespace", namespace, "--output", "json"]))
    except HelmError as error:
        if "release: not found" in str(error):
            return None
        raise
