"""A server process of this folder: one JSON line in, one out, alone with its ports."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import RAY_ENVIRONMENT

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
# Ports that nothing else can reach, and processes that end with the first of them.
NAMESPACE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
if os.geteuid() != 0:
    NAMESPACE += ["--user", "--map-root-user"]


def environment(registry: str) -> dict[str, str]:
    """As RayService runs it: behind HAProxy, with the model registry in a file, for no server can be reached."""
    return {
        **os.environ,
        **RAY_ENVIRONMENT,
        "PYTHONPATH": str(PROJECT),
        "MANTA_STORAGE": "s3://unused",
        "MLFLOW_TRACKING_URI": registry,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    }


class Server:
    """The process of `script`, a file of this folder that says READY and then answers each line with a line."""

    def __init__(self, script: str, arguments: list[str], variables: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*NAMESPACE, sys.executable, str(HERE / script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=PROJECT,
                env=variables,
            )
        assert self._answer() == "READY", log.read_text()[-3000:]

    def ask(self, method: str, path: str, body: Any = b"", **rest: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **rest.pop("headers", {})}
        request = {"method": method, "path": path, "headers": headers, "body": base64.b64encode(content).decode()}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({**request, **rest}) + "\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server ended:\n{self.log.read_text()[-3000:]}"
        return line.strip()
