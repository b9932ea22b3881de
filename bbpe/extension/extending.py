"""Extend a published vocabulary: learn merges on top of it, number them, and check what was promised.

:func:`extend` is the whole way. Training is extension, so the learning itself is ``training.learn_merges`` with rules;
what may be added is in ``options.py``, word lists and other vocabularies in ``targets.py``, ids in ``numbering.py``,
the promises and their checks in ``guarantees.py``, and what is written down in ``record.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe.corpus import Progress, SourceLike
from bbpe.counts import Counts, count_pretokens
from bbpe.embeddings import EmbeddingPlan
from bbpe.engines import EngineTokenizer
from bbpe.errors import TrainingError
from bbpe.extension import targets as wanted
from bbpe.extension.guarantees import Checker, Measured, _once, check_ids, made_by_merges, same_as_ranks
from bbpe.extension.numbering import Numbering, numbering
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.extension.piece_base import extend_pieces
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
from bbpe.tokenizer import Tokenizer
from bbpe.training import LearnedMerges, TrainingOptions, as_merge_list, learn_merges
from bbpe.unicode import unicode_version
from bbpe.vocabulary import Vocabulary

PRICE_SAMPLE_BYTES = 6 << 20
"""Distinct pretokens of more bytes are sampled for the price of the UTF-8 rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """A vocabulary with added tokens, and everything that is known about how it differs from its base.

    Attributes:
        tokenizer: The extended vocabulary at work.
        report: How it came about, and what was checked.
        files: Of a SentencePiece base: what is written, by name.
    """

    tokenizer: Tokenizer | EngineTokenizer
    report: ExtensionReport
    files: Mapping[str, bytes] | None = None

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
            return Saved(target, tuple(target / name for name in sorted(files)))
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
        source: A corpus to learn from. With ``tokens_from``: to weigh its tokens. With ``words``: to measure on.
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
    tokenizer = load(base) if not isinstance(base, (Tokenizer, EngineTokenizer)) else base
    if isinstance(tokenizer, EngineTokenizer):
        if (
            source is None
            or isinstance(source, Counts)
            or words is not None
            or tokens_from is not None
            or _once(source)
        ):
            raise TrainingError(
                "a SentencePiece base is extended from a corpus that can be read twice: paths or a list"
            )
        made, report, files = extend_pieces(tokenizer, source, options, list(_guards(guard)), threads, progress)
        return Extension(made, report, files)
    run = _Extending(tokenizer, options, threads, progress)
    if isinstance(tokens_from, (str, os.PathLike)):
        tokens_from = load(tokens_from)
    run.count(source, words, tokens_from)
    run.learn()
    return run.finish(guard)


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


class _Extending:
    """One extension on its way: count, learn, finish."""

    def __init__(
        self,
        base: Tokenizer,
        options: ExtensionOptions,
        threads: int | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.base, self.options, self.threads, self.progress = base, options, threads, progress
        self.numbering: Numbering = numbering(base.vocabulary, options)
        self.merge_list = as_merge_list(base.vocabulary)
        self.targets: wanted.Targets | None = None
        self.again: SourceLike | None = None  # the training text, where it can be read once more

    # ---- count ----

    def count(self, source: SourceLike | Counts | None, words: wanted.WordsLike | None, tokens_from: Any) -> None:
        """Count the pretokens to learn from: those of a corpus, or the wanted tokens."""
        text: SourceLike | None = None
        if source is not None and not isinstance(source, Counts):
            text = source
            if _once(text):
                if words is not None or tokens_from is not None:
                    raise TrainingError("a corpus that can be read only once cannot be measured; give paths or a list")
            else:
                self.again = text
        if words is not None:
            self.targets = wanted.words(words, self.base)
        elif tokens_from is not None:
            options = self.options
            self.targets = wanted.tokens_of(
                tokens_from, self.base, text, text_field=options.text_field, lines=options.lines
            )
        if self.targets is not None:
            self.counts = self.targets.counts(self.base)
        elif isinstance(source, Counts):
            self.counts = source
        else:
            assert text is not None  # _check_ways
            vocabulary = self.base.vocabulary
            self.counts = count_pretokens(
                text,
                pattern=vocabulary.pattern,
                special_tokens=[special.content for special in vocabulary.special_tokens],
                normalizer=vocabulary.normalizer,
                threads=self.threads,
                progress=self.progress,
                text_field=self.options.text_field,
                lines=self.options.lines,
                strict=self.options.strict,
            )

    # ---- learn ----

    def learn(self) -> None:
        """Learn the merges, and give their tokens ids."""
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
        training = TrainingOptions(
            num_merges=limit,
            min_count=1 if self.targets is not None else max(options.min_count, self.gain_count),
            pattern=self.base.pattern,
            normalizer=self.base.vocabulary.normalizer,
            max_token_bytes=options.max_token_bytes,
            max_pretoken_bytes=counts.max_pretoken_bytes,
        )
        rules = native_rules(options)
        self.learned = learn_merges(
            counts, self.merge_list, training, rules=rules, tokenizer=self.base, progress=self.progress
        )
        if not len(self.learned):
            raise TrainingError(self._nothing_learned())
        self.stop = self._stop()
        self.price = None
        if self.targets is None and options.utf8_safe:
            self.price = self._price(replace(training, num_merges=len(self.learned)))
        self._make()

    def _count_of_gain(self) -> int:
        """The least count of a pair that saves ``until_gain`` tokens for each million characters; 0: any."""
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
            return f"none of the {self.targets.given:,} {self.targets.kind} can be made: a rule refuses every merge"
        why = f"no pair of the base's tokens occurs {max(options.min_count, self.gain_count):,} times"
        if native_rules(options) is not None:
            why += " and may be merged"
        return f"the corpus has no new merges to learn: {why}; give more text, or looser options"

    def _price(self, training: TrainingOptions) -> Price:
        """Learn again without the UTF-8 rule, on a sample where there is much text, and compare."""
        counts, sample = self.counts, 1
        learned = self.learned
        rules = native_rules(self.options)
        if len(counts.data) > PRICE_SAMPLE_BYTES:
            sample = -(-len(counts.data) // PRICE_SAMPLE_BYTES)
            counts = _every(counts, sample)
            training = replace(training, min_count=1)  # the same number of merges on less text
            learned = learn_merges(counts, self.merge_list, training, rules=rules, tokenizer=self.base)
        free = learn_merges(
            counts,
            self.merge_list,
            replace(training, num_merges=len(learned)),
            rules=native_rules(self.options, utf8_safe=False),
            tokenizer=self.base,
        )
        assert rules is not None  # the rule itself
        tokens = dict(self.merge_list.tokens)
        refused = 0
        for id, (left, right) in enumerate(free.pairs.tolist(), free.first_id):
            tokens[id] = tokens[left] + tokens[right]
            refused += not rules.allows(tokens[id])
        return Price(sample, int(learned.tokens[-1]), int(free.tokens[len(free)]), refused)

    def _make(self) -> None:
        """The extended vocabulary, and the plan."""
        learned, base = self.learned, self.merge_list
        assert base.merges is not None  # as_merge_list
        ids = self.numbering.ids(len(learned))
        final = np.arange(learned.first_id + len(learned), dtype=np.int64)
        final[learned.first_id :] = ids
        self.pairs: list[tuple[int, int]] = [(left, right) for left, right in final[learned.pairs].tolist()]
        self.ids = ids
        tokens = dict(base.tokens)
        parts: dict[int, tuple[int, ...]] = {}
        for id, (left, right) in zip(ids, self.pairs, strict=True):
            tokens[id] = tokens[left] + tokens[right]
            parts[id] = parts.get(left, (left,)) + parts.get(right, (right,))
        taken = set(ids)
        self.replaced = tuple(special.content for special in base.special_tokens if special.id in taken)
        self.vocabulary: Vocabulary = base.replace(
            tokens=tokens,
            merges=(*base.merges, *self.pairs),
            special_tokens=[special for special in base.special_tokens if special.id not in taken],
            name=f"{base.name}+{len(ids)}" if base.name else None,
        )
        rows = max(self.numbering.old_rows, self.vocabulary.id_space)
        multiple = self.options.pad_to_multiple or 1
        self.plan = EmbeddingPlan.of(parts, old_rows=self.numbering.old_rows, new_rows=-(-rows // multiple) * multiple)

    # ---- check and report ----

    def finish(self, guard: SourceLike | Mapping[str, SourceLike]) -> Extension:
        """Check every promise, and write down what was done."""
        base, options = self.base, self.options
        check_ids(base.vocabulary, self.vocabulary, self.plan, self.replaced)
        extended = Tokenizer(self.vocabulary)
        checker = Checker(base, extended, self.plan, self.threads, self.progress)
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
        not_as_ranks = same_as_ranks(self.vocabulary)
        targets = self._target_report(extended)
        added = self._added(witnesses, measured, set(targets.helpers) if targets is not None else set())
        report = ExtensionReport(
            base={
                "name": base.vocabulary.name,
                "vocab_size": base.vocab_size,
                "id_space": base.id_space,
                "special_tokens": len(base.special_tokens),
            },
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
            base_unreachable=tuple(made_by_merges(base)[1]),
            guarantees=self._guarantees(rows, not_as_ranks),
            not_as_ranks=not_as_ranks,
            warnings=self.numbering.warnings,
            versions={"bbpe": bbpe.__version__, "unicode": unicode_version()},
            plan=self.plan,
        )
        return Extension(extended, report)

    def _added(
        self, witnesses: Mapping[int, Witness], measured: Measured | None, helpers: set[str]
    ) -> tuple[AddedToken, ...]:
        place = {id: number for number, id in enumerate(self.plan.new_ids)}
        added = []
        for id, (left, right), count in zip(self.ids, self.pairs, self.learned.counts.tolist(), strict=True):
            token = Witness.of(self.vocabulary.tokens[id])
            added.append(
                AddedToken(
                    id=id,
                    token=token.text,
                    hex=token.hex,
                    left=left,
                    right=right,
                    count=count,
                    occurrences=None if measured is None else int(measured.occurrences[place[id]]),
                    documents=None if measured is None else int(measured.documents[place[id]]),
                    helper=(token.text or token.hex) in helpers,
                    witness=witnesses[id],
                )
            )
        return tuple(added)

    def _target_report(self, extended: Tokenizer) -> TargetReport | None:
        targets = self.targets
        if targets is None:
            return None
        asked = list(targets.weights)
        _, offsets = extended.encode_batch_to_numpy(asked, threads=self.threads)
        sizes = np.diff(offsets).tolist()
        incomplete = [text.decode() for text, size in zip(asked, sizes, strict=True) if size > 1]
        new = [self.vocabulary.tokens[id] for id in self.ids]
        helpers = [Witness.of(token) for token in new if token not in targets.weights]
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

    def _guarantees(self, rows: Sequence[CorpusRow], not_as_ranks: str | None) -> dict[str, str]:
        """What has been checked by now, in words. A promise that does not hold has raised before."""
        base = self.base.vocabulary
        kept = len(base.special_tokens) - len(self.replaced)
        texts = sum(row.documents for row in rows)
        changed = [row.documents_changed for row in rows]
        known = "an unknown number of" if None in changed else f"{sum(each or 0 for each in changed):,}"
        on = f"{texts:,} documents ({sum(row.bytes for row in rows):,} bytes) of training and guard text"
        return {
            "ids": f"all {len(base.tokens):,} old tokens and {kept:,} special tokens have the ids that they had",
            "reachable": f"each of the {len(self.ids):,} added tokens occurs in the witness text beside it",
            "coarser": f"in {on} the new token boundaries are some of the old ones: new ids with each new token "
            f"replaced by its parts are the old ids; {known} documents changed",
            "untouched": f"in the same text, what holds no new token has the ids that it had, {known} documents apart",
            "round_trip": f"decoding gave back the bytes of {on}"
            + (f", normalized to {base.normalizer}" if base.normalizer else ""),
            "ranks": "ranks alone, as in a .tiktoken file, give the same ids as the merges"
            if not_as_ranks is None
            else f"ranks alone would give other ids, so no .tiktoken is written: {not_as_ranks}",
        }


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


def _every(counts: Counts, step: int) -> Counts:
    """Every ``step``-th distinct pretoken."""
    lengths = np.diff(counts.offsets)
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[::step] = True
    offsets: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[chosen])])
    return replace(
        counts, data=counts.data[np.repeat(chosen, lengths)], offsets=offsets, counts=counts.counts[chosen].copy()
    )


def _curve(learned: LearnedMerges, characters: int) -> Iterator[GainPoint]:
    """Sizes 0, 1, 2, 3, then some 8 for each doubling, and the last."""
    last = len(learned)
    tokens, per_million = learned.tokens.tolist(), 1e6 / max(1, characters)
    for size in range(last + 1):
        stride = 1 << max(0, size.bit_length() - 4)
        if size % stride == 0 or size == last:
            saved = tokens[size - 1] - tokens[size] if size else 0
            yield GainPoint(size, tokens[size], tokens[size] / max(1, characters), saved * per_million)
