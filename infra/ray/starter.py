"""Starts one run from its schedule's template and waits for its end: what a scheduled Job's pod runs.

Nothing but the standard library, since it is all that the pod gets. A pod that takes the place of one that was lost
finds the run under its name and goes on waiting. Exit status 3: the run failed, and another pod would not change that.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

RUN_FAILED = 3
ENDED = ("Complete", "Failed", "ValidationFailed")
TEMPLATE_ROLE = "template"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POLL_S = 5.0


def run_name(template: str, schedule: str, job: str, uid: str) -> str:
    """`nightly-schedule-29384720` makes `nightly-29384720`; a Job that was made by hand gives a part of its uid.

    Never the Job's own name: KubeRay calls its submitter, a Job too, as it calls the run.
    """
    minute = re.fullmatch(rf"{re.escape(schedule)}-(\d{{1,8}})", job)
    return f"{template}-{minute[1] if minute else uid[:8]}"


def run_of(template: dict[str, Any], name: str, job: str, uid: str) -> dict[str, Any]:
    """The RayJob of one run. It belongs to the Job, and goes with it: at the end of its history, or of the stack."""
    metadata = template["metadata"]
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key != "manta/role"}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid, "blockOwnerDeletion": True}
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**labels, "manta/run": name},
            "ownerReferences": [owner],
        },
        "spec": {key: value for key, value in template["spec"].items() if key != "suspend"},
    }


class Api:
    """The API server, as a pod reaches it with its account's token. One that is away is waited for."""

    def __init__(self, server: str, account: Path, patience_s: float = 600.0, pause_s: float = _POLL_S) -> None:
        self.server = server
        self.account = account
        self.patience_s = patience_s
        self.pause_s = pause_s
        authority = account / "ca.crt"
        self.context = ssl.create_default_context(cafile=str(authority)) if authority.exists() else None

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; only 2xx, 404 and 409 come back, all else is tried again or raised."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code in (404, 409):
                    return error.code, {}
                text = error.read().decode(errors="replace")[:500]
                if error.code < 500 and error.code != 429:
                    sys.exit(f"error: {method} {path} is refused with {error.code}: {text}")
                reason = f"{error.code} {text}"
            except OSError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                sys.exit(f"error: the API server does not answer: {reason}")
            time.sleep(self.pause_s)

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        # Read each time: a token is renewed while the run goes on.
        headers = {
            "Authorization": f"Bearer {(self.account / 'token').read_text()}",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data, headers, method=method)  # noqa: S310 - https of the pod
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())


def start(api: Api, namespace: str, template: str, schedule: str, job: str, uid: str) -> int:
    """Make the run unless it is there, and wait for its end; the exit status."""
    path = f"/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
    name = run_name(template, schedule, job, uid)
    status, found = api.call("GET", f"{path}/{name}")
    if status == 404:
        status, pattern = api.call("GET", f"{path}/{template}")
        if status == 404:
            sys.exit(f"error: there is no RayJob {template} to make a run of: bring the stack up again")
        api.call("POST", path, run_of(pattern, name, job, uid))
        status, found = api.call("GET", f"{path}/{name}")
    owners = [owner.get("uid") for owner in found.get("metadata", {}).get("ownerReferences", [])]
    if status != 404 and uid not in owners:
        print(f"error: RayJob {name} is there and belongs to another Job", flush=True)
        return RUN_FAILED
    told = None
    while True:
        if status == 404:
            print(f"run {name} is gone: somebody deleted it", flush=True)
            return RUN_FAILED
        state = found.get("status", {}).get("jobDeploymentStatus") or "New"
        if state != told:
            print(f"run {name}: {state} {found.get('status', {}).get('message') or ''}".rstrip(), flush=True)
            told = state
        if state in ENDED:
            ended_well = state == "Complete" and found["status"].get("jobStatus") == "SUCCEEDED"
            return 0 if ended_well else RUN_FAILED
        time.sleep(api.pause_s)
        status, found = api.call("GET", f"{path}/{name}")


def main() -> None:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    api = Api(f"https://{f'[{host}]' if ':' in host else host}:{port}", _ACCOUNT)
    names = [os.environ[f"MANTA_{each}"] for each in ("NAMESPACE", "TEMPLATE", "SCHEDULE", "JOB", "JOB_UID")]
    sys.exit(start(api, *names))


if __name__ == "__main__":
    main()
