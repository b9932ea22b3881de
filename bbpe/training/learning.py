"""Learn merges from counts, from scratch or on top of a base.

What it does: checks that counts, base and options agree, lets the merge loop run in steps between which Ctrl-C, progress
and checkpoints have their turn, and makes of its result a vocabulary and a record. What it does not: read or count text
(``counts.py``), or merge (``_merge.pyx``). ``reference.learn_merges`` says what the merges must be.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe._characters import learner
from bbpe._count import release_free_memory
from bbpe._joint import JointLearner
from bbpe._merge import MOST_APART, MergeLearner, Rules, spelled
from bbpe.checkpoints import Checkpoint, MergesKept
from bbpe.corpus import Progress
from bbpe.counts import Counts
from bbpe.errors import TrainingError
from bbpe.sifting import SiftedLearner, encoded
from bbpe.tokenizer import Tokenizer
from bbpe.training.options import MAX_TOTAL, ByteOrder, TrainingOptions
from bbpe.training.record import StopReason, TrainingRecord, curve_points
from bbpe.unicode import unicode_version
from bbpe.vocabulary import SpecialToken, Vocabulary

__all__ = ["LearnedMerges", "Run", "as_merge_list", "byte_ids", "keeps_parts", "learn", "learn_merges"]

MAX_CELLS = 2**32 - 2
"""Symbols of distinct pretokens, and what separates them, that the merge loop can number: 17 GB of them."""

_REPORT_SECONDS = 0.1
_MOST_PARTS = 1 << 22  # of seed tokens; more of them take more memory than all rare pairs of a text
_TRIMMED = 1 << 24  # bytes of distinct pretokens; what fewer leave behind is soon used again
_STEP = 1 << 20  # positions that one native step visits, about: some 50 ms


def learn(
    counts: Counts,
    base: Vocabulary | None,
    options: TrainingOptions,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Vocabulary, TrainingRecord]:
    """Learn merges on top of a base: training from scratch is the extension of the 256 bytes.

    The base's tokens, ids and merges stay as they are; a rank table becomes the list of all its splits
    (:func:`as_merge_list`). New tokens get the ids after the base's last one, special tokens included, and
    ``options.special_tokens`` those after them. A pair whose bytes are a token already is never learned.

    Args:
        counts: The pretokens, counted with the pattern, special tokens and normalizer of ``options``.
        base: What to extend; None for the 256 bytes.
        options: ``vocab_size`` counts the entries of the base too. ``byte_order`` must be ``"value"`` with a base.
        progress: Called now and then, in the calling thread, with the merges learned.

    Raises:
        TrainingError: Options that contradict the counts or the base, counts without text, or too large.
        EncodeError: The base has no token for a byte of the text.
    """
    run = Run(counts, base, options)
    return run.finish(progress)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedMerges:
    """Merges on top of a base, before anybody has numbered their tokens for good.

    Attributes:
        first_id: The id that merge 0 makes in ``pairs``; merge *r* makes ``first_id + r``.
        pairs: (left id, right id) of each merge, in learning order: uint32[merges, 2].
        counts: The count that each merge won with: int64[merges].
        tokens: Tokens of the counted text before the first merge and after each: int64[merges + 1].
        exhausted: Whether no pair was left that may be merged.
    """

    first_id: int
    pairs: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    exhausted: bool

    def __len__(self) -> int:
        return len(self.counts)


def learn_merges(
    counts: Counts,
    base: Vocabulary,
    options: TrainingOptions,
    *,
    rules: Rules | None = None,
    tokenizer: Tokenizer | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> LearnedMerges:
    """Learn merges on top of a base, as :func:`learn` does, without making a vocabulary of them.

    Args:
        counts: The pretokens, counted with the pattern, special tokens and normalizer of ``options``.
        base: What to extend: a merge list.
        options: As for :func:`learn`.
        rules: What tokens may be made; None: all.
        tokenizer: One that gives the ids that ``base`` gives, where there is one already.
        progress: Called now and then, in the calling thread, with the merges learned.

    Raises:
        TrainingError: Options that contradict the counts or the base, counts without text, or too large.
        EncodeError: The base has no token for a byte of the text.
    """
    return Run(counts, base, options, rules, tokenizer).run(progress)


class Run:
    """One training: construction checks and takes what it needs of the counts, ``finish`` does the rest."""

    def __init__(
        self,
        counts: Counts,
        base: Vocabulary | None,
        options: TrainingOptions,
        rules: Rules | None = None,
        tokenizer: Tokenizer | None = None,
        kept: MergesKept | None = None,
        languages: Sequence[tuple[Counts, Counts]] = (),
    ) -> None:
        _check_agreement(counts, base, options)
        if options.superwords is not None or (options.balance and not languages):
            raise TrainingError("superwords and balance need the text itself, not counts of it: use train")
        # What has been left out of a count file counts as left out here.
        self.options = replace(options, min_pretoken_count=max(options.min_pretoken_count, counts.min_pretoken_count))
        if rules is None and options.utf8_safe:
            rules = Rules(utf8_safe=True)
        self.kept = MergesKept.none()
        self.texts = max(1, len(languages))
        self.wanted = options.merges_wanted(base)
        self.base = None if base is None else as_merge_list(base)
        self.power = counts.power
        self.units = counts.bytes
        self.facts: dict[str, Any] = {
            name: getattr(counts, name) for name in ("sources", "documents", "samples", "weights", "power")
        }
        for name in ("bytes", "characters", "invalid_bytes", "pretokens"):
            self.facts[name] = getattr(counts, name) >> counts.power
        self.facts["distinct_pretokens"] = len(counts)
        self.facts["long_pretokens"] = counts.long_pretokens()
        self.size = len(counts.data)
        _check_size(counts)
        taken = [token.encode() for token in options.special_tokens]
        encoder: Tokenizer | None = None
        if self.base is None:
            order: npt.NDArray[np.uint32] | None
            order = byte_order = byte_ids(options.byte_order)
            tokens: list[bytes | None] = [b""] * 256
            for byte, id in enumerate(byte_order.tolist()):
                tokens[id] = bytes([byte])
            self.first_id = 256
        else:
            order = None
            self.first_id = self.base.id_space
            tokens = [None] * self.first_id
            for id, token in self.base.tokens.items():
                tokens[id] = token
            taken += [special.content.encode() for special in self.base.special_tokens]
            if kept is None or not len(kept):
                encoder = Tokenizer(self.base) if tokenizer is None else tokenizer
        if kept is not None and len(kept):
            self.kept = kept = kept.first(self.wanted)
            # Encoding with the first merges is what learning them made of the pretokens: learning goes on there.
            begun = self._vocabulary(kept.merges, ())
            encoder = Tokenizer(begun)
            tokens += [begun.tokens[id] for id in range(self.first_id, self.first_id + len(kept))]
            order = None
        least = options.min_count << counts.power
        if least > MAX_TOTAL:
            raise TrainingError(f"min_count is {options.min_count}; with these weights 64 bits cannot count so far")
        making: dict[str, Any] = {
            "byte_ids": order,
            "taken": taken,
            "first_id": self.first_id + len(self.kept),
            "max_token_bytes": None if options.max_token_bytes is None else min(options.max_token_bytes, 2**32 - 1),
            "rules": rules,
        }

        def symbols(counts: Counts) -> tuple[Any, Any, Any]:
            found = (counts.data, counts.offsets) if encoder is None else encoded(counts, encoder)
            return *found, counts.counts

        self.learner: Any
        if not languages and not options.seed_tokens:
            if encoder is None:
                self.learner = learner(*symbols(counts), tokens, min_count=least, **making)
                return

            def make(ids: Any, offsets: Any, times: Any, bar: int) -> Any:
                return learner(ids, offsets, times, tokens, min_count=bar, **making)

            self.learner = SiftedLearner(counts, encoder, self.wanted - len(self.kept), least, make)
            return
        seeds = Counts.from_items(dict.fromkeys(map(str.encode, options.seed_tokens), 1), pattern=counts.pattern)
        parts = _parts(options.seed_tokens)
        if languages or parts is None:
            texts = [text for text, _ in languages] or [counts]
            learners = [MergeLearner(*symbols(text), tokens, min_count=1, **making) for text in texts]
        else:
            learners = [MergeLearner(*symbols(counts), tokens, min_count=least, keep=parts, **making)]
        self.learner = JointLearner(
            learners,
            [MergeLearner(*symbols(side), tokens, min_count=1, **making) for _, side in languages],
            MergeLearner(*symbols(seeds), tokens, min_count=1, **making) if len(seeds) else None,
            seed_tokens=len(seeds),
            min_count=least,
        )
        if not len(self.kept) and self.learner.seed_merges > self.wanted:
            raise TrainingError(
                f"the seed tokens need up to {self.learner.seed_merges:,} merges, and {self.wanted:,} may be learned; "
                "give fewer of them, or a larger vocabulary"
            )

    def run(self, progress: Callable[[Progress], None] | None, checkpoint: Checkpoint | None = None) -> LearnedMerges:
        """Learn all merges. Between native steps Python runs: an exception there ends the training, Ctrl-C included."""
        native = self.learner
        before = len(self.kept)
        total = None if self.wanted == MAX_TOTAL else self.wanted
        due = 0.0
        keep = time.monotonic() + (checkpoint.seconds if checkpoint is not None else 0)
        going = True
        while going and before + len(native) < self.wanted:
            if progress is not None and time.monotonic() >= due:
                due = time.monotonic() + _REPORT_SECONDS
                progress(Progress("merging", before + len(native), total, "merges"))
            going = native.learn(self.wanted - before, _STEP)
            if checkpoint is not None and time.monotonic() >= keep:
                checkpoint.save_merges(self._and_learned(native))
                keep = time.monotonic() + checkpoint.seconds
        if progress is not None:
            learned = before + len(native)
            progress(Progress("merging", learned, total if going else learned, "merges"))
        kept = self._and_learned(native)
        self._keep_what_was_served(native, kept)
        del native, self.learner  # its memory is free for the vocabulary
        if self.size >= _TRIMMED:
            release_free_memory()
        if checkpoint is not None and len(kept) > before:
            checkpoint.save_merges(kept)
        return LearnedMerges(self.first_id, kept.merges, kept.counts, kept.tokens, not going)

    def _and_learned(self, native: Any) -> MergesKept:
        """The merges of earlier processes and of this one."""
        chosen_by = native.chosen_by if isinstance(native, JointLearner) else None
        return self.kept.and_then(native.merges, native.counts, native.corpus_tokens, chosen_by)

    def _keep_what_was_served(self, native: Any, kept: MergesKept) -> None:
        """What a joint training says of its texts."""
        self.merges_for: list[int] = []
        self.side_tokens: list[int] = []
        if isinstance(native, JointLearner):
            self.merges_for = np.bincount(kept.chosen_by, minlength=self.texts + 1).tolist()
            self.side_tokens = native.side_tokens
            if native.seed_merges:
                raise TrainingError(
                    "some seed tokens cannot be made: another option, or what is a token already, stands in their way"
                )

    def finish(
        self, progress: Callable[[Progress], None] | None, checkpoint: Checkpoint | None = None
    ) -> tuple[Vocabulary, TrainingRecord]:
        """Learn all merges, and make a vocabulary of them."""
        learned = self.run(progress, checkpoint)
        self.learned_tokens, self.learned_counts = learned.tokens, learned.counts
        vocabulary = self._vocabulary(learned.pairs, self.options.special_tokens)
        return vocabulary, self._record(vocabulary, learned.tokens, learned.counts)

    def _vocabulary(self, learned: npt.NDArray[np.uint32], special_tokens: Sequence[str]) -> Vocabulary:
        options, base = self.options, self.base
        after = self.first_id + len(learned)
        specials = [SpecialToken(content, after + place) for place, content in enumerate(special_tokens)]
        if base is None:
            order = np.argsort(byte_ids(options.byte_order))
            return Vocabulary.of_learned(
                *spelled([bytes([byte]) for byte in order.tolist()], learned),
                special_tokens=specials,
                pattern=options.first_pattern,
                normalizer=options.normalizer,
            )
        assert base.merges is not None  # as_merge_list
        merges = zip(learned[:, 0].tolist(), learned[:, 1].tolist(), strict=True)
        tokens, known = dict(base.tokens), (*base.merges, *merges)
        for id, (left, right) in enumerate(known[len(base.merges) :], self.first_id):
            tokens[id] = tokens[left] + tokens[right]
        return base.replace(tokens=tokens, merges=known, special_tokens=[*base.special_tokens, *specials], name=None)

    def _record(
        self, vocabulary: Vocabulary, tokens: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
    ) -> TrainingRecord:
        base_size = 256 if self.base is None else self.base.vocab_size
        merges = len(counts)
        stop: StopReason = "min_count"
        if vocabulary.vocab_size == self.options.vocab_size:
            stop = "vocab_size"
        elif merges == self.options.num_merges:
            stop = "num_merges"
        before = base_size + len(self.options.special_tokens)
        return TrainingRecord(
            options=self.options,
            **self.facts,
            base=None if self.base is None else self.base.name or "unnamed",
            base_size=base_size,
            merges=merges,
            vocab_size=vocabulary.vocab_size,
            stop=stop,
            versions={
                "bbpe": bbpe.__version__,
                "unicode": unicode_version(),
                "python": platform.python_version(),
            },
            curve=tuple(curve_points(self.units, before, tokens, counts, self.power)),
            seed_merges=self.merges_for[-1] if self.merges_for else 0,
        )


def byte_ids(byte_order: ByteOrder = "value") -> npt.NDArray[np.uint32]:
    """The id of each byte: uint32[256].

    ``"gpt2"`` is the order of OpenAI's and Hugging Face's files: first the 188 bytes that are printable in Latin-1,
    then the other 68, both ascending.

    >>> byte_ids("gpt2")[[33, 255, 0, 32, 173]].tolist()
    [0, 187, 188, 220, 255]
    """
    if byte_order == "value":
        return np.arange(256, dtype=np.uint32)
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    order = printable + sorted(set(range(256)).difference(printable))
    ids = np.empty(256, dtype=np.uint32)
    ids[order] = np.arange(256, dtype=np.uint32)
    return ids


def as_merge_list(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with a merge list; a rank table becomes the list of all splits of its tokens, by their ranks.

    That is the same encoder, while the canonical split alone loses tokens (Llama 3: 107 of them).
    """
    if vocabulary.ranks is None:
        return vocabulary
    merges: list[tuple[int, int]] = []
    tokens, ids = vocabulary.tokens, vocabulary.ids
    for id in vocabulary.ranks:
        token = tokens[id]
        splits = []
        for at in range(1, len(token)):
            left = ids.get(token[:at])
            if left is not None:
                right = ids.get(token[at:])
                if right is not None:
                    splits.append((left, right))
        merges += sorted(splits)
    return vocabulary.replace(merges=merges, ranks=None)


def _check_agreement(counts: Counts, base: Vocabulary | None, options: TrainingOptions) -> None:
    for what, mine, theirs in (
        ("pattern", options.first_pattern, counts.pattern),
        ("special_tokens", set(options.special_tokens), set(counts.special_tokens)),
        ("normalizer", options.normalizer, counts.normalizer),
        ("max_pretoken_bytes", options.max_pretoken_bytes, counts.max_pretoken_bytes),
    ):
        if base is not None and what == "special_tokens" and isinstance(mine, set):
            mine = mine | {special.content for special in base.special_tokens}
        if mine != theirs:
            raise TrainingError(
                f"the counts were made with {what} {theirs!r}, not {mine!r}; leave it out or count again"
            )
    if base is not None:
        if options.byte_order != "value":
            raise TrainingError(f"byte_order is {options.byte_order!r}, but the base has its ids already; leave it out")
        for what, mine, theirs in (
            ("pattern", options.first_pattern, base.pattern),
            ("normalizer", options.normalizer, base.normalizer),
        ):
            if mine != theirs:
                raise TrainingError(f"{what} is {mine!r}, but that of the base is {theirs!r}; use the base's")
        for special in base.special_tokens:
            if special.content in options.special_tokens:
                raise TrainingError(f"special token {special.content!r} is in the base already; leave it out")
    if len(counts) == 0:
        raise TrainingError("there is no text to learn from: the corpus is empty, or all of it is special tokens")


def _check_size(counts: Counts) -> None:
    cells = len(counts.data) + len(counts) + MOST_APART
    if cells + MOST_APART * len(counts) >= MAX_CELLS:  # else there is room even if no two counts are equal
        cells += MOST_APART * len(np.unique(counts.counts))
    if cells >= MAX_CELLS:
        raise TrainingError(
            f"{len(counts):,} distinct pretokens have {len(counts.data):,} bytes, and the merge loop can number 2**32; "
            "train on a sample, or cut long pretokens with max_pretoken_bytes"
        )
    # In floating point first: the exact sum may not fit the integers that numpy would use.
    if float(counts.counts.max()) * len(counts.data) <= MAX_TOTAL / 2:
        return  # so much is hardly ever reached, and the sum takes a millisecond
    lengths = np.diff(counts.offsets)
    # Not a dot product of floats: BLAS would wake its threads for it, which then burn a tenth of a second waiting.
    if float(np.multiply(lengths, counts.counts, dtype=np.float64).sum()) > MAX_TOTAL / 2:
        total = sum(length * count for length, count in zip(lengths.tolist(), counts.counts.tolist(), strict=True))
        if total > MAX_TOTAL:
            raise TrainingError(f"the counts stand for {total:,} bytes, more than 64 bits can count; scale them down")


def keeps_parts(seeds: Sequence[str]) -> bool:
    """Whether the parts of the seed tokens are listed, so that of rare pairs those alone are kept that make one; else all
    pairs are kept."""
    return sum(len(seed.encode()) ** 2 for seed in seeds) <= _MOST_PARTS


def _parts(seeds: Sequence[str]) -> set[bytes] | None:
    """All parts of the seed tokens; None where these are more than it pays to list."""
    if not keeps_parts(seeds):
        return None
    return {
        seed[begin:end]
        for seed in map(str.encode, seeds)
        for begin in range(len(seed))
        for end in range(begin + 1, len(seed) + 1)
    }
