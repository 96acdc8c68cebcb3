"""The supervisor's life: start what may start, reap what ends, and stop in order when asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from local.cluster.components import STAGE_PODS
from local.cluster.spec import NodeSpec
from local.cluster.supervisor import logs, pods
from local.cluster.supervisor.process import Process, answering

_POD_GRACE_S = 6.0  # of the 15 s that a shutdown may take in all
_IDLE_S = 5.0
_EAGER_S = 0.05
_ROTATE_EVERY_S = 30.0

_STOP = {signal.SIGTERM, signal.SIGINT}
_RELOAD = signal.SIGHUP
SIGNALS = {signal.SIGCHLD, _RELOAD, *_STOP}


class Loop:
    def __init__(self, spec: NodeSpec) -> None:
        self._processes = [Process(component) for component in spec.components]
        self._logs = Path(spec.logs)
        self._status = Path(spec.status)
        self._next_rotation = 0.0

    def run(self) -> None:
        """Return when a stop was asked for and everything that must end in order has ended."""
        while True:
            waiting = self._start_what_may()
            self._rotate()
            event = signal.sigtimedwait(SIGNALS, _EAGER_S if waiting else _IDLE_S)
            self._reap()
            if event is not None and event.si_signo in _STOP:
                return self._stop()
            if event is not None and event.si_signo == _RELOAD:
                self._reload()

    def _start_what_may(self) -> bool:
        """Start what is due; true while anything is still to be started."""
        waiting, changed = False, False
        for process in self._processes:
            if process.pid is not None:
                continue
            if time.time() >= process.not_before and answering(process.component.after):
                process.start(self._logs)
                changed = True
            else:
                waiting = True
        if changed:
            self._write_status()
        return waiting

    def _reap(self) -> None:
        """Collect the dead: components, and orphans of pods, whose parent PID 1 becomes."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for process in self._processes:
                if process.pid == pid:
                    process.ended(status)
                    changed = True
        if changed:
            self._write_status()

    def _reload(self) -> None:
        for process in self._processes:
            if process.pid is not None and process.component.reload_signal:
                os.kill(process.pid, process.component.reload_signal)

    def _stop(self) -> None:
        stages = {process.component.stop_stage for process in self._processes} | {STAGE_PODS}
        for stage in sorted(stages):
            if stage == STAGE_PODS:
                self._stop_pods()
            members = [process for process in self._processes if process.component.stop_stage == stage]
            self._stop_together([process for process in members if process.pid is not None])

    def _stop_pods(self) -> None:
        pods.send(signal.SIGTERM, pods.first_processes())
        deadline = time.monotonic() + _POD_GRACE_S
        while pods.first_processes() and time.monotonic() < deadline:
            self._pause()
        pods.send(signal.SIGKILL, pods.first_processes())

    def _stop_together(self, members: list[Process]) -> None:
        for process in members:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + max((process.component.stop_seconds for process in members), default=0.0)
        while any(process.pid is not None for process in members) and time.monotonic() < deadline:
            self._pause()
        for process in members:
            _signal(process, signal.SIGKILL)

    def _pause(self) -> None:
        signal.sigtimedwait({signal.SIGCHLD}, _EAGER_S)
        self._reap()

    def _rotate(self) -> None:
        if time.monotonic() >= self._next_rotation:
            self._next_rotation = time.monotonic() + _ROTATE_EVERY_S
            with contextlib.suppress(OSError):  # a full disk must not end the cluster
                logs.rotate(self._logs)

    def _write_status(self) -> None:
        status = {
            process.component.name: {
                "pid": process.pid,
                "started_at": process.started_at,
                "restarts": process.restarts,
                "last_exit": process.last_exit,
            }
            for process in self._processes
        }
        part = self._status.with_suffix(".part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(status))
            part.rename(self._status)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
