"""``bbpe compare``: which vocabulary cuts which text into how many tokens, how fast, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import options, output, progress

if TYPE_CHECKING:
    from bbpe.analysis.comparison import Comparison, Model
    from bbpe.report import LiveBox, Report

_LIVE_VOCABULARIES = 8  # in the live box of a page: each is about a megabyte
_DEFAULT_PROBE = ""


@click.command(name="compare", short_help="Compare vocabularies on your own text.")
@click.argument("corpus", nargs=-1)
@click.option(
    "-t",
    "--tokenizer",
    "tokenizers",
    multiple=True,
    metavar="[LABEL=]NAME|PATH",
    help="A vocabulary; may be given several times.  [default: all that are in $BBPE_HOME]",
)
@click.option("--baseline", metavar="NAME", help="Measure the others against this one: NSL, tokens saved.")
@click.option(
    "--language", "languages", multiple=True, metavar="LABEL=PATH", help="A corpus with its label, as zh=zh.txt does."
)
@click.option("--parallel", is_flag=True, help="Line i of every corpus says the same: adds parity and Gini.")
@click.option("--lines", is_flag=True, help="Each line of a text file is a document of its own.")
@click.option(
    "--words",
    type=click.Choice(["characters", "jieba"]),
    default="characters",
    show_default=True,
    help="What a word of Chinese is, for the figures per word.",
)
@click.option("--limit", type=options.size, metavar="BYTES", help="Read so much of each corpus.  [default: all]")
@click.option("--d-model", type=options.size, metavar="N", help="Width of the model: adds the cost of the rows.")
@click.option("--tied", is_flag=True, help="Embedding and output projection are one matrix.")
@click.option("--pad-to", type=options.size, default=1, show_default=True, metavar="N", help="Pad rows to a multiple.")
@click.option("--body", type=options.size, metavar="N", help="Parameters besides, as 7b: adds share and break-even.")
@click.option(
    "--probe",
    is_flag=False,
    flag_value=_DEFAULT_PROBE,
    metavar="[TEXT]",
    help="Show the pieces of one sentence; a sentence with all that is difficult when TEXT is left out.",
)
@click.option(
    "--sizes",
    metavar="N,N,...",
    help="The curve of one vocabulary over smaller sizes; the first argument is the vocabulary if -t is not given.",
)
@click.option(
    "--train",
    "trainers",
    metavar="NAME,NAME,...",
    help="Train these on the corpora and compare on lines set aside: bbpe, sentencepiece-bpe, sentencepiece-unigram, "
    "wordpiece, tokenizers.",
)
@click.option("--vocab", type=options.size, metavar="N", help="Entries for --train.")
@click.option(
    "--text-field", default="text", show_default=True, metavar="NAME", help="Field of JSON lines, or Parquet column."
)
@click.option("--strict", is_flag=True, help="Refuse broken UTF-8, which is otherwise measured as U+FFFD.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Processes to measure in.  [default: all processors]"
)
@click.option("--no-cache", is_flag=True, help="Measure everything anew, and keep nothing.")
@click.option("--all", "everything", is_flag=True, help="Print all tables, not the answer alone.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("-o", "--output", "target", metavar="OUT", help="Write a report: OUT ends in .html, .md, .csv or .json.")
@options.output_options
def command(corpus: tuple[str, ...], **given: Any) -> None:
    """Compare vocabularies on CORPUS: files, folders, globs, or - for standard input; LABEL=PATH gives one a label.

    The table that is printed has a line for each vocabulary: tokens per character of each corpus, the share of the
    Chinese characters that it cuts, whether it gives text back as it was, and how fast it encodes. -o writes a report
    with all figures, pictures, and what is needed to repeat it.

    Measurements are kept in $BBPE_HOME/cache or the user's cache folder, so that one vocabulary more costs one.

    \b
    Other questions:
      bbpe compare zh=zh.txt en=en.txt --parallel -t cl100k_base -t qwen --baseline cl100k_base
      bbpe compare --sizes 8k,16k,32k ./mine held-out.txt --d-model 4096
      bbpe compare --train bbpe,sentencepiece-unigram --vocab 32k zh.txt en.txt
      bbpe compare --probe "今天天气 is  nice 123.5" -t qwen -t llama2

    \b
    Example:
      bbpe compare corpora/tiny/eval/zh.txt corpora/tiny/eval/en.txt -t tiny-2000
    """
    corpora = list(corpus)
    if given["probe"] and Path(given["probe"]).exists():
        # "--probe zh.txt": an option with an optional value takes what follows it.
        corpora.insert(0, given["probe"])
        given["probe"] = _DEFAULT_PROBE
    if given["target"] is not None:
        output.check_report(
            given["target"],
            given["force"],
            [_split_label(argument)[1] for argument in [*corpora, *given["tokenizers"], *given["languages"]]],
        )
    if sum(given[name] is not None for name in ("sizes", "trainers")) > 1:
        raise click.UsageError("--sizes and --train are two questions: ask one")
    if given["trainers"] is not None:
        report, plain = _train(corpora, given)
    elif given["sizes"] is not None:
        report, plain = _sizes(corpora, given)
    else:
        report, plain = _compare(corpora, given)
    _show(report, plain, given)


def _compare(corpora: Sequence[str], given: dict[str, Any]) -> tuple[Report, dict[str, Any]]:
    from bbpe.analysis.comparison import compare
    from bbpe.analysis.probe import PROBE_TEXT
    from bbpe.report.comparison_report import comparison_report

    probe = PROBE_TEXT if given["probe"] == _DEFAULT_PROBE else given["probe"]
    if not corpora and not given["languages"] and probe is None:
        raise click.UsageError("name a corpus: bbpe compare zh.txt en.txt")
    with progress.shown(given["quiet"]) as show:
        found = compare(
            _labelled_tokenizers(given["tokenizers"]) or None,
            _labelled_corpora(corpora, given["languages"]),
            baseline=given["baseline"],
            parallel=given["parallel"],
            lines=given["lines"],
            words=given["words"],
            model=_model(given),
            limit=given["limit"],
            text_field=given["text_field"],
            strict=given["strict"],
            probe=probe,
            threads=given["threads"],
            cache=not given["no_cache"],
            progress=show,
        )
    for one in found.missing:
        output.note(f"{one.name} was not measured: {one.reason}", given["quiet"])
    if given["as_json"]:  # else they stand under the table
        for warning in found.warnings:
            output.note(warning, given["quiet"])
    live_box = _live_box(found) if given["target"] and Path(given["target"]).suffix.lower() == ".html" else None
    return comparison_report(found, live_box=live_box), found.to_dict()


def _sizes(corpora: list[str], given: dict[str, Any]) -> tuple[Report, dict[str, Any]]:
    from dataclasses import asdict

    from bbpe.analysis.sizes import measure_sizes
    from bbpe.analysis.texts import read_text
    from bbpe.io import load
    from bbpe.report.sizes_report import sizes_report

    named = list(given["tokenizers"]) or corpora[:1]
    rest = corpora if given["tokenizers"] else corpora[1:]
    if len(named) != 1:
        raise click.UsageError("--sizes is of one vocabulary: bbpe compare --sizes 8k,16k VOCABULARY CORPUS...")
    labelled = _labelled_corpora(rest, given["languages"])
    if not labelled:
        raise click.UsageError("--sizes needs held-out text: bbpe compare --sizes 8k,16k VOCABULARY CORPUS...")
    sizes = [options.size(size) for size in given["sizes"].split(",") if size.strip()]
    tokenizer: Any = load(named[0])
    texts = [
        read_text(
            source,
            label,
            lines=given["lines"],
            text_field=given["text_field"],
            strict=given["strict"],
            limit=given["limit"],
        )
        for label, source in labelled.items()
    ]
    with progress.shown(given["quiet"]) as show:
        found = measure_sizes(
            Path(named[0]).name,
            tokenizer,
            sizes,
            texts,
            d_model=given["d_model"],
            tied=given["tied"],
            pad_to=given["pad_to"],
            progress=show,
        )
    for warning in found.warnings:
        output.note(warning, given["quiet"])
    return sizes_report(found), asdict(found)


def _train(corpora: Sequence[str], given: dict[str, Any]) -> tuple[Report, dict[str, Any]]:
    from dataclasses import asdict

    from bbpe.analysis.same_corpus import compare_trainers
    from bbpe.report.same_corpus_report import same_corpus_report

    if given["vocab"] is None:
        raise click.UsageError("--train needs --vocab: how many entries each library is to learn")
    if not corpora and not given["languages"]:
        raise click.UsageError("name a corpus to train on: bbpe compare --train bbpe,tokenizers --vocab 32k zh.txt")
    with progress.shown(given["quiet"]) as show:
        found = compare_trainers(
            [name.strip() for name in given["trainers"].split(",") if name.strip()],
            _labelled_corpora(corpora, given["languages"]),
            given["vocab"],
            model=_model(given),
            text_field=given["text_field"],
            limit=given["limit"],
            threads=given["threads"],
            progress=show,
        )
    for one in found.comparison.missing:
        output.note(f"{one.name} was not measured: {one.reason}", given["quiet"])
    return same_corpus_report(found), asdict(found)


def _show(report: Report, plain: dict[str, Any], given: dict[str, Any]) -> None:
    from bbpe.report import terminal, write

    if given["target"] is not None:
        write(report, given["target"], force=given["force"])
        output.note(f"{given['target']} written", given["quiet"])
    if given["as_json"]:
        output.print_json(plain)
    else:
        terminal.show(report, everything=given["everything"])


def _model(given: dict[str, Any]) -> Model | None:
    from bbpe.analysis.comparison import Model

    if given["d_model"] is None:
        for name in ("tied", "body"):
            if given[name]:
                raise click.UsageError(f"--{name} is about a model: give its width with --d-model")
        return None
    return Model(given["d_model"], tied=given["tied"], pad_to=given["pad_to"], body=given["body"])


def _labelled_corpora(corpora: Sequence[str], languages: Sequence[str]) -> dict[str, list[Path]]:
    """Label → paths. Several paths with one label are one corpus, so that zh=a.txt zh=b.txt adds up."""
    from bbpe.analysis.texts import label_of

    found: dict[str, list[Path]] = {}
    for argument in corpora:
        label, path = _split_label(argument)
        if label is None:
            label = label_of(path)
            if label in found:
                raise click.UsageError(
                    f"two corpora would be called {label!r}; give labels, as in zh=FILE, or the same label to add them up"
                )
        found.setdefault(label, []).append(Path(path))
    for argument in languages:
        label, path = _split_label(argument)
        if label is None:
            raise click.UsageError(f"--language {argument}: write LABEL=PATH, as in zh=zh.txt")
        found.setdefault(label, []).append(Path(path))
    return found


def _labelled_tokenizers(arguments: Sequence[str]) -> dict[str, str]:
    """Label → path or name; a name is its own label."""
    from bbpe import catalogue

    found: dict[str, str] = {}
    for argument in arguments:
        label, path = _split_label(argument)
        if label is None:
            entry = None if Path(path).exists() else catalogue.find(path)
            label = entry.name if entry is not None else Path(path).name if Path(path).exists() else path
            if label in found:
                label = path
        if label in found:
            raise click.UsageError(f"-t {label} is given twice; give each a label of its own, as in -t a={path}")
        found[label] = path
    return found


def _split_label(argument: str) -> tuple[str | None, str]:
    """``zh=file`` as (``zh``, ``file``); a file that has such a name wins."""
    label, equals, path = argument.partition("=")
    if equals and label and path and "/" not in label and not Path(argument).exists():
        return label, path
    return None, argument


def _live_box(found: Comparison) -> LiveBox | None:
    from bbpe.analysis.probe import PROBE_TEXT
    from bbpe.io import load
    from bbpe.report.livebox import live_box

    loaded: dict[str, object] = {}
    for vocab in found.vocabularies:
        if vocab.facts.algorithm == "byte-level bpe" and vocab.path is not None and len(loaded) < _LIVE_VOCABULARIES:
            loaded[vocab.name] = load(vocab.path)
    return live_box(loaded, found.probe or PROBE_TEXT, _LIVE_VOCABULARIES) if loaded else None
