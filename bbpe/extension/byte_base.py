"""Byte-level BPE as a base: merges after the base's own, counted over the pretokens of its pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bbpe.corpus import SourceLike
from bbpe.counts import Counts, count_pretokens
from bbpe.embeddings import EmbeddingPlan
from bbpe.extension.bases import Learned, Show
from bbpe.extension.guarantees import Checker, check_ids, made_by_merges, same_as_ranks
from bbpe.extension.numbering import Numbering, numbering
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.extension.record import CorpusRow, Price
from bbpe.normalizer import normalize
from bbpe.tokenizer import Tokenizer
from bbpe.training import LearnedMerges, TrainingOptions, as_merge_list, learn_merges
from bbpe.vocabulary import SpecialToken, Vocabulary

PRICE_SAMPLE_BYTES = 6 << 20
"""Distinct pretokens of more bytes are sampled for the price of the UTF-8 rule."""


class ByteBase:
    """A byte-level vocabulary to be extended; see :class:`~bbpe.extension.bases.Base`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.merge_list = as_merge_list(tokenizer.vocabulary)
        self._last: tuple[Vocabulary, Tokenizer] | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        vocabulary = self.tokenizer.vocabulary
        return {
            "name": vocabulary.name,
            "vocab_size": vocabulary.vocab_size,
            "id_space": vocabulary.id_space,
            "special_tokens": len(vocabulary.special_tokens),
        }

    @property
    def id_space(self) -> int:
        return self.merge_list.id_space

    @property
    def tokens(self) -> Mapping[int, bytes]:
        return self.merge_list.tokens

    @property
    def special_tokens(self) -> Sequence[SpecialToken]:
        return self.merge_list.special_tokens

    @property
    def counting(self) -> Mapping[str, Any]:
        vocabulary = self.tokenizer.vocabulary
        return {
            "pattern": vocabulary.pattern,
            "special_tokens": [special.content for special in vocabulary.special_tokens],
            "normalizer": vocabulary.normalizer,
        }

    def numbering(self, options: ExtensionOptions) -> Numbering:
        base = self.merge_list
        return numbering(base.id_space, base.tokens.keys(), base.special_tokens, base.template, options)

    def normalized(self, text: str) -> str:
        return text if self.merge_list.normalizer is None else normalize(text)

    # ---- counting and learning ----

    def count(
        self, source: SourceLike, options: ExtensionOptions, threads: int | None, progress: Show | None
    ) -> Counts:
        return count_pretokens(
            source,
            **self.counting,
            threads=threads,
            progress=progress,
            text_field=options.text_field,
            lines=options.lines,
            strict=options.strict,
        )

    def check_counts(self, counts: Counts) -> None:
        """``learn_merges`` does."""

    def as_counts(self, weights: Mapping[bytes, int]) -> Counts:
        counts = Counts.from_items(weights, pattern=self.tokenizer.pattern)
        specials = tuple(special.content for special in self.special_tokens)
        return replace(counts, normalizer=self.merge_list.normalizer, special_tokens=specials)

    def cut(self, texts: Sequence[bytes]) -> list[bool]:
        return [len(self.tokenizer._pretokenizer.ends(text)) > 1 for text in texts]

    def sizes(self, texts: Sequence[bytes]) -> list[int]:
        return _sizes(self.tokenizer, texts)

    def learn(
        self,
        counts: Counts,
        limit: int,
        min_count: int,
        min_saved: int,
        options: ExtensionOptions,
        progress: Show | None,
    ) -> Learned:
        learned = learn_merges(
            counts,
            self.merge_list,
            self._training(counts, limit, max(min_count, min_saved), options),
            rules=native_rules(options),
            tokenizer=self.tokenizer,
            progress=progress,
        )
        pairs = [(left, right) for left, right in learned.pairs.tolist()]
        return Learned(learned.first_id, pairs, learned.counts, learned.tokens, learned.exhausted)

    def _training(self, counts: Counts, limit: int, least: int, options: ExtensionOptions) -> TrainingOptions:
        return TrainingOptions(
            num_merges=limit,
            min_count=least,
            pattern=self.tokenizer.pattern,
            normalizer=self.merge_list.normalizer,
            max_token_bytes=options.max_token_bytes,
            max_pretoken_bytes=counts.max_pretoken_bytes,
        )

    def price(self, counts: Counts, learned: Learned, least: int, options: ExtensionOptions) -> Price | None:
        """Learn again without the UTF-8 rule, on a sample where there is much text, and compare."""
        if not options.utf8_safe:
            return None
        training = self._training(counts, len(learned), least, options)
        rules = native_rules(options)
        assert rules is not None  # the UTF-8 rule itself
        sample, size, tokens_with = 1, len(learned), int(learned.tokens[-1])
        if len(counts.data) > PRICE_SAMPLE_BYTES:
            sample = -(-len(counts.data) // PRICE_SAMPLE_BYTES)
            counts = _every(counts, sample)
            training = replace(training, min_count=1)  # the same number of merges on less text
            sampled = learn_merges(counts, self.merge_list, training, rules=rules, tokenizer=self.tokenizer)
            size, tokens_with = len(sampled), int(sampled.tokens[-1])
        free: LearnedMerges = learn_merges(
            counts,
            self.merge_list,
            replace(training, num_merges=size),
            rules=native_rules(options, utf8_safe=False),
            tokenizer=self.tokenizer,
        )
        tokens = dict(self.merge_list.tokens)
        refused = 0
        for id, (left, right) in enumerate(free.pairs.tolist(), free.first_id):
            tokens[id] = tokens[left] + tokens[right]
            refused += not rules.allows(tokens[id])
        return Price(sample, tokens_with, int(free.tokens[len(free)]), refused)

    # ---- what becomes of it ----

    def extended(
        self, ids: Sequence[int], tokens: Sequence[bytes], parts: Sequence[tuple[int, ...]], numbering: Numbering
    ) -> Vocabulary:
        base = self.merge_list
        assert base.merges is not None  # as_merge_list
        taken = set(ids)
        return base.replace(
            tokens={**base.tokens, **dict(zip(ids, tokens, strict=True))},
            merges=(*base.merges, *((left, right) for left, right in parts)),
            special_tokens=[special for special in base.special_tokens if special.id not in taken],
            name=f"{base.name}+{len(ids)}" if base.name else None,
        )

    def check_ids(self, made: Vocabulary, plan: EmbeddingPlan, replaced: Sequence[str]) -> None:
        check_ids(self.tokenizer.vocabulary, made, plan, replaced)

    def comparing(self, made: Vocabulary, plan: EmbeddingPlan, threads: int | None, progress: Show | None) -> Checker:
        return Checker(self.tokenizer, self._encoder(made), plan, threads, progress)

    def made_sizes(self, made: Vocabulary, texts: Sequence[bytes]) -> list[int]:
        return _sizes(self._encoder(made), texts)

    def not_as_ranks(self, made: Vocabulary) -> str | None:
        return same_as_ranks(made)

    def unreachable(self) -> tuple[int, ...]:
        return tuple(made_by_merges(self.tokenizer)[1])

    def guarantees(
        self, rows: Sequence[CorpusRow], plan: EmbeddingPlan, not_as_ranks: str | None, left_out: Mapping[str, str]
    ) -> dict[str, str]:
        changed = [row.documents_changed for row in rows]
        known = "an unknown number of" if None in changed else f"{sum(each or 0 for each in changed):,}"
        on = f"{sum(row.documents for row in rows):,} documents ({sum(row.bytes for row in rows):,} bytes) of training and guard text"
        if rows and rows[0].documents_changed is None:
            on = f"the distinct pretokens of {rows[0].documents:,} documents ({rows[0].bytes:,} bytes), whose text was not "
            on += f"read again, and {sum(row.documents for row in rows[1:]):,} documents of guard text"
        normalizer = self.merge_list.normalizer
        return {
            "reachable": f"each of the {len(plan.new_ids):,} added tokens occurs in the witness text beside it",
            "coarser": f"in {on} the new token boundaries are some of the old ones: new ids with each new token "
            f"replaced by its parts are the old ids; {known} documents changed",
            "untouched": f"in the same text, what holds no new token has the ids that it had, {known} documents apart",
            "round_trip": f"decoding gave back the bytes of {on}"
            + (f", normalized to {normalizer}" if normalizer else ""),
            "ranks": "ranks alone, as in a .tiktoken file, give the same ids as the merges"
            if not_as_ranks is None
            else f"ranks alone would give other ids, so no .tiktoken is written: {not_as_ranks}",
        }

    def finished(self, made: Vocabulary, counts: Counts) -> tuple[Tokenizer, None, Mapping[str, str]]:
        return self._encoder(made), None, {}

    def _encoder(self, made: Vocabulary) -> Tokenizer:
        if self._last is None or self._last[0] is not made:
            self._last = made, Tokenizer(made)
        return self._last[1]


def _sizes(tokenizer: Tokenizer, texts: Sequence[bytes]) -> list[int]:
    _, offsets = tokenizer.encode_batch_to_numpy(list(texts))
    sizes: list[int] = np.diff(offsets).tolist()
    return sizes


def _every(counts: Counts, step: int) -> Counts:
    """Every ``step``-th distinct pretoken."""
    lengths = np.diff(counts.offsets)
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[::step] = True
    offsets: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[chosen])])
    return replace(
        counts, data=counts.data[np.repeat(chosen, lengths)], offsets=offsets, counts=counts.counts[chosen].copy()
    )
