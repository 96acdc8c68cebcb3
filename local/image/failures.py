"""What went wrong while an image was made, in one sentence, from the output of the program that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from local.errors import MantaError

_KEPT_LINES = 12


def failure(action: str, lines: Iterable[str], otherwise: str) -> MantaError:
    """The error for an `action` ("the image was built") that ended with `lines`; `otherwise` says what to do about all
    that is not recognised."""
    detail = "\n".join(list(lines)[-_KEPT_LINES:])
    if re.search(r"no space left on device|write error", detail, re.IGNORECASE):
        return MantaError(f"the disk filled up while {action}: free some space and run the same command again", detail)
    return MantaError(otherwise, detail)


def storage(name: str, folder: object, error: OSError) -> MantaError:
    """The error for a file that could not be written, or for a program that is not installed (which has no errno)."""
    if isinstance(error, FileNotFoundError) and error.errno is None:
        return MantaError(f"{error} is not installed, and the image {name} is made with it: apt-get install {error}")
    return MantaError(
        f"the image {name} could not be stored in {folder} ({error}): free some space or choose another folder with "
        "MANTA_CACHE_DIR"
    )
