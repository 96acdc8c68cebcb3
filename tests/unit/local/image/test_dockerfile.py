"""The Dockerfile and its packages agree with the project's one matrix of versions and its one lock."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from infra.versions import VERSIONS
from local.image import dockerfile

PROJECT = Path(__file__).resolve().parents[4]
DOCKERFILE = (PROJECT / "payloads" / "Dockerfile").read_text()


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_the_image_has_the_versions_of_the_projects_own_environment() -> None:
    image, project = pins(PROJECT / "payloads" / "requirements.txt"), pins(PROJECT / "requirements.txt")
    different = {name: (version, project.get(name)) for name, version in image.items() if project.get(name) != version}
    assert not different, "compile again: uv pip compile -c requirements.txt (in the image, in the project)"
    for name in ("ray", "torch", "mlflow"):
        assert image[name] == VERSIONS[name]


def test_every_wanted_package_is_pinned() -> None:
    wanted = re.findall(r"^([a-z0-9-]+)", (PROJECT / "payloads" / "requirements.in").read_text(), re.MULTILINE)
    assert len(wanted) > 4
    assert set(wanted) <= pins(PROJECT / "payloads" / "requirements.txt").keys()


def test_the_published_base_is_the_one_of_the_matrix() -> None:
    python = "py" + VERSIONS["python"].replace(".", "")
    assert re.search(
        rf"^ARG BASE=rayproject/ray:{re.escape(VERSIONS['ray'])}-{python}-cu\d+$", DOCKERFILE, re.MULTILINE
    )


def test_uv_is_the_pinned_one() -> None:
    version = (PROJECT / "local" / "uv.txt").read_text().strip().removeprefix("uv==")
    assert re.findall(r"astral-sh/uv:([\d.]+)", DOCKERFILE) == [version]
    assert f"ghcr.io/astral-sh/uv:{version}" == dockerfile.UV_IMAGE, "buildah would ask a registry for it"


def test_it_ends_as_the_plain_user() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1] == "1000:1000"


def test_the_local_build_hands_over_nothing_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    uv = tmp_path / "uv"
    uv.touch()
    base = dockerfile.oci.Layout(tmp_path / "base")
    command = dockerfile.command(tmp_path / "work", tmp_path / "image", tmp_path / "cache", uv, base)
    arguments = [value for flag, value in itertools.pairwise(command) if flag in ("--build-arg", "--env")]
    assert arguments == ["BASE=oci:base", "UV_OFFLINE=1", "UV_LINK_MODE=symlink"], "these stay in the image's history"
