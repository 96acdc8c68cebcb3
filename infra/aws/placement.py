"""Where Ray's pods go on the ladder of capacity."""

from __future__ import annotations

from infra.aws.ladder import CAPACITY_TYPE, GPU, NODES_LABEL
from infra.ray.placement import Placement, Placements

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"


def placements() -> Placements:
    """A head is on-demand and not to be disrupted: its end is its run's. A worker is neither: on a spot machine the
    mark would hold nothing up but the drain that the two minutes are for."""
    cpu = {NODES_LABEL: "cpu"}
    return Placements(
        head=Placement(node_selector={**cpu, CAPACITY_TYPE: "on-demand"}, annotations={DO_NOT_DISRUPT: "true"}),
        cpu=Placement(node_selector=cpu),
        gpu=Placement(
            node_selector={NODES_LABEL: "gpu"},
            tolerations=({"key": GPU, "operator": "Exists", "effect": "NoSchedule"},),
        ),
    )
