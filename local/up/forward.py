"""Services of a cluster that is not ours, on this machine's loopback: `kubectl port-forward`."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from local.cluster.publish import Publication
from local.errors import MantaError

# To reach the API server and to listen; kubectl itself would try for minutes.
_READY_S = 30.0


def command(publication: Publication) -> list[str]:
    """The command that makes the Service answer on 127.0.0.1 until it is ended."""
    service, ports = f"service/{publication.service}", f"{publication.local_port}:{publication.port}"
    return ["kubectl", "--namespace", publication.namespace, "port-forward", service, ports]


@contextmanager
def forwarded(publication: Publication, environment: Mapping[str, str]) -> Generator[None]:
    """Run `command` with `environment`'s kubectl and KUBECONFIG for the length of the block; raises MantaError."""
    process = subprocess.Popen(
        command(publication), env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(_READY_S, process.kill)
    watchdog.start()
    try:
        listens = process.stdout is not None and process.stdout.readline().startswith("Forwarding from")
        watchdog.cancel()
        if not listens:
            process.kill()
            raise MantaError(
                f"Service {publication.namespace}/{publication.service} of your cluster cannot be brought to "
                f"127.0.0.1:{publication.local_port}: see kubectl's reason above, or choose another port with "
                f"MANTA_PORT_{publication.name.upper()}",
                detail=process.communicate()[1],
            )
        yield
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
