"""The node's network: nothing in it leads outside."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.cluster.spec import NodeSpec


def configure(spec: NodeSpec) -> None:
    """Give this network namespace its loopback, the node's address and forwarding between pods."""
    commands = (
        "link set lo up",
        # A veth pair is the one virtual interface that containers need anyway: no further kernel module.
        "link add node0 type veth peer name node0-peer",
        f"address add {spec.address} dev node0",
        "link set node0-peer up",
        "link set node0 up",
        # A connection needs a route before the Service rules may rewrite its destination.
        f"route add {spec.service_network} dev node0 src {spec.address.partition('/')[0]}",
    )
    batch = "\n".join(commands).encode()
    done = subprocess.run(["ip", "-batch", "-"], input=batch, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"the node's network could not be set up: {done.stderr.decode(errors='replace').strip()}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
