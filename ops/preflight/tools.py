"""The programs that an update calls, and their versions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from infra.versions import VERSIONS
from ops.preflight.outcome import Outcome

_TIMEOUT_S = 20


def check(on_aws: bool) -> Iterator[Outcome]:
    yield _pulumi()
    if on_aws and shutil.which("aws") is None:
        yield Outcome("aws", "failed", "the AWS CLI is not on PATH, and the kubeconfig calls it for tokens: install it")


def _pulumi() -> Outcome:
    wanted = VERSIONS["pulumi"]
    found = shutil.which("pulumi")
    if found is None:
        return Outcome("pulumi", "failed", 'pulumi is not on PATH: run `eval "$(make -s env)"`, or install it')
    try:
        result = subprocess.run([found, "version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Outcome("pulumi", "unknown", f"`pulumi version` did not answer within {_TIMEOUT_S} s")
    version = re.search(r"\d+\.\d+\.\d+", result.stdout)
    if version is None:
        return Outcome("pulumi", "unknown", "`pulumi version` names no version")
    if version[0] != wanted:
        return Outcome("pulumi", "warning", f"pulumi is {version[0]}, and everything here was tried with {wanted}")
    return Outcome("pulumi", "ok", f"pulumi {wanted}")
