"""The logins of MLflow on AWS: in the cluster for its programs, in Secrets Manager for its people."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi

from infra.aws.naming import Place
from infra.aws.secret import keep
from infra.kubernetes.mlflow_access import ADMIN, MlflowAccess
from infra.settings import PlatformSettings


def add_login(
    settings: PlatformSettings,
    place: Place,
    database: pulumi.Input[str],
    inside: pulumi.ProviderResource,
    there: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource],
) -> MlflowAccess:
    """`inside` is the cluster's provider, `there` leads to the account."""
    names = (settings.system_namespace, settings.namespace)
    access = MlflowAccess(
        "mlflow-access", *names, database, pulumi.ResourceOptions(providers=[inside], depends_on=list(after))
    )
    content = access.admin_password.apply(lambda password: json.dumps({"username": ADMIN, "password": password}))
    keep("mlflow-admin", f"{place.cluster}/mlflow/admin", content, protect=settings.protect, opts=_child(access, there))
    return access


def _child(access: MlflowAccess, there: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(there, pulumi.ResourceOptions(parent=access))
