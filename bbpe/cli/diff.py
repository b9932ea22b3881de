"""``bbpe diff``: where two tokenizers part on a text, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bbpe.cli import options, output


@click.command(name="diff", short_help="Where two tokenizers part on a text, and why.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.argument("text", metavar="TEXT|FILE")
@click.option(
    "--allow-special",
    multiple=True,
    metavar="TOKEN",
    help='A special token that counts as such where it stands in the text, or "all"; may be given several times.',
)
@click.option("--limit", type=options.size, default=20, show_default=True, metavar="N", help="Differences to print.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("-o", "--output", "target", metavar="OUT", help="Write a report: OUT ends in .html, .md, .csv or .json.")
@options.output_options
def command(
    first: str,
    second: str,
    text: str,
    allow_special: tuple[str, ...],
    limit: int,
    as_json: bool,
    target: str | None,
    quiet: bool,
    force: bool,
) -> None:
    """Show where the tokenizers A and B part on TEXT, or on the text of FILE ("-": standard input), and why.

    Reasons are found by experiment: "pattern" means that A would cut there as B does if it had B's pattern.

    \b
    Also:
      bbpe diff cl100k_base qwen "在2024年，12345元"

    \b
    Example:
      bbpe diff tiny-2000 tiny-2000/vocab.tiktoken corpora/tiny/eval/mixed.txt
    """
    from bbpe.analysis.difference import difference
    from bbpe.io import load
    from bbpe.report import terminal, write
    from bbpe.report.difference_report import difference_report

    if target is not None:
        output.check_report(target, force, [first, second, text])
    names = _names(first, second)
    found = difference(
        load(first), load(second), _text(text), names=names, allowed_special=options.allowed(allow_special)
    )
    report = difference_report(found, limit=limit)
    if target is not None:
        write(report, target, force=force)
        output.note(f"{target} written", quiet)
    if as_json:
        output.print_json(asdict(found))
    else:
        terminal.show(report)


def _names(first: str, second: str) -> tuple[str, str]:
    short = tuple(Path(name).name or name for name in (first, second))
    return (
        (short[0], short[1])
        if short[0] != short[1]
        else (first, second)
        if first != second
        else (first, f"{first} (again)")
    )


def _text(given: str) -> str:
    """The text itself, or that of the file it names.

    Raises:
        CorpusError: The file cannot be read or is no text.
    """
    from bbpe.corpus import open_corpus

    is_file = given == "-"
    if not is_file:
        try:
            is_file = Path(given).is_file()
        except (OSError, ValueError):  # too long for a name, or with a NUL in it
            is_file = False
    if not is_file:
        return given
    corpus = open_corpus(Path(given) if given != "-" else given)
    try:
        return "".join(document.decode("utf-8", "replace") for document in corpus.documents())
    finally:
        corpus.close()
