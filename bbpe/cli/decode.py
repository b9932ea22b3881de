"""``bbpe decode``: ids back to text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.bulk import DecodeErrors, IdFormat, IdType


@click.command(name="decode", short_help="Turn ids back into text.")
@click.argument("file", default="-", metavar="[FILE]")
@options.tokenizer_option
@click.option("-o", "--output", "target", default="-", metavar="OUT", help="File to write.  [default: standard output]")
@click.option(
    "--format",
    "id_format",
    type=click.Choice(["ids", "json", "npy", "bin"]),
    help="How ids are written.  [default: by the suffix of FILE, else ids]",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "uint16", "uint32"]),
    default="auto",
    show_default=True,
    help="Numbers in bin; auto is uint16 where every id fits.",
)
@click.option("--lines", is_flag=True, help="Write a newline after each document.")
@click.option("--end-of-text", metavar="TOKEN", help="A special token that ends documents and is not written.")
@click.option(
    "--errors",
    type=click.Choice(["keep", "replace", "strict"]),
    default="keep",
    show_default=True,
    help="Bytes that are no valid UTF-8: write them as they are, U+FFFD in their place, or stop.",
)
@options.output_options
def command(
    file: str,
    tokenizer: str,
    target: str,
    id_format: IdFormat | None,
    dtype: IdType,
    lines: bool,
    end_of_text: str | None,
    errors: DecodeErrors,
    quiet: bool,
    force: bool,
) -> None:
    """Turn the ids of FILE, of a folder of shards, or of standard input, back into text.

    The bytes of the documents are written exactly, one document after another with nothing between them. Give --lines
    and --end-of-text as they were given to bbpe encode, and its input comes back byte for byte, where the vocabulary has
    no normalizer; lines end with LF, the last one too.

    \b
    Example:
      bbpe decode ids.npy -t tiny-2000
    """
    from bbpe.bulk import decode_ids
    from bbpe.io import load

    loaded = load(tokenizer)
    with progress.shown(quiet) as show:
        written = decode_ids(
            loaded,
            sys.stdin.buffer if file == "-" else file,
            output.stdout_or_path(target),
            format=id_format,
            dtype=dtype,
            lines=lines,
            errors=errors,
            end_of_text=end_of_text,
            force=force,
            progress=show,
        )
    if target != output.STANDARD_OUTPUT:
        output.note(
            f"{target}: {written.bytes:,} bytes of {written.documents:,} documents, from {written.ids:,} ids", quiet
        )
