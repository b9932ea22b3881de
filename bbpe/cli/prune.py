"""``bbpe prune``: a smaller vocabulary, whose tokens can all still be reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbpe.corpus import Progress
    from bbpe.extension import Pruning
    from bbpe.io import Saved


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
@click.option(
    "--model",
    metavar="MODEL_DIR",
    help="Rewrite this checkpoint (safetensors) for the kept tokens: OUT is then the folder of the smaller model.",
)
@click.option(
    "--pad-to-multiple", type=options.size, metavar="N", help="With --model: rows of its matrix are a multiple of this."
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
    model: str | None,
    pad_to_multiple: int | None,
    as_json: bool,
    target: str,
    quiet: bool,
    force: bool,
) -> None:
    """Keep the N entries of BASE (a folder, a file, or a name) that CORPUS needs most.

    Only tokens that are no part of a kept one go, the least frequent first, so that all that stay can still be reached.
    Ids are numbered anew; pruning.json in the folder OUT holds old_ids, the base's id of each new one, for the model's
    embedding matrix, and --model picks those rows of a checkpoint and changes the ids that its configs name. Pruned and
    then extended, a vocabulary changes its language at the same size.

    \b
    Example:
      bbpe prune tiny-2000 corpora/tiny/train --keep 1k -o tiny-1000
    """
    from bbpe.extension import prune

    if pad_to_multiple is not None and model is None:
        raise click.UsageError("--pad-to-multiple is for --model")
    if model is None or not (force or Path(target).resolve() == Path(model).resolve()):
        output.check_folder(target, force, [base, *corpus])
    if model is not None:
        from bbpe.checkpoint import read_checkpoint

        read_checkpoint(model)  # what is wrong with it shall not be told after the counting
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
        saved, rows, notes = _saved(made, target, force, model, pad_to_multiple, show)
    for note in notes:
        output.note(note, quiet)
    report = made.report
    row = report.corpus
    before, after = row.tokens_per_character
    if as_json:
        output.print_json(
            {
                "path": str(saved.path),
                "base": report.base,
                "vocab_size": made.tokenizer.vocab_size,
                "rows": rows,
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


def _saved(
    made: Pruning,
    target: str,
    force: bool,
    model: str | None,
    pad_to_multiple: int | None,
    show: Callable[[Progress], None] | None,
) -> tuple[Saved, int, tuple[str, ...]]:
    """Write the tokenizer's folder, or that of the smaller model; with its rows and what ought to be said."""
    from bbpe.io import Saved

    if model is None:
        return made.save(target, force=force), made.tokenizer.id_space, ()
    from bbpe.checkpoint import prune_checkpoint

    record = prune_checkpoint(
        model, target, made.old_ids, made, pad_to_multiple=pad_to_multiple, force=force, progress=show
    )
    files = tuple(record.path / name for name in record.files)
    return Saved(Path(target), files, record.left_out), record.new_rows, record.notes
