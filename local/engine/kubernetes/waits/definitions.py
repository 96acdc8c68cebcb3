"""CustomResourceDefinitions: served by the API server."""

from __future__ import annotations

from local.engine.kubernetes.objects import Object
from local.engine.kubernetes.waits.status import Failed, Ready, Status, Waiting, condition, is_true


def crd_status(obj: Object) -> Status:
    if is_true(obj, "Established"):
        return Ready()
    names = condition(obj, "NamesAccepted")
    if names is not None and names.get("status") == "False":
        return Failed(f"its names are not accepted: {names.get('message')}")
    return Waiting("the API server does not serve it yet")
