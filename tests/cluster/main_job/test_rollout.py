"""A changed bundle under load: the model server switches without one failed request."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from local.environment import CHECKOUT
from local.settings import LocalSettings
from local.up.digit import real_digit, request_body
from tests.cluster.main_job.conftest import Stacks

CLIENTS = 4
# The load goes on after the switch, while the old cluster is taken down.
_AFTER_S = 75


class Load:
    """`CLIENTS` threads that ask one after another, on this machine's loopback, until told to stop."""

    def __init__(self, url: str) -> None:
        self._url, self._body = url, request_body(real_digit()).encode()
        self._stop = threading.Event()
        self.answered = 0
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            request = urllib.request.Request(self._url, self._body, {"content-type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    response.read()
                self.answered += 1
            except (OSError, urllib.error.HTTPError) as error:
                self.failures.append(f"{time.strftime('%X')} {error!r}")
            time.sleep(0.02)


def test_a_new_bundle_is_rolled_out_without_a_failed_request(
    deployed: Stacks, local_settings: LocalSettings, tmp_path: Path
) -> None:
    before = deployed.outputs("serve-local")["bundle"]
    shutil.copytree(CHECKOUT / "payloads", tmp_path / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "payloads" / "rollout_marker.py").write_text(f"VALUE = {time.time()}\n")
    settings = yaml.safe_load((CHECKOUT / "stacks" / "Pulumi.serve-local.yaml").read_text())
    settings["config"]["manta:bundle"] = str(tmp_path / "payloads")
    changed = tmp_path / "Pulumi.serve-local.yaml"
    changed.write_text(yaml.safe_dump(settings))

    with Load(f"http://127.0.0.1:{local_settings.ports.serve}/predict") as load:
        deployed.up("serve-local", changed)
        time.sleep(_AFTER_S)
    assert deployed.outputs("serve-local")["bundle"] != before
    assert load.answered > 500
    assert not load.failures, f"{len(load.failures)} of {load.answered}: {load.failures[:5]}"
    # Back to what is committed, for the tests that follow.
    deployed.up("serve-local")
    assert deployed.outputs("serve-local")["bundle"] == before
