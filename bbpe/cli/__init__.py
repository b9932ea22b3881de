"""The command line: ``bbpe COMMAND``, one command a module.

One module a command: it parses, calls one library function, and prints. What commands share: ``options.py`` (options
and kinds of values), ``output.py`` (results on standard output, notes on standard error), ``progress.py``. This module
finds the command, and turns what ends it into one line and an exit status:

====  ===================================================================================================
0     done
1     a mistake that can be named (``BbpeError``), in one line; or the reader of standard output went away
2     a command line that does not parse
130   Ctrl-C (143: terminated); nothing half-written is left under an output's name
====  ===================================================================================================

Any other exception is a bug of bbpe and keeps its traceback. Commands are imported when they are asked for, and what
they call when they run, so that ``bbpe --help`` is quick.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

import click

from bbpe.cli.output import say
from bbpe.errors import BbpeError

__all__ = ["COMMANDS", "group", "main", "run"]

COMMANDS = (
    "train",
    "pretokens",
    "encode",
    "decode",
    "count",
    "compare",
    "diff",
    "inspect",
    "extend",
    "prune",
    "convert",
    "vocab",
)
"""In the order of a first use; the module of that name in this package holds ``command``."""


class _Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"bbpe.cli.{cmd_name}").command
        return command


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from bbpe import __version__

        click.echo(f"bbpe {__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def group() -> None:
    """Train and use byte-level BPE vocabularies.

    Results go to standard output, progress and notes to standard error; "-" as a file is standard input or output.
    Sizes are written 32000 or 32k. Exit status: 0 done, 1 an error that is named in one line, 2 wrong usage.
    """


def main() -> NoReturn:
    """Run the command line and exit: the entry point of ``bbpe``."""
    _stand_in_for_closed_streams()
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; those of the process when None.

    Returns:
        The exit status.
    """
    try:
        with _termination_raised(), _every_character_written():
            status = group.main(arguments, prog_name="bbpe", standalone_mode=False)
            sys.stdout.flush()
    except click.Abort:  # what click makes of Ctrl-C
        say("interrupted")
        status = 130
    except _Terminated:
        say("terminated")
        status = 128 + signal.SIGTERM
    except BrokenPipeError:
        status = 1
    except click.ClickException as error:  # usage, for the most part
        error.show()
        status = error.exit_code
    except BbpeError as error:
        say(f"error: {error}")
        status = 1
    except OSError as error:
        if error.filename is not None:  # not about standard output, and so not foreseen
            raise
        say(f"error: standard output: cannot be written: {error.strerror or error}")
        status = 1
    if status:
        _let_go_of_stdout()
    return int(status or 0)


def _stand_in_for_closed_streams() -> None:
    """Put something in the place of standard streams that are closed (``bbpe ... >&-``), which are None in Python.

    Reading and writing fail there as they do on a closed stream, and so are reported like any other such failure; what
    is said on standard error is lost.
    """
    for name, flags, mode in (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))


@contextlib.contextmanager
def _every_character_written() -> Iterator[None]:
    """What the encoding of standard output lacks (GBK's, say, or a file name's that is no UTF-8) is written as an escape."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):  # a stand-in, as in tests
        yield
        return
    errors = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # it is flushed first, which may be what failed
            stream.reconfigure(errors=errors)


class _Terminated(BaseException):
    """SIGTERM as an exception, so that temporary files are removed on the way out."""


@contextlib.contextmanager
def _termination_raised() -> Iterator[None]:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _let_go_of_stdout() -> None:
    """What could not be written must not be tried again, and complained about, when Python exits."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: no file behind it, as in tests
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
