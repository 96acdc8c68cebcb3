"""Configuration files and command lines: what must never be said otherwise."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from local.cluster import configs, names
from local.cluster.components import STAGE_PODS, components
from local.cluster.haproxy import Route, configuration
from local.cluster.layout import NODE_STATE, Layout
from local.cluster.preparation import _has_capability
from local.cluster.spec import NodeSpec


def spec() -> NodeSpec:
    return NodeSpec(
        instance="manta",
        node_name="manta",
        root="/state/run/root",
        logs="/logs",
        status="/status.json",
        cgroup="manta",
        address=names.NODE_NETWORK,
        service_network=names.SERVICE_NETWORK,
        writable=(("/state/etcd", "/var/lib/manta/etcd"),),
        readable=(("/bin", "/opt/manta/bin"),),
        components=components(),
    )


def argv(name: str) -> tuple[str, ...]:
    return next(component.argv for component in components() if component.name == name)


def test_the_supervisor_reads_what_up_writes() -> None:
    assert NodeSpec.from_json(spec().to_json()) == spec()


def test_nobody_is_let_in_without_a_name() -> None:
    assert "--anonymous-auth=false" in argv("apiserver")
    assert "--authorization-mode=Node,RBAC" in argv("apiserver")
    kubelet = configs.kubelet("/manta")
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["readOnlyPort"] == 0
    assert "--client-cert-auth" in argv("etcd")
    assert "--peer-client-cert-auth" in argv("etcd")


def test_the_database_is_written_through() -> None:
    assert not [word for component in components() for word in component.argv if "fsync" in word]


def test_components_listen_on_the_node_alone() -> None:
    for name in ("controller-manager", "scheduler"):
        assert "--bind-address=127.0.0.1" in argv(name)
    assert configs.kubelet("/manta")["address"] == names.NODE_ADDRESS
    assert "https://127.0.0.1:2379" in " ".join(argv("etcd"))


def test_the_database_stops_last_and_what_starts_pods_stops_first() -> None:
    stages = {component.name: component.stop_stage for component in components()}
    assert max(stages, key=lambda name: stages[name]) == "etcd"
    assert all(stages[name] < STAGE_PODS for name in ("kubelet", "controller-manager", "scheduler"))
    assert all(stages[name] > STAGE_PODS for name in ("containerd", "proxy", "coredns", "haproxy", "apiserver", "etcd"))


def test_even_the_slowest_orderly_stop_ends_before_the_supervisor_is_killed() -> None:
    from local.cluster import node
    from local.cluster.supervisor import loop

    by_stage: dict[int, float] = {}
    for component in components():
        by_stage[component.stop_stage] = max(by_stage.get(component.stop_stage, 0.0), component.stop_seconds)
    assert sum(by_stage.values()) + loop._POD_GRACE_S < node._STOP_PATIENCE_S < 15


def test_containerd_clamps_scores_only_where_it_must() -> None:
    for may_lower, clamped in ((True, False), (False, True)):
        text = configs.containerd(may_lower_oom_score=may_lower)
        cri = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]
        assert cri["restrict_oom_score_adj"] is clamped
        assert cri["sandbox_image"] == names.PAUSE_IMAGE


def test_images_are_never_deleted_for_space() -> None:
    kubelet = configs.kubelet("/manta")
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["imageGCLowThresholdPercent"] < 100


def test_each_instance_has_its_own_control_group() -> None:
    assert configs.kubelet("/manta-test")["cgroupRoot"] == "/manta-test"


def test_every_configuration_file_that_a_command_names_is_rendered_or_a_kubeconfig() -> None:
    rendered = set(configs.render("/manta", may_lower_oom_score=True))
    folder = f"{NODE_STATE}/config/"
    for component in components():
        for word in component.argv:
            _, found, name = word.partition(folder)
            if found:
                assert name in rendered or name.endswith(".kubeconfig") or name == "haproxy.cfg", (component.name, name)


def test_json_files_are_json() -> None:
    for name, content in configs.render("/manta", may_lower_oom_score=True).items():
        if name.endswith((".json", ".conflist")):
            assert json.loads(content)


def test_the_authorities_keys_are_not_shown_to_the_node() -> None:
    layout = Layout(Path("/state"))
    shown = {source for source, _ in layout.node_mounts()}
    assert str(layout.authorities) not in shown
    assert str(layout.state) not in shown
    assert str(layout.volumes) in shown
    on_node = {target: source for source, target in layout.node_mounts()}
    assert on_node["/var/lib/manta/volumes"] == str(layout.volumes)


def test_haproxy_binds_loopback_of_the_host_and_nothing_else() -> None:
    text = configuration([Route("serve", 8000, "10.96.1.2", 80), Route("api", 6443, "127.0.0.1", 6443)])
    binds = [line.strip() for line in text.splitlines() if line.strip().startswith("bind ")]
    assert binds == ["bind 127.0.0.1:6443 namespace host", "bind 127.0.0.1:8000 namespace host"]
    assert "server serve 10.96.1.2:80\n" in text


def test_the_order_of_publications_does_not_change_the_configuration() -> None:
    routes = [Route("a", 1, "10.96.0.2", 80), Route("b", 2, "10.96.0.3", 80)]
    assert configuration(routes) == configuration(routes[::-1])


def test_a_capability_is_read_from_the_process_status() -> None:
    assert _has_capability(24, "Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert not _has_capability(24, "Name:\tx\nCapEff:\t000001fffeffffff\n")
