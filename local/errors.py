"""The one kind of error that people are meant to read."""

from __future__ import annotations

import sys
from collections.abc import Callable

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130  # what shells report for a process ended by Ctrl-C (128 + SIGINT)


class MantaError(Exception):
    """What is wrong, where, and what to do about it, in one sentence.

    `detail` is for what helps to find the cause but is not the message: the last lines of a log, a command's output.
    Neither may hold a secret: both are shown and end up in CI logs.
    """

    def __init__(self, sentence: str, detail: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.detail = detail.strip() if detail and detail.strip() else None


def run(action: Callable[[], int | None]) -> int:
    """Run a command line's action and return its exit status: one line for a MantaError, 130 for Ctrl-C.

    Any other exception is a bug in Manta and keeps its traceback.
    """
    try:
        return action() or 0
    except MantaError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error.sentence}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        print("interrupted: nothing is lost, the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
