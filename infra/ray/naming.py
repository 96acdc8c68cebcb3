"""Names that carry identity: what is in the hash is what makes two runs two."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from infra.errors import RuleError

# KubeRay's own limits: it derives Service, Job and pod names of at most 63 characters from them.
MAX_RAY_CLUSTER = 53
MAX_RAY_JOB = 47
MAX_RAY_SERVICE = 47
_DNS_1035 = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def run_name(name: str, bundle_hash: str, image: str, parameters: Mapping[str, Any]) -> str:
    """`<name>-<hash8>`: the same name, code, image and parameters are the same run, and find its checkpoints."""
    identity = json.dumps([name, bundle_hash, image, dict(parameters)], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return checked(f"{name}-{digest}", MAX_RAY_JOB)


def bundle_name(stack: str, bundle_hash: str) -> str:
    """Two stacks of the same code own a ConfigMap each, even when run and endpoint have the same name."""
    return f"{stack}-bundle-{bundle_hash[:12]}"


def checked(name: str, limit: int) -> str:
    """`name`, or RuleError if KubeRay would refuse it after its submission."""
    if len(name) > limit or not _DNS_1035.fullmatch(name):
        raise RuleError(
            f"{name!r} cannot name a Ray resource: use at most {limit} lower-case letters, digits and hyphens, "
            "starting with a letter and not ending with a hyphen"
        )
    return name
