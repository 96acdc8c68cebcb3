"""Run the Pulumi engine on one stack, showing what it does; the deploy verb is `pulumi up`, nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import MantaError
from local.processes import bound
from local.progress import Stage
from local.up.events import Update, fold

# How long the engine may take to record what it did after an interrupt before it is ended for good. A Kubernetes wait
# ends at once on cancellation; the rest is writing one state file.
_CANCEL_GRACE_S = 30.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Engine:
    """A `pulumi` command line, the environment it needs and the project it works on."""

    pulumi: Path
    environment: Mapping[str, str]
    project: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.pulumi), "--non-interactive", "--color", "never", *arguments]


def up(engine: Engine, stack: str, stage: Stage, replace: Sequence[str] = ()) -> Update:
    """`pulumi up` of `stack`, which must exist; raises MantaError with the engine's own reasons when it fails.

    `replace`: URNs of resources that are made anew although nothing about them has changed.
    """
    return _update(engine, stack, stage, ["up", "--yes", "--skip-preview", *(f"--replace={urn}" for urn in replace)])


def destroy(engine: Engine, stack: str, stage: Stage) -> Update:
    """`pulumi destroy` of `stack`; raises MantaError with the engine's own reasons when it fails."""
    return _update(engine, stack, stage, ["destroy", "--yes", "--skip-preview"])


def outputs(engine: Engine, stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets in clear: never print the mapping as a whole."""
    result = subprocess.run(
        engine.command("stack", "output", "--json", "--show-secrets", "--stack", stack),
        cwd=engine.project, env=dict(engine.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise MantaError(
            f"the outputs of stack {stack} cannot be read: run `pulumi stack output -s {stack}` to see why",
            detail=result.stderr,
        )
    return json.loads(result.stdout)


def _update(engine: Engine, stack: str, stage: Stage, verb: list[str]) -> Update:
    update = Update()
    with tempfile.TemporaryDirectory(prefix="manta-events-") as folder:
        log = Path(folder, "events")
        log.touch()
        command = engine.command(*verb, "--stack", stack, "--event-log", str(log))
        with Path(folder, "output").open("w+") as output:
            # The CLI knows the event log's flag only with this variable, which the Automation API sets likewise.
            environment = {**engine.environment, "PULUMI_DEBUG_COMMANDS": "true"}
            # A session of its own: Ctrl-C reaches this process alone, which then asks the engine to stop in order. If
            # this process is killed, the kernel asks: else the engine would go on unseen and keep the stack locked.
            process = subprocess.Popen(
                bound(command), cwd=engine.project, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                for line in _follow(log, process):
                    shown = fold(update, line)
                    if shown.line:
                        stage.note(f"  {shown.line}")
                    if shown.detail is not None:
                        stage.update(detail=shown.detail)
            except BaseException:
                _cancel(process, stage)
                raise
            output.seek(0)
            text = output.read()
    if process.returncode:
        raise MantaError(_failure(stack, verb[0], update, text), detail="\n".join(update.errors) or _tail(text))
    stage.result(update.summary())
    return update


def _follow(log: Path, process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Complete lines of `log` until `process` has ended and everything that it wrote was read."""
    with log.open() as stream:
        pending = ""
        while True:
            ended = process.poll() is not None
            pending += stream.read()
            *lines, pending = pending.split("\n")
            yield from (line for line in lines if line)
            if ended:
                return
            time.sleep(_POLL_S)


def _cancel(process: subprocess.Popen[bytes], stage: Stage) -> None:
    """The engine's own Ctrl-C handling: finish what is in flight, record it, release the lock."""
    if process.poll() is not None:
        return
    stage.update(detail="stopping: the engine records what it has done")
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_CANCEL_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failure(stack: str, verb: str, update: Update, text: str) -> str:
    if "the stack is currently locked" in text:
        return (
            f"stack {stack} is locked by another update: let it end, or run `pulumi cancel -s {stack}` if it was killed"
        )
    if not update.errors:
        return f"`pulumi {verb} -s {stack}` failed: the engine's last words are above"
    return f"`pulumi {verb} -s {stack}` failed for the reason above: mend it and run the same command again"


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
