"""How far a command is, on standard error: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bbpe.corpus import Progress

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal. What takes less says nothing."""

JSON_SECONDS = 1.0
"""Between two JSON lines of one phase; its first and its last report are always written."""


@contextlib.contextmanager
def shown(quiet: bool, style: str = "auto") -> Iterator[Callable[[Progress], None] | None]:
    """A ``progress`` argument for the library, for as long as the ``with`` block lasts; None when quiet.

    Args:
        quiet: Say nothing.
        style: ``"auto"``: a bar on a terminal, else a line now and then. ``"json"``: JSON lines, also when quiet, since
            they were asked for.
    """
    if style == "json":
        lines = _JsonLines()
        yield lines
        lines.end()
    elif quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _Lines()


class _Lines:
    """Plain lines."""

    def __init__(self) -> None:
        self._phase = ""
        self._begun = self._next = 0.0
        self._first = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._begun, self._next, self._first = progress.phase, now, now + LINE_SECONDS, progress.done
        if now >= self._next:
            self._next = now + LINE_SECONDS
            seconds = now - self._begun
            done = progress.done - self._first  # what goes on from before has not done the rest just now
            left = ""
            if progress.total is not None and done > 0:
                left = f", {_duration((progress.total - progress.done) * seconds / done)} left"
            with contextlib.suppress(OSError):  # nobody is listening
                click.echo(f"bbpe: {progress.phase}: {_amount(progress, done, seconds)}{left}", err=True)


class _JsonLines:
    """One object a line.

    ``phase``, ``done``, ``total`` (or null), ``unit``; ``seconds`` since the phase began; ``rate``, units a second since
    then; ``seconds_left`` of the phase at that rate. The last two are null where they cannot be known yet.
    """

    def __init__(self) -> None:
        self._last: Progress | None = None  # not written yet
        self._phase = ""
        self._begun = self._next = 0.0
        self._first = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase != self._phase:
            self.end()
            self._phase, self._begun, self._next, self._first = progress.phase, now, now, progress.done
        self._last = progress
        if now >= self._next:
            self._next = now + JSON_SECONDS
            self.end()

    def end(self) -> None:
        """Write the last report, if it was held back."""
        progress, self._last = self._last, None
        if progress is None:
            return
        seconds = time.monotonic() - self._begun
        done = progress.done - self._first  # a training that goes on has not done the rest just now
        rate = done / seconds if seconds > 0 and done > 0 else None
        left = None if rate is None or progress.total is None else max(0, progress.total - progress.done) / rate
        line = {
            "phase": progress.phase,
            "done": progress.done,
            "total": progress.total,
            "unit": progress.unit,
            "seconds": round(seconds, 3),
            "rate": None if rate is None else round(rate, 1),
            "seconds_left": None if left is None else round(left, 3),
        }
        with contextlib.suppress(OSError):  # nobody is listening
            click.echo(json.dumps(line), err=True)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    amounts = TextColumn("{task.fields[amount]}")
    columns = (TextColumn("{task.description}"), BarColumn(), amounts, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, tuple[TaskID, float, int]] = {}

        def show(progress: Progress) -> None:
            if progress.phase not in tasks:
                task = bar.add_task(progress.phase, total=progress.total, completed=progress.done, amount="")
                tasks[progress.phase] = task, time.monotonic(), progress.done
            task, begun, first = tasks[progress.phase]
            amount = _amount(progress, progress.done - first, time.monotonic() - begun)
            bar.update(task, total=progress.total, completed=progress.done, amount=amount)

        yield show


def _amount(progress: Progress, done: int, seconds: float) -> str:
    """``12 of 98 MB, 31 MB/s``, where ``done`` of it was done in these seconds."""
    scale, unit = (1e6, "MB") if progress.unit == "bytes" else (1.0, progress.unit)
    total = f" of {progress.total / scale:,.0f}" if progress.total is not None else ""
    per_second = done / scale / seconds if seconds > 1 else 0.0
    rate = f", {per_second:,.0f} {unit}/s" if per_second >= 1 else ""
    return f"{progress.done / scale:,.0f}{total} {unit}{rate}"


def _duration(seconds: float) -> str:
    """``48 s``, ``12 min`` or ``3 h 05 min``.

    >>> _duration(47.6), _duration(730), _duration(11100)
    ('48 s', '12 min', '3 h 05 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
