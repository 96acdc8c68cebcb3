"""What the host, the API server, DNS and HAProxy say, understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.cluster import cgroups, dns, publish
from local.cluster.api import Answer
from local.cluster.haproxy import Route
from local.cluster.layout import Layout
from local.cluster.lifecycle import mounts_below
from local.cluster.readiness import is_ready
from local.settings import LocalSettings

V1 = """\
24 23 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
25 24 0:23 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory
26 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
27 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
"""
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
UNIFIED = "28 24 0:25 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "first", "second"),
    [
        (V1, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"), None),
        (V2, (), "/sys/fs/cgroup"),
        (V1 + UNIFIED, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"), "/sys/fs/cgroup/unified"),
        ("", (), None),
    ],
)
def test_control_group_hierarchies_are_found(mountinfo: str, first: tuple[str, ...], second: str | None) -> None:
    expected = tuple(Path(point) for point in first), Path(second) if second else None
    assert cgroups.hierarchies(mountinfo) == expected


def test_on_v2_every_controller_is_handed_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    enabled: list[tuple[str, str]] = []
    monkeypatch.setattr(Path, "write_text", lambda self, text: enabled.append((self.name, text)))
    cgroups._delegate(tmp_path)
    assert [text for name, text in enabled if name == "cgroup.subtree_control"] == [
        "+cpu",
        "+cpuset",
        "+memory",
        "+pids",
        "+hugetlb",
        "+io",
    ]


def node(status: str, heartbeat: str) -> Answer:
    pressure = {"type": "DiskPressure", "status": "False", "lastHeartbeatTime": heartbeat}
    ready = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}
    return Answer(200, {"status": {"conditions": [pressure, ready]}})


STARTED = 1_800_000_000.7  # 2027-01-15T08:00:00.7Z


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        (node("True", "2027-01-15T08:00:05Z"), True),
        (node("True", "2027-01-15T08:00:00Z"), True),  # the API server keeps whole seconds
        (node("True", "2027-01-15T07:59:59Z"), False),
        (node("False", "2027-01-15T08:00:05Z"), False),
        (node("Unknown", "2027-01-15T08:00:05Z"), False),
        (Answer(200, {}), False),
        (Answer(200, {"status": {"conditions": []}}), False),
        (Answer(404, {"kind": "Status", "status": "Failure", "code": 404}), False),  # not registered yet
    ],
)
def test_a_node_is_ready_by_the_word_of_the_kubelet_that_runs(found: Answer, ready: bool) -> None:
    assert is_ready(found, STARTED) is ready


def test_a_node_whose_kubelet_never_started_is_not_ready() -> None:
    assert not is_ready(node("True", "2027-01-15T08:00:05Z"), 0.0)


QUESTION = dns.query(0x1234, "kubernetes.default.svc.cluster.local")


def test_a_question_is_spelled_as_labels() -> None:
    assert b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01" in QUESTION


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00", 2),
        (b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x01\x00\x00", 0),  # no such name
        (b"\x12\x34\x81\x82\x00\x01\x00\x01\x00\x00\x00\x00", 0),  # server failure
        (b"\x99\x99\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", 0),  # to another question
        (b"\x12\x34\x81", 0),
    ],
)
def test_an_answer_counts_only_for_its_question(answer: bytes, found: int) -> None:
    assert dns.addresses(QUESTION, answer) == found


SHOW_PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
5               master          3 [failed: 0]   0d00h04m07s     2.6.12-1+deb12u4
# workers
389             worker          0               0d00h01m19s     2.6.12-1+deb12u4
# old workers
12              worker          3               0d00h04m07s     2.6.12-1+deb12u4
# programs

"""


def test_the_current_worker_of_haproxy_is_told_from_old_ones() -> None:
    assert publish.current_worker(SHOW_PROC) == "389"
    assert publish.current_worker(SHOW_PROC.replace("389  ", "# ")) is None
    assert publish.current_worker("") is None


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


def test_remembered_publications_follow_the_ports_of_the_settings(settings: LocalSettings) -> None:
    layout = Layout(settings.state_dir)
    layout.config.mkdir(parents=True)
    assert publish.remembered(layout, settings) == []
    text = '[{"name": "serve", "local_port": 1, "address": "10.96.0.9", "port": 80}]'
    (layout.config / "routes.json").write_text(text)
    assert publish.remembered(layout, settings) == [Route("serve", settings.ports.serve, "10.96.0.9", 80)]
    (layout.config / "routes.json").write_text(text[:20])
    assert publish.remembered(layout, settings) == [], "a file cut short is no publication"


def test_mounts_in_a_folder_are_seen_before_it_is_removed() -> None:
    mountinfo = (
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 8:2 / /state/volumes/disk rw - ext4 /dev/sdb rw\n"
        "3 1 8:3 / /statement rw - ext4 /dev/sdc rw\n"
        "4 1 8:4 / /state rw - ext4 /dev/sdd rw\n"
    )
    assert mounts_below(Path("/state"), mountinfo) == [Path("/state/volumes/disk")]
