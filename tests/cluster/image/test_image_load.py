"""Images in the real containerd: known by digest, kept from deletion, healed when lost, dropped when superseded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from kubernetes import client

from local.cluster import Cluster
from local.image import build, load, record
from local.image.build import Image
from local.progress import PlainReporter
from local.settings import LocalSettings
from tests.cluster.image.store import PROBE, containerd, images

Make = Callable[[str], Image]
PINNED = "io.cri-containerd.pinned=pinned"


def give(settings: LocalSettings, cluster: Cluster, image: Image, reporter: PlainReporter) -> str:
    return load.load(settings, cluster, image, build.ensure(settings, image, reporter), reporter)


def ours(cluster: Cluster) -> set[str]:
    return {name for name in images(cluster) if name.startswith(PROBE)}


def test_every_recorded_image_is_whole_and_pinned(cluster: Cluster, references: dict[str, str]) -> None:
    labels = images(cluster)
    for name in ("pause", "ray", "ray-operator", "versitygw"):
        reference = references[name]
        assert reference.startswith(f"localhost/manta/{name}@sha256:")
        assert PINNED in labels[reference], "the kubelet may delete it, and no registry has it"
        row = containerd(cluster, "images", "check", f"name=={reference}").splitlines()[-1].split()
        assert "complete" in row, reference
        assert row[-1] == "true", f"{reference} is not unpacked"


def test_an_image_gets_both_names_and_a_second_load_changes_nothing(
    separate: LocalSettings, cluster: Cluster, probe: Make, reporter: PlainReporter
) -> None:
    image = probe("one")
    reference = give(separate, cluster, image, reporter)
    assert ours(cluster) == {f"{PROBE}:one", reference}
    assert build.ensure(separate, image, reporter) is None
    assert give(separate, cluster, image, reporter) == reference
    assert not any(path.is_dir() for path in (separate.cache_dir / "image").iterdir()), "a copy stayed in the cache"


def test_an_image_that_containerd_lost_is_built_again(
    separate: LocalSettings, cluster: Cluster, probe: Make, reporter: PlainReporter
) -> None:
    image = probe("one")
    reference = give(separate, cluster, image, reporter)
    containerd(cluster, "images", "rm", "--sync", *ours(cluster))
    assert give(separate, cluster, image, reporter) == reference
    assert reference in ours(cluster)


def test_a_load_that_a_power_cut_left_half_written_is_not_trusted(
    separate: LocalSettings, local_settings: LocalSettings, cluster: Cluster, probe: Make, reporter: PlainReporter
) -> None:
    image = probe("one")
    reference = give(separate, cluster, image, reporter)
    snapshots = local_settings.state_dir / "containerd" / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
    (unpacked,) = snapshots.glob("*/fs/probe-one")
    unpacked.write_bytes(b"")  # containerd has the snapshot as finished, but its data never reached the disk
    load.forget(separate, image)  # nor did the record, which comes last
    assert give(separate, cluster, image, reporter) == reference
    (unpacked,) = snapshots.glob("*/fs/probe-one")
    assert unpacked.read_text() == "one"


def test_a_newer_image_replaces_the_older_one(
    separate: LocalSettings, cluster: Cluster, probe: Make, reporter: PlainReporter
) -> None:
    give(separate, cluster, probe("one"), reporter)
    newer = give(separate, cluster, probe("two"), reporter)
    assert ours(cluster) == {f"{PROBE}:two", newer}
    assert list(build.read_record(separate)) == [f"{PROBE}:two"]


def test_a_layout_whose_files_are_gone_is_built_again(
    separate: LocalSettings, cluster: Cluster, probe: Make, reporter: PlainReporter
) -> None:
    image = probe("one")
    layout = build.built(separate, image, reporter)
    shutil.rmtree(layout.folder / "blobs")
    assert load.load(separate, cluster, image, layout, reporter) in ours(cluster)


def test_the_record_can_be_written_again_and_again(
    core: client.CoreV1Api, references: dict[str, str], kubeconfig: Path
) -> None:
    for _ in range(2):
        record.record(kubeconfig, references)
    assert core.read_namespaced_config_map(record.NAME, record.NAMESPACE).data == references
