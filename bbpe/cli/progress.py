"""How far a command is, on standard error: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import bisect
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bbpe.corpus import Forecast, Progress

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal. What takes less says nothing."""

JSON_SECONDS = 1.0
"""Between two JSON lines of one phase; its first and its last report are always written."""

FORECAST_GROWTH = 1.5
"""A forecast is said again when its phase has taken so many times as long as when it was said last."""

_SHRINKING = ("merging",)
"""Phases whose steps take less and less time: merges, each of which has fewer places than the one before."""


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


class Pace:
    """How long a phase still takes.

    Most phases do their units at an even pace, or one that changes slowly, as from a text in one language to the next: what
    counts is the last half of the time. (Where the pace halves on the way, the average of all of it says a quarter too
    little to the end.) Merging does not: the first merge of a text has a million places and the last a hundred, and at an
    even pace the time left would be ten times too long at first. Its time grows as a power of the merges, *t = c·n^γ*, of
    which γ is what the last doubling says. (On 98 MB of Chinese, 31,744 merges in 4.1 s: after 4,059 merges it says 1.5 s
    left, which is 0.2 too many; an even pace would say 19.) Where γ says nothing, since the pace does not slow down, there
    is no forecast.
    """

    def __init__(self, progress: Progress, now: float) -> None:
        self._begun = now
        self._phase = progress.phase
        self._first = self._done = progress.done  # a training that goes on has not done that just now
        self._shrinking = progress.phase in _SHRINKING
        self._times: list[float] = []
        self._dones: list[int] = []

    def goes_on(self, progress: Progress) -> bool:
        """Whether this is a report of the same phase, and not of the next of that name: another language's, say."""
        goes_on = progress.phase == self._phase and progress.done >= self._done
        self._done = progress.done
        return goes_on

    def seconds(self, now: float) -> float:
        """Since the phase began."""
        return now - self._begun

    def rate(self, progress: Progress, now: float) -> float | None:
        """Units a second since the phase began."""
        done, seconds = progress.done - self._first, self.seconds(now)
        return done / seconds if seconds > 0 and done > 0 else None

    def left(self, progress: Progress, now: float) -> float | None:
        """Seconds that the rest takes; None where that cannot be known (yet). To be asked in the order of time."""
        rate = self.rate(progress, now)
        if not self._dones or progress.done > self._dones[-1]:
            self._times.append(self.seconds(now))
            self._dones.append(progress.done)
        if rate is None or progress.total is None:
            return None
        rest = progress.total - progress.done
        if not self._shrinking or rest <= 0:
            since = bisect.bisect_right(self._times, self.seconds(now) / 2) - 1
            recent = progress.done - self._dones[since]
            return max(0, rest) * (self.seconds(now) - self._times[since]) / recent if recent else max(0, rest) / rate
        half = bisect.bisect_right(self._dones, progress.done // 2) - 1
        if half < 0 or self._first or self._dones[half] * 4 < progress.done or self._times[half] <= 0:
            return None
        seconds = self.seconds(now)
        power = math.log(seconds / self._times[half]) / math.log(progress.done / self._dones[half])
        return seconds * ((progress.total / progress.done) ** power - 1) if power < 0.9 else None


class _Announced:
    """Which forecasts are to be said."""

    def __init__(self) -> None:
        self._last: Forecast | None = None
        self._due = 0.0

    def is_due(self, forecast: Forecast | None, seconds: float) -> bool:
        if forecast is None or forecast is self._last or seconds < self._due:
            return False
        self._last, self._due = forecast, seconds * FORECAST_GROWTH
        return True


class _Lines:
    """Plain lines."""

    def __init__(self) -> None:
        self._begun = self._next = 0.0
        self._pace: Pace | None = None
        self._announced = _Announced()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._pace is None or not self._pace.goes_on(progress):
            self._begun, self._next = now, now + LINE_SECONDS
            self._pace = Pace(progress, now)
            self._announced = _Announced()
        left = self._pace.left(progress, now)
        forecast = progress.forecast
        late = now >= self._begun + LINE_SECONDS
        if late and forecast is not None and self._announced.is_due(forecast, now - self._begun):
            with contextlib.suppress(OSError):
                click.echo(f"bbpe: forecast: {forecast_text(forecast)}", err=True)
        if now >= self._next:
            self._next = now + LINE_SECONDS
            with contextlib.suppress(OSError):  # nobody is listening
                rest = "" if left is None else f", {_clock(left)} left"
                click.echo(
                    f"bbpe: {progress.phase}: {_amount(progress, self._pace.rate(progress, now))}{rest}", err=True
                )


class _JsonLines:
    """One object a line.

    ``phase``, ``done``, ``total`` (or null), ``unit``; ``seconds`` since the phase began; ``rate``, units a second since
    then; ``seconds_left`` of the phase (:class:`Pace`). The last two are null where they cannot be known yet.

    And, with ``event`` "forecast", what counting will come to: ``phase``, ``total``, and what
    :class:`bbpe.corpus.Forecast` has; ``why_not`` says why there is none where the size of the corpus is not known.
    """

    def __init__(self) -> None:
        self._last: Progress | None = None  # not written yet
        self._now = self._next = 0.0
        self._pace: Pace | None = None
        self._announced = _Announced()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._pace is None or not self._pace.goes_on(progress):
            self.end()
            self._next = now
            self._pace = Pace(progress, now)
            self._announced = _Announced()
        self._last, self._now = progress, now
        if self._announced.is_due(progress.forecast, self._pace.seconds(now)):
            assert progress.forecast is not None  # it is due
            self.end()
            _write(forecast_record(progress, progress.forecast))
        self._pace.left(progress, now)
        if now >= self._next:
            self._next = now + JSON_SECONDS
            self.end()

    def end(self) -> None:
        """Write the last report, if it was held back: as it was when it came, not when the next phase begins."""
        progress, self._last = self._last, None
        if progress is None or self._pace is None:
            return
        now = self._now
        rate, left = self._pace.rate(progress, now), self._pace.left(progress, now)
        _write(
            {
                "phase": progress.phase,
                "done": progress.done,
                "total": progress.total,
                "unit": progress.unit,
                "seconds": round(self._pace.seconds(now), 3),
                "rate": None if rate is None else round(rate, 1),
                "seconds_left": None if left is None else round(left, 3),
            }
        )


def _write(record: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody is listening
        click.echo(json.dumps(record), err=True)


def forecast_record(progress: Progress, forecast: Forecast) -> dict[str, Any]:
    """A forecast as JSON shows it."""
    record: dict[str, Any] = {"event": "forecast", "phase": progress.phase, "total": progress.total}
    for name in (
        *("distinct_now", "distinct", "distinct_bytes", "seconds_left"),
        *("counting_memory", "merging_memory", "merging_seconds"),
    ):
        value = getattr(forecast, name)
        record[name] = round(value, 1) if isinstance(value, float) else value
    if progress.total is None:
        record["why_not"] = "the size of the corpus is not known"
    return record


def forecast_text(forecast: Forecast) -> str:
    """A forecast in words."""
    if forecast.distinct is None or forecast.counting_memory is None:
        return f"none, the size of the corpus is not known; {forecast.distinct_now:,} distinct pretokens so far"
    text = f"{forecast.distinct / 1e6:,.1f} million distinct pretokens, {_gigabytes(forecast.counting_memory)} to count"
    if forecast.merging_memory is not None:
        text += f" and {_gigabytes(forecast.merging_memory)} to merge them"
    if forecast.seconds_left is None:
        return text
    text += f"; {_clock(forecast.seconds_left)} of counting left"
    return text if forecast.merging_seconds is None else f"{text}, then about {_clock(forecast.merging_seconds)}"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TextColumn("{task.fields[left]}", style="progress.remaining"),
        TextColumn("{task.fields[forecast]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, tuple[TaskID, Pace]] = {}

        def show(progress: Progress) -> None:
            now = time.monotonic()
            if progress.phase not in tasks:
                task = bar.add_task(
                    progress.phase, total=progress.total, completed=progress.done, amount="", left="", forecast=""
                )
                tasks[progress.phase] = task, Pace(progress, now)
            task, pace = tasks[progress.phase]
            if not pace.goes_on(progress):
                pace = Pace(progress, now)
                tasks[progress.phase] = task, pace
            left = pace.left(progress, now)
            forecast = progress.forecast
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                amount=_amount(progress, pace.rate(progress, now)),
                left="" if left is None else f"{_clock(left)} left",
                forecast="" if forecast is None else f"(expected: {forecast_text(forecast).partition(';')[0]})",
            )

        yield show


def _amount(progress: Progress, per_second: float | None) -> str:
    """``12 of 98 MB, 31 MB/s``."""
    scale, unit = (1e6, "MB") if progress.unit == "bytes" else (1.0, progress.unit)
    total = f" of {progress.total / scale:,.0f}" if progress.total is not None else ""
    rate = f", {per_second / scale:,.0f} {unit}/s" if per_second is not None and per_second >= scale else ""
    return f"{progress.done / scale:,.0f}{total} {unit}{rate}"
