"""``bbpe train``: a corpus to a vocabulary."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.io import Saved
    from bbpe.training import TrainingRecord

_CORPUS_SUFFIXES = frozenset((".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".tsv", ".gz", ".bz2", ".xz", ".zst"))


@click.command(name="train", short_help="Train a vocabulary on a corpus.")
@options.corpus_options
@click.option(
    "--vocab", type=options.size, metavar="N", help="Entries: 256 bytes, merges, special tokens. 32k is 32000."
)
@click.option(
    "--merges", type=options.size, metavar="N", help="Merges to learn, instead of --vocab or as a second limit."
)
@click.option(
    "--min-count",
    type=options.size,
    metavar="N",
    default=2,
    show_default=True,
    help="Do not merge pairs that occur less often.",
)
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="What cuts text into pretokens; merges never cross their edges.  [default: llama3, or that of count files]",
)
@click.option("--special", multiple=True, metavar="TOKEN", help="A special token; may be given several times.")
@click.option("--max-token-bytes", type=options.size, metavar="N", help="Make no token longer than this.")
@click.option("--max-pretoken-bytes", type=options.size, metavar="N", help="Cut pretokens longer than this.")
@click.option(
    "--min-pretoken-count",
    type=options.size,
    metavar="N",
    default=1,
    show_default=True,
    help="Leave out pretokens that occur less often: less memory, and another result.",
)
@click.option(
    "--weight",
    "weights",
    type=options.weight,
    multiple=True,
    metavar="PATH=W",
    help="The share of bytes that the source CORPUS=PATH is to have; for each source or for none.",
)
@options.sample_options
@click.option(
    "--utf8-safe", is_flag=True, help="Make no token that holds a character and a piece of the one beside it."
)
@click.option(
    "--balance",
    type=options.pair,
    multiple=True,
    metavar="PATH=PARALLEL",
    help="The side of a parallel text that is in the language of the source CORPUS=PATH; for each source. The next "
    "merge is the best of the source whose side has the most tokens.",
)
@click.option(
    "--superwords",
    type=options.size,
    metavar="N",
    help="From N entries on, learn merges across the edges of --pattern: tokens of several words.",
)
@click.option(
    "--superword-pattern",
    metavar="NAME|REGEX",
    help="Where superwords end; the pattern of the vocabulary.  [default: SuperBPE's]",
)
@click.option(
    "--protect",
    metavar="FILE",
    help="Strings, one a line, that no merge may join with what stands beside them, in training and in encoding. To "
    "have them as tokens as well, name the file in --seed-tokens, too.",
)
@click.option("--seed-tokens", metavar="FILE", help="Strings, one a line, that are to be tokens.")
@click.option(
    "--byte-order",
    type=click.Choice(["value", "gpt2"]),
    default="value",
    show_default=True,
    help="Ids of the bytes: by value, or as in OpenAI's and Hugging Face's files.",
)
@options.resume_options
@options.memory_option
@options.progress_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-o", "--output", "target", metavar="OUT", help="Folder to write.  [default: CORPUS-VOCAB]")
@options.output_options
def command(
    corpus: tuple[str, ...],
    text_field: str,
    lines: bool,
    strict: bool,
    threads: int | None,
    vocab: int | None,
    merges: int | None,
    min_count: int,
    pattern: str | None,
    special: tuple[str, ...],
    max_token_bytes: int | None,
    max_pretoken_bytes: int | None,
    min_pretoken_count: int,
    weights: tuple[tuple[str, str], ...],
    sample: int | None,
    seed: int,
    utf8_safe: bool,
    balance: tuple[tuple[str, str], ...],
    superwords: int | None,
    superword_pattern: str | None,
    protect: str | None,
    seed_tokens: str | None,
    resume: str | None,
    save_every: float,
    memory: int | None,
    progress_style: str,
    byte_order: Literal["value", "gpt2"],
    as_json: bool,
    target: str | None,
    quiet: bool,
    force: bool,
) -> None:
    """Train a byte-level BPE vocabulary on CORPUS: files, folders, globs, or - for standard input.

    Text, .jsonl and .parquet files are read, each also as .gz, .bz2, .xz or .zst. The folder that is written loads in
    transformers, tiktoken and bbpe; training.json in it says how the vocabulary came about.

    CORPUS may also be count files, .parquet or .tsv, which "bbpe pretokens" writes: all are added up, and the result is
    that of the text they were counted in. With --weight each source gets the share of bytes that its weight has of all
    weights; nothing is rounded, so that the result is exact and the same everywhere.

    --utf8-safe, --balance, --superwords, --protect and --seed-tokens are for better vocabularies in several languages;
    without them it is plain BPE. benchmarks/options.md has what each gains and what it costs.

    With --memory counting writes what does not fit to a folder beside OUT (or in that of --resume), which is gone
    afterwards; and merging that would not fit is refused before it begins, with what would.

    With --resume the same command goes on where it was killed, and gives the same bytes; with a larger --vocab, too.

    \b
    Example:
      bbpe train corpora/tiny/train --vocab 2k -o tiny-2000
    """
    from bbpe.io import save
    from bbpe.training import train

    out = Path(target) if target is not None else default_output(corpus[0], vocab, merges, len(special))
    output.check_folder(out, force)
    given = {str(Path(path)): weight for path, weight in weights}  # spelled as the library is given the corpus
    if len(given) < len(weights):
        raise click.UsageError("--weight names a path twice")
    sides = {str(Path(path)): side for path, side in balance}
    if len(sides) < len(balance):
        raise click.UsageError("--balance names a path twice")
    with output.warnings_as_notes(quiet), progress.shown(quiet, progress_style) as show:
        tokenizer = train(
            options.paths(corpus),
            vocab,
            num_merges=merges,
            min_count=min_count,
            pattern=pattern,
            special_tokens=special or None,
            max_token_bytes=max_token_bytes,
            max_pretoken_bytes=max_pretoken_bytes,
            byte_order=byte_order,
            threads=threads,
            progress=show,
            text_field=text_field,
            lines=lines,
            strict=strict,
            min_pretoken_count=min_pretoken_count,
            weights=given or None,
            sample=sample,
            sample_seed=seed,
            resume=resume,
            resume_seconds=save_every,
            utf8_safe=utf8_safe,
            balance=sides or None,
            superwords=superwords,
            superword_pattern=superword_pattern,
            protect=options.listed(protect, "list of strings to protect") if protect is not None else (),
            seed_tokens=options.listed(seed_tokens, "list of seed tokens") if seed_tokens is not None else (),
            memory=memory,
            spill_folder=out.parent,
        )
    saved = save(tokenizer, out, force=force, format="directory")
    record = tokenizer.training_record
    assert record is not None  # it was trained just now
    result = _result(saved, record)
    if as_json:
        output.print_json(result)
    else:
        output.print_result(_sentence(result, record))
    _notes(saved, record, vocab, quiet)


def default_output(corpus: str, vocab: int | None, merges: int | None, special: int) -> Path:
    """The folder that is written when none is named: the corpus's name without suffixes, and the entries asked for.

    >>> str(default_output("data/zh.txt.gz", 32000, None, 0))
    'zh-32000'
    """
    name = "stdin" if corpus == "-" else Path(corpus.split("*")[0]).resolve().name
    while Path(name).suffix.lower() in _CORPUS_SUFFIXES:
        name = Path(name).stem
    sizes = [size for size in (vocab, None if merges is None else 256 + merges + special) if size is not None]
    return Path("-".join([name or "corpus", *map(str, sorted(sizes)[:1])]))


def _result(saved: Saved, record: TrainingRecord) -> dict[str, Any]:
    tokens = record.curve[-1].tokens
    return {
        "path": str(saved.path),
        "vocab_size": record.vocab_size,
        "merges": record.merges,
        "special_tokens": len(record.options.special_tokens),
        "stop": record.stop,
        "documents": record.documents,
        "bytes": record.bytes,
        "characters": record.characters,
        "invalid_bytes": record.invalid_bytes,
        "tokens": tokens,
        "tokens_per_character": tokens / record.characters,
        "bytes_per_token": record.bytes / tokens,
        "files": [path.name for path in saved.files],
        "left_out": dict(saved.left_out),
        "seed_merges": record.seed_merges,
        "superwords_begin_at": None if record.superwords is None else record.superwords.begins_at,
        "languages": [asdict(language) for language in record.languages],
    }


def _sentence(result: dict[str, Any], record: TrainingRecord) -> str:
    special = result["special_tokens"]
    return (
        f"{result['path']}: {result['vocab_size']:,} entries ({record.base_size} bytes, {result['merges']:,} merges, "
        f"{special} special token{'' if special == 1 else 's'}), stopped by {result['stop']}; "
        f"training text: {result['tokens_per_character']:.4f} tokens per character, "
        f"{result['bytes_per_token']:.4f} bytes per token"
    )


def _notes(saved: Saved, record: TrainingRecord, vocab: int | None, quiet: bool) -> None:
    if record.stop == "min_count":
        wanted = f" of {vocab:,}" if vocab is not None else ""
        count = record.options.min_count
        output.note(f"{record.vocab_size:,} entries{wanted}: no pair is left that occurs {count} times", quiet)
    for language in record.languages:
        output.note(
            f"{language.path}: {language.merges:,} merges; {language.parallel} has {language.tokens:,} tokens", quiet
        )
    if record.superwords is not None:
        output.note(f"superwords from {record.superwords.begins_at:,} entries on", quiet)
    if record.options.seed_tokens:
        output.note(
            f"{len(record.options.seed_tokens):,} seed tokens, {record.seed_merges:,} merges for them alone", quiet
        )
    output.note_invalid(record.invalid_bytes, quiet)
    for name, reason in saved.left_out.items():
        output.note(f"{name} was not written: {reason}", quiet)
