"""`python -m local.cluster.supervisor SPEC`: leave the caller's session, become PID 1 of a new node, report, run.

The process that is called exits with 0 once the node's PID 1 holds the lock and stands in its namespaces; everything
after that is told by the lock and the status file.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from pathlib import Path

from local.cluster import cgroups, lock, syscalls
from local.cluster.spec import NodeSpec
from local.cluster.supervisor import network, rootfs
from local.cluster.supervisor.loop import SIGNALS, Loop

_NAMESPACES = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
)
_OPEN_FILES = 1_048_576  # Ray asks for 65,536 a process; pods inherit what the supervisor has
_STANDING = b"+"


def main(spec_file: str) -> int:
    spec = NodeSpec.read(Path(spec_file))
    os.umask(0o022)
    _raise_open_files()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    cgroups.enter(spec.cgroup)
    host_network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(_NAMESPACES)
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return 0 if os.read(reader, 1) == _STANDING else 1
    os.close(reader)
    try:
        _stand_up(spec, host_network)
    except OSError as error:
        print(f"the node could not be built: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os.write(writer, _STANDING)
    os.close(writer)
    try:
        Loop(spec).run()
    except BaseException:
        traceback.print_exc()
        raise
    return 0


def _stand_up(spec: NodeSpec, host_network: int) -> None:
    # The descriptor stays open, and with it the lock, until the kernel ends this process.
    lock.acquire(Path(spec.root).parent / lock.FILE)
    rootfs.enter(spec, host_network)
    os.close(host_network)
    syscalls.sethostname(spec.node_name)
    network.configure(spec)


def _raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, _OPEN_FILES), max(hard, _OPEN_FILES)))
    except (ValueError, OSError):  # raising the hard limit takes CAP_SYS_RESOURCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
