"""A few calls of GitHub's API."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from typing import Any

from local.errors import MantaError

_TIMEOUT_S = 30
_PAGES = 20


class GitHub:
    """One repository's; raises MantaError for what is no owner/name and where GITHUB_TOKEN is not set."""

    def __init__(self, repository: str) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise MantaError(f"--repository {repository} is no owner/name")
        url = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        token = os.environ.get("GITHUB_TOKEN")
        if not token:
            raise MantaError("GITHUB_TOKEN is not set: give the step the workflow's own token")
        if not url.startswith(("https://", "http://127.0.0.1:")):
            raise MantaError("GITHUB_API_URL must be an https address: the token is sent to it")
        self._base, self._token = f"{url}/repos/{repository}", token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request; raises MantaError that never holds the token."""
        request = urllib.request.Request(  # noqa: S310 - https, checked above
            f"{self._base}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/vnd.github+json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            hint = "it needs permission to write" if error.code in (401, 403, 404) else "try again"
            raise MantaError(f"GitHub answered {error.code} to {method} {path}: {hint}") from None
        except OSError:
            raise MantaError(f"GitHub cannot be reached for {method} {path}: try again") from None

    def pages(self, path: str) -> list[Any]:
        found: list[Any] = []
        for page in range(1, _PAGES + 1):
            entries = self.call("GET", f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            found += entries
            if len(entries) < 100:
                break
        return found
