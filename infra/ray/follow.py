"""The log of a run's driver, line by line, across retries and interruptions."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from infra.ray.cluster_api import ClusterApi

# Asked for again on each poll, so that no line falls between two; what was seen is known by its time.
_OVERLAP_S = 10
# Ray colours what workers print, and marks it with their names.
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_KEPT_LINES = 5000


class LogFollower:
    """New lines of the newest pod under `selector`. `lines` holds the last ones of that pod.

    When a submitter fails its Job starts another, whose log repeats the same driver's from its beginning: these lines
    are not new.
    """

    def __init__(self, api: ClusterApi, selector: str) -> None:
        self._api = api
        self._selector = selector
        self._pod = ""
        self._last = ""
        self._asked: float | None = None
        self._job = ""
        self._repeated: Counter[str] = Counter()
        self.lines: list[str] = []

    def new_lines(self) -> list[str]:
        """Lines since the last call; none while there is no pod or no log."""
        pods = [pod for pod in self._api.pods(self._selector) if pod.get("status", {}).get("phase") != "Pending"]
        if not pods:
            return []
        pod = max(pods, key=_created)
        newest, job = str(pod["metadata"]["name"]), _job(pod)
        if newest != self._pod:
            self._repeated = Counter(self.lines if job and job == self._job else [])
            self._job = job
            self._pod, self._last, self._asked, self.lines = newest, "", None, []
        asked = time.monotonic()
        since = None if self._asked is None else math.ceil(asked - self._asked) + _OVERLAP_S
        fresh: list[str] = []
        for stamped in self._api.log(newest, since).splitlines():
            stamp, _, line = stamped.partition(" ")
            if stamp > self._last:
                self._last = stamp
                fresh.append(_ANSI.sub("", line).rstrip("\r"))
        self._asked = asked
        self.lines = [*self.lines, *fresh][-_KEPT_LINES:]
        return [line for line in fresh if not self._was_told(line)]

    def _was_told(self, line: str) -> bool:
        if not self._repeated[line]:
            return False
        self._repeated[line] -= 1
        return True


def _created(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _job(pod: Mapping[str, Any]) -> str:
    """The UID of the Job that the pod belongs to; a retry of the run has a Job of its own."""
    return next((str(owner.get("uid", "")) for owner in pod["metadata"].get("ownerReferences", [])), "")
