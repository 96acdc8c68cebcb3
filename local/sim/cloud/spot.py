"""Spot interruptions: the notice as EventBridge delivers it, and the end of the instance after it."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from moto.ec2.models import ec2_backends
from moto.events.models import events_backends

from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.machines import instances

NOTICE_S = 120.0  # what AWS gives


def interrupt(instance_id: str, *, notice_s: float = NOTICE_S) -> dict[str, Any]:
    """Announce that AWS takes the spot instance back, and take it when `notice_s` have passed. KeyError: no such."""
    found = {instance.id: (region, instance) for region, instance in instances()}
    region, instance = found[instance_id]
    if instance.lifecycle != "spot" or instance.state != "running":
        raise KeyError(instance_id)
    detail = {"instance-id": instance_id, "instance-action": "terminate"}
    event = _event(region, "EC2 Spot Instance Interruption Warning", instance_id, detail)
    delivered = publish(region, event)
    timer = threading.Timer(notice_s, _take, (region, instance_id))
    timer.daemon = True
    timer.start()
    return {"event": event, "rules": delivered}


def publish(region: str, event: dict[str, Any]) -> list[str]:
    """Hand an event of AWS's own to every rule of the default bus that it matches; their names."""
    bus: Any = events_backends[ACCOUNT][region].event_buses["default"]
    matching = [
        rule for rule in bus.rules.values() if rule.state == "ENABLED" and rule.event_pattern.matches_event(event)
    ]
    for rule in matching:
        rule.send_to_targets(event)
    return [rule.name for rule in matching]


def _take(region: str, instance_id: str) -> None:
    backend = ec2_backends[ACCOUNT][region]
    if backend.get_instance(instance_id).state == "running":
        backend.terminate_instances([instance_id])
        detail = {"instance-id": instance_id, "state": "terminated"}
        publish(region, _event(region, "EC2 Instance State-change Notification", instance_id, detail))


def _event(region: str, kind: str, instance_id: str, detail: dict[str, str]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": "aws.ec2",
        "account": ACCOUNT,
        "time": time.time(),  # moto writes it out as AWS does
        "ingestion-time": time.time(),
        "region": region,
        "resources": [f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance_id}"],
        "detail": detail,
    }
