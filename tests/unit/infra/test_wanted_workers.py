"""Ray's own scheduler, asked about a workbench whose replicas want workers: it brings them, keeps them, and lets go."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingReply, SchedulingRequest
    from ray.autoscaler.v2.schema import AutoscalerInstance
    from ray.autoscaler.v2.utils import ResourceRequestUtil
    from ray.core.generated.autoscaler_pb2 import ClusterResourceConstraint, NodeState, NodeStatus
    from ray.core.generated.instance_manager_pb2 import Instance, NodeKind

from tests.contract.manifests import bench_settings

WORKERS = bench_settings("as in the repository").workers
GROUP, IDLE_S = "workers", WORKERS.idle_timeout_seconds
BUNDLE = {"CPU": float(WORKERS.cpus), "GPU": float(WORKERS.gpus)}
NODE = {**BUNDLE, "memory": 12.0 * 2**30}


def worker(number: int, idle_s: float) -> AutoscalerInstance:
    node = NodeState(
        ray_node_type_name=GROUP,
        available_resources=NODE,
        total_resources=NODE,
        idle_duration_ms=int(idle_s * 1000),
        status=NodeStatus.IDLE if idle_s else NodeStatus.RUNNING,
        node_id=f"node-{number}".encode(),
    )
    instance = Instance(
        instance_type=GROUP, status=Instance.RAY_RUNNING, instance_id=str(number), node_kind=NodeKind.WORKER
    )
    return AutoscalerInstance(cloud_instance_id=f"pod-{number}", ray_node=node, im_instance=instance)


def asked(wanted: int, standing: list[AutoscalerInstance]) -> SchedulingReply:
    """What the autoscaler does when `wanted` replicas say so."""
    requests = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(BUNDLE)] * wanted)
    constraint = ClusterResourceConstraint(resource_requests=requests)
    group = NodeTypeConfig(name=GROUP, resources=NODE, min_worker_nodes=0, max_worker_nodes=WORKERS.most)
    return ResourceDemandScheduler(event_logger=None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs={GROUP: group},
            max_num_nodes=WORKERS.most,
            idle_timeout_s=IDLE_S,
            cluster_resource_constraints=[constraint],
            current_instances=standing,
        )
    )


@pytest.mark.parametrize("wanted", [1, 2, 8])
def test_a_worker_is_brought_for_each_replica(wanted: int) -> None:
    reply = asked(wanted, [])
    assert sum(launch.count for launch in reply.to_launch) == wanted
    assert reply.to_terminate == []
    assert reply.infeasible_cluster_resource_constraints == []


def test_a_wanted_worker_stays_however_long_it_is_idle() -> None:
    reply = asked(2, [worker(1, 10 * IDLE_S), worker(2, 10 * IDLE_S)])
    assert (reply.to_launch, reply.to_terminate) == ([], [])


def test_an_idle_worker_goes_once_nobody_wants_it() -> None:
    reply = asked(0, [worker(1, 10 * IDLE_S), worker(2, 10 * IDLE_S)])
    assert {gone.instance_id for gone in reply.to_terminate} == {"1", "2"}


def test_who_works_keeps_the_worker_after_hours() -> None:
    assert asked(0, [worker(1, 0), worker(2, IDLE_S / 2)]).to_terminate == []


def test_no_more_are_brought_than_the_workbench_may_have() -> None:
    reply = asked(WORKERS.most + 1, [])
    assert sum(launch.count for launch in reply.to_launch) <= WORKERS.most
