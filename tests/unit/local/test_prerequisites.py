"""What a machine lacks is said in one sentence each, before any long work."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.choose import ClusterChoice, EngineChoice
from local.errors import MantaError
from local.image.build import write_record
from local.prerequisites import disk, packages, ports, programs
from local.prerequisites.disk import GB, Free, Need
from local.prerequisites.ports import Listener
from local.settings import LocalSettings, Ports

OWN_CLUSTER = ClusterChoice(True, "/state/kubeconfig", "")
USERS_CLUSTER = ClusterChoice(False, "/theirs", "")
OWN_ENGINE = EngineChoice(None, "")
OFFICIAL = EngineChoice(Path("/usr/bin/pulumi"), "")


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def test_root_and_python_311_are_demanded() -> None:
    assert programs.root_problems(0) == []
    assert "need root" in programs.root_problems(1000)[0]
    assert programs.python_problems((3, 11)) == []
    assert "Python 3.12 runs this, 3.11 is needed" in programs.python_problems((3, 12))[0]


def test_a_taken_port_names_its_holder_and_the_setting() -> None:
    (problem,) = ports.problems(Ports(), [Listener("127.0.0.1", 8000, "uvicorn (process 42)")])
    assert "port 8000, meant for serve, is taken by uvicorn (process 42)" in problem
    assert "MANTA_PORT_SERVE" in problem


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])  # noqa: S104 - looked for, not bound
def test_a_listener_on_every_address_takes_the_port_too(address: str) -> None:
    assert ports.problems(Ports(), [Listener(address, 9000, "minio (process 7)")])


def test_our_own_publisher_other_ports_and_other_addresses_are_no_problem() -> None:
    listening = [
        Listener("127.0.0.1", 6443, "haproxy (process 1)", ours=True),
        Listener("127.0.0.1", 22, "sshd (process 2)"),
        Listener("192.168.1.5", 8000, "nginx (process 3)"),
    ]
    assert ports.problems(Ports(), listening) == []


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_real_listener_is_found_with_its_process(settings: LocalSettings, taken: int) -> None:
    settings = settings.model_copy(update={"ports": Ports(api=taken)})
    (problem,) = ports.problems(settings.ports, [each for each in ports.listeners(settings) if each.port == taken])
    assert f"port {taken}, meant for api, is taken by {psutil.Process().name()}" in problem


def needs_of(sizes: dict[str, int]) -> list[Need]:
    return [Need(place, size, Path(place), f"MANTA{place.upper().replace('/', '_')}") for place, size in sizes.items()]


def test_needs_on_one_disk_add_up() -> None:
    (problem,) = disk.problems(needs_of({"/cache": 20 * GB, "/state": 15 * GB}), lambda _: Free(1, 34 * GB))
    assert "the disk of /cache and /state has 34.0 GB free and 35 GB are needed" in problem
    assert "MANTA_CACHE or MANTA_STATE" in problem
    assert disk.problems(needs_of({"/cache": 20 * GB, "/state": 15 * GB}), lambda _: Free(1, 35 * GB)) == []


def test_each_disk_is_judged_alone() -> None:
    rooms = {Path("/cache"): Free(1, 19 * GB), Path("/state"): Free(2, 100 * GB)}
    (problem,) = disk.problems(needs_of({"/cache": 20 * GB, "/state": 15 * GB}), rooms.__getitem__)
    assert "/cache" in problem
    assert "/state" not in problem


def test_a_cold_run_needs_35_gb(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.environment, "is_current", lambda: False)
    assert sum(need.size for need in disk.needs(settings, OWN_CLUSTER, OWN_ENGINE)) == 35 * GB


def test_finished_parts_need_no_room(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.environment, "is_current", lambda: True)
    for module in ("cluster", "pulumi"):
        (settings.toolchain_dir / f"{module}-0123").mkdir(parents=True)
        (settings.toolchain_dir / f"{module}-0123" / "manifest.json").touch()
    settings.state_dir.mkdir()
    write_record(settings, {"localhost/manta/ray:0123": "sha256:0"})
    assert [need.what for need in disk.needs(settings, OWN_CLUSTER, OWN_ENGINE)] == ["running pods"]
    assert disk.needs(settings, USERS_CLUSTER, OFFICIAL) == []


def test_free_room_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert disk.free(tmp_path / "not" / "there" / "yet").device == tmp_path.stat().st_dev
    assert disk.free(tmp_path).size > 0


def test_packages_are_known_by_what_they_bring() -> None:
    assert packages.missing(lambda _: True) == []
    assert packages.missing(lambda brings: brings not in ("haproxy", "/usr/lib/cni/bridge")) == [
        "containernetworking-plugins",
        "haproxy",
    ]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend", "another package manager is at work"),
        ("E: Unable to locate package haproxy", "apt-get does not know all of haproxy"),
        ("E: Failed to fetch http://deb.debian.org/x  Could not resolve", "check the network"),
        ("E: You don't have enough free space: not enough free space", "the disk is too full"),
        ("dpkg: error processing package haproxy", "all of them are in /var/log/apt.log"),
    ],
)
def test_a_failure_of_apt_is_explained(output: str, says: str) -> None:
    assert says in packages.explain("haproxy", output, Path("/var/log/apt.log"))


def test_a_system_without_apt_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "_SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MantaError, match="no apt-get, and these are missing: haproxy"):
        packages.install(["haproxy"], _NoStage(), tmp_path / "log")


class _NoStage:
    def update(self, **_: object) -> None: ...

    def note(self, line: str) -> None: ...

    def result(self, text: str) -> None: ...
