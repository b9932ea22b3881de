"""Extend a published vocabulary: learn merges on top of it, number them, and check what was promised.

:func:`extend` is the whole way. Training is extension, so the learning itself is ``training.learn_merges`` with rules;
what may be added is in ``options.py``, word lists and other vocabularies in ``targets.py``, ids in ``numbering.py``,
the promises and their checks in ``guarantees.py``, and what is written down in ``record.py``. What differs between
byte-level and SentencePiece vocabularies is behind ``bases.Base``.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import bbpe
from bbpe.corpus import Progress, SourceLike, find_files, open_corpus
from bbpe.count_files import is_count_file, read_manifest
from bbpe.counts import Counts
from bbpe.embeddings import EmbeddingPlan
from bbpe.engines import EngineTokenizer
from bbpe.errors import CorpusError, TrainingError
from bbpe.extension import targets as wanted
from bbpe.extension.bases import Base, Learned, Made, Measured
from bbpe.extension.byte_base import ByteBase
from bbpe.extension.guarantees import _once
from bbpe.extension.numbering import Numbering
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.extension.piece_base import PieceBase
from bbpe.extension.record import (
    AddedToken,
    CorpusRow,
    ExtensionReport,
    GainPoint,
    Price,
    TargetReport,
    Witness,
)
from bbpe.extension.suspicion import suspicious
from bbpe.io import EXTENSION, Saved, atomic_directory, load, save
from bbpe.mixture import Mixture
from bbpe.tokenizer import Tokenizer
from bbpe.unicode import unicode_version


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """A vocabulary with added tokens, and everything that is known about how it differs from its base.

    Attributes:
        tokenizer: The extended vocabulary at work.
        report: How it came about, and what was checked.
        files: What is written, by name, where ``bbpe.save`` does not know how (SentencePiece).
        left_out: With ``files``: what is not among them, and why.
    """

    tokenizer: Tokenizer | EngineTokenizer
    report: ExtensionReport
    files: Mapping[str, bytes] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def plan(self) -> EmbeddingPlan:
        """What the rows of the model's embedding matrix start with."""
        return self.report.plan

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Saved:
        """Write a folder as :func:`bbpe.save` does, and ``extension.json`` in it; all of it or nothing.

        Raises:
            OutputError: The folder exists (and ``force`` is false) or cannot be written.
        """
        if self.files is not None:
            target = Path(path)
            files = {**self.files, EXTENSION: self.report.to_json().encode()}
            with atomic_directory(target, force, files.keys()) as folder:
                for name, content in files.items():
                    (folder / name).write_bytes(content)
            return Saved(target, tuple(target / name for name in sorted(files)), self.left_out)
        assert isinstance(self.tokenizer, Tokenizer)  # what is not has its files
        return save(
            self.tokenizer, path, force=force, format="directory", extra_files={EXTENSION: self.report.to_json()}
        )


def extend(
    base: Tokenizer | EngineTokenizer | str | os.PathLike[str],
    source: SourceLike | Counts | None = None,
    *,
    add: int | None = None,
    until_gain: float | None = None,
    words: wanted.WordsLike | None = None,
    tokens_from: Any = None,
    script: str | Sequence[str] | None = None,
    max_chars: int | None = None,
    max_token_bytes: int | None = None,
    utf8_safe: bool = True,
    freeze_scripts: str | Sequence[str] = (),
    min_count: int = 2,
    deny: Sequence[str] = (),
    ids_from: int | str | os.PathLike[str] | None = None,
    reuse_reserved: bool = False,
    pad_to_multiple: int | None = None,
    guard: SourceLike | Mapping[str, SourceLike] = (),
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
) -> Extension:
    """Add tokens to a vocabulary, without changing what it has.

    There are three ways to say what is added, and one engine: merges are learned on top of the base's, the most
    frequent pair first, exactly as in training. Before anything is returned the promises are checked on real text; see
    ``guarantees.py``.

    Args:
        base: A tokenizer, or what :func:`bbpe.load` takes.
        source: A corpus to learn from; files of ``bbpe pretokens --like BASE`` may be among it, or stand for it. With
            ``tokens_from``: text to weigh its tokens by. With ``words``: text to measure on.
        add: Add so many tokens. With a corpus, this or ``until_gain`` is needed; with both, whichever comes first.
        until_gain: Stop when the next token would save fewer tokens than this for each million characters.
        words: A word list instead: a file of ``word<TAB>frequency`` lines, a mapping, or pairs. Merges are learned
            until each word that the pattern leaves whole is one token.
        tokens_from: The tokens of another vocabulary instead: a tokenizer, what :func:`bbpe.load` takes, or a list of
            tokens.
        script: Only tokens of these scripts, such as ``"Han"``; see :class:`ExtensionOptions` for this and what
            follows.
        max_chars: No token of more characters.
        max_token_bytes: No token of more bytes.
        utf8_safe: Whole characters, or a piece of one; never a character and a half.
        freeze_scripts: No new token touches these scripts.
        min_count: Pairs that occur less often are not merged; word lists and tokens of another vocabulary take 1.
        deny: No new token holds one of these strings.
        ids_from: The first new id, or a model's folder, after whose rows they start. None: after the base's last id.
        reuse_reserved: Take reserved and unused ids, and no others.
        pad_to_multiple: Rows of the new matrix are a multiple of this.
        guard: More text on which the promises are checked and the change is measured: paths, or names with corpora.
        threads: Threads for counting and encoding; as many as there are processors when None.
        progress: Called now and then, in the calling thread.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error.

    Returns:
        The extension: tokenizer, report, plan.

    Raises:
        TrainingError: Options out of range or in contradiction, or nothing to learn.
        GuaranteeError: A promise that does not hold; with its counter-example.
        PatternError: A script that does not exist.
        CorpusError: A corpus that cannot be read.
        FormatError: A base that cannot be loaded.

    >>> base = bbpe.train(["low lower lowest " * 9], num_merges=6)
    >>> made = bbpe.extend(base, ["新词 新词 新词"], add=5)
    >>> [token.token or token.hex for token in made.report.added], made.tokenizer.tokens("新词")
    (['e696', '新', 'e8af', '词', '新词'], [b'\\xe6\\x96\\xb0\\xe8\\xaf\\x8d'])
    """
    options = ExtensionOptions(
        add=add,
        until_gain=until_gain,
        script=script,  # type: ignore[arg-type]  # made a tuple of strings
        max_chars=max_chars,
        max_token_bytes=max_token_bytes,
        utf8_safe=utf8_safe,
        freeze_scripts=freeze_scripts,  # type: ignore[arg-type]
        min_count=min_count,
        deny=deny,  # type: ignore[arg-type]
        ids_from=ids_from,  # type: ignore[arg-type]
        reuse_reserved=reuse_reserved,
        pad_to_multiple=pad_to_multiple,
        text_field=text_field,
        lines=lines,
        strict=strict,
    )
    _check_ways(source, words, tokens_from, options)
    for _, text in _guards(guard):
        if isinstance(text, (str, os.PathLike)) and not _once(text):
            open_corpus(text, lines=lines).close()  # what is missing shall not be told after the learning
    tokenizer = load(base) if not isinstance(base, (Tokenizer, EngineTokenizer)) else base
    if isinstance(tokens_from, (str, os.PathLike)):
        tokens_from = load(tokens_from)
    run: _Extending[Any] = _Extending(_base_of(tokenizer), options, threads, progress)
    run.count(source, words, tokens_from)
    run.learn()
    return run.finish(guard)


def counting_like(base: Tokenizer | EngineTokenizer | str | os.PathLike[str]) -> Mapping[str, Any]:
    """What pretokens have to be counted with for a base to be extended by them.

    Returns:
        ``pattern``, ``special_tokens`` and ``normalizer``, as :func:`bbpe.count_pretokens` takes them. A SentencePiece
        base has no pattern: the one it gets keeps new pieces within words, scripts and punctuation.

    Raises:
        TrainingError: A base that cannot be extended.
        FormatError: It cannot be loaded.
    """
    return _base_of(load(base) if not isinstance(base, (Tokenizer, EngineTokenizer)) else base).counting


def _base_of(tokenizer: Tokenizer | EngineTokenizer) -> Base[Any]:
    return ByteBase(tokenizer) if isinstance(tokenizer, Tokenizer) else PieceBase(tokenizer)


def _with_count_files(source: Any, counting: Mapping[str, Any]) -> Mixture | None:
    """The files of a corpus, where count files are among them; None where there are none."""
    alone = isinstance(source, str)
    paths = [source] if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(paths, (list, tuple)) or not all(alone or isinstance(path, os.PathLike) for path in paths):
        return None
    files: list[str] = []
    with contextlib.suppress(CorpusError, ValueError):  # what cannot be found is told when it is opened
        files = [file for path in paths for file in find_files(os.fspath(path), alone) if is_count_file(file)]
    for file in files:
        if read_manifest(file) is None:
            raise TrainingError(
                f"{file}: as a corpus this is a count file, and it does not say how its pretokens were made; a list of "
                "words is given with words (--words), and counts are made by bbpe pretokens --like BASE"
            )
    if not files:
        return None
    try:
        return Mixture.of(source, **counting)
    except TrainingError as error:
        raise TrainingError(f"{error}, with bbpe pretokens --like BASE") from None


def _check_ways(source: object, words: object, tokens_from: object, options: ExtensionOptions) -> None:
    if words is not None and tokens_from is not None:
        raise TrainingError("words and tokens_from are both given; extend with one, then the result with the other")
    if words is None and tokens_from is None:
        if source is None:
            raise TrainingError("there is nothing to learn from: give a corpus, words or tokens_from")
        if options.add is None and options.until_gain is None:
            raise TrainingError("neither add nor until_gain is given; one of them has to end the extension")
    elif options.until_gain is not None:
        raise TrainingError("until_gain is about a corpus; with words or tokens_from all of them are made, or add many")
    elif options.min_count != 2:
        raise TrainingError("min_count is about a corpus; words and tokens_from take every pair")


class _Extending(Generic[Made]):
    """One extension on its way: count, learn, finish. What differs between kinds of vocabulary it asks of the base."""

    def __init__(
        self,
        base: Base[Made],
        options: ExtensionOptions,
        threads: int | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.base, self.options, self.threads, self.progress = base, options, threads, progress
        self.numbering: Numbering = base.numbering(options)
        self.warnings = self.numbering.warnings
        self.targets: wanted.Targets | None = None
        self.again: SourceLike | None = None  # the training text, where it can be read once more

    # ---- count ----

    def count(self, source: SourceLike | Counts | None, words: wanted.WordsLike | None, tokens_from: Any) -> None:
        """Count the pretokens to learn from: those of a corpus, or the wanted tokens."""
        options, text = self.options, None
        counted = _with_count_files(source, self.base.counting)
        if counted is not None:
            if words is not None or tokens_from is not None:
                raise TrainingError("count files hold no text that words or tokens could be measured on; name the text")
            source = counted.count(
                threads=self.threads,
                progress=self.progress,
                text_field=options.text_field,
                lines=options.lines,
                strict=options.strict,
            )
            self.warnings += (
                "of count files only the distinct pretokens were checked, not the text; --guard FILE checks text as well",
            )
        if isinstance(source, Counts):
            self.base.check_counts(source)
        elif source is not None:
            text = source
            if not _once(text):
                self.again = text
            elif words is not None or tokens_from is not None:
                raise TrainingError("a corpus that can be read only once cannot be measured; give paths or a list")
        if words is not None:
            self.targets = wanted.words(words, self.base)
        elif tokens_from is not None:
            self.targets = wanted.tokens_of(
                tokens_from, self.base, text, text_field=options.text_field, lines=options.lines
            )
        if self.targets is not None:
            self.counts = self.base.as_counts(self.targets.to_make())
        elif isinstance(source, Counts):
            self.counts = source
        else:
            assert text is not None  # _check_ways
            self.counts = self.base.count(text, options, self.threads, self.progress)

    # ---- learn ----

    def learn(self) -> None:
        """Learn what to add, and give it ids."""
        options, counts = self.options, self.counts
        limit = options.add if options.add is not None else 2**31 - 1 - self.base.id_space
        self.reserved_end = options.reuse_reserved and len(self.numbering.reusable) < limit
        if self.reserved_end:
            if options.add is not None:
                raise TrainingError(
                    f"{options.add:,} tokens are asked for, but only {len(self.numbering.reusable):,} ids are reserved "
                    "or unused; add that many, or leave reuse_reserved out"
                )
            limit = len(self.numbering.reusable)
        self.gain_count = self._count_of_gain()
        min_count = 1 if self.targets is not None else options.min_count
        self.learned: Learned = self.base.learn(counts, limit, min_count, self.gain_count, options, self.progress)
        if not len(self.learned):
            raise TrainingError(self._nothing_learned())
        self.stop = self._stop()
        self.price: Price | None = None
        if self.targets is None:
            self.price = self.base.price(counts, self.learned, max(min_count, self.gain_count), options)
        self._make()

    def _count_of_gain(self) -> int:
        """The least that an addition has to save for ``until_gain`` tokens a million characters; 0: anything."""
        if self.options.until_gain is None:
            return 0
        return max(1, math.ceil(self.options.until_gain * self.counts.characters / 1e6))

    def _stop(self) -> str:
        if not self.learned.exhausted:
            return "reserved" if self.reserved_end else "add"
        if self.targets is not None:
            return "targets"
        return "until_gain" if self.gain_count > self.options.min_count else "min_count"

    def _nothing_learned(self) -> str:
        options = self.options
        if self.targets is not None:
            missing = len(self.targets.weights)
            return f"none of the {missing:,} {self.targets.kind} that the base lacks can be made: a rule refuses every merge"
        why = f"no pair of the base's tokens occurs {max(options.min_count, self.gain_count):,} times"
        if native_rules(options) is not None:
            why += " and may be merged"
        return f"the corpus has no new merges to learn: {why}; give more text, or looser options"

    def _make(self) -> None:
        """The extended vocabulary, and the plan."""
        learned, base = self.learned, self.base
        ids = self.numbering.ids(len(learned))
        first = learned.first_id
        known = dict(base.tokens)
        known_parts: dict[int, tuple[int, ...]] = {}
        self.parts: list[tuple[int, ...]] = []  # of each addition, the two that it was learned from
        for id, parts in zip(ids, learned.parts, strict=True):
            final = tuple(ids[part - first] if part >= first else part for part in parts)
            known[id] = b"".join(known[part] for part in final)
            known_parts[id] = tuple(each for part in final for each in known_parts.get(part, (part,)))
            self.parts.append(final)
        self.ids = ids
        self.tokens = [known[id] for id in ids]
        taken = set(ids)
        self.replaced = tuple(special.content for special in base.special_tokens if special.id in taken)
        self.vocabulary: Made = base.extended(ids, self.tokens, self.parts, self.numbering)
        rows = max(self.numbering.old_rows, base.id_space, max(ids) + 1)
        multiple = self.options.pad_to_multiple or 1
        donors = self.targets.donor_ids if self.targets is not None else {}
        self.plan = EmbeddingPlan.of(
            known_parts,
            old_rows=self.numbering.old_rows,
            new_rows=-(-rows // multiple) * multiple,
            donor_ids={id: donors[token] for id, token in zip(ids, self.tokens, strict=True) if token in donors},
        )

    # ---- check and report ----

    def finish(self, guard: SourceLike | Mapping[str, SourceLike]) -> Extension:
        """Check every promise, and write down what was done."""
        base, options = self.base, self.options
        base.check_ids(self.vocabulary, self.plan, self.replaced)
        checker = base.comparing(self.vocabulary, self.plan, self.threads, self.progress)
        reading = {"text_field": options.text_field, "lines": options.lines, "strict": options.strict}
        measured: Measured | None = None
        rows: list[CorpusRow] = []
        if self.again is not None:
            measured = checker.corpus(self.again, "training", **reading)  # type: ignore[arg-type]
            if self.counts.sources and measured.sources != self.counts.sources:
                raise TrainingError("a file of the corpus changed while it was read; extend again")
            rows += measured.rows
        elif self.targets is None:
            rows.append(checker.pretokens(self.counts))
        for name, text in _guards(guard):
            rows += checker.corpus(text, "guard", name=name, **reading).rows  # type: ignore[arg-type]
        witnesses = dict(zip(self.plan.new_ids, checker.witnesses(self.counts), strict=True))
        not_as_ranks = base.not_as_ranks(self.vocabulary)
        targets = self._target_report()
        added = self._added(witnesses, measured, set(targets.helpers) if targets is not None else set())
        tokenizer, files, left_out = base.finished(self.vocabulary, self.counts)
        kept = len(base.special_tokens) - len(self.replaced)
        report = ExtensionReport(
            base=base.facts,
            options=options,
            sources=self.counts.sources or (measured.sources if measured is not None else ()),
            stop=self.stop,
            added=added,
            ids_reused=tuple(id for id in self.ids if id < self.numbering.first),
            special_tokens_replaced=self.replaced,
            corpora=tuple(rows),
            curve=tuple(_curve(self.learned, self.counts.characters)) if self.targets is None else (),
            price=self.price,
            targets=targets,
            suspicious=tuple(suspicious(added, rows)),
            base_unreachable=base.unreachable(),
            guarantees={
                "ids": f"all {len(base.tokens):,} old tokens and {kept:,} special tokens have the ids that they had",
                **base.guarantees(rows, self.plan, not_as_ranks, left_out),
            },
            not_as_ranks=not_as_ranks,
            warnings=self.warnings,
            versions={"bbpe": bbpe.__version__, "unicode": unicode_version()},
            plan=self.plan,
        )
        return Extension(tokenizer, report, files, left_out)

    def _added(
        self, witnesses: Mapping[int, Witness], measured: Measured | None, helpers: set[str]
    ) -> tuple[AddedToken, ...]:
        place = {id: number for number, id in enumerate(self.plan.new_ids)}
        added = []
        for id, data, parts, count in zip(self.ids, self.tokens, self.parts, self.learned.counts.tolist(), strict=True):
            token = Witness.of(data)
            added.append(
                AddedToken(
                    id=id,
                    token=token.text,
                    hex=token.hex,
                    left=parts[0],
                    right=parts[1],
                    count=count,
                    occurrences=None if measured is None else int(measured.occurrences[place[id]]),
                    documents=None if measured is None else int(measured.documents[place[id]]),
                    helper=(token.text or token.hex) in helpers,
                    witness=witnesses[id],
                )
            )
        return tuple(added)

    def _target_report(self) -> TargetReport | None:
        targets = self.targets
        if targets is None:
            return None
        asked = list(targets.weights)
        sizes = self.base.made_sizes(self.vocabulary, asked)
        incomplete = [text.decode() for text, size in zip(asked, sizes, strict=True) if size > 1]
        helpers = [Witness.of(token) for token in self.tokens if token not in targets.weights]
        return TargetReport(
            kind=targets.kind,
            given=targets.given,
            already=targets.already,
            made=len(asked) - len(incomplete),
            helpers=tuple(str(helper.text or helper.hex) for helper in helpers),
            cut=targets.cut,
            incomplete=tuple(incomplete),
            duplicates=targets.duplicates,
            left_out=targets.left_out,
        )


def _guards(guard: Any) -> Iterable[tuple[str | None, SourceLike]]:
    """Each guard with its name, if it has one."""
    if isinstance(guard, Mapping):
        return list(guard.items())
    if isinstance(guard, (str, os.PathLike)):
        return [(None, guard)]
    given = list(guard)
    if not given:
        return []
    if all(isinstance(each, (str, os.PathLike)) and _is_path(each) for each in given):
        return [(None, Path(each)) for each in given]
    return [("guard", given)]


def _is_path(text: str | os.PathLike[str]) -> bool:
    try:
        return not isinstance(text, str) or Path(text).exists()
    except (OSError, ValueError):
        return False


def _curve(learned: Learned, characters: int) -> Iterator[GainPoint]:
    """Sizes 0, 1, 2, 3, then some 8 for each doubling, and the last."""
    last = len(learned)
    tokens, per_million = learned.tokens.tolist(), 1e6 / max(1, characters)
    for size in range(last + 1):
        stride = 1 << max(0, size.bit_length() - 4)
        if size % stride == 0 or size == last:
            saved = tokens[size - 1] - tokens[size] if size else 0
            yield GainPoint(size, tokens[size], tokens[size] / max(1, characters), saved * per_million)
