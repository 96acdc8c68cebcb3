"""NodePools and EC2NodeClasses: what Karpenter may launch."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.aws.karpenter import Karpenter
from infra.aws.ladder import node_pool, rungs
from infra.aws.naming import Place
from infra.aws.node_classes import node_class
from infra.kubernetes.objects import register
from infra.settings.aws_capacity import CapacitySettings


@dataclass(frozen=True)
class CapacityArgs:
    place: Place
    settings: CapacitySettings
    zones: list[str]
    karpenter: Karpenter


class Capacity(pulumi.ComponentResource):
    """The ladder. Deleting a NodePool ends its machines, so no `deleted_with` here: nobody else would end them."""

    def __init__(self, name: str, args: CapacityArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Capacity", name, None, opts)
        place, settings = args.place, args.settings
        ladder = rungs(settings)
        after = pulumi.ResourceOptions(parent=self, depends_on=[args.karpenter.controller])
        classes = {
            title: register(
                title,
                node_class(title, place, settings, args.karpenter.profile, place.tags, title == "gpu-reserved"),
                after,
            )
            for title in dict.fromkeys(rung.node_class for rung in ladder)
        }
        self.pools = [
            register(
                rung.name,
                node_pool(rung, args.zones, settings),
                pulumi.ResourceOptions(parent=self, depends_on=[args.karpenter.controller, classes[rung.node_class]]),
            )
            for rung in ladder
        ]
        self.register_outputs({"pools": [rung.name for rung in ladder]})
