"""What commands print: results on standard output, notes and errors on standard error, one line each."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import IO, Any

import click

STANDARD_OUTPUT = "-"


def say(message: str) -> None:
    """One line on standard error. Line breaks and control characters in it, from a file's name, are escaped."""
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in message)
    with contextlib.suppress(OSError):  # nobody is listening
        click.echo(f"bbpe: {line}", err=True)


def note(message: str, quiet: bool) -> None:
    """A remark that is no error, unless quiet."""
    if not quiet:
        say(f"note: {message}")


@contextlib.contextmanager
def warnings_as_notes(quiet: bool) -> Iterator[None]:
    """What the library warns of during the ``with`` block is said at once, as a note."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        note(str(message), quiet)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def note_invalid(count: int, quiet: bool) -> None:
    """The remark on broken UTF-8 in a corpus, where there is any."""
    if count:
        note(f"{count:,} bytes of the corpus are no valid UTF-8; kept as they are (--strict refuses them)", quiet)


def print_result(text: str) -> None:
    """Text on standard output."""
    click.echo(text)


def print_json(value: Any) -> None:
    """A value as JSON on standard output; bytes in it as hexadecimal digits."""
    print_result(json.dumps(value, ensure_ascii=False, indent=2, default=bytes.hex))


def stdout_or_path(path: str) -> str | IO[bytes]:
    """Standard output as a binary stream for ``-``, else the path."""
    return sys.stdout.buffer if path == STANDARD_OUTPUT else path


def stdout_is_terminal() -> bool:
    """Whether somebody would see what is written, bytes and all."""
    return sys.stdout.isatty()


def check_file(path: str | os.PathLike[str], force: bool) -> None:
    """Refuse an output file before the work that fills it: one that exists, or that cannot be written.

    Raises:
        OutputError: As ``bbpe.io.atomic_write`` would raise it afterwards.
    """
    from bbpe.io import atomic_write

    class Probed(Exception):
        pass

    with contextlib.suppress(Probed), atomic_write(path, force=force):
        raise Probed  # it could be made; nothing of it is left


def check_report(path: str | os.PathLike[str], force: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse a report before the work that fills it: a name of no form or of an input, a file that exists, a missing
    library.

    Raises:
        OutputError: As ``bbpe.report.write`` would raise it afterwards.
        MissingExtraError: Likewise.
    """
    from bbpe.atomic import refuse_input
    from bbpe.errors import MissingExtraError
    from bbpe.report import check_suffix

    if check_suffix(path) == ".html":
        for library in ("matplotlib", "jinja2"):
            if importlib.util.find_spec(library) is None:
                raise MissingExtraError(f"a page needs {library}, which is not installed: pip install 'bbpe[compare]'")
    refuse_input(path, inputs)
    check_file(path, force)


def check_folder(path: str | os.PathLike[str], force: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse an output folder before the work that fills it: one of an input, or that exists, or that cannot be made.

    Raises:
        OutputError: As ``bbpe.save`` would raise it afterwards.
    """
    from bbpe.atomic import refuse_input
    from bbpe.io import OUTPUT_FILES, atomic_directory

    class Probed(Exception):
        pass

    refuse_input(path, inputs)
    with contextlib.suppress(Probed), atomic_directory(path, force, OUTPUT_FILES):
        raise Probed  # it could be made; nothing of it is left
