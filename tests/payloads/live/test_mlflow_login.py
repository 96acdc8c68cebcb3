"""MLflow as the AWS platform runs it: the containers of its own manifest, on a real PostgreSQL, asking for a login."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from services import BUCKET, S3, eventually, free_port, postgresql

from infra.aws.database import DRIVER
from infra.kubernetes import mlflow_access
from infra.kubernetes.mlflow import MlflowArgs, mlflow_server
from infra.kubernetes.workload import server_manifest
from infra.ray.cluster import MLFLOW_LOGIN, from_secret
from infra.settings.platform import MlflowSettings
from payloads.common.errors import PayloadError
from payloads.common.settings import Platform
from payloads.common.tracking import connect, explained, find_or_create
from tests.own_mlflow import default_restored

PASSWORDS = {"admin": "the-administrators-own", "ray": "the-password-of-runs"}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql("mlflow") as uri:
        yield uri.replace("postgresql", DRIVER, 1)


@dataclass
class Server:
    """The pod's containers as processes: `secret` is what its Secret holds."""

    folder: Path
    database: str
    port: int
    secret: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pod(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The container that runs before the server, and the server."""
        args = MlflowArgs("manta-system", "", MlflowSettings(), "x", BUCKET, "", "us-east-1", "", "mlflow-db", True)
        spec = server_manifest(mlflow_server(args))["spec"]["template"]["spec"]
        return spec["initContainers"][0], spec["containers"][0]

    def write_accounts(self) -> None:
        before, _ = self.pod()
        mounted = self.folder / "mounted"
        mounted.mkdir(exist_ok=True)
        for name, text in self.secret.items():
            (mounted / name).write_text(text)
        done = subprocess.run(
            [sys.executable, *before["command"][1:]], env=self._environment(before), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        self.write_accounts()
        _, container = self.pod()
        here = {"0.0.0.0": "127.0.0.1", "5000": str(self.port)}  # noqa: S104 - what is replaced
        arguments = [here.get(word, word) for word in container["args"]]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *container["command"], *arguments],
                env=self._environment(container), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        eventually(lambda: urllib.request.urlopen(f"{self.url}/health", timeout=5).close(), OSError)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)

    def _environment(self, container: dict[str, Any]) -> dict[str, str]:
        """What the kubelet would give it."""
        secrets = {"mlflow-db": {"uri": self.database}, mlflow_access.SERVER_SECRET: self.secret}
        found: dict[str, str] = {}
        for entry in container["env"]:
            if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                found[entry["name"]] = secrets[reference["name"]][reference["key"]]
            else:
                found[entry["name"]] = entry["value"].replace(mlflow_access.FOLDER, str(self.folder / "mounted"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return {**kept, **found, "HOME": str(self.folder)}


@pytest.fixture(scope="module")
def server(s3: S3, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    secret = mlflow_access.server_values(database, PASSWORDS["admin"], PASSWORDS["ray"], "k" * 40)
    found = Server(tmp_path_factory.mktemp("mlflow-login"), database, free_port(), secret)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def as_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """As a Ray pod: what its manifest takes from the Secret of clients."""
    given = mlflow_access.client_values(PASSWORDS["ray"])
    for entry in from_secret(mlflow_access.CLIENT_SECRET, MLFLOW_LOGIN):
        monkeypatch.setenv(entry["name"], given[entry["valueFrom"]["secretKeyRef"]["key"]])
    with default_restored():
        yield Platform(storage=f"s3://{BUCKET}", mlflow_uri=server.url, patience_s=5)


def test_nobody_is_heard_without_the_login(
    server: Server, as_run: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in ("/", "/api/2.0/mlflow/experiments/search?max_results=1", "/api/2.0/mlflow-artifacts/artifacts"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}{path}")
        assert refused.value.code == 401, path
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(PayloadError, match="refused a request"), explained(as_run):
        find_or_create(connect(as_run), "digits", "key", "name")


def test_a_run_records_itself_and_registers_its_model(as_run: Platform, tmp_path: Path) -> None:
    client = connect(as_run)
    run = find_or_create(client, "digits", "key", "first")
    run.start({"lr": 0.1}, {})
    (tmp_path / "model.txt").write_text("weights")
    client.log_artifact(run.id, str(tmp_path / "model.txt"))
    run.finish("registered")
    client.create_registered_model("digits")
    version = client.create_model_version("digits", f"runs:/{run.id}/model", run.id)
    client.set_registered_model_alias("digits", "champion", version.version)
    assert client.get_model_version_by_alias("digits", "champion").run_id == run.id
    found = mlflow.artifacts.download_artifacts(
        run_id=run.id, artifact_path="model.txt", tracking_uri=as_run.mlflow_uri
    )
    assert Path(found).read_text() == "weights"


def test_the_account_of_runs_makes_no_accounts_and_the_administrator_does(
    server: Server, as_run: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import get_app_client

    accounts: Any = get_app_client("basic-auth", tracking_uri=server.url)
    with pytest.raises(MlflowException, match=r"403|ermission"):
        accounts.create_user("anna", "a-password-of-hers")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_access.ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS["admin"])
    accounts.create_user("anna", "a-password-of-hers")
    connect(as_run).create_experiment("of the administrator")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-password-of-hers")
    hers = connect(as_run)
    found = hers.get_experiment_by_name("of the administrator")
    assert found is not None, "others' experiments are read"
    with pytest.raises(MlflowException, match=r"403|ermission"):
        hers.delete_experiment(found.experiment_id)


def test_the_passwords_are_what_the_secret_says_after_every_start(
    server: Server, as_run: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.secret |= mlflow_access.client_values("another-password-of-runs")
    server.write_accounts()
    with pytest.raises(MlflowException, match=r"401|authenticated"):
        connect(as_run).search_experiments()
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-password-of-runs")
    assert [found.name for found in connect(as_run).search_experiments(filter_string="name = 'digits'")] == ["digits"]
