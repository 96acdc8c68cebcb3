"""What preflight asks of images, charts and manifests: CUDA against driver, a chart's version, KubeRay's rules."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes import kuberay as program
from ops.preflight import charts, cuda, kuberay, stackfile
from ops.preflight.stackfile import Chart
from tests.contract.manifests import CONTRACT, SERVE, TRAIN, serve_settings, train_settings
from tests.unit.ops.test_preflight import write

PROJECT = Path(__file__).resolve().parents[3]


def driver(folder: Path, version: str) -> stackfile.Wanted:
    gpu = {"families": ["g5"], "sizes": ["xlarge"], "limit": 8}
    return stackfile.read(write(folder, capacity={"ami": {"driver": version}, "gpu": gpu}), "platform-prod")


@pytest.mark.parametrize(
    ("version", "pin", "status"),
    [
        ("580.95.05", "nvidia-cuda-runtime==13.2.86", "ok"),
        ("580.65.06", "nvidia-cuda-runtime==13.2.86", "ok"),
        ("580.65", "nvidia-cuda-runtime==13.2.86", "failed"),
        ("570.133.20", "nvidia-cuda-runtime==13.2.86", "failed"),
        ("570.133.20", "nvidia-cuda-runtime-cu12==12.8.90", "ok"),
        ("470.1", "nvidia-cuda-runtime-cu12==12.8.90", "failed"),
        ("580.95.05", "nvidia-cuda-runtime==14.0.1", "unknown"),
        ("580.95.05", "torch==2.15.0+cpu", "warning"),
    ],
)
def test_a_driver_must_be_new_enough_for_the_images_cuda(tmp_path: Path, version: str, pin: str, status: str) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"a==1\n{pin}\nz==2\n")
    assert [each.status for each in cuda.check(driver(tmp_path, version), pins)] == [status]


def test_the_platforms_of_this_repository_run_its_image_and_one_with_an_older_driver_does_not(tmp_path: Path) -> None:
    for stack in ("platform-dev", "platform-prod"):
        assert [each.status for each in cuda.check(stackfile.read(PROJECT / "stacks", stack))] == ["ok"]
    (outcome,) = cuda.check(driver(tmp_path, "550.54.15"))
    assert "driver 550.54.15 (manta:aws.capacity.ami.driver) is too old for the image's CUDA 13.2" in outcome.says


class Shelf(BaseHTTPRequestHandler):
    """A Helm repository, and a registry that wants a token for what is public."""

    def do_GET(self) -> None:
        host = f"127.0.0.1:{self.server.server_address[1]}"
        if self.path == "/helm/index.yaml":
            self._answer(200, "keda:\n- urls: [https://x/keda-2.17.2.tgz, https://x/keda-2.17.20.tgz]\n")
        elif self.path.startswith("/token?") and "scope=repository%3Ashelf%2Fkarpenter%3Apull" in self.path:
            self._answer(200, json.dumps({"token": "t"}))
        elif self.headers.get("Authorization") != "Bearer t" and self.path.startswith("/v2/"):
            self._answer(401, "", f'Bearer realm="http://{host}/token",service="s",scope="x"')
        else:
            self._answer(200 if self.path == "/v2/shelf/karpenter/manifests/1.14.1" else 404, "{}")

    def _answer(self, status: int, text: str, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def shelf() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("version", "found"), [("2.17.2", True), ("2.17", False), ("2.18.0", False)])
def test_a_repository_has_a_chart_in_its_version_or_not(shelf: str, version: str, found: bool) -> None:
    (outcome,) = charts.check((Chart(f"http://{shelf}/helm", "keda", version),))
    assert (outcome.status == "ok") == found, outcome


@pytest.mark.parametrize(("version", "found"), [("1.14.1", True), ("9.9.9", False)])
def test_a_registry_is_asked_with_the_token_that_it_gives_anybody(shelf: str, version: str, found: bool) -> None:
    place = f"oci://{shelf}/shelf"
    assert charts.in_registry(place, Chart(place, "karpenter", version), "http") == found


def test_a_registry_that_cannot_be_reached_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANTA_CHARTS", raising=False)
    (outcome,) = charts.check((Chart("oci://127.0.0.1:9/x", "karpenter", "1.14.1"),))
    assert outcome.status == "failed"
    assert "127.0.0.1 cannot be asked for karpenter 1.14.1" in outcome.says
    assert "MANTA_CHARTS" in outcome.says
    (outcome,) = charts.check((Chart("http://127.0.0.1:9", "kuberay-operator", "1.6.2", fixed=True),))
    assert "manta:kuberay.source" in outcome.says


def test_a_folder_of_charts_goes_before_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keda").mkdir()
    (tmp_path / "keda" / "Chart.yaml").write_text("name: keda\n")
    monkeypatch.setenv("MANTA_CHARTS", str(tmp_path))
    wanted = (Chart("https://nowhere.invalid", "keda", "1"), Chart("https://nowhere.invalid", "karpenter", "1"))
    assert [each.status for each in charts.check(wanted)] == ["ok", "failed"]


def test_every_chart_of_a_platform_is_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, ingress={})
    content = yaml.safe_load((folder / "Pulumi.platform-prod.yaml").read_text())
    content["config"] |= {"manta:keda": {}, "manta:kuberay": {"source": "chart"}}
    (folder / "Pulumi.platform-prod.yaml").write_text(yaml.safe_dump(content))
    found = {chart.name: chart for chart in stackfile.read(folder, "platform-prod").charts}
    assert list(found) == ["karpenter-crd", "karpenter", "kuberay-operator", "aws-load-balancer-controller", "keda"]
    assert found["kuberay-operator"].place == program.CHART_REPOSITORY
    assert stackfile.read(PROJECT / "stacks", "platform-local").charts == ()


def test_what_this_repository_sends_kuberay_takes() -> None:
    for stack, settings in (
        (TRAIN, train_settings("as in the repository")),
        (SERVE, serve_settings("as in the repository")),
    ):
        assert [each.status for each in kuberay.judge(stack, settings, CONTRACT, PROJECT)] == ["ok"]


def test_what_kuberay_or_ray_would_get_wrong_is_found_before_it_is_sent() -> None:
    sound = train_settings("as in the repository")
    too_many = sound.model_copy(update={"trainer": sound.trainer.model_copy(update={"workers": 50})})
    (outcome,) = kuberay.judge(TRAIN, too_many, CONTRACT, PROJECT)
    assert outcome.status == "failed"
    assert "find no place" in outcome.says
    elsewhere = sound.model_copy(update={"entrypoint": "payloads.training.trian"})
    (outcome,) = kuberay.judge(TRAIN, elsewhere, CONTRACT, PROJECT)
    assert "did you mean" in outcome.says
    old = dataclasses.replace(CONTRACT, ray_version="2.40.0")
    (outcome,) = kuberay.judge(TRAIN, sound, old, PROJECT)
    assert outcome.status == "failed"


def test_without_the_platforms_outputs_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = list(kuberay.check("train-local", train_settings("as in the repository"), PROJECT))
    assert [(each.check, each.status) for each in found] == [("KubeRay", "unknown")]
