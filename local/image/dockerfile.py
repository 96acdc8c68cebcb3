"""payloads/Dockerfile on the local base: buildah builds it in a chroot, with the packages from uv's own cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local import processes
from local.environment import explain, uv, uv_environment
from local.errors import MantaError
from local.image import oci
from local.progress import Stage
from local.settings import LocalSettings

PAYLOADS = Path(__file__).resolve().parents[2] / "payloads"
_UV_IMAGE = "ghcr.io/astral-sh/uv:0.13.8"  # what the Dockerfile takes uv from; replaced by the one of this machine
_PACKAGES_IN_IMAGE = 150  # for the bar alone


def inputs() -> tuple[Path, Path]:
    """The files that the image is made from."""
    return PAYLOADS / "Dockerfile", PAYLOADS / "requirements.txt"


def build(settings: LocalSettings, foundation: oci.Layout, folder: Path, stage: Stage) -> oci.Layout:
    """Build into the OCI layout `folder`; about two minutes, most of them copying and compiling to bytecode.

    buildah's own storage is a scratch folder: what is kept is one copy, in `folder`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    program = uv(settings)
    cache = _filled_cache(program, folder.parent, stage)
    work = Path(tempfile.mkdtemp(prefix=".buildah-", dir=folder.parent))
    try:
        tools = work / "uv"
        tools.mkdir()
        shutil.copy2(program, tools / "uv")
        # buildah makes an image name of the path, and not every path is one.
        (work / "base").symlink_to(foundation.folder)
        command = [
            "buildah", "--root", str(work / "root"), "--runroot", str(work / "run"), "--storage-driver", "overlay",
            "bud", "--isolation", "chroot", "--layers=false", "--format", "oci",
            "--build-arg", "BASE=oci:base", "--build-arg", "UV_OFFLINE=1",
            "--build-context", f"{_UV_IMAGE}={tools}", "--volume", f"{cache}:/var/cache/uv",
            "--tag", f"oci:{folder}", "--file", str(PAYLOADS / "Dockerfile"), str(PAYLOADS),
        ]  # fmt: skip
        done = 0

        def on_line(line: str) -> None:
            nonlocal done
            done += line.startswith(" + ")
            stage.update(completed=done, total=_PACKAGES_IN_IMAGE, detail=line.strip()[:60])

        # buildah keeps blobs on their way in TMPDIR, whose file system may be small.
        environment = {**os.environ, "TMPDIR": str(work)}
        ended = processes.stream(command, cwd=work, environment=environment, on_line=on_line)
        if ended.status:
            raise MantaError(
                "the image of the payloads could not be built from payloads/Dockerfile, for the reason above: mend it "
                "and run the same command again",
                "\n".join(ended.lines[-12:]),
            )
    finally:
        _remove(work)
    return oci.Layout(folder)


def _filled_cache(program: Path, scratch: Path, stage: Stage) -> Path:
    """uv's cache, after making sure that it holds all that the image needs: by installing it once, as hard links."""
    stage.update(detail="fetching packages")
    with tempfile.TemporaryDirectory(prefix=".venv-", dir=scratch) as folder:
        environment = uv_environment()
        for arguments in (
            ["venv", "--quiet", "--clear", "--python", "3.11", folder],
            ["pip", "install", "--quiet", "--no-deps", "--python", f"{folder}/bin/python", "-r", str(inputs()[1])],
        ):
            ended = processes.stream([str(program), *arguments], environment=environment)
            if ended.status:
                raise MantaError(explain(ended.lines, "fetching the image's packages"), ended.output)
    found = subprocess.run([str(program), "cache", "dir"], capture_output=True, text=True, check=True, env=environment)
    return Path(found.stdout.strip())


def _remove(work: Path) -> None:
    """buildah leaves mounts behind when it is killed; removing the folder through one would empty what is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines()[::-1]:
        if (point := line.split()[4]).startswith(f"{work}/"):
            subprocess.run(["umount", "--lazy", point], check=False)
    shutil.rmtree(work, ignore_errors=True)
