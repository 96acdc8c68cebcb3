"""Text that comes from a change, made harmless: names and values are chosen by whoever wrote the pull request."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MOST_CHARACTERS = 60
_SECRET_NAME = re.compile(
    r"secret|token|passw|credential|private|api_?key|access_?key|signing|certificate|kubeconfig|(^|[._\[\]\"'-])key",
    re.IGNORECASE,
)
# What is a secret wherever it stands: an AWS access key, a private key, a signed token.
_SECRET = re.compile(r"(?:AKIA|ASIA)[0-9A-Z]{12,}|-----BEGIN[^-]*-----[^-]*|eyJ[A-Za-z0-9_-]{10,}[A-Za-z0-9_.-]*")
# A value that could be one, whatever its property is called: long, without spaces, of letters and digits together.
_SECRET_VALUE = re.compile(r"^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/=_-]{20,}$")
# What AWS calls things is long and of letters and digits too, and no secret.
_IDENTIFIER = re.compile(r"[a-z]{1,12}-[0-9a-f]{8,17}")
# How the engine writes what is not known before the update, and how it marks a secret.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SECRET_MARK = "4dabf18193072939515e22adb298388d"  # noqa: S105 - a mark
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
HIDDEN = "(hidden)"


def code(text: object, most: int = MOST_CHARACTERS) -> str:
    """`text` as a Markdown code span that cannot be left: one line, nothing invisible, no back-ticks, no bars."""
    plain = "".join(
        " " if character.isspace() else "\N{REPLACEMENT CHARACTER}" if _invisible(character) else character
        for character in str(text)
    )
    plain = re.sub(" +", " ", plain).strip().replace("`", "'").replace("|", "\N{BROKEN BAR}")
    if len(plain) > most:
        plain = plain[: most - 1] + "…"
    return f"`{plain}`" if plain else "` `"


def sentence(text: str, most: int = 400) -> str:
    """Prose from outside. It cannot make links, mentions, images, headings or HTML."""
    text = _SECRET.sub(HIDDEN, text)
    plain = "".join(" " if _invisible(character) or character.isspace() else character for character in text)
    plain = re.sub(" +", " ", plain).strip()
    if len(plain) > most:
        plain = plain[: most - 1] + "…"
    # Zero-width joiners keep a mention or a bare link from being one.
    plain = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", plain).replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("@", "@\u2060").replace("://", ":\u2060//")


def value(path: str, given: Any) -> str:
    """A property's value for people; hidden where it is or could be a secret."""
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return code(str(given).lower())
    if isinstance(given, (int, float)):
        return code(f"{given:g}" if not _SECRET_NAME.search(path) or abs(given) < 10_000 else HIDDEN)
    if isinstance(given, dict) and _SECRET_MARK in given:
        return code(HIDDEN)
    if isinstance(given, (dict, list)):
        return code(f"{len(given)} entries")  # pyright: ignore[reportUnknownArgumentType]
    text = str(given)
    if UNKNOWN in text:
        return "_known after the update_"
    if text == "[secret]" or _SECRET.search(text):
        return code(HIDDEN)
    if _SECRET_VALUE.search(text) and not _IDENTIFIER.fullmatch(text):
        return code(HIDDEN)
    if _SECRET_NAME.search(path):
        return code(HIDDEN)
    return code(_DIGEST.sub(r"\1…", text))


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Cn")
