"""The one exception whose text is meant for a person."""

from __future__ import annotations

import sys
from collections.abc import Callable


class PayloadError(Exception):
    """One sentence: what is wrong, where, and what to do. Shown without a traceback."""


def run_main(main: Callable[[], None]) -> None:
    """Call `main`; a PayloadError becomes one `error:` line on stderr and exit status 1.

    Anything else keeps its traceback: it is a defect, and the traceback is what locates it.
    """
    try:
        main()
    except PayloadError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
