"""The one comment of a pull request, and the one issue of a stack's drift: written, or written anew."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from local.errors import MantaError

_TIMEOUT_S = 30
_PAGES = 20


def publish(
    file: Annotated[Path, typer.Argument(help="The Markdown to write.")],
    repository: Annotated[str, typer.Option(help="owner/name.")],
    number: Annotated[int | None, typer.Option(help="The pull request to comment on.")] = None,
    title: Annotated[str, typer.Option(help="The issue to open or update, by its title.")] = "",
    close: Annotated[bool, typer.Option(help="Close that issue instead, if it is open.")] = False,
) -> None:
    """Write a comment or an issue on GitHub, in place of the one written before. The token is in GITHUB_TOKEN."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise MantaError(f"--repository {repository} is no owner/name")
    if bool(number) == bool(title):
        raise MantaError("give either --number for a comment or --title for an issue")
    github = GitHub(repository, os.environ.get("GITHUB_API_URL", "https://api.github.com"))
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        raise MantaError(f"{file} cannot be read as text: give the file that was written") from None
    if number:
        _comment(github, number, text)
    else:
        _issue(github, title, text, close)


class GitHub:
    """A few calls of its API."""

    def __init__(self, repository: str, url: str) -> None:
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


def _comment(github: GitHub, number: int, text: str) -> None:
    marker = text.partition("\n")[0]
    # Anybody can write the marker into a comment; only a bot's own can be written anew by the bot.
    own = [
        comment
        for comment in github.pages(f"/issues/{number}/comments")
        if str(comment.get("body", "")).startswith(marker) and comment.get("user", {}).get("type") == "Bot"
    ]
    if own:
        github.call("PATCH", f"/issues/comments/{own[0]['id']}", {"body": text})
    else:
        github.call("POST", f"/issues/{number}/comments", {"body": text})


def _issue(github: GitHub, title: str, text: str, close: bool) -> None:
    same = [
        issue
        for issue in github.pages("/issues?state=open&creator=app/github-actions")
        if issue.get("title") == title and "pull_request" not in issue
    ]
    if close:
        for issue in same:
            github.call("PATCH", f"/issues/{issue['number']}", {"state": "closed", "body": text})
    elif same:
        github.call("PATCH", f"/issues/{same[0]['number']}", {"body": text})
    else:
        github.call("POST", "/issues", {"title": title, "body": text})
