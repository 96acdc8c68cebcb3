"""Waiting for a run's end. The engine cannot: no annotation tells a failed RayJob from a running one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from infra.errors import WaitError
from infra.plain import section
from infra.ray.cluster_api import ClusterApi, patiently
from infra.ray.follow import LogFollower

PROGRESS = "progress: "
RESULT = "result: "
# Where a run's result stays readable after its pods, and their logs, are gone.
RESULT_ANNOTATION = "manta/result"
# `ray job submit` (Ray 2.60) closes a failed job with this line, its name, the line again and the whole log.
_SUBMITTER_BANNER = re.compile(r"\bERR cli\.py:\d+ -- -{8,}$|\bWebSocket closed for job\b")
_POLL_S = 1.0
_LAST_LINES = 15
# On top of a deadline, which counts from when the operator sees an attempt to when it has stopped it.
_SLACK_S = 300


@dataclass(frozen=True)
class Wanted:
    """The run to wait for. `attempts` and `deadline_seconds` bound the wait: KubeRay counts a deadline per attempt."""

    name: str
    stack: str
    attempts: int
    deadline_seconds: int

    @property
    def patience(self) -> float:
        return self.attempts * (self.deadline_seconds + _SLACK_S)


def wait_for_run(api: ClusterApi, wanted: Wanted, say: Callable[[str], None]) -> Mapping[str, Any] | None:
    """The run's result, or None if it ended well and left none; its progress goes to `say`.

    Raises WaitError with the run's message and its last lines when it fails or exceeds its time. A run that has ended
    before is reported at once.
    """
    what = f"run {wanted.name}"
    follower = LogFollower(api, f"job-name={wanted.name}")
    deadline = time.monotonic() + wanted.patience
    told = ""
    while True:
        job = patiently(lambda: api.resource("rayjobs", wanted.name), what)
        if job is None:
            raise WaitError(f"{what} is gone: somebody deleted its RayJob; run `pulumi refresh -s {wanted.stack}`")
        status = section(job, "status")
        for line in patiently(follower.new_lines, what):
            if line.startswith(PROGRESS):
                say(line)
        state = str(status.get("jobDeploymentStatus", ""))
        if state in ("Complete", "Failed", "ValidationFailed"):
            return _end(api, wanted, job, follower)
        if (now := _state_line(state, status)) != told:
            say(f"{what}: {now}")
            told = now
        if time.monotonic() > deadline:
            raise WaitError(
                f"{what} has not ended within {wanted.patience:.0f} s and is {now}: look at it with "
                f"`kubectl -n {job['metadata']['namespace']} describe rayjob {wanted.name}`"
            )
        time.sleep(_POLL_S)


def _end(api: ClusterApi, wanted: Wanted, job: Mapping[str, Any], follower: LogFollower) -> Mapping[str, Any] | None:
    status = job["status"]
    kept = section(job, "metadata", "annotations").get(RESULT_ANNOTATION)
    ended_well = status["jobDeploymentStatus"] == "Complete" and status.get("jobStatus") == "SUCCEEDED"
    if ended_well and kept:
        return cast(Mapping[str, Any], json.loads(kept))
    if ended_well:
        result = parse_result(follower.lines)
        if result is not None:
            text = json.dumps(result, sort_keys=True)
            patiently(lambda: api.annotate("rayjobs", wanted.name, {RESULT_ANNOTATION: text}), f"run {wanted.name}")
        return result
    raise WaitError(failure(wanted.name, wanted.stack, status, follower.lines))


def failure(name: str, stack: str, status: Mapping[str, Any], lines: list[str]) -> str:
    """What went wrong with a run, its last words, and what to do."""
    outcome = "was stopped" if status.get("jobStatus") == "STOPPED" else "failed"
    reason = f" ({status['reason']})" if status.get("reason") else ""
    message = str(status.get("message") or "").strip()
    # For a failed driver the message repeats the end of its log, which follows anyway.
    first = message.splitlines()[0].rstrip(": ,") if message else "the operator says no more"
    first = first.split(", last available logs")[0]
    tail = [line for line in _own_words(lines) if line.strip()][-_LAST_LINES:] or message.splitlines()[1:][
        -_LAST_LINES:
    ]
    words = "\n".join(["", "the last lines of its log:", *(f"  {line}" for line in tail)]) if tail else ""
    return (
        f"run {name} {outcome}{reason}: {first}; mend what its log names and run `pulumi up -s {stack}` again, with "
        f"`--replace` for the RayJob if nothing else changes (`make up` adds that itself){words}"
    )


def _own_words(lines: list[str]) -> list[str]:
    """`lines` up to the submitter's closing banner, after which it repeats the log that came before."""
    for index, line in enumerate(lines):
        if _SUBMITTER_BANNER.search(line):
            return lines[:index]
    return lines


def parse_result(lines: list[str]) -> Mapping[str, Any] | None:
    """The values of the last `result: {json}` line, or None if there is none that can be read."""
    for line in reversed(lines):
        if line.startswith(RESULT):
            try:
                value = json.loads(line.removeprefix(RESULT))
            except ValueError:
                continue
            if isinstance(value, dict):
                return cast(Mapping[str, Any], value)
    return None


def _state_line(state: str, status: Mapping[str, Any]) -> str:
    words = {
        "": "waiting for the operator",
        "Initializing": "the Ray cluster is starting",
        "Running": "running",
        "Retrying": f"trying again after {status.get('reason', 'a failure')}",
        "Waiting": "waiting for a submission",
        "Suspended": "suspended",
    }
    return words.get(state, state.lower())
