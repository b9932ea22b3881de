"""``bbpe extend``: teach a vocabulary more of a language, without changing what it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbpe.corpus import Progress
    from bbpe.extension import Extension, ExtensionReport
    from bbpe.io import Saved

_SHOWN = 8


@click.command(name="extend", short_help="Add tokens to a vocabulary; old ids and untouched text stay as they are.")
@click.argument("base")
@click.argument("corpus", nargs=-1)
@options.reading_options
@click.option("--add", type=options.size, metavar="N", help="Add so many tokens.")
@click.option(
    "--until-gain",
    type=float,
    metavar="X",
    help="Stop when a token would save fewer than X tokens for each million characters of CORPUS.",
)
@click.option("--words", metavar="FILE", help="Add the words of a list instead: word, tab, frequency, one a line.")
@click.option("--tokens-from", metavar="TOKENIZER", help="Add the tokens of another vocabulary instead.")
@click.option("--script", multiple=True, metavar="NAME", help="Only tokens of this script, such as Han; repeatable.")
@click.option("--freeze-script", multiple=True, metavar="NAME", help="No new token touches this script; repeatable.")
@click.option("--max-chars", type=options.size, metavar="N", help="Add no token of more characters.")
@click.option("--max-token-bytes", type=options.size, metavar="N", help="Add no token of more bytes.")
@click.option(
    "--utf8-safe/--no-utf8-safe",
    default=True,
    show_default=True,
    help="New tokens are whole characters or a piece of one; never a character and a half.",
)
@click.option(
    "--min-count",
    type=options.size,
    metavar="N",
    default=2,
    show_default=True,
    help="Do not merge pairs that occur less often in CORPUS.",
)
@click.option("--deny", multiple=True, metavar="TEXT", help="Add no token that holds this text; repeatable.")
@click.option("--deny-list", metavar="FILE", help="The same, one text a line.")
@click.option(
    "--ids-from", metavar="N|MODEL_DIR", help="First new id; or a model's folder, after whose rows they start."
)
@click.option("--reuse-reserved", is_flag=True, help="New tokens take ids that are reserved or unused, and no others.")
@click.option(
    "--pad-to-multiple", type=options.size, metavar="N", help="Rows of the new matrix are a multiple of this."
)
@click.option("--guard", multiple=True, metavar="PATH", help="Text to check and measure on as well; repeatable.")
@click.option(
    "--model",
    metavar="MODEL_DIR",
    help="Rewrite this checkpoint (safetensors) for the new tokens: OUT is then the folder of the new model.",
)
@click.option(
    "--init",
    metavar="METHOD",
    default="mean",
    show_default=True,
    help="With --model: what new rows start with: mean, mean+noise, first, last, weighted-first or weighted-last.",
)
@click.option("--init-output", metavar="METHOD", help="With --model: the same for an output matrix of its own.")
@click.option(
    "--donor-model",
    metavar="MODEL_DIR",
    help="With --model and --tokens-from: copy the rows of tokens taken over from this model, which has that tokenizer.",
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
    add: int | None,
    until_gain: float | None,
    words: str | None,
    tokens_from: str | None,
    script: tuple[str, ...],
    freeze_script: tuple[str, ...],
    max_chars: int | None,
    max_token_bytes: int | None,
    utf8_safe: bool,
    min_count: int,
    deny: tuple[str, ...],
    deny_list: str | None,
    ids_from: str | None,
    reuse_reserved: bool,
    pad_to_multiple: int | None,
    guard: tuple[str, ...],
    model: str | None,
    init: str,
    init_output: str | None,
    donor_model: str | None,
    as_json: bool,
    target: str,
    quiet: bool,
    force: bool,
) -> None:
    """Add tokens to BASE (a folder, a file, or a name such as qwen2), learned from CORPUS.

    Every old id and every text without new tokens stay as they are: that is checked on CORPUS and on each --guard, and
    a promise that does not hold ends the command with nothing written. CORPUS may be files of "bbpe pretokens --like
    BASE" as well, of which only the pretokens are checked. OUT is a folder as "bbpe train" writes it, with
    extension.json: what was added, what was checked, and the base ids that each new token replaces, for the model's
    embedding matrix.

    \b
    Published vocabularies:
      bbpe extend qwen2 zh/ --add 10k -o qwen2-zh --guard en.txt
      bbpe extend llama3 zh.txt --until-gain 20 --script Han -o llama3-zh
      bbpe extend cl100k_base --words words.tsv -o cl100k-words
      bbpe extend gpt2 --tokens-from chinese-llama-sp --script Han -o gpt2-zh

    \b
    Example:
      bbpe extend tiny-2000 corpora/tiny/train/zh.txt --add 100 -o tiny-zh --guard corpora/tiny/eval/en.txt
    """
    from bbpe.extension import extend

    if donor_model is not None and (model is None or tokens_from is None):
        raise click.UsageError("--donor-model is for --model with --tokens-from")
    if model is None or not (force or Path(target).resolve() == Path(model).resolve()):
        output.check_folder(target, force, [base, *corpus])
    if model is not None:
        from bbpe.checkpoint import read_checkpoint
        from bbpe.embeddings import METHODS
        from bbpe.errors import VocabularyError

        for option, method in (("--init", init), ("--init-output", init_output)):
            if method is not None and method not in METHODS:
                raise VocabularyError(f"{option}: unknown method {method!r}; there are {', '.join(METHODS)}")
        for folder in (model, *((donor_model,) if donor_model is not None else ())):
            read_checkpoint(folder)  # what is wrong with it shall not be told after the learning
        ids_from = model if ids_from is None else ids_from  # its rows may be more than the base's
    with progress.shown(quiet) as show:
        made = extend(
            base,
            options.paths(corpus) or None,
            add=add,
            until_gain=until_gain,
            words=words,
            tokens_from=tokens_from,
            script=script,
            max_chars=max_chars,
            max_token_bytes=max_token_bytes,
            utf8_safe=utf8_safe,
            freeze_scripts=freeze_script,
            min_count=min_count,
            deny=(*deny, *(options.listed(deny_list, "deny list") if deny_list is not None else ())),
            ids_from=int(ids_from) if ids_from is not None and ids_from.isdecimal() else ids_from,
            reuse_reserved=reuse_reserved,
            pad_to_multiple=pad_to_multiple,
            guard=options.paths(guard),
            threads=threads,
            progress=show,
            text_field=text_field,
            lines=lines,
            strict=strict,
        )
        saved, notes = _saved(made, target, force, model, init, init_output, donor_model, show)
    for note in notes:
        output.note(note, quiet)
    report = made.report
    result = _result(saved, report, made.tokenizer.vocab_size)
    if as_json:
        output.print_json(result)
    else:
        output.print_result("\n".join(_sentences(result, report)))
    _notes(saved, report, quiet)


def _saved(
    made: Extension,
    target: str,
    force: bool,
    model: str | None,
    init: str,
    init_output: str | None,
    donor_model: str | None,
    show: Callable[[Progress], None] | None,
) -> tuple[Saved, tuple[str, ...]]:
    """Write the tokenizer's folder, or that of the model whose tokenizer it is from now on; with what ought to be said."""
    from bbpe.io import Saved

    if model is None:
        return made.save(target, force=force), ()
    from bbpe.checkpoint import rewrite_checkpoint

    record = rewrite_checkpoint(
        model,
        target,
        made.plan,
        method=init,
        output_method=init_output,
        tokenizer=made,
        donor_dir=donor_model,
        force=force,
        progress=show,
    )
    return Saved(Path(target), tuple(record.path / name for name in record.files), record.left_out), record.notes


def _result(saved: Saved, report: ExtensionReport, vocab_size: int) -> dict[str, Any]:
    return {
        "path": str(saved.path),
        "base": report.base,
        "added": len(report.added),
        "first_id": report.plan.new_ids[0],
        "last_id": report.plan.new_ids[-1],
        "vocab_size": vocab_size,
        "rows": report.plan.new_rows,
        "stop": report.stop,
        "corpora": [
            {
                "name": row.name,
                "role": row.role,
                "documents": row.documents,
                "documents_changed": row.documents_changed,
                "tokens_before": row.tokens_before,
                "tokens_after": row.tokens_after,
                "tokens_per_character_before": row.tokens_per_character[0],
                "tokens_per_character_after": row.tokens_per_character[1],
            }
            for row in report.corpora
        ],
        "utf8_safe_price": None if report.price is None else report.price.share,
        "suspicious": len(report.suspicious),
        "guarantees": dict(report.guarantees),
        "warnings": list(report.warnings),
        "files": [path.name for path in saved.files],
        "left_out": dict(saved.left_out),
    }


def _sentences(result: dict[str, Any], report: ExtensionReport) -> list[str]:
    base = report.base["name"] or "the base"
    found = [
        f"{result['path']}: {base} and {result['added']:,} added tokens, ids {result['first_id']:,} to "
        f"{result['last_id']:,}, {result['rows']:,} rows, stopped by {result['stop']}"
    ]
    for row in report.corpora:
        before, after = row.tokens_per_character
        saved = 1 - row.tokens_after / max(1, row.tokens_before)
        line = f"  {row.name} ({row.role}): {before:.4f} to {after:.4f} tokens per character, {saved:.1%} fewer tokens"
        if row.documents_changed is not None:
            line += f"; {row.documents_changed:,} of {row.documents:,} documents changed"
        found.append(line)
    targets = report.targets
    if targets is not None:
        found.append(
            f"  {targets.given:,} {targets.kind}: {targets.made:,} made, {targets.already:,} were tokens already, "
            f"{len(targets.cut):,} cut by the pattern, {len(targets.incomplete):,} not completed; "
            f"{len(targets.helpers):,} helper tokens"
        )
    return found


def _notes(saved: Saved, report: ExtensionReport, quiet: bool) -> None:
    for warning in report.warnings:
        output.note(warning, quiet)
    wanted = report.options.add
    if report.stop == "min_count" and wanted is not None and len(report.added) < wanted:
        output.note(
            f"{len(report.added):,} tokens of {wanted:,}: no pair is left that may be merged and occurs "
            f"{report.options.min_count:,} times",
            quiet,
        )
    if report.price is not None:
        more = "more" if report.price.share >= 0 else "fewer"
        output.note(
            f"never a character and a half: {abs(report.price.share):.2%} {more} tokens than with --no-utf8-safe, which "
            f"would add {report.price.character_and_a_half:,} such tokens",
            quiet,
        )
    if report.suspicious:
        shown = ", ".join(repr(each.token) for each in report.suspicious[:_SHOWN])
        more = " …" if len(report.suspicious) > _SHOWN else ""
        output.note(
            f"{len(report.suspicious):,} tokens look suspicious (reasons in extension.json): {shown}{more}", quiet
        )
    targets = report.targets
    for what, texts in (
        ("cut by the pattern", targets.cut if targets else ()),
        ("not completed", targets.incomplete if targets else ()),
        ("given several times, frequencies added up", targets.duplicates if targets else ()),
    ):
        if texts:
            more = " …" if len(texts) > _SHOWN else ""
            output.note(f"{len(texts):,} {what}: {', '.join(map(repr, texts[:_SHOWN]))}{more}", quiet)
    if report.base_unreachable:
        output.note(
            f"{len(report.base_unreachable):,} tokens of the base are made by no merges of its own; they stay", quiet
        )
    for name, reason in saved.left_out.items():
        output.note(f"{name} was not written: {reason}", quiet)
