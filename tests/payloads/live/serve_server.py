"""The classifier on real Ray Serve with its HAProxy, and a client, in one network namespace of their own.

Started by test_serving.py through `unshare --net`, so that nothing else can reach the ports. Reads one request a line
(JSON: method, path, headers, body in base64, times, clients), answers one line.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from typing import Any

PORT = 8000


def main() -> None:
    """Bring the server up, say READY, answer requests until stdin ends."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print must not mix with the answers
    import ray
    from ray import serve

    from payloads.serving import ensemble, many
    from payloads.serving.classifier import app, deployment
    from payloads.serving.settings import ClassifierArgs

    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    args = ClassifierArgs(**json.loads(sys.argv[1]))
    serve.run(app(args), name="digits")
    # The same, made slow and narrow enough that a few clients are too many.
    slow = args.model_copy(update={"batch_wait_timeout_s": 1.0})
    narrow = deployment.options(max_ongoing_requests=2, max_queued_requests=2)
    serve.run(narrow.bind(slow), name="narrow", route_prefix="/narrow")
    serve.run(ensemble.app(json.loads(sys.argv[2])), name="ensemble", route_prefix="/ensemble")
    serve.run(many.app(json.loads(sys.argv[3])), name="many", route_prefix="/many")
    answers.write("READY\n")
    for line in sys.stdin:
        answers.write(json.dumps(handle(json.loads(line))) + "\n")


def handle(request: dict[str, Any]) -> Any:
    if request["method"] == "STATUS":
        from ray import serve

        return json.loads(json.dumps(serve.status().applications["digits"].status))
    if request["method"] == "METRICS":
        return scraped(set(request["wanted"]), request["later"])
    if request.get("clients"):
        return together(request)
    return call(request)


def end() -> None:
    os._exit(1)


def scraped(wanted: set[str], later: float) -> list[str]:
    """The names of all metrics that this node exported, once `wanted` are among them or a minute has passed.

    A run reports an epoch and loses a worker for it, and a task ends its process: those are counted too. `later`:
    seconds after which Ray would have dropped the run's gauges if nobody had set them again.
    """
    import ray

    from payloads.common.metrics import TrainingMetrics

    training = TrainingMetrics()
    training.observe({"kind": "epoch", "metrics": {"epoch": 1, "loss": 0.5}, "checkpoint": True})
    training.observe({"kind": "failure", "rank": 0, "error": "OSError"})
    ray.wait([ray.remote(num_cpus=0, max_retries=0)(end).remote()])
    port = ray.nodes()[0]["MetricsExportPort"]
    began = time.monotonic()
    seen: set[str] = set()
    while True:
        time.sleep(0.5)
        training.repeat()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
        passed = time.monotonic() - began
        # Ray's own are reported less often than they are dropped at this interval; a run's must stay.
        seen = {name for name in seen if not name.startswith("ray_manta")} | names
        if (wanted <= seen and passed > later) or passed > 60:
            return sorted(seen)


def call(request: dict[str, Any]) -> dict[str, Any]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    body = base64.b64decode(request.get("body", ""))
    try:
        connection.request(request["method"], request["path"], body=body or None, headers=request.get("headers", {}))
        response = connection.getresponse()
        return {
            "status": response.status,
            "headers": {name.lower(): value for name, value in response.getheaders()},
            "body": response.read().decode(),
        }
    finally:
        connection.close()


def together(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The same request from several clients at once, as often as `times` says, in no order."""
    found: list[dict[str, Any]] = []

    def client() -> None:
        found.extend(call(request) for _ in range(request["times"]))

    clients = [threading.Thread(target=client) for _ in range(request["clients"])]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return found


if __name__ == "__main__":
    main()
