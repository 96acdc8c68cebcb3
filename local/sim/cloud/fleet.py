"""CreateFleet of type `instant`, as Karpenter uses it: the cheapest offer that there is capacity for.

moto's own takes the first offer whatever it costs, and never runs out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.utils import convert_tag_spec, random_fleet_id, random_spot_request_id

from local.sim.cloud.capacity import Capacity
from local.sim.cloud.prices import Prices

_NO_CAPACITY = "InsufficientInstanceCapacity"
_lock = threading.Lock()


@dataclass(frozen=True)
class Offer:
    """A type in a zone that a request would take; `overrides` as they were asked for."""

    template: Any
    version: Any
    overrides: dict[str, Any]
    instance_type: str
    subnet: Any
    price: float

    @property
    def zone(self) -> str:
        return self.subnet.availability_zone

    def described(self) -> dict[str, Any]:
        """As CreateFleet names it in its answer."""
        template = {
            "LaunchTemplateId": self.template.id,
            "LaunchTemplateName": self.template.name,
            "Version": str(self.version.number),
        }
        overrides = {**self.overrides, "InstanceType": self.instance_type, "AvailabilityZone": self.zone}
        overrides["SubnetId"] = self.subnet.id
        return {"LaunchTemplateSpecification": template, "Overrides": overrides}


def handler(prices: Prices, capacity: Capacity) -> Callable[[Any], Any]:
    """The method for moto's EC2 responses."""

    def create_fleet(response: Any) -> ActionResult:
        backend = response.ec2_backend
        wanted = response._get_param("TargetCapacitySpecification", {})
        capacity_type = str(wanted.get("DefaultTargetCapacityType") or "on-demand")
        tags = convert_tag_spec(response._get_param("TagSpecifications", []))
        configs = response._get_param("LaunchTemplateConfigs", [])
        offers = sorted(_offers(backend, configs, prices, capacity_type), key=lambda offer: offer.price)
        response.error_on_dryrun()
        fleet = random_fleet_id()
        errors: dict[tuple[str, str], dict[str, Any]] = {}
        instances: list[dict[str, Any]] = []
        with _lock:
            for _ in range(int(wanted.get("TotalTargetCapacity") or 0)):
                launched = _launch_one(backend, offers, capacity, capacity_type, tags, fleet, errors)
                if launched is None:
                    break
                instances.append(launched)
        return ActionResult({"FleetId": fleet, "Instances": instances, "Errors": list(errors.values())})

    return create_fleet


def _offers(backend: Any, configs: list[dict[str, Any]], prices: Prices, capacity_type: str) -> list[Offer]:
    found: list[Offer] = []
    for config in configs:
        asked = config["LaunchTemplateSpecification"]
        name, identifier = asked.get("LaunchTemplateName"), asked.get("LaunchTemplateId")
        template = backend.get_launch_template_by_name(name) if name else backend.get_launch_template(identifier)
        version = template.latest_version() if asked.get("Version") == "$Latest" else template.default_version()
        every: list[dict[str, Any]] = config.get("Overrides") or [{}]
        for overrides in every:
            instance_type = overrides.get("InstanceType") or version.data["InstanceType"]
            subnet = backend.get_subnet(overrides.get("SubnetId") or _subnet_of(version.data))
            price = prices.of(backend.region_name, instance_type, subnet.availability_zone, capacity_type)
            if price is not None:  # what has no price in the region is not sold there
                found.append(Offer(template, version, overrides, instance_type, subnet, price))
    return found


def _subnet_of(data: dict[str, Any]) -> str:
    return next(item["SubnetId"] for item in data.get("NetworkInterfaces", []) if "SubnetId" in item)


def _launch_one(
    backend: Any,
    offers: list[Offer],
    capacity: Capacity,
    capacity_type: str,
    tags: dict[str, dict[str, str]],
    fleet: str,
    errors: dict[tuple[str, str], dict[str, Any]],
) -> dict[str, Any] | None:
    for offer in offers:
        if capacity.has(capacity_type, offer.instance_type, offer.zone):
            instance = _launch(backend, offer, capacity_type, tags, fleet)
            return {
                "LaunchTemplateAndOverrides": offer.described(),
                "Lifecycle": capacity_type,
                "InstanceIds": [instance.id],
                "InstanceType": offer.instance_type,
            }
        errors[(offer.instance_type, offer.zone)] = {
            "LaunchTemplateAndOverrides": offer.described(),
            "Lifecycle": capacity_type,
            "ErrorCode": _NO_CAPACITY,
            "ErrorMessage": f"There is no {capacity_type} capacity for {offer.instance_type} in {offer.zone}.",
        }
    return None


def _launch(backend: Any, offer: Offer, capacity_type: str, tags: dict[str, dict[str, str]], fleet: str) -> Any:
    data = offer.version.data
    interfaces: list[dict[str, Any]] = data.get("NetworkInterfaces") or []
    groups: list[str] = data.get("SecurityGroupIds") or [name for item in interfaces for name in item.get("Groups", [])]
    reservation = backend.run_instances(
        image_id=offer.overrides.get("ImageId") or data["ImageId"],
        count=1,
        user_data=offer.version.user_data,
        security_group_names=[],
        security_group_ids=list(dict.fromkeys(groups)),
        instance_type=offer.instance_type,
        is_instance_type_default=False,
        region_name=backend.region_name,
        subnet_id=offer.subnet.id,
        metadata_options=data.get("MetadataOptions", {}),
        launch_template={"LaunchTemplateId": offer.template.id, "Version": str(offer.version.number)},
        block_device_mappings=_volumes(data.get("BlockDeviceMappings") or []),
        tags={"instance": {**tags.get("instance", {}), "aws:ec2:fleet-id": fleet}, "volume": tags.get("volume", {})},
        lifecycle="spot" if capacity_type == "spot" else None,
    )
    instance = reservation.instances[0]
    if capacity_type == "spot":
        instance.spot_instance_request_id = random_spot_request_id()
    profile: dict[str, Any] = data.get("IamInstanceProfile") or {}
    if profile.get("Name"):
        backend.associate_iam_instance_profile(instance.id, profile["Name"])
    interface_tags = convert_tag_spec(data.get("TagSpecifications", [])).get("network-interface", {})
    for interface in instance.nics.values():
        interface.delete_on_termination = True
        interface.add_tags(interface_tags)
    return instance


def _volumes(mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mappings with EC2's default: the root volume, which comes first, goes with its instance, others stay."""
    found: list[dict[str, Any]] = []
    for number, mapping in enumerate(mappings):
        found.append({**mapping, "Ebs": {"DeleteOnTermination": number == 0, **mapping.get("Ebs", {})}})
    return found
