"""Give images to the cluster's containerd, and tell what they are called by digest."""

from __future__ import annotations

import shutil
import subprocess

from local.cluster.handle import Cluster
from local.errors import MantaError
from local.image import build
from local.image.build import Image
from local.image.oci import Layout
from local.progress import Reporter, Stage
from local.settings import LocalSettings


def load(settings: LocalSettings, cluster: Cluster, image: Image, layout: Layout | None, progress: Reporter) -> str:
    """Make sure that containerd holds `image` whole and unpacked; returns its reference `name@sha256:...`.

    `layout` is what `build.ensure` returned. When containerd lost an image that the record promised, it is built again.
    The layout is deleted once containerd has it: beside its content and snapshot it would be a third copy of 7 GB.
    """
    if layout is None:
        digest = build.read_record(settings)[image.tag]
        if _holds(cluster, reference := f"{image.name}@{digest}"):
            return reference
        forget(settings, image)
        layout = build.ensure(settings, image, progress)
        assert layout is not None  # noqa: S101 - the record was just made to forget it
    reference = f"{image.name}@{layout.digest}"
    with progress.stage(f"load image {image.short_name}") as stage:
        _import(cluster, image, layout, stage)
        _ctr(cluster, "images", "tag", "--force", image.tag, reference)
        # Without the label the kubelet's garbage collection may delete images that no registry can give back.
        for name in (image.tag, reference):
            _ctr(cluster, "images", "label", name, "io.cri-containerd.pinned=pinned")
        if not _holds(cluster, reference):
            raise MantaError(
                f"containerd does not hold {image.tag} whole after it was loaded: look for a full disk, then run "
                "the same command again"
            )
        build.write_record(settings, {**build.read_record(settings), image.tag: layout.digest})
        shutil.rmtree(layout.folder)
    _drop_older(settings, cluster, image)
    return reference


def forget(settings: LocalSettings, image: Image) -> None:
    """Take `image` out of the record, so that it is built again."""
    record = build.read_record(settings)
    record.pop(image.tag, None)
    build.write_record(settings, record)


def _import(cluster: Cluster, image: Image, layout: Layout, stage: Stage) -> None:
    total, done = layout.size(), 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        stage.update(completed=done, total=total, detail=_detail(done, total))

    process = subprocess.Popen(
        cluster.ctr("images", "import", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stdin is not None  # noqa: S101 - a pipe, by construction
    assert process.stderr is not None  # noqa: S101 - likewise
    try:
        layout.write_archive(process.stdin, image.tag, on_bytes)
        process.stdin.close()
    except BrokenPipeError:
        pass  # ctr ended early; its own words are the error
    except BaseException:
        process.kill()
        raise
    errors = process.stderr.read().decode(errors="replace")
    if process.wait():
        raise MantaError(
            f"containerd did not take the image {image.tag}: look at the reason above, free disk space if it says so, "
            "and run the same command again",
            errors,
        )


def _detail(done: int, total: int) -> str:
    return "unpacking" if done >= total else f"{done / 2**30:.1f} of {total / 2**30:.1f} GiB"


def _holds(cluster: Cluster, reference: str) -> bool:
    """Whether every blob of `reference` is there and its snapshot was unpacked to the end."""
    listing = _ctr(cluster, "images", "check", f"name=={reference}")
    rows = [line.split() for line in listing.splitlines()[1:]]
    return any(row[0] == reference and "complete" in row and row[-1] == "true" for row in rows if row)


def _drop_older(settings: LocalSettings, cluster: Cluster, image: Image) -> None:
    """Forget images of the same name that no pod uses any more: each is 7 GB."""
    current = {image.tag, f"{image.name}@{build.read_record(settings)[image.tag]}"}
    in_use = _used_images(cluster)
    old = [name for name in _names(cluster, image) if name not in current]
    if any(name in in_use for name in old):
        return
    if old:
        _ctr(cluster, "images", "rm", "--sync", *old)
    record = build.read_record(settings)
    kept = {tag: digest for tag, digest in record.items() if tag not in old}
    if kept != record:
        build.write_record(settings, kept)


def _names(cluster: Cluster, image: Image) -> list[str]:
    listing = _ctr(cluster, "images", "ls", "-q").split()
    return [name for name in listing if name.startswith((f"{image.name}:", f"{image.name}@"))]


def _used_images(cluster: Cluster) -> set[str]:
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
