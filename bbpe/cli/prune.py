"""``bbpe prune``: a smaller vocabulary, whose tokens can all still be reached."""

from __future__ import annotations

import click

from bbpe.cli import options, output, progress


@click.command(name="prune", short_help="Take away the tokens that a corpus needs least; ids change.")
@click.argument("base")
@options.corpus_options
@click.option(
    "--keep",
    type=options.size,
    required=True,
    metavar="N",
    help="Entries that stay: bytes, tokens and special tokens.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-o", "--output", "target", required=True, metavar="OUT", help="Folder to write.")
@options.output_options
def command(
    base: str,
    corpus: tuple[str, ...],
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    keep: int,
    as_json: bool,
    target: str,
    quiet: bool,
    force: bool,
) -> None:
    """Keep the N entries of BASE (a folder, a file, or a name) that CORPUS needs most.

    Only tokens that are no part of a kept one go, the least frequent first, so that all that stay can still be reached.
    Ids are numbered anew; pruning.json in the folder OUT holds old_ids, the base's id of each new one, for the model's
    embedding matrix. Pruned and then extended, a vocabulary changes its language at the same size.

    \b
    Example:
      bbpe prune tiny-2000 corpora/tiny/train --keep 1k -o tiny-1000
    """
    from bbpe.extension import prune

    output.check_folder(target, force)
    with progress.shown(quiet) as show:
        made = prune(
            base,
            options.paths(corpus),
            keep,
            threads=threads,
            progress=show,
            text_field=text_field,
            lines=lines,
            strict=strict,
        )
    saved = made.save(target, force=force)
    report = made.report
    row = report.corpus
    before, after = row.tokens_per_character
    if as_json:
        output.print_json(
            {
                "path": str(saved.path),
                "base": report.base,
                "vocab_size": made.tokenizer.vocab_size,
                "removed": len(report.removed),
                "documents": row.documents,
                "documents_changed": row.documents_changed,
                "tokens_before": row.tokens_before,
                "tokens_after": row.tokens_after,
                "tokens_per_character_before": before,
                "tokens_per_character_after": after,
                "guarantees": dict(report.guarantees),
                "files": [path.name for path in saved.files],
                "left_out": dict(saved.left_out),
            }
        )
    else:
        output.print_result(
            f"{saved.path}: {made.tokenizer.vocab_size:,} entries kept of {report.base['vocab_size']:,}; "
            f"{before:.4f} to {after:.4f} tokens per character, {row.documents_changed:,} of {row.documents:,} documents "
            "changed"
        )
    for name, reason in saved.left_out.items():
        output.note(f"{name} was not written: {reason}", quiet)
