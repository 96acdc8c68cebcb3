"""Exit statuses, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FOUND = 1  # it works, and what it looked for is there: a violation, drift, something missing
    USAGE = 2  # the command line is wrong
    INPUT = 3  # what it was given to read cannot be used: a broken preview, no credentials
