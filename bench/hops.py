"""What composition costs a hop: `python -m bench.hops [--rounds N] [--requests N]`.

The pipeline as deployments that pass references beside the same stages called in one process, both behind the same HTTP
code and server, with the same models and the same image. Requests take turns one by one, so that a slow moment of the
machine hits both. All of it happens in a network namespace of its own.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.measure import Figure, show
from local.errors import MantaError

PROJECT = Path(__file__).resolve().parent.parent
INSIDE = "MANTA_BENCH_HOPS"
PORT = 8000
# Ingress to decode, detect, keypoints and describe.
HOPS = 4
MOST_MS = 3.0
# None of it a setting of Serve: no browser login, no lower priority than the client.
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
OPTIMISED = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
SIDES = {"96 x 96": 96, "1536 x 1536": 1536}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each image is measured")
    parser.add_argument("--requests", type=int, default=100, help="requests of a round to each application")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        if not shutil.which("unshare"):
            raise MantaError("unshare is not installed: apt-get install util-linux")
        with tempfile.TemporaryDirectory(prefix="manta-bench-") as name:
            variables = {
                **os.environ, **RAY, **OPTIMISED, INSIDE: name, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1",
                "MLFLOW_TRACKING_URI": f"sqlite:///{name}/mlflow.db", "MANTA_STORAGE": "s3://unused",
            }  # fmt: skip
            alone = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
            command = [*alone, sys.executable, "-m", "bench.hops", *sys.argv[1:]]
            raise SystemExit(subprocess.run(command, env=variables, check=False).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    measure(Path(os.environ[INSIDE]), options.rounds, options.requests)


def measure(folder: Path, rounds: int, requests: int) -> None:
    """Make the models, serve both applications, ask them in turns, print the tables."""
    import ray
    from ray import serve

    from bench.peers.pipeline_models import register_models
    from bench.peers.pipeline_one import app as one
    from payloads.serving.pipeline.app import app

    register_models(folder)
    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    # No waiting for company: the client asks one at a time, and that wait would count as composition.
    args = {"batch_wait_timeout_s": 0}
    serve.run(app(args), name="composed", route_prefix="/composed")
    serve.run(one(args), name="one", route_prefix="/one")
    figures: list[Figure] = []
    for name, side in SIDES.items():
        body = image(side)
        took: dict[str, list[float]] = {"composed": [], "one": []}
        for turn in range(rounds + 1):
            found = turns(body, requests)
            for application, times in found.items() if turn else ():  # the first round warms up
                took[application] += times
        composed, alone = (statistics.median(took[application]) for application in ("composed", "one"))
        figures += [
            Figure(f"{name}: composed, median", composed, "ms"),
            Figure(f"{name}: in one process, median", alone, "ms"),
            Figure(f"{name}: composition, a hop", (composed - alone) / HOPS, "ms", MOST_MS),
        ]
    show("The pipeline composed and in one process", figures)


def turns(body: bytes, requests: int) -> dict[str, list[float]]:
    """Milliseconds that each answer took, one request to each application after the other."""
    connections = {name: http.client.HTTPConnection("127.0.0.1", PORT, timeout=60) for name in ("composed", "one")}
    took: dict[str, list[float]] = {name: [] for name in connections}
    for _ in range(requests):
        for name, connection in connections.items():
            start = time.perf_counter()
            connection.request("POST", f"/{name}/describe", body=body, headers={"content-type": "image/png"})
            response = connection.getresponse()
            answer = response.read()
            took[name].append((time.perf_counter() - start) * 1e3)
            if response.status != 200:
                raise MantaError(f"{name} answered {response.status}: {answer[:300].decode()}")
    for connection in connections.values():
        connection.close()
    return took


def image(side: int) -> bytes:
    """A held-out scene of four digits, enlarged to `side`, as PNG."""
    from PIL import Image

    from payloads.vision import scenes

    source = scenes.glyphs("test", split_seed=42)
    scene = next(each for each in (scenes.compose(source, (42, 1, n)) for n in range(1000)) if len(each.labels) == 4)
    times = side // scenes.CANVAS
    stream = io.BytesIO()
    Image.fromarray(np.kron(scene.image, np.ones((times, times), np.uint8))).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    try:
        main()
    except MantaError as error:
        raise SystemExit(f"error: {error}") from None
