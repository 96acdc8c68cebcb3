"""Waiting until a model server answers, which is later than KubeRay's Ready condition says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import WaitError
from infra.plain import entries, section
from infra.ray.cluster_api import ClusterApi, patiently
from infra.ray.serve_config import PORT

_POLL_S = 1.0
# Ready comes about half a second before the Service's endpoints are programmed.
_ANSWERS_IN_A_ROW = 3
# The status of a version that was just replaced may still say that it failed.
_GIVEN_UP_FOR_S = 15
_BROKEN = ("DEPLOY_FAILED", "UNHEALTHY")


@dataclass(frozen=True)
class WantedService:
    """The endpoint to wait for. `health_path` answers 200 once requests are served."""

    name: str
    stack: str
    health_path: str
    timeout_seconds: int


def wait_for_service(api: ClusterApi, wanted: WantedService, say: Callable[[str], None]) -> None:
    """Return when the current version of the service is ready, no upgrade is under way and requests are answered.

    Raises WaitError with what is missing, and what Serve says of it, when that takes too long or cannot be.
    """
    what = f"service {wanted.name}"
    deadline = time.monotonic() + wanted.timeout_seconds
    told, answers, broken = "", 0, 0
    while True:
        service = patiently(lambda: api.resource("rayservices", wanted.name), what)
        if service is None:
            raise WaitError(f"{what} is gone: somebody deleted its RayService; run `pulumi refresh -s {wanted.stack}`")
        missing = what_is_missing(service)
        if not missing:
            answered = patiently(lambda: api.answers(f"{wanted.name}-serve-svc", PORT, wanted.health_path), what)
            answers = answers + 1 if answered else 0
            if answers >= _ANSWERS_IN_A_ROW:
                return
            missing = told if answered else f"nothing answers at {wanted.health_path} yet"
        else:
            answers = 0
        if invalid := _invalid(service):
            raise WaitError(f"{what} is refused by the operator: {invalid}")
        broken = broken + 1 if missing and _gave_up(service) else 0
        if broken * _POLL_S >= _GIVEN_UP_FOR_S:
            raise WaitError(
                f"{what} cannot be deployed{_complaints(service)}; mend it and run `pulumi up -s {wanted.stack}` again"
            )
        if missing != told:
            say(f"{what}: {missing}")
            told = missing
        if time.monotonic() > deadline:
            raise WaitError(
                f"{what} is not ready after {wanted.timeout_seconds} s: {missing}{_complaints(service)}; look at it "
                f"with `kubectl -n {service['metadata']['namespace']} describe rayservice {wanted.name}`"
            )
        time.sleep(_POLL_S)


def what_is_missing(service: Mapping[str, Any]) -> str:
    """Why this state is not the wanted one yet, or an empty text."""
    status = section(service, "status")
    if int(status.get("observedGeneration", 0)) < int(service["metadata"].get("generation", 1)):
        return "waiting for the operator"
    conditions = _conditions(status)
    if conditions.get("UpgradeInProgress", {}).get("status") == "True":
        return "the new Ray cluster is starting while the old one serves"
    if conditions.get("Ready", {}).get("status") != "True":
        return "the Ray cluster is starting"
    for name, application in _applications(status, "activeServiceStatus").items():
        state = str(application.get("status", ""))
        if state != "RUNNING":
            return f"application {name} is {state.lower().replace('_', ' ') or 'not there'}"
    return ""


def _invalid(service: Mapping[str, Any]) -> str:
    ready = _conditions(section(service, "status")).get("Ready", {})
    reason = str(ready.get("reason", ""))
    return f"{reason}: {ready.get('message', '')}" if reason in ("ValidationFailed", "InitializingTimeout") else ""


def _gave_up(service: Mapping[str, Any]) -> bool:
    """Whether Serve has stopped trying to start an application."""
    status = section(service, "status")
    which = "pendingServiceStatus" if _applications(status, "pendingServiceStatus") else "activeServiceStatus"
    return any(app.get("status") == "DEPLOY_FAILED" for app in _applications(status, which).values())


def _complaints(service: Mapping[str, Any]) -> str:
    status = section(service, "status")
    said: list[str] = []
    for which in ("pendingServiceStatus", "activeServiceStatus"):
        for name, application in _applications(status, which).items():
            if application.get("status") in _BROKEN and application.get("message"):
                said.append(f"application {name}: {str(application['message']).strip().splitlines()[-1]}")
            for title, deployment in section(application, "serveDeploymentStatuses").items():
                if deployment.get("message"):
                    said.append(f"deployment {title}: {str(deployment['message']).strip().splitlines()[-1]}")
    return "".join(f"; {line}" for line in said[:3])


def _applications(status: Mapping[str, Any], which: str) -> Mapping[str, Mapping[str, Any]]:
    return section(status, which, "applicationStatuses")


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(condition["type"]): condition for condition in entries(status, "conditions")}
