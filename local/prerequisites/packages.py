"""Debian packages: which are missing, and installing them without starting the services that some of them bring."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from local import processes
from local.errors import MantaError
from local.progress import Stage

# Looked for by what they bring rather than by their names: Docker's own packages bring containerd and runc too, and
# Debian's would push them off the machine.
PACKAGES = {
    "buildah": "buildah",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debootstrap": "debootstrap",
    "haproxy": "haproxy",
    "iproute2": "ip",
    "iptables": "iptables",
    "mount": "mount",
    "redis-server": "redis-server",
    "runc": "runc",
    "util-linux": "nsenter",
}
# Root's PATH lacks these under `su` and some `sudo` configurations.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNITS = {"containerd": "containerd.service", "haproxy": "haproxy.service", "redis-server": "redis-server.service"}
# Maintainer scripts start services through these two. In a mount namespace of our own, /bin/true takes their place, so
# that nothing starts, and nothing (such as a policy-rc.d) can be left behind, whatever ends us.
_QUIETLY = """
for starter in /usr/sbin/invoke-rc.d /usr/bin/deb-systemd-invoke; do
    [ ! -e "$starter" ] || mount --bind /bin/true "$starter" || exit 1
done
exec "$@"
"""
_STATUS = re.compile(r"(dl|pm)status:[^:]*:([\d.]+):(.*)")


def missing(exists: Callable[[str], bool] | None = None) -> list[str]:
    """The packages whose program or file `exists` denies."""
    exists = exists or _exists
    return [package for package, brings in PACKAGES.items() if not exists(brings)]


def install(packages: list[str], stage: Stage, log: Path) -> None:
    """Install Debian packages; the whole output goes to `log`. MantaError says why it cannot be done."""
    names = " ".join(packages)
    if not _exists("apt-get"):
        raise MantaError(
            f"this system has no apt-get, and these are missing: {names}; install what your system calls "
            "them, or use Debian 12 or Ubuntu"
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:

        def on_line(line: str) -> None:
            status = _STATUS.fullmatch(line)
            if status is None:
                print(line, file=output)
            else:  # the second half of the bar is unpacking and setting up
                half = 50.0 if status[1] == "pm" else 0.0
                stage.update(completed=half + float(status[2]) / 2, total=100, detail=status[3])

        # An installation that was interrupted before makes every later one fail until this is done.
        _run(["dpkg", "--configure", "-a"], on_line)
        update = _run(["apt-get", "-q", "update"], on_line)
        ended = _run([*_APT_INSTALL, *packages], on_line)
    if ended.status:
        raise MantaError(explain(names, update.output + "\n" + ended.output, log), "\n".join(ended.lines[-15:]))
    _keep_from_starting_at_boot(packages)
    if still := [package for package in missing() if package in packages]:
        raise MantaError(
            f"apt-get installed {names}, yet {', '.join(PACKAGES[name] for name in still)} cannot be found: see {log}"
        )


def explain(names: str, output: str, log: Path) -> str:
    """The sentence for an installation of `names` that ended with this output."""
    if "Could not get lock" in output or "Unable to acquire the dpkg" in output:
        return f"another package manager is at work: wait for it to end, then start again ({names} are to be installed)"
    if "Unable to locate package" in output or "has no installation candidate" in output:
        return f"apt-get does not know all of {names}: Debian 12's main archive has them, look at /etc/apt/sources.list"
    if "not enough free space" in output or "No space left on device" in output:
        return f"the disk is too full to install {names}: free some space and start again"
    if re.search(r"Could not (resolve|connect)|Failed to fetch|Temporary failure", output):
        return f"apt-get could not fetch {names}: check the network and /etc/apt/sources.list, and start again"
    return f"apt-get could not install {names}: the lines above are its own, all of them are in {log}"


_APT_INSTALL = (
    *("apt-get", "-q", "-y", "--no-install-recommends", "--no-remove"),
    *("-o", "APT::Status-Fd=1", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "install"),
)


def _run(command: list[str], on_line: Callable[[str], None]) -> processes.Ended:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": _SYSTEM_PATH}
    quietly = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _QUIETLY, "sh"]
    return processes.stream([*quietly, *command], environment=environment, on_line=on_line)


def _keep_from_starting_at_boot(packages: list[str]) -> None:
    units = [unit for package, unit in _UNITS.items() if package in packages]
    if units and _exists("systemctl"):
        processes.stream(["systemctl", "disable", *units])


def _exists(program: str) -> bool:
    path = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}"
    return Path(program).exists() if program.startswith("/") else shutil.which(program, path=path) is not None
