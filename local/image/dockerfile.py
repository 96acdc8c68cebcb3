"""payloads/Dockerfile on the local base: buildah builds it in a chroot, with the packages from uv's own cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from local import processes
from local.environment import explain, uv, uv_environment
from local.errors import MantaError
from local.image import oci
from local.image.failures import failure
from local.image.removal import remove
from local.image.tree import EPOCH
from local.progress import Stage
from local.settings import LocalSettings

PAYLOADS = Path(__file__).resolve().parents[2] / "payloads"
UV_IMAGE = "ghcr.io/astral-sh/uv:0.13.8"  # what the Dockerfile takes uv from; replaced by the one of this machine
_VENV, _CACHE = "opt/venv", "/var/cache/uv"
_SCRATCH = ".build-"
# uv's words when it may not use the network and its cache lacks something.
_NOT_CACHED = re.compile(r"network (connectivity is|was) disabled", re.IGNORECASE)
_STEP = re.compile(r"STEP (\d+/\d+): (.*)")


def inputs() -> tuple[Path, Path]:
    """The files that the image is made from."""
    return PAYLOADS / "Dockerfile", PAYLOADS / "requirements.txt"


def build(settings: LocalSettings, foundation: oci.Layout, folder: Path, stage: Stage) -> oci.Layout:
    """Build into the layout `folder`; about a minute, most of it compiling to bytecode.

    /opt/venv, nearly all of the image, is mounted while buildah works, and uv fills it with links into its cache: none
    of the gigabytes is written before they are streamed into the cluster. buildah's own storage is a scratch folder.
    """
    for stale in folder.parent.glob(f"{_SCRATCH}*"):
        remove(stale)
    program = uv(settings)
    ended = _buildah(program, foundation, folder, stage)
    if ended.status and _NOT_CACHED.search(ended.output):
        _fill_cache(program, folder.parent, stage)
        remove(folder)
        ended = _buildah(program, foundation, folder, stage)
    if ended.status:
        raise failure(
            "the image of the payloads was built",
            ended.lines,
            "the image of the payloads could not be built from payloads/Dockerfile, for the reason above: mend it "
            "and run the same command again",
        )
    layout = oci.Layout(folder)
    layout.add_tree(_VENV, {_CACHE: _cache(program)})
    return layout


def _buildah(program: Path, foundation: oci.Layout, folder: Path, stage: Stage) -> processes.Ended:
    work = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}buildah-", dir=folder.parent))
    try:
        return processes.stream(
            command(work, folder, _cache(program), program, foundation),
            cwd=work,
            # buildah keeps blobs on their way in TMPDIR, whose file system may be small.
            environment={**os.environ, "TMPDIR": str(work)},
            on_line=lambda line: stage.update(detail=_detail(line)),
        )
    finally:
        remove(work)


def command(work: Path, folder: Path, cache: Path, program: Path, foundation: oci.Layout) -> list[str]:
    tools, tree = work / "uv", folder / oci.TREE
    tools.mkdir()
    shutil.copy2(program, tools / "uv")
    tree.mkdir(parents=True)
    # buildah makes image names of these paths, and not every path is one.
    (work / "base").symlink_to(foundation.folder)
    (work / "image").symlink_to(folder)
    return [
        "buildah", "--root", str(work / "root"), "--runroot", str(work / "run"), "--storage-driver", "overlay",
        "bud", "--isolation", "chroot", "--layers=false", "--format", "oci", "--timestamp", str(EPOCH),
        "--identity-label=false", "--build-arg", "BASE=oci:base",
        "--build-arg", "UV_OFFLINE=1", "--build-arg", "UV_LINK_MODE=symlink",
        "--build-context", f"{UV_IMAGE}={tools}",
        "--volume", f"{cache}:{_CACHE}", "--volume", f"{tree}:/{_VENV}",
        "--tag", "oci:image", "--file", str(PAYLOADS / "Dockerfile"), str(PAYLOADS),
    ]  # fmt: skip


def _detail(line: str) -> str | None:
    """What the bar says after this line of buildah's: steps count, the rest is theirs."""
    step = _STEP.match(line)
    return f"step {step[1]}: {step[2][:50]}" if step else None


def _fill_cache(program: Path, scratch: Path, stage: Stage) -> None:
    """Fetch what the image needs into uv's cache, with this machine's index, proxies and certificates: install it.

    Seldom needed: the project's own environment has the same packages in the same versions, and more.
    """
    stage.update(detail="fetching packages")
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}venv-", dir=scratch) as folder:
        for arguments in (
            ["venv", "--quiet", "--clear", "--python", "3.11", folder],
            ["pip", "install", "--quiet", "--no-deps", "--link-mode", "symlink", "--python", f"{folder}/bin/python",
             "-r", str(inputs()[1])],
        ):  # fmt: skip
            ended = processes.stream([str(program), *arguments], environment=uv_environment())
            if ended.status:
                raise MantaError(explain(ended.lines, "fetching the image's packages"), ended.output)


def _cache(program: Path) -> Path:
    command = [str(program), "cache", "dir"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=uv_environment())
    folder = Path(found.stdout.strip())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
