"""``bbpe encode``: a corpus to ids."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.bulk import IdFormat, IdType


@click.command(name="encode", short_help="Turn a corpus into ids.")
@options.corpus_options
@options.tokenizer_option
@click.option(
    "-o",
    "--output",
    "target",
    default="-",
    metavar="OUT",
    help="File to write, or folder with --shard-size.  [default: standard output]",
)
@click.option(
    "--format",
    "id_format",
    type=click.Choice(["ids", "json", "npy", "bin"]),
    help="How ids are written.  [default: by the suffix of OUT, else ids; npy in shards]",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "uint16", "uint32"]),
    default="auto",
    show_default=True,
    help="Numbers in npy and bin; auto is uint16 where every id fits.",
)
@click.option(
    "--allow-special",
    multiple=True,
    metavar="TOKEN",
    help='A special token that counts as such where it stands in the text, or "all"; may be given several times.',
)
@click.option("--end-of-text", metavar="TOKEN", help="A special token whose id is written after each document.")
@click.option(
    "--shard-size",
    "shard_bytes",
    type=options.byte_size,
    metavar="SIZE",
    help="Write a folder of shards, each ended by the document that brings it to so many bytes of ids.",
)
@options.output_options
def command(
    corpus: tuple[str, ...],
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    tokenizer: str,
    target: str,
    id_format: IdFormat | None,
    dtype: IdType,
    allow_special: tuple[str, ...],
    end_of_text: str | None,
    shard_bytes: int | None,
    quiet: bool,
    force: bool,
) -> None:
    """Turn CORPUS (files, folders, globs, or - for standard input) into the ids of a tokenizer.

    \b
    Formats:
      ids   one document a line, ids separated by spaces
      json  one document a line, an array of ids
      npy   one NumPy array with the ids of all documents
      bin   the same numbers without a header, little-endian

    Beside an npy or bin file OUT, OUT.index.npy says where documents begin and end: document i is
    ids[index[i]:index[i + 1]].

    A text file is one document, or one a line with --lines. Files of any size are encoded on all processors in bounded
    memory; the output is the same with any number of threads.

    With --shard-size OUT is a folder of such files, with a manifest. Until all is written, OUT.partial stands there in
    its place; after a kill, give the same command again, and it goes on with what is finished: all but the last seconds
    of a file, all whole shards of a folder.

    \b
    Example:
      bbpe encode corpora/tiny/eval -t tiny-2000 -o ids.npy
      bbpe encode corpora/tiny/eval -t tiny-2000 -o ids --shard-size 1GB
    """
    from bbpe.bulk import encode_corpus, unfinished_folder
    from bbpe.errors import OutputError
    from bbpe.io import load

    if target == output.STANDARD_OUTPUT and shard_bytes is not None:
        raise click.UsageError("shards are a folder: name it with -o")
    if target == output.STANDARD_OUTPUT and id_format == "bin" and output.stdout_is_terminal():
        raise click.UsageError("bin is no text for a terminal: name a file with -o, or redirect standard output")
    loaded = load(tokenizer)
    try:
        with progress.shown(quiet) as show:
            written = encode_corpus(
                loaded,
                options.paths(corpus),
                output.stdout_or_path(target),
                format=id_format,
                dtype=dtype,
                allowed_special=options.allowed(allow_special),
                end_of_text=end_of_text,
                shard_bytes=shard_bytes,
                threads=threads,
                text_field=text_field,
                lines=lines,
                strict=strict,
                force=force,
                progress=show,
            )
    except OutputError:  # says itself what to do
        raise
    except BaseException:  # Ctrl-C, a broken file ...
        kept = None if target == output.STANDARD_OUTPUT else unfinished_folder(target)
        if kept is not None:
            output.note(f"{kept} keeps what is finished; the same command goes on from there", quiet)
        raise
    output.note_invalid(written.invalid_bytes, quiet)
    if written.files:
        numbers = f" ({written.dtype})" if written.dtype else ""
        files = " and ".join(map(os.fspath, written.files))
        if shard_bytes is not None:
            there = f", of which {written.shards_kept} were there" if written.shards_kept else ""
            files = f"{target}: {written.shards} shard{'s' if written.shards != 1 else ''}{there}"
        elif written.ids_kept:
            numbers += f", of which {written.ids_kept:,} were there,"
        rates = (
            f"{written.ids / written.characters:.4f} tokens per character, "
            f"{written.bytes / written.ids:.4f} bytes per token"
        )
        output.note(f"{files}: {written.ids:,} ids{numbers} of {written.documents:,} documents; {rates}", quiet)
