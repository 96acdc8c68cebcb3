"""The local stand-in for the published Ray base image: a minimal Debian with Python, made by debootstrap."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

from local import processes
from local.errors import MantaError
from local.image import oci
from local.image.failures import failure
from local.progress import Stage

SUITE = "bookworm"
# wget: KubeRay's readiness probe of Serve workers; procps: Ray's own diagnosis of a node calls ps.
PACKAGES = ("ca-certificates", "procps", "python3", "python3-venv", "wget")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RECIPE = "1"


def key() -> str:
    """Names a base by what goes into it."""
    return hashlib.sha256("\0".join((_RECIPE, SUITE, *PACKAGES)).encode()).hexdigest()[:12]


def build(folder: Path, stage: Stage) -> oci.Layout:
    """Make the base in `folder`, which must not exist; about a minute, most of it dpkg."""
    root = folder / "root"
    root.mkdir(parents=True)

    def on_line(line: str) -> None:
        stage.update(detail=f"Debian base: {line.removeprefix('I: ').strip()[:60]}")

    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), mirror()]
    ended = processes.stream(command, environment={**_proxy(), **os.environ}, on_line=on_line)
    if ended.status:
        raise failure(
            "the Debian base of the image was made",
            ended.lines,
            "the Debian base of the image could not be made: check that this machine's apt sources answer "
            "(`apt-get update`) and run the same command again",
        )
    layer = folder / "layer.tar"
    stage.update(detail="Debian base: packing")
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, ".", filter=_kept)
    shutil.rmtree(root)
    return oci.write(folder, layer, {"Env": [f"PATH={_DEFAULT_PATH}"], "Cmd": ["/bin/bash"]})


def mirror(sources: Path = Path("/etc/apt")) -> str:
    """The archive that this machine's apt already uses; raises MantaError when it names none for this suite."""
    more = sorted(file for file in (sources / "sources.list.d").glob("*") if file.suffix in (".list", ".sources"))
    for file in (sources / "sources.list", *more):
        if file.is_file() and (found := _archive(file.read_text())):
            return found
    raise MantaError(
        f"this machine's apt sources name no archive with {SUITE} main: add one to /etc/apt/sources.list, since the "
        "image's base is made from it"
    )


def _proxy() -> dict[str, str]:
    """apt's own proxy, which debootstrap's downloads do not know of, as the variables that they do know."""
    asked = subprocess.run(
        ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy"],
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(line.split("=", 1) for line in shlex.split(asked.stdout.replace("\n", " ")) if "=" in line)


def _archive(text: str) -> str | None:
    for line in text.splitlines():  # one-line style: deb [options] URI suite components
        if match := re.match(rf"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{SUITE}\s+(?:.*\s)?main(?:\s|$)", line.strip()):
            return match.group(1)
    for block in re.split(r"\n\s*\n", text):  # deb822 style
        fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", block, re.MULTILINE))
        if fields.get("Enabled", "yes").strip().lower() in ("no", "false"):
            continue
        if SUITE in fields.get("Suites", "").split() and "main" in fields.get("Components", "").split():
            return fields["URIs"].split()[0]
    return None


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what a container gets anew, caches, and the address of the archive that this machine happens to use."""
    if re.match(r"\./(proc|sys|dev|run)/|\./var/cache/apt/.|\./var/lib/apt/lists/.|\./var/log/.", entry.name):
        return None
    return None if entry.name == "./etc/apt/sources.list" else entry
