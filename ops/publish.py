"""The one comment of a pull request, and the one issue of a stack's drift: written, or written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError
from ops.github_api import GitHub


def publish(
    file: Annotated[Path, typer.Argument(help="The Markdown to write.")],
    repository: Annotated[str, typer.Option(help="owner/name.")],
    number: Annotated[int | None, typer.Option(help="The pull request to comment on.")] = None,
    title: Annotated[str, typer.Option(help="The issue to open or update, by its title.")] = "",
    close: Annotated[bool, typer.Option(help="Close that issue instead, if it is open.")] = False,
) -> None:
    """Write a comment or an issue on GitHub, in place of the one written before. The token is in GITHUB_TOKEN."""
    if bool(number) == bool(title):
        raise MantaError("give either --number for a comment or --title for an issue")
    github = GitHub(repository)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        raise MantaError(f"{file} cannot be read as text: give the file that was written") from None
    if number:
        _comment(github, number, text)
    else:
        _issue(github, title, text, close)


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
