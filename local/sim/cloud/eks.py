# ruff: noqa: ARG002, ARG005 - every operation takes the same three, used or not
"""EKS's API beyond clusters and node groups, which moto has: add-ons, access entries and pod identity associations."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from moto.eks.models import eks_backends

from local.sim.cloud.config import ACCOUNT

_CLUSTER = r"/clusters/(?P<cluster>[^/]+)"
_ADDON_VERSION = "v1.0.0-eksbuild.1"  # what an add-on gets that is asked for without a version


class ApiError(Exception):
    """An error as EKS answers it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Attached:
    """What belongs to one cluster; it ends with it."""

    addons: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    entries: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict[str, dict[str, dict[str, Any]]])
    identities: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


class Eks:
    def __init__(self) -> None:
        self._attached: dict[str, Attached] = {}
        self._lock = threading.RLock()
        self._routes = tuple(
            (method, re.compile(pattern + r"/?\Z"), action) for method, pattern, action in self._table()
        )

    def handles(self, method: str, path: str) -> bool:
        return any(route == method and pattern.match(path) for route, pattern, _ in self._routes)

    def answer(self, method: str, path: str, region: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises ApiError."""
        for route, pattern, action in self._routes:
            if route == method and (match := pattern.match(path)):
                parts = {name: unquote(value) for name, value in match.groupdict().items()}
                with self._lock:
                    return action(region, parts, body)
        raise ApiError(404, "NotFoundException", f"no operation at {method} {path}")

    def association(self, namespace: str, account: str) -> dict[str, Any] | None:
        """The pod identity association of a service account, of whichever cluster it is: only one is real."""
        with self._lock:
            for attached in self._living():
                for found in attached.identities.values():
                    if (found["namespace"], found["serviceAccount"]) == (namespace, account):
                        return found
        return None

    def access(self, principal: str) -> tuple[dict[str, Any], list[str]] | None:
        """(access entry, ARNs of its access policies) of an IAM principal, or None."""
        with self._lock:
            for attached in self._living():
                if principal in attached.entries:
                    return attached.entries[principal], list(attached.policies.get(principal, {}))
        return None

    def _living(self) -> list[Attached]:
        for key in [key for key in self._attached if self._cluster_of(key) is None]:
            del self._attached[key]
        return list(self._attached.values())

    def _cluster_of(self, arn: str) -> Any:
        region, name = arn.split(":")[3], arn.rpartition("/")[2]
        cluster = eks_backends[ACCOUNT][region].clusters.get(name)
        return cluster if cluster is not None and cluster.arn == arn else None

    def _of(self, region: str, name: str) -> tuple[Any, Attached]:
        cluster = eks_backends[ACCOUNT][region].clusters.get(name)
        if cluster is None:
            raise ApiError(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
        self._living()
        return cluster, self._attached.setdefault(cluster.arn, Attached())

    def _table(self) -> tuple[tuple[str, str, Callable[[str, dict[str, str], dict[str, Any]], dict[str, Any]]], ...]:
        addon, entry = rf"{_CLUSTER}/addons/(?P<name>[^/]+)", rf"{_CLUSTER}/access-entries/(?P<principal>[^/]+)"
        identity = rf"{_CLUSTER}/pod-identity-associations/(?P<id>[^/]+)"
        return (
            ("POST", rf"{_CLUSTER}/addons", self._create_addon),
            ("GET", rf"{_CLUSTER}/addons", lambda r, p, b: {"addons": list(self._of(r, p["cluster"])[1].addons)}),
            ("GET", addon, lambda r, p, b: {"addon": self._one(self._of(r, p["cluster"])[1].addons, p["name"])}),
            ("POST", rf"{addon}/update", self._update_addon),
            ("DELETE", addon, lambda r, p, b: {"addon": self._drop(self._of(r, p["cluster"])[1].addons, p["name"])}),
            ("POST", rf"{_CLUSTER}/access-entries", self._create_entry),
            ("GET", rf"{_CLUSTER}/access-entries",
             lambda r, p, b: {"accessEntries": list(self._of(r, p["cluster"])[1].entries)}),
            ("GET", entry,
             lambda r, p, b: {"accessEntry": self._one(self._of(r, p["cluster"])[1].entries, p["principal"])}),
            ("POST", entry, self._update_entry),
            ("DELETE", entry, self._delete_entry),
            ("POST", rf"{entry}/access-policies", self._associate),
            ("GET", rf"{entry}/access-policies", self._list_policies),
            ("DELETE", rf"{entry}/access-policies/(?P<policy>.+)", self._disassociate),
            ("POST", rf"{_CLUSTER}/pod-identity-associations", self._create_identity),
            ("GET", rf"{_CLUSTER}/pod-identity-associations", self._list_identities),
            ("GET", identity,
             lambda r, p, b: {"association": self._one(self._of(r, p["cluster"])[1].identities, p["id"])}),
            ("POST", identity, self._update_identity),
            ("DELETE", identity,
             lambda r, p, b: {"association": self._drop(self._of(r, p["cluster"])[1].identities, p["id"])}),
        )  # fmt: skip

    def _one(self, items: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
        if key not in items:
            raise ApiError(404, "ResourceNotFoundException", f"{key} does not exist in this cluster")
        return items[key]

    def _drop(self, items: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
        found = self._one(items, key)
        del items[key]
        return {**found, "status": "DELETING"}

    def _create_addon(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        cluster, attached = self._of(region, parts["cluster"])
        name = _required(body, "addonName")
        _absent(attached.addons, name, "Addon already exists.")
        arn = f"arn:aws:eks:{region}:{ACCOUNT}:addon/{cluster.name}/{name}/{secrets.token_hex(8)}"
        kept = ("serviceAccountRoleArn", "configurationValues", "tags")
        attached.addons[name] = {
            "addonName": name, "clusterName": cluster.name, "status": "ACTIVE", "addonArn": arn,
            "addonVersion": body.get("addonVersion", _ADDON_VERSION), "health": {"issues": []}, **_stamped(),
            **{key: body[key] for key in kept if key in body},
        }  # fmt: skip
        return {"addon": attached.addons[name]}

    def _update_addon(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        addon = self._one(self._of(region, parts["cluster"])[1].addons, parts["name"])
        kept = ("addonVersion", "serviceAccountRoleArn", "configurationValues")
        addon.update({key: body[key] for key in kept if key in body}, modifiedAt=time.time())
        update: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "status": "Successful",
            "type": "AddonUpdate",
            "params": [],
            "errors": [],
        }
        return {"update": {**update, "createdAt": time.time()}}

    def _create_entry(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        cluster, attached = self._of(region, parts["cluster"])
        principal = _required(body, "principalArn")
        _absent(attached.entries, principal, "The specified access entry resource is already in use on this cluster.")
        kind, name = principal.split(":", 5)[5].split("/", 1)
        arn = (
            f"arn:aws:eks:{region}:{ACCOUNT}:access-entry/{cluster.name}/{kind}/{ACCOUNT}/{name}/{secrets.token_hex(8)}"
        )
        attached.entries[principal] = {
            "clusterName": cluster.name, "principalArn": principal, "accessEntryArn": arn,
            "kubernetesGroups": body.get("kubernetesGroups", []), "username": body.get("username", principal),
            "type": body.get("type", "STANDARD"), "tags": body.get("tags", {}), **_stamped(),
        }  # fmt: skip
        return {"accessEntry": attached.entries[principal]}

    def _update_entry(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        entry = self._one(self._of(region, parts["cluster"])[1].entries, parts["principal"])
        entry.update({key: body[key] for key in ("kubernetesGroups", "username") if key in body})
        return {"accessEntry": entry}

    def _delete_entry(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        attached = self._of(region, parts["cluster"])[1]
        self._drop(attached.entries, parts["principal"])
        attached.policies.pop(parts["principal"], None)
        return {}

    def _associate(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        cluster, attached = self._of(region, parts["cluster"])
        principal, policy = parts["principal"], _required(body, "policyArn")
        self._one(attached.entries, principal)
        if not policy.startswith("arn:aws:eks::aws:cluster-access-policy/"):
            raise ApiError(400, "InvalidParameterException", f"The policyArn {policy} is no cluster access policy")
        stamps = {"associatedAt": time.time(), "modifiedAt": time.time()}
        found = {"policyArn": policy, "accessScope": _required(body, "accessScope"), **stamps}
        attached.policies.setdefault(principal, {})[policy] = found
        return {"clusterName": cluster.name, "principalArn": principal, "associatedAccessPolicy": found}

    def _list_policies(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        cluster, attached = self._of(region, parts["cluster"])
        principal = parts["principal"]
        self._one(attached.entries, principal)
        found = list(attached.policies.get(principal, {}).values())
        return {"clusterName": cluster.name, "principalArn": principal, "associatedAccessPolicies": found}

    def _disassociate(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        attached = self._of(region, parts["cluster"])[1]
        self._drop(attached.policies.get(parts["principal"], {}), parts["policy"])
        return {}

    def _create_identity(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        cluster, attached = self._of(region, parts["cluster"])
        wanted = {key: _required(body, key) for key in ("namespace", "serviceAccount", "roleArn")}
        for other in attached.identities.values():
            if all(other[key] == wanted[key] for key in ("namespace", "serviceAccount")):
                raise ApiError(409, "ResourceInUseException", "Association already exists")
        identifier = f"a-{secrets.token_hex(9)[:17]}"
        arn = f"arn:aws:eks:{region}:{ACCOUNT}:podidentityassociation/{cluster.name}/{identifier}"
        attached.identities[identifier] = {
            "clusterName": cluster.name, "associationId": identifier, "associationArn": arn, **wanted,
            "tags": body.get("tags", {}), "disableSessionTags": body.get("disableSessionTags", False), **_stamped(),
        }  # fmt: skip
        return {"association": attached.identities[identifier]}

    def _list_identities(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        keys = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
        found = self._of(region, parts["cluster"])[1].identities.values()
        return {"associations": [{key: item[key] for key in keys} for item in found]}

    def _update_identity(self, region: str, parts: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        identity = self._one(self._of(region, parts["cluster"])[1].identities, parts["id"])
        kept = ("roleArn", "disableSessionTags")
        identity.update({key: body[key] for key in kept if key in body}, modifiedAt=time.time())
        return {"association": identity}


def _required(body: dict[str, Any], key: str) -> Any:
    if not body.get(key):
        raise ApiError(400, "InvalidParameterException", f"{key} is required")
    return body[key]


def _absent(items: dict[str, Any], key: str, message: str) -> None:
    if key in items:
        raise ApiError(409, "ResourceInUseException", message)


def _stamped() -> dict[str, float]:
    return {"createdAt": time.time(), "modifiedAt": time.time()}
