"""Tokenizers × texts → rows: which vocabulary cuts which text into how many tokens, how fast, at what cost.

What it does: find the vocabularies, read the texts, have what is not in the cache measured on all cores, and put the
figures together. What it does not: compute metrics (``metrics.py``), encode (``measurement.py``), or render
(``bbpe.report``).

Where to read next: :func:`compare`; :class:`Row` says what is reported.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import bbpe
from bbpe import catalogue
from bbpe.analysis import metrics
from bbpe.analysis.cache import (
    Cache,
    cache_folder,
)
from bbpe.analysis.cost import EmbeddingCost, Saving, embedding_cost, saving
from bbpe.analysis.finding import Compared, Wanted, find_vocabularies
from bbpe.analysis.measurement import Lost, Measurement, VocabularyFacts
from bbpe.analysis.probe import Probed
from bbpe.analysis.texts import Text, TextFacts, check_parallel, read_text
from bbpe.analysis.words import WordRule
from bbpe.analysis.workers import Job, Result, run_all
from bbpe.corpus import Progress, SourceLike
from bbpe.errors import ComparisonError, MissingExtraError
from bbpe.threads import thread_count

__all__ = ["Balance", "Comparison", "CostRow", "Missing", "Model", "Row", "Vocab", "compare"]


# --- what comes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Model:
    """The model whose cost is asked for.

    Attributes:
        d_model: Its width.
        tied: Whether embedding and output projection are one matrix.
        pad_to: The multiple to which rows are padded.
        body: Parameters without embedding and output projection; None where that is not known.
    """

    d_model: int
    tied: bool = False
    pad_to: int = 1
    body: int | None = None


@dataclass(frozen=True, slots=True)
class Vocab:
    """A vocabulary that was compared.

    Attributes:
        name: Its name here.
        fingerprint: sha256 of its files, or of its contents.
        facts: What is known of it.
        lossless: Whether all probes and all texts came back from decoding as they were.
        lost: An example where not.
        path: What ``bbpe.load`` loads it from; None for one in memory.
        probed: The pieces of the sentence that was asked for.
    """

    name: str
    fingerprint: str
    facts: VocabularyFacts
    lossless: bool
    lost: Lost | None
    path: str | None = None
    probed: Probed | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenizer on one text. Every ratio is of corpus totals; formulas and sources are in ``metrics.py``.

    Attributes:
        tokenizer: Name of the vocabulary.
        text: Label of the text.
        vocab_size: Entries.
        tokens: Tokens of the text.
        tokens_per_character: Tokens ÷ characters.
        characters_per_token: Characters ÷ tokens.
        bytes_per_token: Bytes ÷ tokens.
        tokens_per_document: Tokens ÷ documents.
        tokens_per_line: Tokens ÷ lines with text.
        nsl: Tokens ÷ tokens of the baseline; None without one.
        fertility: Tokens ÷ words; None where the text has no words. The rule is in the text's facts.
        continued_words: Share of the words, as they occur, that are cut.
        single_token_retention: Share of the distinct words that are one token.
        cut_han: Share of the Chinese characters that need two or more tokens, or are lost; None without any.
        invalid_tokens: Share of the tokens that are not valid UTF-8 by themselves.
        unknown_tokens: Share of the tokens that stand for lost text.
        utilisation: Distinct tokens ÷ entries.
        distinct_tokens: Distinct tokens.
        renyi_efficiency: Rényi entropy (power 2.5) ÷ log₂ of the entries. No measure of quality.
        renyi_efficiency_observed: The same ÷ log₂ of the distinct tokens observed.
        lossless: Whether this text came back from decoding as it was.
        lost: Where it first did not.
        seconds: Processor time to encode it: first pass, one thread.
        megabytes_per_second: Million bytes a second.
        tokens_per_second: Tokens a second.
        engine: What encoded: a slow library is not a slow vocabulary.
    """

    tokenizer: str
    text: str
    vocab_size: int
    tokens: int
    tokens_per_character: float
    characters_per_token: float
    bytes_per_token: float
    tokens_per_document: float
    tokens_per_line: float
    nsl: float | None
    fertility: float | None
    continued_words: float | None
    single_token_retention: float | None
    cut_han: float | None
    invalid_tokens: float
    unknown_tokens: float
    utilisation: float
    distinct_tokens: int
    renyi_efficiency: float
    renyi_efficiency_observed: float
    lossless: bool
    lost: Lost | None
    seconds: float
    megabytes_per_second: float
    tokens_per_second: float
    engine: str


@dataclass(frozen=True, slots=True)
class Balance:
    """One tokenizer over the languages of a parallel text.

    Attributes:
        tokenizer: Name of the vocabulary.
        parity: Label of the text → its tokens ÷ those of the reference.
        gini: Inequality of tokens over all languages; 0 is equal.
        worst: The label with the most tokens.
    """

    tokenizer: str
    parity: Mapping[str, float]
    gini: float
    worst: str


@dataclass(frozen=True, slots=True)
class CostRow:
    """What a vocabulary's rows cost the model, and what it saves on all texts together against the baseline."""

    tokenizer: str
    embedding: EmbeddingCost
    saving: Saving | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A vocabulary that was asked for and could not be measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was measured.

    Attributes:
        vocabularies: What was compared, in the order asked for.
        texts: On what.
        rows: One for each vocabulary and text.
        baseline: The vocabulary that ``nsl`` and savings refer to, or None.
        reference: The text that parity refers to; None when the texts are not parallel.
        balances: One for each vocabulary, of parallel texts.
        model: The model whose cost was asked for.
        costs: One for each vocabulary, where a model was given.
        missing: What could not be measured.
        warnings: What a reader should know.
        method: What another person needs to repeat it.
        probe: The sentence whose pieces are in ``vocabularies``, or None.
    """

    vocabularies: tuple[Vocab, ...]
    texts: tuple[TextFacts, ...]
    rows: tuple[Row, ...]
    baseline: str | None = None
    reference: str | None = None
    balances: tuple[Balance, ...] = ()
    model: Model | None = None
    costs: tuple[CostRow, ...] = ()
    missing: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()
    method: Mapping[str, str] = field(default_factory=dict)
    probe: str | None = None

    def row(self, tokenizer: str, text: str) -> Row:
        """The row of a vocabulary and a text.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if (row.tokenizer, row.text) == (tokenizer, text):
                return row
        raise KeyError((tokenizer, text))

    def vocabulary(self, name: str) -> Vocab:
        """The vocabulary of this name.

        Raises:
            KeyError: There is none.
        """
        for vocab in self.vocabularies:
            if vocab.name == name:
                return vocab
        raise KeyError(name)

    def to_records(self) -> list[dict[str, Any]]:
        """The rows as plain dicts, ``lost`` as two strings or None each."""
        records = []
        for row in self.rows:
            record = {each.name: getattr(row, each.name) for each in fields(row)}
            lost = record.pop("lost")
            record["lost_given"] = None if lost is None else lost.given
            record["lost_got"] = None if lost is None else lost.got
            records.append(record)
        return records

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError:
            raise MissingExtraError("a DataFrame needs pandas: pip install 'bbpe[dataframe]'") from None
        return pandas.DataFrame(self.to_records())

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts and lists; all values but the tokens of a probe, which are bytes, have a JSON form."""
        return asdict(self)


# --- the whole way ----------------------------------------------------------------------------------------------------


def compare(
    tokenizers: Sequence[Compared] | Mapping[str, Compared] | None,
    corpora: Mapping[str, SourceLike] | Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    baseline: str | None = None,
    parallel: bool = False,
    lines: bool = False,
    words: WordRule = "characters",
    model: Model | None = None,
    limit: int | None = None,
    text_field: str = "text",
    strict: bool = False,
    probe: str | None = None,
    threads: int | None = None,
    cache: bool | str | os.PathLike[str] = True,
    progress: Callable[[Progress], None] | None = None,
) -> Comparison:
    """Measure tokenizers on texts.

    Args:
        tokenizers: Paths, names of the catalogue, or tokenizers in memory; a mapping gives them names. None: all
            vocabularies that are present in ``$BBPE_HOME``.
        corpora: Label → files, folder or documents; or paths, which label themselves.
        baseline: The vocabulary that the others are measured against; None: none is, and NSL and savings are left out.
        parallel: Line *i* of every corpus says the same: each line is a document, and parity and Gini are computed.
        lines: Each line of a text file is a document.
        words: What a word is: ``"characters"`` or ``"jieba"``; see ``words.py``.
        model: The model whose cost is asked for.
        limit: Read of each corpus so many bytes; None reads all.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        strict: Broken UTF-8 is an error.
        probe: A sentence to cut with every vocabulary.
        threads: Processes to measure in; None: one for each processor. Speeds are of one thread each.
        cache: Whether to keep measurements and use kept ones; or the folder to keep them in.
        progress: Called after each vocabulary, in the calling thread.

    Returns:
        The comparison. A vocabulary that cannot be loaded, or cannot encode a text, stands in ``missing``.

    Raises:
        ComparisonError: An unknown name, the same name twice, no vocabulary at all, or none that could be measured.
        CorpusError: A corpus cannot be read or is empty, or parallel files have different numbers of lines.

    >>> import bbpe
    >>> tok = bbpe.train(["low lower lowest"] * 3, num_merges=5)
    >>> found = bbpe.compare({"mine": tok}, {"en": ["lower lower"]}, cache=False)
    >>> found.row("mine", "en").lossless
    True
    """
    lines = lines or parallel
    wanted = find_vocabularies(tokenizers)
    if baseline is not None:
        baseline = _checked_baseline(baseline, wanted)
    texts = _read_texts(
        corpora,
        parallel=parallel,
        empty=probe is not None,
        lines=lines,
        words=words,
        limit=limit,
        text_field=text_field,
        strict=strict,
    )
    kept = Cache(None if cache is False else cache_folder() if cache is True else Path(cache))
    found, missing = _measured(wanted, texts, kept, thread_count(threads), probe, progress)
    if not found:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in missing)
        raise ComparisonError(f"no vocabulary could be measured: {reasons}")
    warnings = [warning for text in texts for warning in text.facts.warnings]
    if baseline is not None and baseline not in found:
        warnings.append(f"the baseline {baseline} could not be measured, so nothing is compared with it")
        baseline = None
    facts = tuple(text.facts for text in texts)
    rows = tuple(
        _row(
            name,
            seen.facts,
            text,
            seen.measurements[number],
            found[baseline].measurements[number] if baseline else None,
        )
        for name, seen in found.items()
        for number, text in enumerate(facts)
    )
    reference = _reference(facts) if parallel else None
    return Comparison(
        vocabularies=tuple(_vocab(name, seen, wanted[name]) for name, seen in found.items()),
        texts=facts,
        rows=rows,
        baseline=baseline,
        reference=reference,
        balances=tuple(_balance(name, rows, facts, reference) for name in found) if reference is not None else (),
        model=model,
        costs=tuple(_cost(name, found, baseline, model) for name in found) if model is not None else (),
        missing=tuple(missing),
        warnings=tuple(warnings),
        method=_method(facts, lines, limit, baseline, reference),
        probe=probe,
    )


def _checked_baseline(baseline: str, wanted: Mapping[str, Wanted]) -> str:
    """The compared vocabulary that the baseline names, perhaps by an alias."""
    if baseline in wanted:
        return baseline
    entry = catalogue.find(baseline)
    if entry is not None and entry.name in wanted:
        return entry.name
    near = difflib.get_close_matches(baseline, wanted, n=1)
    hint = f"did you mean {near[0]}?" if near else f"compared are {', '.join(wanted)}"
    raise ComparisonError(f"the baseline {baseline!r} is none of the compared vocabularies; {hint}")


# --- texts ------------------------------------------------------------------------------------------------------------


def _read_texts(
    corpora: Mapping[str, SourceLike] | Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    parallel: bool,
    empty: bool = False,
    **options: Any,
) -> list[Text]:
    if isinstance(corpora, (str, os.PathLike)):
        corpora = [corpora]
    sources: list[tuple[str | None, SourceLike]]
    sources = list(corpora.items()) if isinstance(corpora, Mapping) else [(None, source) for source in corpora]
    if not sources and not empty:
        raise ComparisonError("no corpus given; give at least one file, folder or list of documents")
    texts: list[Text] = []
    labels: set[str] = set()
    for label, source in sources:
        text = read_text(source, label, **options)
        if text.facts.label in labels:
            raise ComparisonError(
                f"two corpora are called {text.facts.label!r}; give each a label of its own (LABEL=PATH)"
            )
        labels.add(text.facts.label)
        texts.append(text)
    if parallel:
        check_parallel(texts)
    return texts


def _reference(texts: Sequence[TextFacts]) -> str:
    """The text that parity refers to: English where there is one, else the first."""
    return next((text.label for text in texts if text.language == "en"), texts[0].label)


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    facts: VocabularyFacts
    measurements: dict[int, Measurement]
    probed: Probed | None


def _measured(
    wanted: Mapping[str, Wanted],
    texts: Sequence[Text],
    cache: Cache,
    processes: int,
    probe: str | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[dict[str, _Seen], list[Missing]]:
    known_facts: dict[str, VocabularyFacts] = {}
    known: dict[str, dict[int, Measurement]] = {name: {} for name in wanted}
    probed: dict[str, Probed] = {}
    reasons: dict[str, str] = {name: one.reason for name, one in wanted.items() if one.reason is not None}
    jobs = []
    for name, one in wanted.items():
        if name in reasons:
            continue
        open_texts = []
        if one.fingerprint and (facts := cache.facts(one.fingerprint)) is not None:
            known_facts[name] = facts
        for number, text in enumerate(texts):
            kept = None
            if one.fingerprint:
                kept = cache.measurement(one.fingerprint, text.facts.sha256, text.words.rule)
            if kept is not None:
                known[name][number] = kept
            else:
                open_texts.append(number)
        if open_texts or name not in known_facts or probe is not None:
            jobs.append(Job(name, one.path, one.tokenizer, name not in known_facts, tuple(open_texts), probe))

    done = len(wanted) - len(jobs)

    def report() -> None:
        if progress is not None:
            progress(Progress("comparing", done, len(wanted), "vocabularies"))

    def finished(job: Job, result: Result) -> None:
        nonlocal done
        done += 1
        one = wanted[job.name]
        if result.facts is not None:
            known_facts[job.name] = result.facts
            if one.fingerprint:
                cache.keep_facts(one.fingerprint, result.facts)
        for number, measurement in result.measurements.items():
            known[job.name][number] = measurement
            if one.fingerprint:
                facts = texts[number].facts
                cache.keep_measurement(one.fingerprint, facts.sha256, texts[number].words.rule, measurement)
        if result.probed is not None:
            probed[job.name] = result.probed
        if result.error is not None:
            reasons[job.name] = result.error
        report()

    report()
    run_all(jobs, texts, processes, finished)
    found = {name: _Seen(known_facts[name], known[name], probed.get(name)) for name in wanted if name not in reasons}
    return found, [Missing(name, reasons[name]) for name in wanted if name in reasons]


# --- figures ----------------------------------------------------------------------------------------------------------


def _row(name: str, facts: VocabularyFacts, text: TextFacts, found: Measurement, base: Measurement | None) -> Row:
    tokens = found.tokens
    return Row(
        tokenizer=name,
        text=text.label,
        vocab_size=facts.vocab_size,
        tokens=tokens,
        tokens_per_character=metrics.tokens_per_character(tokens, text.characters),
        characters_per_token=metrics.characters_per_token(tokens, text.characters),
        bytes_per_token=metrics.bytes_per_token(tokens, text.bytes),
        tokens_per_document=metrics.tokens_per_document(tokens, text.documents),
        tokens_per_line=metrics.tokens_per_line(tokens, text.lines),
        nsl=metrics.nsl(tokens, base.tokens) if base is not None else None,
        fertility=metrics.fertility(found.word_tokens, text.words) if text.words else None,
        continued_words=metrics.continued_share(found.continued_words, text.words) if text.words else None,
        single_token_retention=metrics.single_token_retention(found.single_forms, text.distinct_words)
        if text.distinct_words
        else None,
        cut_han=metrics.cut_character_share(found.whole_han, text.han) if text.han else None,
        invalid_tokens=metrics.invalid_token_share(found.invalid_tokens, tokens),
        unknown_tokens=metrics.unknown_share(found.unknown_tokens, tokens),
        utilisation=metrics.utilisation(found.distinct_tokens, facts.vocab_size),
        distinct_tokens=found.distinct_tokens,
        renyi_efficiency=metrics.renyi_efficiency(found.renyi_entropy, facts.vocab_size),
        renyi_efficiency_observed=metrics.renyi_efficiency(found.renyi_entropy, found.distinct_tokens),
        lossless=found.changed_parts == 0,
        lost=found.lost,
        seconds=found.seconds,
        megabytes_per_second=metrics.rate(text.bytes, found.seconds) / 1e6,
        tokens_per_second=metrics.rate(tokens, found.seconds),
        engine=facts.engine,
    )


def _vocab(name: str, seen: _Seen, wanted: Wanted) -> Vocab:
    lost = [found.lost for found in seen.measurements.values() if found.lost is not None]
    lost += list(seen.facts.lost)
    return Vocab(name, wanted.fingerprint, seen.facts, not lost, lost[0] if lost else None, wanted.path, seen.probed)


def _balance(name: str, rows: Iterable[Row], texts: Sequence[TextFacts], reference: str) -> Balance:
    tokens = {row.text: row.tokens for row in rows if row.tokenizer == name}
    return Balance(
        tokenizer=name,
        parity={text.label: metrics.parity(tokens[text.label], tokens[reference]) for text in texts},
        gini=metrics.gini([tokens[text.label] for text in texts]),
        worst=max(tokens, key=lambda label: tokens[label]),
    )


def _cost(name: str, found: Mapping[str, _Seen], baseline: str | None, model: Model) -> CostRow:
    def of(one: str) -> EmbeddingCost:
        facts = found[one].facts
        return embedding_cost(facts.id_space, model.d_model, tied=model.tied, pad_to=model.pad_to, body=model.body)

    def tokens(one: str) -> int:
        return sum(measurement.tokens for measurement in found[one].measurements.values())

    cost = of(name)
    if baseline is None or not found[baseline].measurements:
        return CostRow(name, cost, None)
    saved = saving(
        tokens(name),
        tokens(baseline),
        rows=cost.rows,
        baseline_rows=of(baseline).rows,
        d_model=model.d_model,
        body=model.body,
    )
    return CostRow(name, cost, saved)


def _method(
    texts: Sequence[TextFacts], lines: bool, limit: int | None, baseline: str | None, reference: str | None
) -> dict[str, str]:
    method = {
        "bbpe": bbpe.__version__,
        "Ratios": "of corpus totals, never means of ratios; characters are Unicode code points, bytes are UTF-8",
        "Documents": "each line is a document, without its line end"
        if lines
        else "each file is a document; longer ones are cut at a line's end after at most 16,384 characters",
        "Special tokens": "those in the text are plain text, none are added",
        "Words": (texts[0].word_rule if texts else "none") + " (what a word is; see bbpe.analysis.words)",
        "Speed": "processor time of one thread, first pass over the text, through the surface that all engines share; the engine is named",
    }
    if baseline is not None:
        method["Baseline"] = f"{baseline}: NSL and savings refer to it"
    if reference is not None:
        method["Parity"] = f"tokens ÷ tokens of {reference}, line by line the same content"
    if limit is not None:
        method["Limit"] = f"the first {limit:,} bytes of each corpus, cut after a line"
    for text in texts:
        files = ", ".join(f"{Path(source.path).name} (sha256 {source.sha256[:16]}…)" for source in text.sources[:3])
        more = f" and {len(text.sources) - 3} more" if len(text.sources) > 3 else ""
        origin = f"{files}{more}" if files else "documents from memory"
        method[f"Corpus {text.label}"] = (
            f"{text.bytes:,} bytes, {text.characters:,} characters, {text.documents:,} documents, {text.lines:,} lines, "
            f"sha256 of the documents {text.sha256}; {origin}"
        )
    return method
