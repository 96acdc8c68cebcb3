"""Names for objects that were given none: the resource's name and eight hex digits, stable from preview to update."""

from __future__ import annotations

import hashlib
import re
import secrets

RANDOM_DIGITS = 8
MAX_NAME = 253


def random_digits(seed: bytes, salt: str) -> str:
    """From the engine's seed, so that a preview shows the name that the update then uses."""
    if not seed:
        return secrets.token_hex(RANDOM_DIGITS // 2)
    return hashlib.sha256(seed + b"\0" + salt.encode()).hexdigest()[:RANDOM_DIGITS]


def auto_name(urn_name: str, seed: bytes) -> str:
    """`urn_name` made fit for a DNS subdomain, with a random end; long names lose their middle, never the end."""
    base = re.sub(r"[^a-z0-9.-]+", "-", urn_name.lower()).strip("-.") or "object"
    return f"{base[: MAX_NAME - RANDOM_DIGITS - 1].rstrip('-.')}-{random_digits(seed, urn_name)}"


def generated_name(prefix: str, seed: bytes) -> str:
    """For `metadata.generateName`: what the API server would have made of it."""
    return f"{prefix[: MAX_NAME - RANDOM_DIGITS]}{random_digits(seed, prefix)}"


def field_manager(urn: str) -> str:
    """Differs between resources: two that declare the same object must conflict, not take turns."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:RANDOM_DIGITS]}"


def urn_name(urn: str) -> str:
    return urn.rpartition("::")[2]
