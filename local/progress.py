"""Stages with elapsed time and bars, on a terminal or as plain lines in a log; safe to use from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

# A log must show life without drowning the reader: a line for every tenth done, or after this long without one.
_PLAIN_FRACTION = 0.1
_PLAIN_SECONDS = 15.0
# Short stages are their own closing line.
_PLAIN_LEAST_SECONDS = 2.0


class Stage(Protocol):
    """One step of the work that is under way."""

    def update(self, *, completed: float | None = None, total: float | None = None, detail: str | None = None) -> None:
        """Move the bar (shown once `total` is known; any unit) and say what is happening now."""
        ...

    def note(self, line: str) -> None:
        """Print a line that stays."""
        ...

    def result(self, text: str) -> None:
        """What the closing line says beside the time, for example `already built`."""
        ...


class Reporter(Protocol):
    def stage(self, name: str) -> AbstractContextManager[Stage]:
        """Open a stage; leaving it prints its time, leaving it by an exception prints that it failed."""
        ...

    def note(self, line: str) -> None: ...


def reporter(console: Console | None = None) -> Reporter:
    """Bars on a terminal, plain lines anywhere else."""
    console = console or Console(highlight=False)
    return TerminalReporter(console) if console.is_terminal and not console.is_dumb_terminal else PlainReporter(console)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class _Closing:
    """The text of a stage's last line, kept apart from how it is shown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.started = time.monotonic()

    def line(self, outcome: str) -> str:
        took = duration(time.monotonic() - self.started)
        words = {"done": took, "failed": f"failed after {took}", "interrupted": f"interrupted after {took}"}[outcome]
        return f"{self.name}: {words}" + (f" ({self.text})" if self.text else "")


def _outcome(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


class PlainReporter:
    """Lines for logs and CI: the start, tenths of the way, and the end of every stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Generator[Stage]:
        stage = _PlainStage(self, _Closing(name))
        self.note(f"{name} ...")
        try:
            yield stage
        except BaseException as error:
            self.note(stage.closing.line(_outcome(error)))
            raise
        self.note(stage.closing.line("done"))

    def note(self, line: str) -> None:
        with self._lock:  # soft_wrap: a log's line is not broken at an imagined width of 80 columns
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _PlainStage:
    def __init__(self, reporter: PlainReporter, closing: _Closing) -> None:
        self._reporter = reporter
        self.closing = closing
        self._completed = 0.0
        self._total: float | None = None
        self._detail = ""
        self._shown_fraction = 0.0
        self._shown_at = time.monotonic()

    def update(self, *, completed: float | None = None, total: float | None = None, detail: str | None = None) -> None:
        self._completed = self._completed if completed is None else completed
        self._total = self._total if total is None else total
        self._detail = self._detail if detail is None else detail
        fraction = min(1.0, self._completed / self._total) if self._total else 0.0
        now = time.monotonic()
        since = now - self._shown_at
        if since < _PLAIN_LEAST_SECONDS or (
            fraction - self._shown_fraction < _PLAIN_FRACTION and since < _PLAIN_SECONDS
        ):
            return
        self._shown_fraction, self._shown_at = fraction, now
        share = f" {fraction:.0%}" if self._total else ""
        self.note(f"{self.closing.name}:{share} {self._detail}".rstrip())

    def note(self, line: str) -> None:
        self._reporter.note(line)

    def result(self, text: str) -> None:
        self.closing.text = text


class _BarWhenKnown(BarColumn):
    """A bar for stages of known length; nothing for the others, where a moving bar would only pretend."""

    def render(self, task: Task) -> ProgressBar:
        self.bar_width = 28 if task.total else 0
        return super().render(task)


class TerminalReporter:
    """A live line for each open stage; closed ones leave a line with a tick or a cross behind."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._open = 0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _BarWhenKnown(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
            console=console,
            transient=True,
        )

    @contextmanager
    def stage(self, name: str) -> Generator[Stage]:
        closing = _Closing(name)
        task = self._enter(name)
        mark, line = "[green]✓[/]", ""
        try:
            yield _TerminalStage(self, self._progress, task, closing)
            line = closing.line("done")
        except BaseException as error:
            mark, line = "[red]✗[/]", closing.line(_outcome(error))
            raise
        finally:
            self._leave(task)
            self._console.print(Text.from_markup(mark).append(f" {line}"))

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _enter(self, name: str) -> TaskID:
        with self._lock:
            task = self._progress.add_task(name, total=None, detail="")
            self._open += 1
            if self._open == 1:
                self._progress.start()
            return task

    def _leave(self, task: TaskID) -> None:
        with self._lock:
            self._progress.remove_task(task)
            self._open -= 1
            if not self._open:  # between stages the terminal is free for other programs' output
                self._progress.stop()


class _TerminalStage:
    def __init__(self, reporter: TerminalReporter, bars: Progress, task: TaskID, closing: _Closing) -> None:
        self._reporter = reporter
        self._bars = bars
        self._task = task
        self._closing = closing

    def update(self, *, completed: float | None = None, total: float | None = None, detail: str | None = None) -> None:
        if completed is not None or total is not None:
            self._bars.update(self._task, completed=completed, total=total)
        if detail is not None:
            self._bars.update(self._task, detail=detail)

    def note(self, line: str) -> None:
        self._reporter.note(line)

    def result(self, text: str) -> None:
        self._closing.text = text
