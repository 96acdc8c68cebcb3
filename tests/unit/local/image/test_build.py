"""An image is built once for what goes into it, and a build that was cut off never passes for a finished one."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from local.errors import MantaError
from local.image import build, dockerfile, failures, oci
from local.image.build import Image
from local.progress import PlainReporter, Stage
from local.settings import LocalSettings

KEY = "0123456789ab"


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    (tmp_path / "state").mkdir()
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


@pytest.fixture
def reporter() -> PlainReporter:
    return PlainReporter(Console(quiet=True))


class Maker:
    """Writes one file; `fail` makes it stop half-way, `calls` counts."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, folder: Path, _: Stage) -> oci.Layout:
        self.calls += 1
        folder.mkdir()
        (folder / "half").touch()
        if self.error:
            raise self.error
        (folder / "half").rename(folder / "done")
        return oci.Layout(folder)


def test_a_second_build_does_nothing(settings: LocalSettings, reporter: PlainReporter) -> None:
    maker = Maker()
    image = Image("localhost/manta/ray", KEY, maker)
    first, second = (build.built(settings, image, reporter) for _ in range(2))
    assert first == second
    assert maker.calls == 1


def test_an_image_that_the_cluster_holds_is_not_built(settings: LocalSettings, reporter: PlainReporter) -> None:
    maker = Maker()
    image = Image("localhost/manta/ray", KEY, maker)
    build.write_record(settings, {image.tag: "sha256:1"})
    assert build.ensure(settings, image, reporter) is None
    assert maker.calls == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MantaError("the disk filled up")])
def test_what_a_failed_build_left_is_gone(
    settings: LocalSettings, reporter: PlainReporter, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        build.built(settings, Image("localhost/manta/ray", KEY, Maker(error)), reporter)
    assert not (settings.cache_dir / "image" / f"ray-{KEY}").exists()


def test_what_a_killed_build_left_is_not_used(settings: LocalSettings, reporter: PlainReporter) -> None:
    left = settings.cache_dir / "image" / f"ray-{KEY}"
    left.mkdir(parents=True)
    (left / "half").touch()
    layout = build.built(settings, Image("localhost/manta/ray", KEY, Maker()), reporter)
    assert sorted(path.name for path in layout.folder.iterdir()) == ["done", "whole"]


def test_a_new_key_replaces_the_old_layout_and_no_other_image(settings: LocalSettings, reporter: PlainReporter) -> None:
    for name, key in (("ray", "a" * 12), ("ray-operator", "b" * 12), ("ray", KEY)):
        build.built(settings, Image(f"localhost/manta/{name}", key, Maker()), reporter)
    kept = sorted(path.name for path in (settings.cache_dir / "image").iterdir() if path.is_dir())
    assert kept == [f"ray-{KEY}", f"ray-operator-{'b' * 12}"]


def test_the_payload_image_is_known_by_what_it_is_made_of(
    settings: LocalSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.ray(settings).key
    changed = tmp_path / "requirements.txt"
    changed.write_text(dockerfile.inputs()[1].read_text() + "tomli==2.0.0\n")
    assert build.ray(settings).key == before
    monkeypatch.setattr(dockerfile, "inputs", lambda: (dockerfile.PAYLOADS / "Dockerfile", changed))
    assert build.ray(settings).key != before


def test_a_broken_record_means_that_nothing_is_held(settings: LocalSettings) -> None:
    build.write_record(settings, {"localhost/manta/ray:1": "sha256:1"})
    assert build.read_record(settings) == {"localhost/manta/ray:1": "sha256:1"}
    (settings.state_dir / "images.json").write_text('{"localhost/man')
    assert build.read_record(settings) == {}


def test_a_missing_builder_and_a_full_disk_are_told_apart(settings: LocalSettings, reporter: PlainReporter) -> None:
    for error, words in (
        (FileNotFoundError("buildah"), "apt-get install buildah"),
        (OSError(28, "No space left on device"), "free some space or choose another folder with MANTA_CACHE_DIR"),
    ):
        with pytest.raises(MantaError, match=words):
            build.built(settings, Image("localhost/manta/ray", KEY, Maker(error)), reporter)


def test_a_full_disk_is_recognised_in_a_builders_output() -> None:
    full = failures.failure("the image was built", ["write /opt/x: no space left on device"], "look above")
    assert full.sentence.startswith("the disk filled up while the image was built")
    assert failures.failure("the image was built", ["exit status 1"], "look above").sentence == "look above"
