"""Monitoring of the local cloud is off until it is asked for, and then on until it is said otherwise."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from infra.kubernetes.monitoring import IMAGES
from infra.layers.platform_monitoring import chosen
from infra.settings import PlatformSettings
from local.errors import MantaError
from local.monitoring import images, switch
from local.progress import reporter
from local.settings import LocalSettings
from tests.contract.manifests import platform_settings

SETTINGS = platform_settings()


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    (tmp_path / "state").mkdir()
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def test_it_is_off_at_first_and_stays_as_it_was_said(settings: LocalSettings, tmp_path: Path) -> None:
    assert not switch.wanted(settings, "")
    assert switch.variables(settings) == {}
    assert switch.wanted(settings, "1")
    switch.remember(settings, tmp_path / "entry")
    assert switch.wanted(settings, "")
    assert switch.variables(settings) == {switch.VARIABLE: str(tmp_path / "entry" / "share" / "monitoring" / "crds")}
    assert not switch.wanted(settings, "0")
    switch.remember(settings, None)
    assert not switch.wanted(settings, "")


def test_anything_but_one_and_zero_is_refused(settings: LocalSettings) -> None:
    with pytest.raises(MantaError, match="MONITORING=yes is neither 1"):
        switch.wanted(settings, "yes")


def test_the_platform_is_monitored_where_the_operator_was_built() -> None:
    assert chosen(SETTINGS, {}).monitoring is None
    assert chosen(SETTINGS, {switch.VARIABLE: "/crds"}).monitoring == SETTINGS.monitoring
    asked = {**SETTINGS.model_dump(by_alias=True), "monitoring": {"source": "manifests"}}
    told = PlatformSettings.model_validate(asked)
    assert chosen(told, {}).monitoring is not None, "what is not optional is an error, said by the component"


def test_a_program_lies_where_the_operator_starts_it_and_mounts_nothing(tmp_path: Path) -> None:
    program = tmp_path / "prometheus-config-reloader"
    program.write_bytes(b"\x7fELF program")
    program.chmod(0o755)
    with reporter().stage("test") as stage:
        layout = images.program("prometheus-config-reloader", program).make(tmp_path / "layout", stage)
    index = json.loads((layout.folder / "index.json").read_text())
    blobs = layout.folder / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
    with tarfile.open(blobs / manifest["layers"][0]["digest"].removeprefix("sha256:")) as layer:
        (member,) = layer.getmembers()
    assert member.name == "bin/prometheus-config-reloader"
    assert (member.uid, member.gid) == (0, 0)
    assert member.mode & 0o111


def test_there_is_an_image_for_all_that_the_platform_asks_for(tmp_path: Path) -> None:
    assert {image.short_name for image in images.images(tmp_path, tmp_path)} == set(IMAGES)
