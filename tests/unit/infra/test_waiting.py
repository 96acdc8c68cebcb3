"""What `pulumi up` says of a run and of a service, from what the API server answers."""

# ruff: noqa: ARG002, ARG005 - answers that do not depend on the question
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.errors import WaitError
from infra.ray import wait, wait_service
from infra.ray.follow import LogFollower
from infra.ray.wait import RESULT_ANNOTATION, Wanted, parse_result, wait_for_run
from infra.ray.wait_service import WantedService, wait_for_service

RESULT = {"accuracy": 0.97, "registered": True}
WANTED = Wanted("digits-1a2b3c4d", "train-local", attempts=2, deadline_seconds=60)
SERVICE = WantedService("digits", "serve-local", "/healthz", timeout_seconds=60)


class Recorded:
    """An API server that gives one recorded answer after the other, the last one for ever."""

    def __init__(self, *states: Mapping[str, Any] | None, logs: list[str] | None = None, pods: int = 1) -> None:
        self.states = list(states)
        self.logs = logs or []
        self.podlist = [
            {
                "metadata": {"name": f"p{n}", "creationTimestamp": f"2026-01-01T00:00:0{n}Z"},
                "status": {"phase": "Running"},
            }
            for n in range(pods)
        ]
        self.annotated: dict[str, str] = {}
        self.answering = True

    def resource(self, plural: str, name: str) -> Mapping[str, Any] | None:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def pods(self, selector: str) -> list[Mapping[str, Any]]:
        assert selector == "job-name=digits-1a2b3c4d"
        return list(self.podlist)

    def log(self, pod: str, since_seconds: int | None) -> str:
        return "\n".join(f"2026-01-01T00:00:{n:02d}.000000000Z {line}" for n, line in enumerate(self.logs))

    def annotate(self, plural: str, name: str, annotations: Mapping[str, str]) -> None:
        self.annotated.update(annotations)

    def answers(self, service: str, port: int, path: str) -> bool:
        assert (service, port, path) == ("digits-serve-svc", 8000, "/healthz")
        return self.answering


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def job(state: str, status: str = "", message: str = "", reason: str = "", annotation: Any = None) -> dict[str, Any]:
    annotations = {RESULT_ANNOTATION: json.dumps(annotation)} if annotation else {}
    metadata = {"name": WANTED.name, "namespace": "ray", "annotations": annotations}
    return {
        "metadata": metadata,
        "status": {"jobDeploymentStatus": state, "jobStatus": status, "message": message, "reason": reason},
    }


def test_progress_is_forwarded_once_and_the_result_kept_with_the_run() -> None:
    logs = ["setting up", "progress: epoch 1/2", "progress: epoch 2/2", f"result: {json.dumps(RESULT)}"]
    api = Recorded(job("Initializing"), job("Running", "RUNNING"), job("Complete", "SUCCEEDED"), logs=logs)
    said: list[str] = []
    assert wait_for_run(api, WANTED, said.append) == RESULT
    assert [line for line in said if line.startswith("progress: ")] == logs[1:3]
    assert json.loads(api.annotated[RESULT_ANNOTATION]) == RESULT


def test_a_run_whose_pods_are_gone_still_has_its_result() -> None:
    api = Recorded(job("Complete", "SUCCEEDED", annotation=RESULT), pods=0)
    assert wait_for_run(api, WANTED, lambda line: None) == RESULT


def test_a_run_that_left_no_result_is_no_failure() -> None:
    assert wait_for_run(Recorded(job("Complete", "SUCCEEDED"), pods=0), WANTED, lambda line: None) is None


def test_a_failed_run_ends_with_its_message_and_its_last_lines() -> None:
    message = "Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):\nlots"
    api = Recorded(job("Failed", "FAILED", message, "AppFailed"), logs=["first", "", "ValueError: no such column"])
    with pytest.raises(WaitError) as caught:
        wait_for_run(api, WANTED, lambda line: None)
    text = str(caught.value)
    assert text.startswith(
        "run digits-1a2b3c4d failed (AppFailed): Job entrypoint command failed with exit code 1; mend"
    )
    assert "pulumi up -s train-local" in text
    assert text.endswith("the last lines of its log:\n  first\n  ValueError: no such column")


def test_what_the_submitter_repeats_of_the_log_is_left_out() -> None:
    stamp = "2026-01-01 00:00:00,000"
    logs = ["error: --epochs: too few", f"{stamp}\tINFO sdk.py:520 -- WebSocket closed for job x with close code 1000"]
    logs += [f"{stamp}\tERR cli.py:74 -- {'-' * 32}", f"{stamp}\tERR cli.py:75 -- Job 'x' failed", *logs[:1]]
    with pytest.raises(WaitError) as caught:
        wait_for_run(Recorded(job("Failed", "FAILED", "exit code 1"), logs=logs), WANTED, lambda line: None)
    assert str(caught.value).endswith("the last lines of its log:\n  error: --epochs: too few")


def test_without_a_log_the_operators_message_is_shown() -> None:
    api = Recorded(job("Failed", "", "submission failed:\nImagePullBackOff", "SubmissionFailed"), pods=0)
    with pytest.raises(WaitError, match="ImagePullBackOff"):
        wait_for_run(api, WANTED, lambda line: None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (job("ValidationFailed", "", "backoffLimit", "ValidationFailed"), "failed (ValidationFailed)"),
        (job("Complete", "STOPPED"), "was stopped"),
        (None, "is gone"),
    ],
)
def test_every_other_end_of_a_run_is_a_failure(state: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(WaitError) as caught:
        wait_for_run(Recorded(state, pods=0), WANTED, lambda line: None)
    assert words in str(caught.value)


def test_a_run_that_never_ends_is_given_up_after_all_its_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 100))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with pytest.raises(WaitError, match="has not ended within 720 s"):
        wait_for_run(Recorded(job("Running", "RUNNING"), pods=0), WANTED, lambda line: None)


def test_the_log_of_a_retry_starts_anew() -> None:
    api = Recorded(job("Running"), logs=["one"])
    follower = LogFollower(api, "job-name=digits-1a2b3c4d")
    assert follower.new_lines() == ["one"]
    assert follower.new_lines() == [], "lines that were seen come again in the overlap"
    api.podlist.append(
        {"metadata": {"name": "p9", "creationTimestamp": "2026-01-01T00:00:09Z"}, "status": {"phase": "Running"}}
    )
    api.logs = ["\x1b[36mtwo\x1b[0m"]
    assert follower.new_lines() == ["two"]
    assert follower.lines == ["two"]


@pytest.mark.parametrize(("job", "told"), [("first", ["one", "three"]), ("second", ["one", "one", "two", "three"])])
def test_a_submitter_that_tells_the_same_drivers_log_again_tells_nothing_new(job: str, told: list[str]) -> None:
    api = Recorded(None, logs=["one", "two"])
    first = api.podlist[0]["metadata"]
    first["ownerReferences"] = [{"uid": "first"}]
    follower = LogFollower(api, "job-name=digits-1a2b3c4d")
    assert follower.new_lines() == ["one", "two"]
    again = {"name": "p9", "creationTimestamp": "2026-01-01T00:00:09Z", "ownerReferences": [{"uid": job}]}
    api.podlist.append({"metadata": again, "status": {"phase": "Running"}})
    api.logs = ["one", "one", "two", "three"]
    assert follower.new_lines() == told
    assert follower.lines == api.logs


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['result: {"a": 1}', 'result: {"a": 2}', "bye"], {"a": 2}),
        (['result: {"a": 1}', "result: oops", "result: [1]"], {"a": 1}),
        (["no result"], None),
        ([], None),
    ],
)
def test_the_last_result_that_can_be_read_counts(lines: list[str], expected: Any) -> None:
    assert parse_result(lines) == expected


def service(ready: str = "True", upgrading: str = "False", app: str = "RUNNING", **more: Any) -> dict[str, Any]:
    applications = {"applicationStatuses": {"digits": {"status": app, "message": more.pop("message", "")}}}
    return {
        "metadata": {"name": "digits", "namespace": "ray", "generation": 2},
        "status": {
            "observedGeneration": more.pop("observed", 2),
            "conditions": [
                {"type": "Ready", "status": ready, "reason": more.pop("reason", ""), "message": "why"},
                {"type": "UpgradeInProgress", "status": upgrading},
            ],
            more.pop("which", "activeServiceStatus"): applications,
        },
    }


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (service(observed=1), "waiting for the operator"),
        (service(upgrading="True"), "while the old one serves"),
        (service(ready="False"), "is starting"),
        (service(app="DEPLOYING"), "application digits is deploying"),
        ({"metadata": {"generation": 1}}, "waiting for the operator"),
        (service(), ""),
    ],
)
def test_ready_means_this_version_everywhere(state: dict[str, Any], words: str) -> None:
    missing = wait_service.what_is_missing(state)
    assert words in missing
    assert bool(words) == bool(missing)


def test_a_service_is_up_once_it_answers_several_times_in_a_row() -> None:
    said: list[str] = []
    api = Recorded(service(ready="False"), service(upgrading="True"), service())
    wait_for_service(api, SERVICE, said.append)
    assert len(said) == 2


def test_ready_without_an_answer_is_not_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    api = Recorded(service())
    api.answering = False
    with pytest.raises(WaitError, match="nothing answers at /healthz"):
        wait_for_service(api, SERVICE, lambda line: None)


def test_a_deployment_that_serve_gave_up_is_a_failure_with_what_serve_says() -> None:
    broken = service(ready="False", app="DEPLOY_FAILED", which="pendingServiceStatus", message="Trace\nKeyError: 'x'")
    with pytest.raises(WaitError, match="cannot be deployed; application digits: KeyError: 'x'; mend it"):
        wait_for_service(Recorded(broken), SERVICE, lambda line: None)


def test_a_service_that_the_operator_refuses_is_a_failure_at_once() -> None:
    with pytest.raises(WaitError, match="refused by the operator: ValidationFailed: why"):
        wait_for_service(Recorded(service(ready="False", reason="ValidationFailed")), SERVICE, lambda line: None)


def test_an_api_server_that_stays_away_is_a_failure_that_says_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 50))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))

    class Away(Recorded):
        def resource(self, plural: str, name: str) -> Mapping[str, Any] | None:
            raise ConnectionRefusedError

    with pytest.raises(WaitError, match="has not answered for 180 s; the work goes on in the cluster"):
        wait_for_run(Away(None), WANTED, lambda line: None)


def test_an_api_server_that_comes_back_is_no_failure() -> None:
    class Flaky(Recorded):
        calls = 0

        def resource(self, plural: str, name: str) -> Mapping[str, Any] | None:
            self.calls += 1
            if self.calls % 2:
                raise ConnectionResetError
            return super().resource(plural, name)

    api = Flaky(job("Running"), job("Complete", "SUCCEEDED", annotation=RESULT))
    assert wait_for_run(api, WANTED, lambda line: None) == RESULT
    assert wait.PROGRESS == "progress: ", "the payloads print it"
