"""wrk, the load generator of Debian: its script and its report."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.errors import MantaError


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers, their rate a second and latencies in milliseconds, how many were other than 2xx or 3xx,
    and how many requests got no answer (connection refused or cut, or none within two seconds)."""

    answers: int
    rate: float
    p50: float
    p99: float
    errors: int
    lost: int


def lua(body: object, think_ms: float | None = None) -> str:
    """wrk's script: POST `body` as JSON; with `think_ms`, each connection waits before each request, exponentially
    distributed with this mean, so that requests come as from many independent clients and not when answers allow."""
    content = json.dumps(body, separators=(",", ":"))
    script = f"wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = '{content}'\n"
    if think_ms is None:
        return script
    return f"{script}function delay() return math.floor(0.5 - {think_ms} * math.log(1 - math.random())) end\n"


def wrk(script: Path, url: str, seconds: int, connections: int) -> Load:
    """POST to `url` for `seconds` from one thread with `connections` connections, each waiting for its answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run([*command, url], stdout=subprocess.PIPE, text=True, check=True)
    return parse(done.stdout)


def parse(output: str) -> Load:
    """wrk's report as numbers."""

    def found(pattern: str) -> re.Match[str]:
        match = re.search(pattern, output)
        if match is None:
            raise MantaError(f"wrk's report cannot be read:\n{output}")
        return match

    def milliseconds(share: str) -> float:
        value, unit = found(rf"{share}%\s+([\d.]+)(us|ms|s)").groups()
        return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]

    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return Load(
        answers=int(found(r"(\d+) requests in").group(1)),
        rate=float(found(r"Requests/sec:\s+([\d.]+)").group(1)),
        p50=milliseconds("50"),
        p99=milliseconds("99"),
        errors=int(errors.group(1)) if errors else 0,
        lost=sum(int(each) for each in lost.groups()) if lost else 0,
    )
