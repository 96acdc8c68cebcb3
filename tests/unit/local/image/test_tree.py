"""A layer made of a folder is a tar file that is complete, owned by root, and the same for the same files."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from local.image.tree import EPOCH, plan

LONG_NAME = "a" * 90 + "/" + "b" * 90 + ".py"  # over the 100 characters of a plain tar header


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """uv's cache as it lies on the host; the venv's links name it by its place in the container."""
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "module.py").write_text("x = 1\n")
    os.utime(folder / "module.py", (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool").write_text("#!/opt/venv/bin/python\n")
    (folder / "bin" / "tool").chmod(0o700)
    (folder / "bin" / "activate_this.py").touch()
    (folder / "bin" / "python").symlink_to("/usr/bin/python3")
    (folder / "linked.py").symlink_to("/var/cache/uv/module.py")
    long = folder / LONG_NAME
    long.parent.mkdir()
    long.write_text("y = 2\n")
    return folder


def members(root: Path, cache: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    tree = plan(root, "opt/venv", {"/var/cache/uv": cache})
    data = b"".join(tree.chunks())
    assert len(data) == tree.size, "the announced size must hold: a tar header carries it before the content is read"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            entry.name: (entry, (archive.extractfile(entry) or io.BytesIO()).read() if entry.isfile() else b"")
            for entry in archive
        }


def test_a_link_into_the_cache_becomes_the_file_and_keeps_its_time(root: Path, cache: Path) -> None:
    entry, content = members(root, cache)["opt/venv/linked.py"]
    assert entry.isfile()
    assert content == b"x = 1\n"
    assert entry.mtime == 1_700_000_000, "Python would not use the bytecode that was compiled from it"


def test_other_links_stay_links(root: Path, cache: Path) -> None:
    entry, _ = members(root, cache)["opt/venv/bin/python"]
    assert (entry.issym(), entry.linkname) == (True, "/usr/bin/python3")


def test_everything_belongs_to_root_and_is_readable_by_the_user_that_runs_it(root: Path, cache: Path) -> None:
    for name, (entry, _) in members(root, cache).items():
        assert (entry.uid, entry.gid) == (0, 0), name
        assert entry.mode & 0o444 == 0o444, name
    assert members(root, cache)["opt/venv/bin/tool"][0].mode == 0o755


def test_parents_come_before_their_children(root: Path, cache: Path) -> None:
    seen: set[str] = set()
    for name in members(root, cache):
        assert "/" not in name or name.rpartition("/")[0] in seen, name
        seen.add(name)


def test_long_names_survive(root: Path, cache: Path) -> None:
    assert members(root, cache)[f"opt/venv/{LONG_NAME}"][1] == b"y = 2\n"


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(root: Path, cache: Path) -> None:
    first = b"".join(plan(root / "bin", "opt", {"/var/cache/uv": cache}).chunks())
    for name in ("tool", "activate_this.py"):
        os.utime(root / "bin" / name, (EPOCH + 5, EPOCH + 5))
    assert b"".join(plan(root / "bin", "opt", {"/var/cache/uv": cache}).chunks()) == first


def test_a_cache_that_was_emptied_is_noticed_before_anything_is_sent(root: Path, cache: Path) -> None:
    (cache / "module.py").unlink()
    with pytest.raises(FileNotFoundError):
        plan(root, "opt/venv", {"/var/cache/uv": cache})


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(root: Path, cache: Path) -> None:
    tree = plan(root, "opt/venv", {"/var/cache/uv": cache})
    (cache / "module.py").write_text("")
    with pytest.raises(OSError, match="became shorter"):
        list(tree.chunks())
