"""``bbpe pretokens``: a corpus to a count file."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.counts import Counts, CountsOnDisk


@click.command(name="pretokens", short_help="Count pretokens into a file to train from.")
@options.corpus_options
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="What cuts text into pretokens.  [default: llama3, or that of count files]",
)
@click.option(
    "--special", multiple=True, metavar="TOKEN", help="A string to cut out of the text; may be given several times."
)
@click.option("--max-pretoken-bytes", type=options.size, metavar="N", help="Cut pretokens longer than this.")
@options.sample_options
@options.memory_option
@options.progress_option
@click.option("--json", "as_json", is_flag=True, help="Print what was counted as JSON.")
@click.option(
    "-o", "--output", "target", required=True, metavar="OUT", help="File to write: .parquet, .tsv, or - for TSV."
)
@options.output_options
def command(
    corpus: tuple[str, ...],
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    pattern: str | None,
    special: tuple[str, ...],
    max_pretoken_bytes: int | None,
    sample: int | None,
    seed: int,
    memory: int | None,
    progress_style: str,
    as_json: bool,
    target: str,
    quiet: bool,
    force: bool,
) -> None:
    """Count the distinct pretokens of CORPUS: files, folders, globs, or - for standard input; count files are added up.

    The file that is written has all that training needs of the text. "bbpe train" takes any number of such files, with
    or without weights and together with text, and learns the same merges as from the text itself. Parquet needs
    pyarrow: pip install 'bbpe[parquet]'.

    With --memory what does not fit is written to a folder beside OUT, which is gone afterwards: a corpus of any size
    can be counted.

    \b
    Example:
      bbpe pretokens corpora/tiny/train -o tiny.tsv
      bbpe train tiny.tsv --vocab 1k -o from-counts
    """
    from bbpe.count_files import check_output, write_counts, write_tsv
    from bbpe.mixture import Mixture
    from bbpe.training import warn_of_long_pretokens

    to_stdout = target == output.STANDARD_OUTPUT
    if to_stdout and as_json:
        raise click.UsageError("--json and the counts would both go to standard output: name a file with -o")
    if not to_stdout:
        check_output(target, force=force)
    mixture = Mixture.of(
        options.paths(corpus),
        pattern=pattern,
        special_tokens=special or None,
        max_pretoken_bytes=max_pretoken_bytes,
    )
    reading: dict[str, Any] = {
        "sample": sample,
        "sample_seed": seed,
        "threads": threads,
        "text_field": text_field,
        "lines": lines,
        "strict": strict,
    }
    with output.warnings_as_notes(quiet), contextlib.ExitStack() as stack:
        counts: Counts | CountsOnDisk
        with progress.shown(quiet, progress_style) as show:
            if memory is None:
                counts = mixture.count(**reading, progress=show)
            else:
                place = None if to_stdout else Path(target).parent
                counts = stack.enter_context(
                    mixture.count_on_disk(**reading, progress=show, memory=memory, spill_folder=place)
                )
            warn_of_long_pretokens(counts)
        if to_stdout:
            write_tsv(counts, sys.stdout.buffer)
        else:
            write_counts(counts, target, force=force)
            if as_json:
                output.print_json(_result(counts, target))
            else:
                about = counts.about
                output.print_result(
                    f"{target}: {len(counts):,} distinct of {about.pretokens:,} pretokens, {about.bytes:,} bytes of "
                    f"{about.documents:,} documents"
                )
        output.note_invalid(counts.about.invalid_bytes, quiet)


def _result(whole: Counts | CountsOnDisk, target: str) -> dict[str, Any]:
    counts = whole.about
    return {
        "path": target,
        "pattern": str(counts.pattern),
        "distinct_pretokens": len(whole),
        "pretokens": counts.pretokens,
        "documents": counts.documents,
        "bytes": counts.bytes,
        "characters": counts.characters,
        "invalid_bytes": counts.invalid_bytes,
        "pretokens_cut": counts.pretokens_cut,
    }
