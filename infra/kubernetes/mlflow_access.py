"""Who may use MLflow: an administrator for people, and an account of the runs, whose passwords are made with the stack.

MLflow makes its administrator at the first start alone and knows no others. So a container before the server writes
both accounts into MLflow's own store, at every start: what the Secret says is what holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.kubernetes.credentials import RandomSecret
from infra.kubernetes.objects import register
from infra.ray.cluster import MLFLOW_LOGIN, from_secret

# Names of Secrets: the server's, and the one that the runs' pods read.
SERVER_SECRET, CLIENT_SECRET = "mlflow-access", "mlflow-client"
ADMIN, CLIENT = "admin", "ray"
FOLDER, FILE = "/etc/mlflow", "basic_auth.ini"
_SERVER_VARIABLES = ("MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")

ACCOUNTS = """
import os
from mlflow.server.auth import auth_config, store

store.init_db(auth_config.database_uri)
for name, password, admin in (
    (os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"], True),
    (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"], False),
):
    if store.has_user(name):
        store.update_user(name, password=password, is_admin=admin)
    else:
        store.create_user(name, password, is_admin=admin)
    print(f"account {name} is as the Secret says", flush=True)
"""


def configuration(database: str) -> str:
    """MLflow's own file. An account changes what it has made, and reads what others have."""
    return f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\n"


def server_values(database: str, admin: str, client: str, key: str) -> dict[str, str]:
    """What the server's Secret holds. `database` is an SQLAlchemy URI, with its password."""
    return {
        FILE: configuration(database),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": admin,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": key,
        **client_values(client),
    }


def client_values(password: str) -> dict[str, str]:
    return dict(zip(MLFLOW_LOGIN, (CLIENT, password), strict=True))


def server_environment() -> list[dict[str, Any]]:
    path = {"name": "MLFLOW_AUTH_CONFIG_PATH", "value": f"{FOLDER}/{FILE}"}
    return [path, *from_secret(SERVER_SECRET, _SERVER_VARIABLES)]


def accounts_environment() -> list[dict[str, Any]]:
    return [*server_environment(), *from_secret(SERVER_SECRET, MLFLOW_LOGIN)]


class MlflowAccess(pulumi.ComponentResource):
    """Passwords, and the Secrets that hold them. `admin_password` is secret."""

    def __init__(
        self, name: str, namespace: str, runs: str, database: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("manta:kubernetes:MlflowAccess", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.admin_password, client, key = (
            RandomSecret(f"mlflow-{what}", 40, inside).text for what in ("admin-password", "client-password", "key")
        )
        values = pulumi.Output.all(database, self.admin_password, client, key).apply(
            lambda texts: server_values(str(texts[0]), str(texts[1]), str(texts[2]), str(texts[3]))
        )
        register(SERVER_SECRET, _manifest(SERVER_SECRET, namespace, pulumi.Output.secret(values)), inside)
        given = pulumi.Output.secret(client.apply(client_values))
        register(CLIENT_SECRET, _manifest(CLIENT_SECRET, runs, given), inside)
        self.register_outputs({})


def _manifest(name: str, namespace: str, values: pulumi.Output[dict[str, str]] | Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}
