"""Give images to the cluster's containerd, and tell what they are called by digest."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager

from local import locks
from local.cluster.handle import Cluster
from local.errors import MantaError
from local.image import build
from local.image.build import Image
from local.image.failures import failure
from local.image.oci import Layout, Stream
from local.progress import Reporter, Stage
from local.settings import LocalSettings


def load(settings: LocalSettings, cluster: Cluster, image: Image, layout: Layout | None, progress: Reporter) -> str:
    """Make sure that containerd holds `image` whole and unpacked; returns its reference `name@sha256:...`.

    `layout` is what `build.ensure` returned. When containerd lost an image that the record promised, it is built again.
    The layout is deleted once containerd has it: content and snapshot are two copies of 7 GB already.
    """
    with locks.exclusive(
        settings.state_dir / "images.lock", lambda who: progress.note(f"waiting for {who}, which loads")
    ):
        reference = _recorded(settings, cluster, image)
        if reference is None:
            layout = layout or build.built(settings, image, progress)
            reference = _load(settings, cluster, image, layout, progress)
        _drop(settings, cluster, image, keep={image.tag})
        return reference


def _recorded(settings: LocalSettings, cluster: Cluster, image: Image) -> str | None:
    """The image's reference when the record names it and containerd still holds it."""
    digest = build.read_record(settings).get(image.tag)
    if digest is not None:
        if _holds(cluster, reference := f"{image.name}@{digest}"):
            return reference
        forget(settings, image)
    return None


def _load(settings: LocalSettings, cluster: Cluster, image: Image, layout: Layout, progress: Reporter) -> str:
    stream = _stream(layout, image)
    if stream is None:
        shutil.rmtree(layout.folder)
        layout = build.built(settings, image, progress)
        stream = layout.stream(image.tag)
    with progress.stage(f"load image {image.short_name}") as stage:
        # What a load that was cut off left would pass for whole: its snapshots exist, but files in them may be empty.
        _drop(settings, cluster, image, keep=set(build.read_record(settings)))
        digest = _import(cluster, image, stream, stage)
        reference = f"{image.name}@{digest}"
        _ctr(cluster, "images", "tag", "--force", image.tag, reference)
        # Without the label the kubelet's garbage collection may delete images that no registry can give back.
        for name in (image.tag, reference):
            _ctr(cluster, "images", "label", name, "io.cri-containerd.pinned=pinned")
        if not _holds(cluster, reference):
            raise MantaError(
                f"containerd does not hold {image.tag} whole after it was loaded: look for a full disk, then run "
                "the same command again"
            )
        # containerd does not wait for unpacked files to reach the disk; after a power cut some would be empty.
        subprocess.run(["sync", "--file-system", str(settings.state_dir)], check=True)
        build.write_record(settings, {**build.read_record(settings), image.tag: digest})
        stage.result(f"{stream.size / 2**30:.1f} GiB")
        shutil.rmtree(layout.folder)
    return reference


def forget(settings: LocalSettings, image: Image) -> None:
    """Take `image` out of the record, so that it is built again."""
    record = build.read_record(settings)
    record.pop(image.tag, None)
    build.write_record(settings, record)


def _stream(layout: Layout, image: Image) -> Stream | None:
    """The layout to be sent, or None when what it links to was deleted meanwhile, as `uv cache clean` does."""
    try:
        return layout.stream(image.tag)
    except OSError:
        return None


def _import(cluster: Cluster, image: Image, source: Stream, stage: Stage) -> str:
    total, done, digest = source.size, 0, ""

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        stage.update(completed=done, total=total, detail=_detail(done, total))

    process = subprocess.Popen(
        cluster.ctr("images", "import", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stdin is not None  # noqa: S101 - a pipe, by construction
    assert process.stderr is not None  # noqa: S101 - likewise
    with process, ended_with(cluster, process):
        try:
            digest = source.write(process.stdin, on_bytes)
            process.stdin.close()
        except BrokenPipeError:
            pass  # ctr ended early; its own words are the error
        errors = process.stderr.read().decode(errors="replace")
        status = process.wait()
    if not cluster.root.exists():
        raise MantaError(f"the cluster was stopped while it was given {image.tag}: run the same command again")
    if status:
        raise failure(
            f"the image {image.tag} was loaded",
            errors.splitlines(),
            f"containerd did not take the image {image.tag}: the reason is above, run the same command again",
        )
    return digest


@contextmanager
def ended_with(cluster: Cluster, process: subprocess.Popen[bytes]) -> Generator[None]:
    """Kill `process` when the block ends or the cluster does: ctr waits for a containerd that is gone without end."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if not cluster.root.exists():
                process.kill()
                return

    watcher = threading.Thread(target=watch, name="image-load-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        process.kill()
        process.wait()


def _detail(done: int, total: int) -> str:
    return "unpacking" if done >= total else f"{done / 2**30:.1f} of {total / 2**30:.1f} GiB"


def _holds(cluster: Cluster, reference: str) -> bool:
    """Whether every blob of `reference` is there and its snapshot was unpacked to the end."""
    listing = _ctr(cluster, "images", "check", f"name=={reference}")
    rows = [line.split() for line in listing.splitlines()[1:]]
    return any(row[0] == reference and "complete" in row and row[-1] == "true" for row in rows if row)


def _drop(settings: LocalSettings, cluster: Cluster, image: Image, keep: set[str]) -> None:
    """Forget images called like `image`, each of them 7 GB, but for those in `keep` and those that containers use.

    Kubernetes' names for an image (`sha256:...`) hold it too, so all names of the same manifest go together.
    """
    names = _names(cluster)
    kept = {target for name, target in names.items() if name in keep | _used(cluster)}
    ours = {target for name, target in names.items() if name.startswith((f"{image.name}:", f"{image.name}@"))}
    if dropped := [name for name, target in names.items() if target in ours - kept]:
        _ctr(cluster, "images", "rm", "--sync", *dropped)
        record = build.read_record(settings)
        build.write_record(settings, {tag: digest for tag, digest in record.items() if tag not in dropped})


def _names(cluster: Cluster) -> dict[str, str]:
    """Every image name that containerd knows -> the digest it stands for."""
    rows = [line.split() for line in _ctr(cluster, "images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def _used(cluster: Cluster) -> set[str]:
    rows = [line.split() for line in _ctr(cluster, "containers", "ls").splitlines()[1:]]
    return {row[1] for row in rows if len(row) > 1}


def _ctr(cluster: Cluster, *arguments: str) -> str:
    ended = subprocess.run(cluster.ctr(*arguments), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MantaError(
            f"containerd refused `ctr {' '.join(arguments[:2])}`: run `make down` and the same command again",
            ended.stderr,
        )
    return ended.stdout
