"""The AWS half of a platform, without what needs a cluster: infra.aws put together as the layer does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["MANTA_TEST_CHECKOUT"])

import pulumi
import pulumi_aws as aws
import yaml

from infra.aws.access import AccessArgs, PodAccess, mlflow_statements, ray_statements
from infra.aws.budget import Budget
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.database import Database, DatabaseArgs
from infra.aws.interruptions import Interruptions
from infra.aws.karpenter import NodeAccess
from infra.aws.naming import Place
from infra.aws.network import Network, NetworkArgs
from infra.aws.registry import Registry
from infra.aws.storage import Storage, StorageArgs
from infra.settings.aws import AwsSettings

values = yaml.safe_load(Path(os.environ["MANTA_TEST_SETTINGS"]).read_text())
on = AwsSettings.model_validate(values)
place = Place("sim", on.account, on.region, on.owner)
account = aws.Provider(
    "aws", region=on.region, allowed_account_ids=[on.account], default_tags={"tags": dict(place.tags)}
)
there = pulumi.ResourceOptions(providers=[account])
network = Network("network", NetworkArgs(place, on.network, on.log_retention_days), protect=False, opts=there)
cluster = Cluster("cluster", ClusterArgs(place, on.cluster, network), protect=False, opts=there)
NodeAccess("nodes", place, cluster, opts=there)
Interruptions("interruptions", place, there)
storage = Storage("storage", StorageArgs(place, on.storage), protect=False, opts=there)
Registry("registry", place, on.registry, keep=False, opts=there)
Database("database", DatabaseArgs(place, on.database, network, cluster), protect=False, opts=there)
if on.budget:
    Budget("budget", place, on.budget, opts=there)
PodAccess("ray", AccessArgs(place, cluster, "ray", "ray", ray_statements(place, storage.names, "ray")), opts=there)
PodAccess("mlflow", AccessArgs(place, cluster, "x", "m", mlflow_statements(place, storage.names)), opts=there)
pulumi.export("kubeconfig", cluster.kubeconfig)
