"""Learn on top of a base from what is frequent enough: the merge loop behind a sieve.

What it does: encodes pretokens with a base, and gives the merge loop only what may still be merged (``_sieve.pyx`` says
why that gives the same merges). What it does not: merge, or know options and vocabularies (``training``).

How rare the last merge will be is not known before it is learned, so it is guessed: of the pairs before the first merge
the one in place *2 N* has been rarer than merge *N* in nearly everything that was tried (Chinese and English, 3 to 98
MB, N from 100 to 30,000: merge N is as frequent as the pair in place 1.0 to 1.6 N). Where the guess was too high the
pairs run out, and all is done again with a lower one; a high guess leaves little to do, so that costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from bbpe._merge import MergeLearner
from bbpe._sieve import PairCounts, Sieve
from bbpe.counts import Counts
from bbpe.errors import EncodeError
from bbpe.threads import processors
from bbpe.tokenizer import Tokenizer

__all__ = ["SHARED_BYTES", "SiftedLearner", "encoded"]

Encoded = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]

SHARED_BYTES = 1 << 20
"""Distinct pretokens of so many bytes are encoded in several threads."""

_BLOCK_BYTES = 1 << 17  # what is encoded at a time: small enough that its copies stay in the cache
_PAIRS_A_MERGE = 2
_MOST_PAIRS = 2**62


class SiftedLearner:
    """Learns merges as ``MergeLearner`` does, with the same surface, from the pairs that are frequent enough.

    Args:
        counts: The pretokens.
        tokenizer: The base.
        wanted: How many merges are wanted: what the bar is guessed by.
        min_count: Pairs that occur less often are not learned.
        make: Makes a learner of ids, offsets, counts and the least count of a pair.

    Raises:
        EncodeError: The base has no token for a byte of the text.
    """

    def __init__(
        self,
        counts: Counts,
        tokenizer: Tokenizer,
        wanted: int,
        min_count: int,
        make: Callable[[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64], int], MergeLearner],
    ) -> None:
        self._wanted, self._min_count, self._make = wanted, min_count, make
        self._sieve: Sieve | None = _sieve(counts, tokenizer)
        self._tokens = self._sieve.tokens
        self._pairs = min(_PAIRS_A_MERGE * wanted, _MOST_PAIRS)
        self._begin(self._sieve.bar(self._pairs))

    def _begin(self, bar: int) -> None:
        assert self._sieve is not None  # it is given up when nothing lower can follow
        self._bar = max(bar, self._min_count)
        self._learner = self._make(*self._sieve.remaining(self._bar), self._bar)
        if self._bar == self._min_count:
            self._sieve = None

    def __len__(self) -> int:
        return len(self._learner)

    def learn(self, merges: int, work: int = 1 << 22) -> bool:
        """Learn on until ``merges`` are learned in all or about ``work`` positions are visited; False: none is left."""
        going = self._learner.learn(merges, work)
        while not going and self._sieve is not None and len(self._learner) < merges:
            learned = len(self._learner)
            self._pairs = min(self._pairs * max(2, self._wanted // max(1, learned)), _MOST_PAIRS)
            self._begin(min(self._sieve.bar(self._pairs), self._bar // 2))
            going = True
            while going and len(self._learner) < learned:  # the same again
                going = self._learner.learn(learned, work)
        return going

    @property
    def merges(self) -> npt.NDArray[np.uint32]:
        """As ``MergeLearner``."""
        return self._learner.merges

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """As ``MergeLearner``."""
        return self._learner.counts

    @property
    def corpus_tokens(self) -> npt.NDArray[np.int64]:
        """Tokens in the whole corpus before the first merge and after each, with what the sieve has kept back."""
        tokens = self._learner.corpus_tokens
        tokens += self._tokens - int(tokens[0])
        return tokens


def _sieve(counts: Counts, tokenizer: Tokenizer) -> Sieve:
    """A sieve with all pretokens in it, encoded in as many threads as there are processors."""
    lengths = _lengths(tokenizer)
    threads = processors() if len(counts.data) >= SHARED_BYTES else 1
    starts = np.linspace(0, len(counts), threads + 1).astype(np.int64).tolist()
    shares = [PairCounts(lengths, len(counts.data) // 4) for _ in range(threads)]

    def fill(number: int) -> None:
        for begin, end, ids in _blocks(counts, tokenizer, starts[number], starts[number + 1]):
            shares[number].add(ids, counts.offsets[begin : end + 1], counts.counts[begin:end])

    try:
        if threads == 1:
            fill(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, range(threads)))
    except EncodeError:
        _all_at_once(counts, tokenizer)  # says it again, with its place in all of the text
        raise
    return Sieve(shares, [counts.counts[starts[number] : starts[number + 1]] for number in range(threads)])


def _blocks(
    counts: Counts, tokenizer: Tokenizer, begin: int, end: int
) -> Iterator[tuple[int, int, npt.NDArray[np.uint32]]]:
    """Pretokens from ``begin`` to ``end``, some at a time: which they are, and their ids.

    Fresh memory for all of them at once took as long as the encoding.
    """
    encode = tokenizer._encoder.encode_pretokens  # no public way leads to it, for text is not to be encoded by it
    offsets: Any = counts.offsets
    while begin < end:
        first = offsets[begin]
        last = max(begin + 1, min(end, int(np.searchsorted(offsets, first + _BLOCK_BYTES, side="right")) - 1))
        ends = (offsets[begin + 1 : last + 1] - first).astype(np.uint64)
        yield begin, last, encode(counts.data[first : offsets[last]].tobytes(), ends)
        begin = last


def encoded(counts: Counts, tokenizer: Tokenizer) -> Encoded:
    """All pretokens as the base encodes them: ids, and where each pretoken begins among them.

    Raises:
        EncodeError: The base has no token for a byte of the text.
    """
    lengths = _lengths(tokenizer)
    offsets = np.zeros(len(counts.offsets), dtype=np.int64)
    parts: list[npt.NDArray[np.uint32]] = []
    size = 0
    try:
        for begin, end, ids in _blocks(counts, tokenizer, 0, len(counts)):
            reached = np.cumsum(lengths[ids], dtype=np.int64) + counts.offsets[begin]
            offsets[begin + 1 : end + 1] = np.searchsorted(reached, counts.offsets[begin + 1 : end + 1]) + (size + 1)
            size += len(ids)
            parts.append(ids)
    except EncodeError:
        _all_at_once(counts, tokenizer)
        raise
    return np.concatenate(parts), offsets


def _all_at_once(counts: Counts, tokenizer: Tokenizer) -> None:
    tokenizer._encoder.encode_pretokens(counts.data.tobytes(), counts.offsets[1:].astype(np.uint64))


def _lengths(tokenizer: Tokenizer) -> npt.NDArray[np.uint32]:
    """Bytes of each id's token; 0 where there is none."""
    tokens = tokenizer.vocabulary.tokens
    lengths = np.zeros(tokenizer.id_space, dtype=np.uint32)
    lengths[np.fromiter(tokens, np.int64, len(tokens))] = np.fromiter(map(len, tokens.values()), np.uint32, len(tokens))
    return lengths
