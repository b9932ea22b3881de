"""Options and kinds of values that several commands share, so that sibling commands look alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bbpe.threads import MAX_THREADS

if TYPE_CHECKING:
    from bbpe.tokenizer import Allowed

Function = TypeVar("Function", bound=Callable[..., Any])

_SIZE = re.compile(r"([0-9][0-9_,]*)(\.[0-9]+)?([kmb]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1000, "m": 1_000_000, "b": 1_000_000_000}


def size(value: str | int) -> int:
    """A number of things: ``32000``, ``32k`` (k = 1,000), ``1.5m`` (million) or ``7b`` (billion). A click type.

    Raises:
        click.BadParameter: It is none, or no whole one.

    >>> size("32k")
    32000
    """
    match = _SIZE.fullmatch(str(value).strip())
    if match:
        whole, fraction, unit = match.groups()
        digits = (fraction or ".")[1:]
        scale: int = 10 ** len(digits)
        number, rest = divmod(int(re.sub("[_,]", "", whole) + digits) * _UNITS[unit.lower()], scale)
        if not rest:
            return number
    raise click.BadParameter(f"{value!r} is no size: write 32000, 32k or 1m")


_BYTES = re.compile(r"([0-9]{1,15})(\.[0-9]{1,6})?(k|m|g|t|)b?", re.IGNORECASE)
_BYTE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def byte_size(value: str | int) -> int:
    """An amount of text: ``10GB``, ``1.5MB`` or ``2000`` (k, M, G, T are powers of 1,000). A click type.

    Raises:
        click.BadParameter: It is none, or no whole number of bytes.

    >>> byte_size("1.5MB")
    1500000
    """
    match = _BYTES.fullmatch(str(value).strip())
    if match:
        whole, fraction, unit = match.groups()
        digits = (fraction or ".")[1:]
        scale: int = 10 ** len(digits)
        number, rest = divmod(int(whole + digits) * _BYTE_UNITS[unit.lower()], scale)
        if number and not rest:
            return number
    raise click.BadParameter(f"{value!r} is no amount of text: write 10GB, 500MB or 2000")


def weight(value: str) -> tuple[str, str]:
    """``PATH=W``. A click type.

    Raises:
        click.BadParameter: There is no ``=``.

    >>> weight("zh=a.txt=0.7")
    ('zh=a.txt', '0.7')
    """
    path, equals, number = value.rpartition("=")
    if not equals or not path:
        raise click.BadParameter(f"{value!r} is no weight: write PATH=0.7")
    return path, number


def pair(value: str) -> tuple[str, str]:
    """``PATH=OTHER``, cut at the last ``=``. A click type.

    Raises:
        click.BadParameter: One of the two is missing.

    >>> pair("zh.txt=ntrex/zho.txt")
    ('zh.txt', 'ntrex/zho.txt')
    """
    path, _, other = value.rpartition("=")
    if not path or not other:
        raise click.BadParameter(f"{value!r} is no pair: write PATH=PARALLEL")
    return path, other


def listed(path: str, what: str) -> list[str]:
    """The lines of a file, without empty ones; white space in them counts.

    Raises:
        TrainingError: It cannot be read, or is no valid UTF-8.
    """
    from bbpe.errors import TrainingError

    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TrainingError(f"{path}: the {what} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: the {what} is no valid UTF-8: {error.reason} at byte {error.start}") from None
    return [line for line in re.split(r"\r?\n", text) if line]


def sample_options(function: Function) -> Function:
    """Learning from a part of the corpus."""
    for decorate in reversed(
        (
            click.option(
                "--sample",
                type=byte_size,
                metavar="SIZE",
                help="Only a sample of the documents, of at most so much text.",
            ),
            click.option(
                "--seed",
                type=click.IntRange(0, 2**64 - 1),
                default=0,
                show_default=True,
                metavar="N",
                help="What decides which documents are in the sample.",
            ),
        )
    ):
        function = decorate(function)
    return function


def memory_option(function: Function) -> Function:
    """How much memory there is."""
    return click.option(
        "--memory",
        type=byte_size,
        metavar="SIZE",
        help="What the process may have in all, 2GB say: what does not fit waits on disk, and the result is the same.",
    )(function)


def resume_options(function: Function) -> Function:
    """Going on after the death of the process."""
    for decorate in reversed(
        (
            click.option(
                "--resume",
                metavar="DIR",
                help="Keep in DIR what is done; the same command goes on from there when it was killed.",
            ),
            click.option(
                "--save-every",
                type=click.FloatRange(min=0),
                metavar="SECONDS",
                default=30.0,
                show_default=True,
                help="How often --resume keeps what is done.",
            ),
        )
    ):
        function = decorate(function)
    return function


def progress_option(function: Function) -> Function:
    """How progress is shown."""
    return click.option(
        "--progress",
        "progress_style",
        type=click.Choice(["auto", "json"]),
        default="auto",
        show_default=True,
        help="A bar on a terminal and else a line now and then, or one JSON object a line; on standard error.",
    )(function)


def corpus_options(function: Function) -> Function:
    """The corpus, and how it is read."""
    return click.argument("corpus", nargs=-1, required=True)(reading_options(function))


def reading_options(function: Function) -> Function:
    """How a corpus is read."""
    for decorate in reversed(
        (
            click.option(
                "--text-field",
                default="text",
                show_default=True,
                metavar="NAME",
                help="Field of JSON lines, or column of Parquet, that holds the text.",
            ),
            click.option("--lines", is_flag=True, help="Each line of a text file is a document of its own."),
            click.option("--strict", is_flag=True, help="Refuse broken UTF-8, which is otherwise kept and counted."),
            click.option(
                "--threads",
                type=click.IntRange(1, MAX_THREADS),
                metavar="N",
                help="Threads to use.  [default: all processors]",
            ),
        )
    ):
        function = decorate(function)
    return function


def tokenizer_option(function: Function) -> Function:
    """The tokenizer to use."""
    return click.option(
        "-t",
        "--tokenizer",
        required=True,
        metavar="TOKENIZER",
        help="A folder or file that holds a vocabulary, or a name such as cl100k_base.",
    )(function)


def output_options(function: Function) -> Function:
    """What to do with an output that exists, and whether to speak."""
    for decorate in (
        click.option("-q", "--quiet", is_flag=True, help="No progress and no notes."),
        click.option("--force", is_flag=True, help="Replace an output that exists."),
    ):
        function = decorate(function)
    return function


def paths(corpus: tuple[str, ...]) -> list[Path]:
    """The corpus as the library takes it.

    Raises:
        click.UsageError: A name is empty: that of a shell's variable that is not set, which must not mean this folder.
    """
    if "" in corpus:
        raise click.UsageError("CORPUS is empty; name a file or folder")
    return [Path(name) for name in corpus]


def allowed(tokens: tuple[str, ...]) -> Allowed:
    """The special tokens allowed in text; ``all`` among them means all."""
    return "all" if "all" in tokens else tokens
