"""``bbpe inspect``: what is inside a vocabulary, and what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.report import Report


@click.command(name="inspect", short_help="Look inside a vocabulary.")
@click.argument("vocabulary")
@click.option(
    "--corpus", multiple=True, metavar="PATH", help="Text to count its tokens on; may be given several times."
)
@click.option(
    "--against", metavar="OTHER", help="Another vocabulary: what it has, lacks, moved; does it extend this one?"
)
@click.option("--search", metavar="REGEX", help="Only look up the tokens in which this is found.")
@click.option("--id", "token_id", type=click.IntRange(min=0), metavar="N", help="Only look up the token of this id.")
@click.option("--token", metavar="TEXT", help="Only look up this token; of a text, its tokens.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show no more tokens of a look-up than this.",
)
@click.option("--text-field", default="text", show_default=True, metavar="NAME", help="Field or column of the corpus.")
@click.option("--lines", is_flag=True, help="Each line of a text file of the corpus is a document of its own.")
@click.option("--strict", is_flag=True, help="Refuse broken UTF-8 in the corpus.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads to use.  [default: all processors]")
@click.option("--all", "everything", is_flag=True, help="Print the whole report, not the one screen.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-o", "--output", "target", metavar="OUT", help="Write the report: .html, .md, .csv or .json.")
@options.output_options
def command(
    vocabulary: str,
    corpus: tuple[str, ...],
    against: str | None,
    search: str | None,
    token_id: int | None,
    token: str | None,
    limit: int,
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    everything: bool,
    as_json: bool,
    target: str | None,
    quiet: bool,
    force: bool,
) -> None:
    """Tell what is inside VOCABULARY (a folder, a file, or a name such as llama3) and what is wrong with it.

    One screen says what to know before a model is trained on it: what it is made of, how it covers Chinese, and which
    tokens have faults: unreachable, half a character, duplicates, suspicious. -o keeps the report, with every token.

    With --search, --id or --token it looks tokens up instead, and draws the merges that build them.

    \b
    Example:
      bbpe inspect tiny-2000
      bbpe inspect tiny-2000 --corpus corpora/tiny/eval -o inside.html
      bbpe inspect tiny-2000 --token 中
    """
    looked_for = [
        name for name, value in (("--search", search), ("--id", token_id), ("--token", token)) if value is not None
    ]
    if len(looked_for) > 1:
        raise click.UsageError(f"{' and '.join(looked_for)} exclude one another")
    if looked_for and (corpus or against is not None):
        raise click.UsageError(f"{looked_for[0]} looks tokens up and takes no --corpus or --against")
    if target is not None:
        output.check_report(target, force, [vocabulary, *corpus, *([] if against is None else [against])])
    if looked_for:
        report = _look_up(vocabulary, search, token_id, token, limit)
    else:
        report = _inspect(vocabulary, corpus, against, text_field, lines, strict, threads, quiet)
    if target is not None:
        from bbpe.report import write

        write(report, target, force=force)
        output.note(f"{target}: written", quiet)
    if as_json:
        from bbpe.report import json_text

        output.print_json(json.loads(json_text(report)))
    elif target is None or everything:
        from bbpe.report.terminal import show

        show(report, everything=everything)
    else:
        output.print_result(report.summary)


def _look_up(vocabulary: str, search: str | None, id: int | None, token: str | None, limit: int) -> Report:
    from bbpe.analysis.inspection import look_up
    from bbpe.report.inspection_report import look_up_report

    found = look_up(vocabulary, search=search, id=id, token=token, limit=limit)
    asked = f"/{search}/" if search is not None else f"id {id}" if id is not None else repr(token)
    return look_up_report(found, asked)


def _inspect(
    vocabulary: str,
    corpus: tuple[str, ...],
    against: str | None,
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    quiet: bool,
) -> Report:
    from bbpe.analysis.inspection import inspect
    from bbpe.report.inspection_report import inspection_report

    with progress.shown(quiet) as show:
        found = inspect(
            vocabulary,
            corpus=options.paths(corpus) if corpus else None,
            against=against,
            threads=threads,
            text_field=text_field,
            lines=lines,
            strict=strict,
            progress=show,
        )
    words = ["bbpe inspect", vocabulary, *(f"--corpus {path}" for path in corpus)]
    words += [f"--against {against}"] if against is not None else []
    return inspection_report(found, method={"command": " ".join(words)})
