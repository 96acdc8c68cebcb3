"""Entries of the toolchain cache appear whole or not at all, and a damaged one is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.toolchain import cache


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    return publish(tmp_path, b"program")


def publish(root: Path, content: bytes) -> Path:
    with cache.scratch_folder(root) as scratch:
        result = scratch / "result"
        (result / "bin").mkdir(parents=True)
        (result / "bin" / "kube").write_bytes(content)
        (result / "bin" / "kubectl").symlink_to("kube")
        cache.publish(result, root / "entry")
    return root / "entry"


def test_a_published_entry_is_whole_and_nothing_else_is_left(entry: Path) -> None:
    assert cache.is_whole(entry)
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]


def _truncate(entry: Path) -> None:
    os.truncate(entry / "bin" / "kube", 3)


def _flip(entry: Path) -> None:
    (entry / "bin" / "kube").write_bytes(b"Program")  # the same size


def _delete(entry: Path) -> None:
    (entry / "bin" / "kube").unlink()


def _empty_the_manifest(entry: Path) -> None:
    (entry / cache.MANIFEST).write_text("{}")


def _cut_the_manifest(entry: Path) -> None:
    os.truncate(entry / cache.MANIFEST, 20)


def _delete_the_manifest(entry: Path) -> None:
    (entry / cache.MANIFEST).unlink()


def _turn_the_link(entry: Path) -> None:
    (entry / "bin" / "kubectl").unlink()
    (entry / "bin" / "kubectl").symlink_to("/bin/true")


@pytest.mark.parametrize(
    "damage",
    [_truncate, _flip, _delete, _empty_the_manifest, _cut_the_manifest, _delete_the_manifest, _turn_the_link],
)
def test_damage_is_noticed(entry: Path, damage: Callable[[Path], None]) -> None:
    damage(entry)
    assert not cache.is_whole(entry)


def test_a_new_time_of_change_alone_is_no_damage(entry: Path) -> None:
    os.utime(entry / "bin" / "kube", (1, 1))
    assert cache.is_whole(entry), "a restored backup has other times and the same content"


def test_publishing_replaces_a_damaged_entry(entry: Path) -> None:
    _truncate(entry)
    publish(entry.parent, b"better")
    assert cache.is_whole(entry)
    assert (entry / "bin" / "kube").read_bytes() == b"better"


def test_a_scratch_folder_is_gone_after_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), cache.scratch_folder(tmp_path) as scratch:
        (scratch / "half").write_text("built")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_sweep_deletes_leftovers_and_long_unused_entries_only(entry: Path) -> None:
    root = entry.parent
    for name in (".scratch-of-a-killed-build", "old", "recent"):
        (root / name).mkdir()
    two_months_ago = time.time() - 60 * 24 * 3600
    os.utime(root / "old", (two_months_ago, two_months_ago))
    os.utime(entry, (two_months_ago, two_months_ago))
    cache.sweep(root, keep=entry)
    assert sorted(path.name for path in root.iterdir()) == ["entry", "recent"]
