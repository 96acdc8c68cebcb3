"""The program in a scheduled Job's pod, run as the pod runs it, against a server that keeps RayJobs as the API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.ray import starter
from tests.contract.manifests import ray_job

UID = "0f1e2d3c-0000-0000-0000-000000000000"
JOB = "digits-schedule-29384720"
RUN = "digits-29384720"
COMPLETE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}


class Server(ThreadingHTTPServer):
    """RayJobs by name; `course` are the states that one goes through, one at each look. `failing` answers are 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, dict[str, Any]] = {"digits": ray_job("by the clock")}
        self.course: list[dict[str, Any] | None] = [COMPLETE]
        self.posted: list[dict[str, Any]] = []
        self.failing = 0
        self.tokens: set[str | None] = set()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        found = self.server.jobs.get(name)
        if found is not None and name != "digits" and self.server.course:
            state = self.server.course.pop(0) if len(self.server.course) > 1 else self.server.course[0]
            if state is None:
                del self.server.jobs[name]
                found = None
            else:
                found["status"] = state
        self._answer(200 if found else 404, found or {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append(body)
        name = body["metadata"]["name"]
        if name not in self.server.jobs:
            self.server.jobs[name] = body
        self._answer(201, body)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.failing:
            self.server.failing -= 1
            status = 503
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> starter.Api:
    (tmp_path / "token").write_text("of the pod")
    return starter.Api(f"http://127.0.0.1:{server.server_port}", tmp_path, patience_s=5, pause_s=0.01)


def start(api: starter.Api, job: str = JOB) -> int:
    return starter.start(api, "ray", "digits", "digits-schedule", job, UID)


def test_a_run_is_its_template_without_the_brake_and_belongs_to_its_job(server: Server, api: starter.Api) -> None:
    assert start(api) == 0
    (made,) = server.posted
    template = server.jobs["digits"]
    assert template["spec"]["suspend"] is True, "the template itself must not run"
    assert made["spec"] == {key: value for key, value in template["spec"].items() if key != "suspend"}
    assert made["metadata"]["name"] == made["metadata"]["labels"]["manta/run"] == RUN
    assert made["metadata"]["labels"]["manta/stack"] == "train-local"
    assert "manta/role" not in made["metadata"]["labels"]
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", JOB, UID)
    assert owner["blockOwnerDeletion"] is True, "a destroyed stack waits for its runs"
    assert server.tokens == {"Bearer of the pod"}


def test_a_pod_in_place_of_a_lost_one_waits_for_the_run_that_is_there(server: Server, api: starter.Api) -> None:
    start(api)
    server.course = [{"jobDeploymentStatus": "Running"}, {"jobDeploymentStatus": "Running"}, COMPLETE]
    assert start(api) == 0
    assert len(server.posted) == 1


@pytest.mark.parametrize(
    "end",
    [
        {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "the driver failed"},
        {"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"},
        {"jobDeploymentStatus": "ValidationFailed"},
        None,
    ],
)
def test_a_run_that_does_not_end_well_fails_its_job_at_once(
    server: Server, api: starter.Api, end: dict[str, Any] | None
) -> None:
    server.course = [{"jobDeploymentStatus": "Running"}, end]
    assert start(api) == starter.RUN_FAILED


def test_a_suspended_run_is_waited_for(server: Server, api: starter.Api) -> None:
    server.course = [{"jobDeploymentStatus": "Suspended"}, {"jobDeploymentStatus": "Running"}, COMPLETE]
    assert start(api) == 0


def test_an_api_server_that_is_away_for_a_while_is_waited_for(server: Server, api: starter.Api) -> None:
    server.failing = 4
    assert start(api) == 0
    assert len(server.posted) == 1


def test_a_run_of_that_name_that_is_another_jobs_is_not_taken_for_its_own(server: Server, api: starter.Api) -> None:
    start(api)
    assert starter.start(api, "ray", "digits", "digits-schedule", JOB, "another") == starter.RUN_FAILED


def test_without_a_template_it_says_what_to_do(server: Server, api: starter.Api) -> None:
    server.jobs.clear()
    with pytest.raises(SystemExit, match="bring the stack up again"):
        start(api)


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (JOB, RUN), ("by-hand", "digits-0f1e2d3c"), ("29384720", "digits-0f1e2d3c"),
        ("digits-schedule-now", "digits-0f1e2d3c"), ("digits-schedule-123456789", "digits-0f1e2d3c"),
    ],
)  # fmt: skip
def test_a_run_is_called_by_its_time_or_its_job_and_never_as_the_job(job: str, name: str) -> None:
    assert starter.run_name("digits", "digits-schedule", job, UID) == name != job
