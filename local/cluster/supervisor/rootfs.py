"""The node's file system: a root in memory with the host's programs read-only in it and the state folder writable.

The rest of the host (homes, /var, other services' sockets) is not there, so not even a privileged pod's hostPath
reaches it, and every mount the node makes ends with its mount namespace.
"""

from __future__ import annotations

import os
from pathlib import Path

from local.cluster import names
from local.cluster import syscalls as sc
from local.cluster.spec import NodeSpec

_HOST_TREES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc")
_OWN_FOLDERS = ("proc", "sys", "dev", "run/netns", "run/lock", "tmp", "root", "mnt", "opt", "var/lib", "var/log", "srv")

# What the kubelet wants these to say. It would write them, into the host's kernel, where they would outlive the node:
# it is shown files that say so already.
_KERNEL_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def enter(spec: NodeSpec, host_network: int) -> None:
    """Assemble the root on `spec.root` and make it this process's; to be called once, in a new mount namespace.

    `host_network` is a descriptor of the host's network namespace, which gets a name for HAProxy to bind ports in.
    """
    # From the host come unmounts only (a disk that is taken out must not stay busy here), and nothing goes back.
    sc.mount("none", "/", flags=sc.MS_SLAVE | sc.MS_REC)
    root = Path(spec.root)
    sc.mount("manta", str(root), "tmpfs", options="mode=0755")
    for name in _OWN_FOLDERS:
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    for name in _HOST_TREES:
        _show_host_tree(root, name)
    for source, target in spec.readable:
        _bind(source, root / target.lstrip("/"), read_only=True)
    for source, target in spec.writable:
        _bind(source, root / target.lstrip("/"), read_only=False)
    _kernel_file_systems(root)
    _pivot(root)
    sc.mount("none", "/", flags=sc.MS_SHARED | sc.MS_REC)  # pods may ask for mount propagation
    network = Path("/run/netns") / names.HOST_NETWORK
    network.touch()
    sc.mount(f"/proc/self/fd/{host_network}", str(network), flags=sc.MS_BIND)


def _show_host_tree(root: Path, name: str) -> None:
    host = Path("/") / name
    if host.is_symlink():
        (root / name).symlink_to(host.readlink())
    elif host.is_dir():
        _bind(str(host), root / name, read_only=True)


def _bind(source: str, target: Path, *, read_only: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    sc.mount(source, str(target), flags=sc.MS_BIND | sc.MS_REC)
    if read_only:
        sc.mount("none", str(target), flags=sc.MS_BIND | sc.MS_REMOUNT | sc.MS_RDONLY)


def _kernel_file_systems(root: Path) -> None:
    sc.mount("/dev", str(root / "dev"), flags=sc.MS_BIND | sc.MS_REC)
    sc.mount("proc", str(root / "proc"), "proc", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    # A new sysfs shows this network namespace's interfaces; the host's would show the host's.
    sc.mount("sysfs", str(root / "sys"), "sysfs", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    sc.mount("/sys/fs/cgroup", str(root / "sys/fs/cgroup"), flags=sc.MS_BIND | sc.MS_REC)
    tunables = root / "run/tunables"
    tunables.mkdir()
    for name, value in _KERNEL_TUNABLES.items():
        file, shown = root / "proc/sys" / name, tunables / name.replace("/", ".")
        if file.exists():
            shown.write_text(f"{value}\n")
            sc.mount(str(shown), str(file), flags=sc.MS_BIND)


def _pivot(root: Path) -> None:
    old = root / "mnt"
    sc.pivot_root(str(root), str(old))
    os.chdir("/")
    sc.detach("/mnt")
