"""``bbpe count``: how many tokens files have."""

from __future__ import annotations

import click

from bbpe.cli import options, output, progress


@click.command(name="count", short_help="Count the tokens of files.")
@options.corpus_options
@options.tokenizer_option
@click.option("--by-file", is_flag=True, help="A line for each file too, not the total alone.")
@click.option(
    "--allow-special",
    multiple=True,
    metavar="TOKEN",
    help='A special token that counts as such where it stands in the text, or "all"; may be given several times.',
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes.")
def command(
    corpus: tuple[str, ...],
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    tokenizer: str,
    by_file: bool,
    allow_special: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Count the tokens of CORPUS: files, folders, globs, or - for standard input.

    Special tokens in the text are plain text unless allowed. Documents are read one at a time and never held together.

    \b
    Example:
      bbpe count corpora/tiny -t tiny-2000 --by-file
    """
    from bbpe.analysis.counting import count_tokens
    from bbpe.io import load

    loaded = load(tokenizer)
    with progress.shown(quiet) as show:
        counted = count_tokens(
            loaded,
            options.paths(corpus),
            text_field=text_field,
            lines=lines,
            strict=strict,
            threads=threads,
            allowed_special=options.allowed(allow_special),
            progress=show,
        )
    output.note_invalid(sum(one.invalid_bytes for one in counted), quiet)
    total = {
        each: sum(getattr(one, each) for one in counted)
        for each in ("tokens", "documents", "characters", "bytes", "invalid_bytes")
    }
    if as_json:
        files = [{"path": one.name, **{each: getattr(one, each) for each in total}} for one in counted]
        output.print_json({**total, "tokenizer": tokenizer, "files": files})
        return
    if by_file:
        for one in counted:
            output.print_result(f"{one.tokens}\t{one.name}")
        output.print_result(f"{total['tokens']}\ttotal")
    else:
        output.print_result(str(total["tokens"]))
    rates = (
        f"{total['documents']:,} documents, {total['characters']:,} characters, {total['bytes']:,} bytes; "
        f"{total['tokens'] / total['characters']:.4f} tokens per character, "
        f"{total['bytes'] / total['tokens']:.4f} bytes per token"
    )
    output.note(rates, quiet)
