"""The sieve before the merge loop: what it keeps back could not have been merged, so the merges are the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bbpe
from bbpe import sifting
from bbpe._merge import MergeLearner, Rules
from bbpe._sieve import PairCounts, Sieve
from bbpe.counts import Counts
from bbpe.errors import EncodeError
from bbpe.patterns import get_pattern
from bbpe.sifting import SiftedLearner, encoded
from bbpe.training import TrainingOptions, learn_merges

WHOLE = r"(?s).+"
BASE = bbpe.train(["aab abab bcab cabc " * 3, "中文的的中文"], num_merges=9, pattern=WHOLE)


def learners(
    weights: dict[bytes, int], wanted: int, min_count: int, **making: Any
) -> tuple[SiftedLearner, MergeLearner]:
    """One with a sieve, one without."""
    counts = Counts.from_items(weights, pattern=WHOLE)
    tokens: list[bytes | None] = [BASE.vocabulary.tokens.get(id) for id in range(BASE.id_space)]

    def make(ids: Any, offsets: Any, times: Any, bar: int) -> MergeLearner:
        return MergeLearner(ids, offsets, times, tokens, min_count=bar, first_id=BASE.id_space, **making)

    plain = make(*encoded(counts, BASE), counts.counts, min_count)
    return SiftedLearner(counts, BASE, wanted, min_count, make), plain


def assert_same(sifted: SiftedLearner, plain: MergeLearner, wanted: int) -> None:
    going = [True, True]
    while all(going) and len(plain) < wanted:
        going = [learner.learn(wanted, 50) for learner in (sifted, plain)]
    for number, learner in enumerate((sifted, plain)):
        while going[number] and len(learner) < wanted:
            going[number] = learner.learn(wanted)
    assert sifted.merges.tolist() == plain.merges.tolist()
    assert sifted.counts.tolist() == plain.counts.tolist()
    assert sifted.corpus_tokens.tolist() == plain.corpus_tokens.tolist()
    assert len(sifted) == len(plain)


texts = st.dictionaries(
    st.text(alphabet="ab", min_size=1, max_size=24).map(str.encode)
    | st.text(alphabet="abc中文的", min_size=1, max_size=9).map(str.encode),
    st.integers(1, 30) | st.sampled_from([40_000, 65_535, 65_536, 2**40]),
    min_size=1,
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    weights=texts,
    wanted=st.integers(1, 40),
    min_count=st.integers(1, 6),
    pairs=st.sampled_from([0, 1, 2, 5]),
    rules=st.sampled_from([None, Rules(utf8_safe=True), Rules(deny=[b"b"])]),
    longest=st.sampled_from([None, 4]),
)
def test_the_merges_are_those_without_a_sieve_however_high_the_bar_is_guessed(
    weights: dict[bytes, int], wanted: int, min_count: int, pairs: int, rules: Rules | None, longest: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sifting, "_PAIRS_A_MERGE", pairs)
        making = {"rules": rules} if rules is not None else {}
        assert_same(*learners(weights, wanted, min_count, max_token_bytes=longest, **making), wanted)


def test_what_is_left_is_what_reaches_the_bar_each_once() -> None:
    """Ids 0 and 1; 0 0 1 twice, 0 0 three times, 1 1 nine times, 1 0 once, 1 alone five times.

    (0, 0) occurs 2 + 3 times, (0, 1) twice, (1, 1) nine times, (1, 0) once. A bar of 3 cuts 0 0 1 before the 1: 0 0 is
    left of it, which is the second pretoken, and the 1 is alone; of 1 0 nothing is left.
    """
    share = PairCounts(np.array([2, 1], np.uint32), 10)
    first = np.array([0, 0, 1, 0, 0, 1, 1], np.uint32), np.array([0, 5, 9, 11], np.int64)
    second = np.array([1, 0, 1], np.uint32), np.array([11, 14, 15], np.int64)
    counts = np.array([2, 3, 9, 1, 5], np.int64)
    share.add(*first, counts[:3])
    share.add(*second, counts[3:])
    sieve = Sieve([share], [counts])
    assert share.tokens == sieve.tokens == 3 * 2 + 2 * 3 + 2 * 9 + 2 * 1 + 5
    assert [sieve.bar(pairs) for pairs in (1, 2, 3, 4, 5)] == [9, 5, 2, 1, 1]
    ids, offsets, left = sieve.remaining(3)
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == [[0, 0], [1, 1]]
    assert left.tolist() == [5, 9]
    ids, offsets, left = sieve.remaining(1)
    assert (ids.tolist(), offsets.tolist(), left.tolist()) == (
        [0, 0, 1, 0, 0, 1, 1, 1, 0],
        [0, 3, 5, 7, 9],
        [2, 3, 9, 1],
    )
    assert [len(part) for part in sieve.remaining(10)] == [0, 1, 0]


def test_many_remains_are_each_known_again() -> None:
    """More of them than the first hash table has room for, every pretoken in two shares."""
    pairs = np.array([(left, right) for left in range(100) for right in range(100)], np.uint32)
    offsets, counts = np.arange(0, 20_001, 2, dtype=np.int64), np.arange(1, 10_001, dtype=np.int64)
    shares = [PairCounts(np.ones(100, np.uint32), 100), PairCounts(np.ones(100, np.uint32), 100)]
    for share in shares:
        share.add(pairs.ravel(), offsets, counts)
    ids, starts, left = Sieve(shares, [counts, counts]).remaining(2)
    assert np.array_equal(ids, pairs.ravel())
    assert np.array_equal(starts, offsets)
    assert np.array_equal(left, 2 * counts)


def test_ids_of_other_text_are_refused() -> None:
    for lengths, ids in (([1], [0, 0]), ([1], [0, 0, 0, 0]), ([2], [0, 0])):
        share = PairCounts(np.array(lengths, np.uint32), 10)
        with pytest.raises(ValueError, match="not those of these pretokens"):
            share.add(np.array(ids, np.uint32), np.array([0, 3], np.int64), np.array([1], np.int64))


def test_a_byte_that_the_base_lacks_is_named_with_its_place() -> None:
    base = bbpe.Tokenizer(bbpe.Vocabulary({0: b"a", 1: b"b"}, merges=[], pattern=get_pattern(WHOLE)))
    counts = Counts.from_items({b"ab": 3, b"axb": 2}, pattern=WHOLE)
    for run in (lambda: encoded(counts, base), lambda: learners_of(counts, base)):
        with pytest.raises(EncodeError, match="no token"):
            run()


def learners_of(counts: Counts, base: bbpe.Tokenizer) -> object:
    return learn_merges(counts, base.vocabulary, TrainingOptions(num_merges=1, pattern=WHOLE), tokenizer=base)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_make_no_difference(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(threads)
    weights = {bytes(generator.choice(list(b"abc"), generator.integers(1, 30))): int(n) for n in range(1, 400)}
    monkeypatch.setattr(sifting, "SHARED_BYTES", 1)
    monkeypatch.setattr(sifting, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(sifting, "processors", lambda: threads)
    assert_same(*learners(weights, 50, 2), 50)
