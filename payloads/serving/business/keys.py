"""API keys: what the service holds is their hashes, so that who reads its settings cannot ask in a client's name.

`python -m payloads.serving.business.keys --client acme` makes one. Keys are 32 random bytes: a plain SHA-256 of such a
thing cannot be guessed backwards, which is what slow password hashes are for.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.serving.failures import RefusedError

VARIABLE = "MANTA_BUSINESS_KEYS"
CLIENT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
_ENTRY = re.compile(r"([a-z0-9][a-z0-9-]{0,62})=([0-9a-f]{64})")
HEADER = "X-API-Key"


class Keys:
    """Clients by the hash of their key. A client may have two keys, to change from one to the other."""

    def __init__(self, entries: list[tuple[str, str]]) -> None:
        self._entries = [(client, bytes.fromhex(digest)) for client, digest in entries]

    def client_of(self, headers: Mapping[str, str]) -> str:
        """Who asks; raises RefusedError (401), the same for no key and for a wrong one.

        Every entry is compared, and each in constant time: how long it takes tells nothing of what is right.
        """
        given = headers.get(HEADER.lower(), "")
        digest = hashlib.sha256(given.encode("latin-1")).digest()
        found = [client for client, known in self._entries if hmac.compare_digest(known, digest)]
        if not given or not found:
            challenge = {"WWW-Authenticate": f'ApiKey realm="decisions", header="{HEADER}"'}
            raise RefusedError(401, f"{HEADER} holds no key that is known here", headers=challenge)
        return found[0]


def read_keys(environment: Mapping[str, str] = os.environ) -> Keys:
    """Keys from MANTA_BUSINESS_KEYS: `client=sha256` pairs between spaces or commas; raises PayloadError."""
    parts = environment.get(VARIABLE, "").replace(",", " ").split()
    if not parts:
        raise PayloadError(
            f"environment variable {VARIABLE} is not set: make a key with `python -m payloads.serving.business.keys "
            "--client NAME` and give its entry by a Secret"
        )
    matches = [_ENTRY.fullmatch(part) for part in parts]
    entries = [(match[1], match[2]) for match in matches if match]
    if len(entries) < len(parts):
        place = next(number for number, match in enumerate(matches, 1) if match is None)
        raise PayloadError(f"environment variable {VARIABLE}: entry {place} is not client=hash, 64 hexadecimal digits")
    return Keys(entries)


def make(client: str) -> tuple[str, str]:
    """A new key, and the entry by which the service knows it."""
    key = secrets.token_urlsafe(32)
    return key, f"{client}={hashlib.sha256(key.encode()).hexdigest()}"


class KeySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    client: str = Field(pattern=CLIENT_PATTERN, description="name of the client that the key is for")


def main() -> None:
    settings = parse(KeySettings, "Make an API key of the decision service.")
    key, entry = make(settings.client)
    print(f"key (for the client, shown once): {key}\nentry (for {VARIABLE}): {entry}")


if __name__ == "__main__":
    run_main(main)
