"""The cluster that a platform offers, as a provider of the Kubernetes SDK."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from infra.contract import Contract


def options(platform: Contract) -> pulumi.ResourceOptions:
    """For components: the platform's own cluster, or the one that KUBECONFIG names."""
    if not platform.kubeconfig:
        return pulumi.ResourceOptions()
    provider = k8s.Provider("cluster", kubeconfig=platform.kubeconfig, cluster_identifier=platform.cluster)
    return pulumi.ResourceOptions(providers=[provider])
