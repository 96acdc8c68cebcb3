"""Checking and comparing the provider's own configuration: the inputs of a `pulumi:providers:kubernetes` resource."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from local.engine.kubernetes.connection import (
    ConfigurationError,
    active_cluster,
    load_kubeconfig,
    parse_settings,
)
from local.engine.kubernetes.values import has_unknown


def check(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(property, reason) for each thing that is wrong with what is known already."""
    known = {key: value for key, value in arguments.items() if not has_unknown(value)}
    try:
        settings = parse_settings(known, os.environ)
    except ConfigurationError as error:
        return [(str(error).partition(":")[0], str(error))]
    if settings.kubeconfig is None:
        return []
    try:
        kubeconfig, _ = load_kubeconfig(settings.kubeconfig, os.environ)
        active_cluster(kubeconfig, settings)
    except ConfigurationError as error:
        return [("kubeconfig", str(error))]
    return []


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(changed settings, those of them that mean another cluster, whose objects must be made anew).

    `clusterIdentifier`, where it is set, alone says which cluster it is; else the API server's address does.
    """
    changed = sorted(key for key in {**old, **new} if key != "version" and old.get(key) != new.get(key))
    if old.get("clusterIdentifier") or new.get("clusterIdentifier"):
        return changed, [key for key in changed if key == "clusterIdentifier"]
    deciding = [key for key in changed if key in ("kubeconfig", "context", "cluster")]
    if not deciding or has_unknown([new.get(key) for key in deciding]):
        return changed, deciding
    return changed, deciding if _server(old) != _server(new) else []


def _server(arguments: Mapping[str, Any]) -> str | None:
    """None when it cannot be told, as when an old kubeconfig file is gone; that alone must not replace everything."""
    try:
        settings = parse_settings(arguments, {})
        kubeconfig, _ = load_kubeconfig(settings.kubeconfig, os.environ)
        return str(active_cluster(kubeconfig, settings).get("server"))
    except ConfigurationError:
        return None
