"""Namespaces, their limits, accounts and policies, and the Secrets that other stacks refer to by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.kubernetes import s3
from infra.kubernetes.credentials import RandomSecret
from infra.kubernetes.network import network_manifests
from infra.kubernetes.objects import register
from infra.kubernetes.tenancy import namespace_manifest, tenancy_manifests
from infra.settings import PlatformSettings
from infra.settings.platform import NetworkSettings

AUTH_SECRET = "ray-auth"  # noqa: S105 - a name


class Tenancy(pulumi.ComponentResource):
    """Everything that a namespace needs before a pod may start in it. Keys of object storage are made where the
    platform runs the storage itself."""

    def __init__(
        self, settings: PlatformSettings, net: NetworkSettings, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("manta:kubernetes:Tenancy", "tenancy", None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=settings.protect)
        names = (settings.namespace, settings.system_namespace)
        namespaces = [register(name, namespace_manifest(name), kept) for name in names]
        self.inside = pulumi.ResourceOptions(parent=self, depends_on=namespaces)
        for title, manifest in {**tenancy_manifests(settings), **network_manifests(settings, net)}.items():
            register(title, manifest, self.inside)
        made = pulumi.ResourceOptions(parent=self)
        token = RandomSecret("auth-token", 48, made).text
        register(AUTH_SECRET, secret_manifest(AUTH_SECRET, settings.namespace, {"auth_token": token}), self.inside)
        if not net.cloud:
            access, secret = RandomSecret("s3-access-key", 20, made).text, RandomSecret("s3-secret-key", 40, made).text
            keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
            for namespace in names:
                register(f"{namespace}-{s3.SECRET}", secret_manifest(s3.SECRET, namespace, keys), self.inside)
        self.register_outputs({})


def secret_manifest(name: str, namespace: str, values: Mapping[str, pulumi.Output[str]]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": dict(values)}
