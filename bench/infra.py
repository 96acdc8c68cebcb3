"""Times of the infrastructure program: `python -m bench.infra`, on the simulated AWS.

Previews are timed as a person sees them, `pulumi preview` from start to end, after one that fills the caches; the
program's memory is the largest that its process had meanwhile. The simulated account is empty before and after.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench.measure import Figure, show
from local.engine import stacks
from local.environment import CHECKOUT
from local.progress import PlainReporter
from local.sim import flow, machine
from local.sim.machine import Machine
from local.sim.settings import load
from local.up import stack

_POLL_S = 0.05
_COUNTS = (100, 300, 500)
_PACK = "PULUMI_OPTION_POLICY_PACK"
_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bench", "namespace": "default"},
    "spec": {
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
    },
}


@dataclass(frozen=True)
class Preview:
    """`seconds` of the whole command, `resources` in it, and `bytes` of the program's process at its largest."""

    seconds: float
    resources: int
    bytes: int


def preview(ready: Machine, name: str) -> Preview:
    environment = stacks.ensure_stack(ready.engine.pulumi, ready.engine.environment, CHECKOUT, name)
    command = ready.engine.command("preview", "--json", "--stack", name)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    largest = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, largest), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - started
    assert process.returncode == 0, f"preview of {name}: {errors.decode()[-2000:]} {output.decode()[-2000:]}"
    return Preview(seconds, len(json.loads(output).get("steps", [])), largest[0])


def _watch(pid: int, largest: list[int]) -> None:
    """Keep the largest resident size of the process that runs the program, a descendant of `pid`."""
    try:
        parent = psutil.Process(pid)
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            for child in parent.children(recursive=True):
                with_program = any("language-python-exec" in word or "executor" in word for word in child.cmdline())
                if with_program:
                    largest[0] = max(largest[0], child.memory_info().rss)
            time.sleep(_POLL_S)
    except psutil.Error:
        return


def scale(ready: Machine, folder: Path) -> dict[int, float]:
    """Seconds of a preview by the number of its resources: plain objects, so that nothing else grows with them."""
    (folder / "__main__.py").write_text(
        f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
        "import pulumi\nfrom infra.kubernetes.objects import register\n"
        "for number in range(pulumi.Config().require_int('count')):\n"
        "    name = f'object-{number}'\n"
        "    body = {'metadata': {'name': name, 'namespace': 'default'}, 'data': {'key': 'value'}}\n"
        "    register(name, {'apiVersion': 'v1', 'kind': 'ConfigMap', **body}, pulumi.ResourceOptions())\n"
    )
    options = f"  options:\n    virtualenv: {CHECKOUT / '.venv'}\n"
    (folder / "Pulumi.yaml").write_text(f"name: scale\nruntime:\n  name: python\n{options}")
    (folder / "Pulumi.bench.yaml").write_text("config: {}\n")
    environment = {key: value for key, value in ready.engine.environment.items() if key != _PACK}
    found: dict[int, float] = {}
    run = partial(subprocess.run, cwd=folder, env=environment, check=True, capture_output=True)
    run(ready.engine.command("stack", "init", "bench"))
    try:
        for count in (1, *_COUNTS):  # the first fills the caches
            run(ready.engine.command("config", "set", "scale:count", str(count), "--stack", "bench"))
            started = time.monotonic()
            run(ready.engine.command("preview", "--stack", "bench"))
            found[count] = time.monotonic() - started
    finally:
        run(ready.engine.command("stack", "rm", "--yes", "--stack", "bench"))
    return found


def growth(seconds: Mapping[int, float]) -> float:
    """What a resource costs in the upper half of the range, over what it costs in the lower: 1 is a straight line."""
    low, middle, high = _COUNTS
    return (seconds[high] - seconds[middle]) / (high - middle) / ((seconds[middle] - seconds[low]) / (middle - low))


def launch_seconds(ready: Machine) -> float:
    """From a GPU pod that nobody can take to the NodeClaim that Karpenter has launched."""
    environment = dict(ready.engine.environment)

    def kubectl(*arguments: str, text: str | None = None) -> str:
        command = ["kubectl", *arguments]
        return subprocess.run(command, env=environment, input=text, text=True, capture_output=True, check=True).stdout

    started = time.monotonic()
    kubectl("apply", "-f", "-", text=json.dumps(_POD))
    try:
        while not _launched(json.loads(kubectl("get", "nodeclaims", "-l", "manta/nodes=gpu", "-o", "json"))):
            assert time.monotonic() - started < 120, "no NodeClaim was launched in two minutes"
            time.sleep(_POLL_S)
        return time.monotonic() - started
    finally:
        kubectl("delete", "pod", "bench", "--wait=false")


def _launched(claims: dict[str, Any]) -> bool:
    conditions = (item for claim in claims["items"] for item in claim.get("status", {}).get("conditions", []))
    return any(item["type"] == "Launched" and item["status"] == "True" for item in conditions)


def main() -> None:
    settings, report = load(), PlainReporter(Console())
    flow.down(settings, report)
    ready = machine.ensure(settings, report)
    figures: list[Figure] = []
    try:
        preview(ready, "platform-prod")
        seen = preview(ready, "platform-prod")
        figures += [
            Figure(f"preview of platform-prod, {seen.resources} resources", seen.seconds, "s", 8),
            Figure("the program's memory, platform-prod", seen.bytes / 2**20, "MiB", 300),
        ]
        with tempfile.TemporaryDirectory(prefix="manta-scale-") as folder:
            by_count = scale(ready, Path(folder))
        figures += [Figure(f"preview of {count} resources", by_count[count], "s") for count in _COUNTS]
        figures.append(Figure("a resource above 300 against one below", growth(by_count), "times", 1.5))
        seconds: dict[str, float] = {}
        with report.stage("stack platform-sim") as stage:
            started = time.monotonic()
            stack.up(flow.engine_of(ready.engine, "platform-sim"), "platform-sim", stage)
            seconds["up"] = time.monotonic() - started
        figures.append(Figure("up of platform-sim from nothing", seconds["up"] / 60, "min", 4))
        figures.append(Figure("pending GPU pod to launched NodeClaim", launch_seconds(ready), "s", 15))
        if (CHECKOUT / "stacks" / "Pulumi.train-sim.yaml").is_file():
            preview(ready, "train-sim")
            figures.append(Figure("preview of train-sim", preview(ready, "train-sim").seconds, "s", 3))
        with report.stage("destroy platform-sim") as stage:
            started = time.monotonic()
            stack.destroy(flow.engine_of(ready.engine, "platform-sim"), "platform-sim", stage)
            seconds["destroy"] = time.monotonic() - started
        figures.append(Figure("destroy of platform-sim", seconds["destroy"] / 60, "min", 3))
    finally:
        flow.down(settings, report)
        show("infrastructure", figures)


if __name__ == "__main__":
    main()
