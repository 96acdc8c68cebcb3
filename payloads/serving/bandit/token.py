"""A decision as a text that the client keeps and sends back with the reward.

It holds the arm and the context, signed: replicas remember nothing, and nobody can report on a decision that was never
taken. Its random id makes the same report count once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any

import numpy as np

from payloads.serving.http import RefusedError

_SIGNATURE = 32


def seal(key: bytes, arm: int, context: np.ndarray) -> str:
    """A token for this decision."""
    body = json.dumps([secrets.token_hex(8), arm, context.tolist()], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(key, body) + body).decode()


def unseal(key: bytes, token: str) -> tuple[str, int, np.ndarray]:
    """Id, arm and context of a decision; raises RefusedError (422) for a token that this bandit did not give."""
    try:
        content = base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError):
        raise _foreign() from None
    signature, body = content[:_SIGNATURE], content[_SIGNATURE:]
    if not hmac.compare_digest(signature, _sign(key, body)):
        raise _foreign()
    parts: list[Any] = json.loads(body)
    return str(parts[0]), int(parts[1]), np.asarray(parts[2], np.float64)


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _foreign() -> RefusedError:
    return RefusedError(422, "decision: it was not given by this bandit")
