"""The pipeline on real Ray Serve with its HAProxy, in one network namespace of its own; as serve_server.py.

Started by test_pipeline.py. Besides what serve_server.py answers: MEMORY gives the shared memory, in bytes, that each
deployment's process has mapped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from serve_server import PORT, call, together


def main() -> None:
    """Bring the server up, say READY, answer requests until stdin ends."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print must not mix with the answers
    import ray
    from ray import serve

    from payloads.serving.pipeline.app import app

    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(app(json.loads(sys.argv[1])), name="pipeline")
    answers.write("READY\n")
    for line in sys.stdin:
        answers.write(json.dumps(handle(json.loads(line))) + "\n")


def handle(request: dict[str, Any]) -> Any:
    if request["method"] == "MEMORY":
        return shared_memory()
    return together(request) if request.get("clients") else call(request)


def shared_memory() -> dict[str, int]:
    """Shared memory that the process of each replica has in use, by its deployment."""
    import psutil

    found = {}
    for process in psutil.Process().children(recursive=True):
        # ray::ServeReplica:<application>:<deployment>.<method>
        title = process.cmdline()[0] if process.cmdline() else ""
        if title.startswith("ray::ServeReplica:"):
            found[title.split(":")[4].split(".")[0]] = process.memory_info().shared
    return found


if __name__ == "__main__":
    main()
