"""``bbpe pretokens``: a corpus to a count file."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.counts import Counts, CountsOnDisk


def _setting(value: str) -> tuple[str, str]:
    """``spark.NAME=VALUE``. A click type."""
    name, equals, setting = value.partition("=")
    if not equals or not re.fullmatch(r"spark(\.\w[\w.-]*)+", name):
        raise click.BadParameter(f"{value!r} is no setting: write spark.executor.memory=8g")
    return name, setting


@click.command(name="pretokens", short_help="Count pretokens into a file to train from.")
@options.corpus_options
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="What cuts text into pretokens.  [default: llama3, or that of count files]",
)
@click.option(
    "--like",
    metavar="TOKENIZER",
    help='Count what "bbpe extend" learns from: with the pattern, special tokens and normalizer of this base.',
)
@click.option(
    "--special", multiple=True, metavar="TOKEN", help="A string to cut out of the text; may be given several times."
)
@click.option("--max-pretoken-bytes", type=options.size, metavar="N", help="Cut pretokens longer than this.")
@click.option(
    "--min-pretoken-count",
    type=options.size,
    metavar="N",
    default=1,
    show_default=True,
    help="Leave out pretokens that occur less often; the file says so.",
)
@options.sample_options
@options.resume_options
@options.memory_option
@options.progress_option
@click.option(
    "--spark",
    "master",
    metavar="MASTER",
    help="Count on a Spark cluster: spark://HOST:PORT, yarn, k8s://URL or local[N].",
)
@click.option(
    "--spark-conf",
    "settings",
    type=_setting,
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of Spark's, such as spark.executor.memory=8g; may be given several times.",
)
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
    like: str | None,
    special: tuple[str, ...],
    max_pretoken_bytes: int | None,
    min_pretoken_count: int,
    sample: int | None,
    seed: int,
    resume: str | None,
    save_every: float,
    memory: int | None,
    progress_style: str,
    master: str | None,
    settings: tuple[tuple[str, str], ...],
    as_json: bool,
    target: str,
    quiet: bool,
    force: bool,
) -> None:
    """Count the distinct pretokens of CORPUS: files, folders, globs, or - for standard input; count files are added up.

    The file that is written has all that training needs of the text. "bbpe train" takes any number of such files, with
    or without weights and together with text, and learns the same merges as from the text itself. Parquet needs
    pyarrow: pip install 'bbpe[parquet]'.

    With --like the file is what "bbpe extend" takes in place of text, for that vocabulary.

    With --memory what does not fit is written to a folder beside OUT, which is gone afterwards: a corpus of any size
    can be counted. With --resume the same command goes on where it was killed, and gives the same file.

    With --spark the workers of a cluster count, and the file is the same to the last byte. They need bbpe and pyarrow,
    and see CORPUS under the same names: pip install 'bbpe[spark]' here, and docs/scale.md says the rest.

    \b
    Example:
      bbpe pretokens corpora/tiny/train -o tiny.tsv
      bbpe train tiny.tsv --vocab 1k -o from-counts
    """
    from bbpe.atomic import refuse_input
    from bbpe.count_files import check_output, write_counts, write_tsv
    from bbpe.mixture import Mixture
    from bbpe.training import warn_of_long_pretokens

    to_stdout = target == output.STANDARD_OUTPUT
    if to_stdout and as_json:
        raise click.UsageError("--json and the counts would both go to standard output: name a file with -o")
    if not to_stdout:
        check_output(target, force=force, memory=memory)
    mixture = None
    if like is not None:
        for other, asked in (("--pattern", pattern), ("--special", special), ("--spark", master)):
            if asked:
                raise click.UsageError(f"{other} and --like do not go together: the vocabulary says how to count")
    if master is None:
        if settings:
            raise click.UsageError("--spark-conf without --spark: name the cluster")
        made_with: dict[str, Any] = {"pattern": pattern, "special_tokens": special or None}
        if like is not None:
            from bbpe.extension import counting_like

            made_with = dict(counting_like(like))
        mixture = Mixture.of(options.paths(corpus), **made_with, max_pretoken_bytes=max_pretoken_bytes)
        if not to_stdout:
            refuse_input(target, mixture.files or ())
    else:
        for option, given in (
            ("--sample", sample),
            ("--threads", threads),
            ("--memory", memory),
            ("--resume", resume),
        ):
            if given is not None:
                raise click.UsageError(f"{option} and --spark do not go together: {_NOT_ON_SPARK[option]}")
    reading: dict[str, Any] = {
        "text_field": text_field,
        "lines": lines,
        "strict": strict,
    }
    sampling: dict[str, Any] = {"sample": sample, "sample_seed": seed, "threads": threads}
    with output.warnings_as_notes(quiet), contextlib.ExitStack() as stack:
        counts: Counts | CountsOnDisk
        with progress.shown(quiet, progress_style) as show:
            reading["progress"] = show
            if mixture is None:
                counts = _count_on_spark(
                    master or "",
                    dict(settings),
                    options.paths(corpus),
                    pattern=pattern or "llama3",
                    special_tokens=special,
                    max_pretoken_bytes=max_pretoken_bytes,
                    min_pretoken_count=min_pretoken_count,
                    **reading,
                )
            elif memory is None and resume is None:
                counts = mixture.count(**reading, **sampling, min_pretoken_count=min_pretoken_count)
            else:
                place = None if to_stdout else Path(target).parent
                how = {**reading, **sampling, "memory": memory, "spill_folder": place}
                counts = stack.enter_context(
                    mixture.count_on_disk(**how)
                    if resume is None
                    else mixture.count_resumably(resume, save_every, **how)
                )
                if min_pretoken_count > 1:
                    counts = counts.load(min_pretoken_count, memory=memory)
            warn_of_long_pretokens(counts)
            if not to_stdout:
                write_counts(counts, target, force=force, progress=show)
        if to_stdout:
            write_tsv(counts, sys.stdout.buffer)
        else:
            if as_json:
                output.print_json(_result(counts, target))
            else:
                about = counts.about
                output.print_result(
                    f"{target}: {len(counts):,} distinct of {about.pretokens:,} pretokens, {about.bytes:,} bytes of "
                    f"{about.documents:,} documents"
                )
        output.note_invalid(counts.about.invalid_bytes, quiet)


_NOT_ON_SPARK = {
    "--sample": "draw the sample in one process, or of a DataFrame (bbpe.spark.count_pretokens)",
    "--threads": "the cluster decides (--spark local[N], --spark-conf spark.executor.cores=N)",
    "--resume": "Spark runs again what was lost, and a count that has failed begins anew",
    "--memory": "Spark's settings say it (--spark-conf spark.executor.memory=8g)",
}


def _count_on_spark(master: str, settings: dict[str, str], paths: list[Path], **options: Any) -> Counts:
    from bbpe import spark

    with _spark_log() as log, spark.session(master, settings, log=log) as session:
        return spark.count_pretokens(paths, spark=session, **options)


@contextlib.contextmanager
def _spark_log() -> Iterator[str]:
    """A file for what Spark says; it stays where Spark failed, and the error names it."""
    from bbpe.errors import ClusterError

    descriptor, path = tempfile.mkstemp(prefix="bbpe-spark-", suffix=".log")
    os.close(descriptor)
    try:
        yield path
    except ClusterError as error:
        if os.path.getsize(path):
            raise ClusterError(f"{error} (Spark's log: {path})") from error
        raise
    finally:
        failed = isinstance(sys.exc_info()[1], ClusterError)
        if not (failed and os.path.getsize(path)):
            os.unlink(path)


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
