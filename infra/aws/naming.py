"""Names, ARNs and tags of an environment on AWS: plain text, so that policies can be read before anything exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import SettingsError

CLUSTER_TAG = "eks:eks-cluster-name"  # Karpenter puts it on all that it launches
DISCOVERY_TAG = "karpenter.sh/discovery"
ENVIRONMENT_TAG = "manta:environment"
# EKS allows 100, IAM roles 64, S3 buckets 63; the longest suffix is "-karpenter-controller" (21).
MAX_CLUSTER = 40


@dataclass(frozen=True)
class Place:
    """Where an environment is; everything that it makes is named after `cluster`."""

    environment: str
    account: str
    region: str
    owner: str
    partition: str = "aws"

    @property
    def cluster(self) -> str:
        return f"manta-{self.environment}"

    @property
    def cluster_arn(self) -> str:
        return self.arn("eks", f"cluster/{self.cluster}")

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def managed_policy(self, name: str) -> str:
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def bucket(self, prefix: str | None, purpose: str) -> str:
        """Raises SettingsError for a name over S3's 63 characters."""
        name = f"{prefix or f'manta-{self.account}'}-{self.environment}-{purpose}"
        if len(name) > 63:
            raise SettingsError(
                f"stack platform-{self.environment}: manta:aws.storage.prefix makes the bucket name {name} of "
                f"{len(name)} characters, and S3 allows 63: shorten it"
            )
        return name

    @property
    def tags(self) -> Mapping[str, str]:
        """On everything, also on what Karpenter launches; cost allocation and the audit go by them."""
        return {
            ENVIRONMENT_TAG: self.environment,
            "manta:owner": self.owner,
            "manta:managed-by": "pulumi",
        }
