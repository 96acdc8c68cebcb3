"""Everything that must be on disk before a node starts."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Protocol

from local.cluster import configs, kubeconfigs, names, pki, publish
from local.cluster.components import components
from local.cluster.files import write_private
from local.cluster.health import SPEC_FILE, STATUS_FILE
from local.cluster.layout import NODE_BIN, NODE_STATE, Layout
from local.cluster.spec import NOTHING, Addition, NodeSpec
from local.errors import MantaError
from local.settings import LocalSettings

_PROGRAMS = ("containerd", "runc", "haproxy", "ip", "iptables", "nsenter")
_CNI_PLUGINS = Path("/usr/lib/cni")
_CAP_SYS_RESOURCE = 24


class Binaries(Protocol):
    """What the cluster needs of the toolchain: a folder with the programs `kube` and `coredns`."""

    @property
    def bin_dir(self) -> Path: ...


def require_root() -> None:
    if os.geteuid() != 0:
        raise MantaError("the local cluster needs root for its namespaces: run the same command with sudo")


def require_programs() -> None:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    missing += [str(_CNI_PLUGINS / name) for name in configs.CNI_PLUGINS if not (_CNI_PLUGINS / name).exists()]
    if missing:
        raise MantaError(
            f"the local cluster needs {', '.join(missing)}: "
            "apt-get install containerd runc containernetworking-plugins haproxy iproute2 iptables util-linux"
        )


def make_folders(layout: Layout) -> None:
    """Make the state folder, for root alone, and all in it that is expected to exist."""
    try:
        layout.state.mkdir(parents=True, exist_ok=True)
        layout.state.chmod(0o700)
        for folder in layout.folders():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names.VOLUMES:
            volume = layout.volumes / name
            volume.mkdir(exist_ok=True)
            volume.chmod(0o770)
            os.chown(volume, names.VOLUME_OWNER, names.VOLUME_OWNER)
        layout.volumes.chmod(0o755)  # pods of that user pass through it
    except OSError as error:
        sentence = f"the state folder {layout.state} cannot be used: {error} (MANTA_STATE_DIR chooses another)"
        raise MantaError(sentence) from None


def prepare(settings: LocalSettings, toolchain: Binaries, layout: Layout, addition: Addition = NOTHING) -> str:
    """Write everything a start reads; return a digest of what a running cluster cannot take in without a restart."""
    pki.ensure(layout)
    lowers = _has_capability(_CAP_SYS_RESOURCE, Path("/proc/self/status").read_text())
    files = configs.render(f"/{settings.instance}", may_lower_oom_score=lowers)
    for name, content in files.items():
        write_private(layout.config / name, content)
    kubeconfigs.write_for_components(layout)
    kubeconfigs.write_for_people(layout, settings.instance, settings.ports.api)
    publish.write_configuration(layout, settings)
    spec = _spec(settings, toolchain, layout, addition).to_json()
    write_private(layout.config / SPEC_FILE, spec)
    certificates = sorted(layout.pki.glob("*.crt"))
    parts = [spec, str(settings.ports.api), *files.values(), *(file.read_text() for file in certificates)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _spec(settings: LocalSettings, toolchain: Binaries, layout: Layout, addition: Addition) -> NodeSpec:
    return NodeSpec(
        instance=settings.instance,
        node_name=names.NODE_NAME,
        root=str(layout.root),
        logs=str(NODE_STATE / "logs"),
        status=str(NODE_STATE / "run" / STATUS_FILE),
        cgroup=settings.instance,
        address=names.NODE_NETWORK,
        service_network=names.SERVICE_NETWORK,
        writable=layout.node_mounts(),
        readable=((str(toolchain.bin_dir.resolve()), str(NODE_BIN)), *addition.readable),
        components=addition.kubernetes(components()),
    )


def _has_capability(number: int, status: str) -> bool:
    """Whether the process with this /proc/PID/status has it in effect."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
