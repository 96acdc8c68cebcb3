"""By what a resource is known to be an environment's: tags of ours, tags of Karpenter's and of EKS, or its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ENVIRONMENT_TAG = "manta:environment"
DISCOVERY_TAG = "karpenter.sh/discovery"
LAUNCH_TAG = "eks:eks-cluster-name"  # Karpenter's, on all that it launches


@dataclass(frozen=True)
class Marks:
    """Of one environment. `cluster` is its EKS cluster's name, after which everything is named."""

    environment: str

    @property
    def cluster(self) -> str:
        return f"manta-{self.environment}"

    def of_tags(self, tags: Mapping[str, str]) -> str | None:
        """The tag that says so, as `key=value`, or None."""
        wanted = {
            ENVIRONMENT_TAG: self.environment,
            LAUNCH_TAG: self.cluster,
            DISCOVERY_TAG: self.cluster,
            "aws:eks:cluster-name": self.cluster,
            "eks:cluster-name": self.cluster,
            "elbv2.k8s.aws/cluster": self.cluster,
        }
        for key, value in tags.items():
            if wanted.get(key) == value or key == f"kubernetes.io/cluster/{self.cluster}":
                return f"tag {key}={value}"
        return None

    def of_name(self, name: str) -> str | None:
        """For names as `manta-dev`, `manta-dev-karpenter`, `/aws/eks/manta-dev/cluster`, `manta-<account>-dev-data`;
        not for those of an environment `dev2`."""
        environment = re.escape(self.environment)
        pattern = rf"(?:.*/)?manta-(?:\d{{12}}-)?{environment}(?:[-_./].*)?"
        return f"name {name}" if re.fullmatch(pattern, name) else None
