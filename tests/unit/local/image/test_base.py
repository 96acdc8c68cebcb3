"""The base comes from the archive that this machine's apt already trusts, in both of the formats that apt reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.errors import MantaError
from local.image import base

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://sources.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian bookworm main contrib
"""
DEB822 = """\
Types: deb
URIs: http://other.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
# kept for the record
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def sources(root: Path, name: str, text: str) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return root


def test_the_one_line_format_with_options(tmp_path: Path) -> None:
    assert base.mirror(sources(tmp_path, "sources.list", ONE_LINE)) == "https://mirror.example/debian"


def test_the_deb822_format_without_its_disabled_blocks(tmp_path: Path) -> None:
    assert base.mirror(sources(tmp_path, "sources.list.d/debian.sources", DEB822)) == "http://mirror.example/debian"


def test_files_that_apt_does_not_read_do_not_count(tmp_path: Path) -> None:
    root = sources(tmp_path, "sources.list.d/a.list.disabled", "deb http://wrong.example/debian bookworm main\n")
    sources(root, "sources.list.d/b.sources", DEB822)
    assert base.mirror(root) == "http://mirror.example/debian"


def test_no_archive_with_the_suite_is_an_error_that_says_what_to_add(tmp_path: Path) -> None:
    root = sources(tmp_path, "sources.list", "deb http://mirror.example/debian trixie main\n")
    with pytest.raises(MantaError, match=r"bookworm main: add one to /etc/apt/sources\.list"):
        base.mirror(root)


def test_the_base_is_made_anew_when_its_packages_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.key()
    monkeypatch.setattr(base, "PACKAGES", (*base.PACKAGES, "strace"))
    assert base.key() != before
