"""A real S3 server and a real MLflow server on 127.0.0.1 that a test may take away and bring back."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from moto.server import ThreadedMotoServer

BUCKET = "manta"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class S3:
    """moto's S3 server in a thread: its contents belong to the process, so they outlive a stop."""

    def __init__(self) -> None:
        self.port = free_port()
        self.server: ThreadedMotoServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def client(self):
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def keys(self, prefix: str) -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


class Mlflow:
    """`mlflow server` as the platform starts it: SQLite, artifacts proxied to S3, one worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
            *("--artifacts-destination", f"s3://{BUCKET}/mlflow", "--serve-artifacts"),
        ]
        with (self.folder / "mlflow.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # uvicorn's workers are its children: they end with the group
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, f"mlflow server ended: {self.folder}/mlflow.log"
                assert time.monotonic() < deadline, f"mlflow server did not start: {self.folder}/mlflow.log"
                time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


NOBODY = 65534
PROGRAMS = Path(str(find_spec("pgserver").origin)).parent / "pginstall" / "bin"  # type: ignore[union-attr]


@contextmanager
def postgresql(database: str) -> Iterator[str]:
    """The URI of a database in a PostgreSQL of its own. It refuses to run as root."""
    folder, port = Path(tempfile.mkdtemp(prefix="manta-postgres-")), free_port()
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        os.chown(folder, NOBODY, NOBODY)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    make = [PROGRAMS / "initdb", "-D", folder / "data", "-U", database, "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(make, check=True, **user, **quiet)
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    server = subprocess.Popen([PROGRAMS / "postgres", "-D", folder / "data", *options], **user, **quiet)
    uri = f"postgresql://{database}@127.0.0.1:{port}"
    try:
        eventually(lambda: psycopg2.connect(f"{uri}/postgres").close(), psycopg2.OperationalError)
        made = psycopg2.connect(f"{uri}/postgres")
        made.autocommit = True
        made.cursor().execute(f"CREATE DATABASE {database}")
        made.close()
        yield f"{uri}/{database}"
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(30)
        shutil.rmtree(folder)


def eventually(call: Callable[[], Any], retried: type[Exception], within_s: float = 180.0) -> None:
    """Call until it no longer raises `retried`."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            call()
        except retried:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        else:
            return
