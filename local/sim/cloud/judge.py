"""Whether a caller may do what it asks: users of the account may do everything, roles what their policies allow."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local.sim.cloud import tokens
from local.sim.cloud.calls import Call
from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.demands import demands
from local.sim.cloud.identity import Agent
from local.sim.cloud.policies import Context, evaluate

_ALWAYS = ("sts:GetCallerIdentity",)


class DeniedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Judge:
    """Remembers who asked for which actions, and with what success."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._seen: Counter[tuple[str, str, bool]] = Counter()
        self._lock = threading.Lock()

    def check(self, call: Call) -> None:
        """Raises DeniedError. Signatures are not verified: whoever can reach this AWS may pretend to be a user."""
        if call.path.startswith("/moto-api/"):
            return
        known = tokens.credentials(call.access_key) if call.access_key else None
        if known is None:
            code = "AuthFailure" if call.service == "ec2" else "InvalidClientTokenId"
            raise DeniedError(code, "The security token included in the request is invalid.")
        principal = known[1]
        if ":role/" not in principal:
            return
        policies = policies_of(principal)
        for demand in demands(call, self._context(call.access_key, principal)):
            allowed = demand.action in _ALWAYS or evaluate(policies, demand).allowed
            with self._lock:
                self._seen[(principal, demand.action, allowed)] += 1
            if not allowed:
                code = "UnauthorizedOperation" if call.service == "ec2" else "AccessDenied"
                sentence = f"{principal} is not authorized to perform: {demand.action} on resource: {demand.resource}"
                raise DeniedError(code, sentence)

    def seen(self) -> list[dict[str, Any]]:
        """What roles asked for since the start."""
        with self._lock:
            items = sorted(self._seen.items())
        return [
            {"principal": principal, "action": action, "allowed": allowed, "times": times}
            for (principal, action, allowed), times in items
        ]

    def _context(self, access_key: str, principal: str) -> Context:
        session = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key)
        tags = self._agent.tags.get(access_key, {})
        context: dict[str, tuple[str, ...]] = {"aws:principalarn": (principal,)}
        context |= {f"aws:principaltag/{key}": (value,) for key, value in tags.items()}
        if session is not None:
            context["aws:userid"] = (session.user_id,)
        return context


def policies_of(role_arn: str) -> list[dict[str, Any]]:
    """The documents of a role's inline and attached policies."""
    backend: Any = iam_backends[ACCOUNT]["aws"]
    role = backend.get_role_by_arn(role_arn)
    documents = [backend.get_role_policy(role.name, name)[1] for name in backend.list_role_policies(role.name)]
    attached = [policy.versions for policy in role.managed_policies.values()]
    documents += [version.document for versions in attached for version in versions if version.is_default]
    return [json.loads(document) if isinstance(document, str) else document for document in documents]
