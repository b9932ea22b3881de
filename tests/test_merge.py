"""The merge loop equals the specification: on small alphabets with runs and ties, on counts past 32 bits, on a base."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import documents, pretoken_counts, vocabularies

from bbpe import reference
from bbpe._merge import MergeLearner

BYTES = np.arange(256, dtype=np.uint32)
TOKENS = [bytes([byte]) for byte in range(256)]
MANY = 10**9


def flat(sequences: list[list[int]], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.zeros(len(sequences) + 1, np.int64)
    offsets[1:] = np.cumsum([len(sequence) for sequence in sequences])
    return np.array([symbol for sequence in sequences for symbol in sequence], dtype), offsets


def learner_of(pretokens: Mapping[bytes, int], **options: object) -> MergeLearner:
    """A learner that begins with bytes."""
    symbols, offsets = flat([list(pretoken) for pretoken in pretokens], np.uint8)
    counts = np.array(list(pretokens.values()), np.int64)
    options.setdefault("byte_ids", BYTES)
    return MergeLearner(symbols, offsets, counts, TOKENS, **options)  # type: ignore[arg-type]


def run(learner: MergeLearner, merges: int, work: int = 1 << 20) -> MergeLearner:
    while len(learner) < merges and learner.learn(merges, work):
        pass
    return learner


def pairs(learner: MergeLearner) -> list[tuple[int, int]]:
    return [(left, right) for left, right in learner.merges.tolist()]


def assert_equal(learner: MergeLearner, learned: reference.Learned) -> None:
    assert pairs(learner) == list(learned.merges)
    assert learner.counts.tolist() == list(learned.counts)
    assert learner.corpus_tokens.tolist() == list(learned.lengths)


counts_of_all_sizes = st.one_of(st.integers(1, 4), st.sampled_from([65535, 65536, 70000, 2**32, 3 * 10**9]))
caps = st.none() | st.integers(2, 7)


@given(
    pretoken_counts(b"a") | pretoken_counts(b"ab") | pretoken_counts(b"abc", max_pretokens=20),
    st.integers(1, 4),
    caps,
    st.sampled_from([1, 3, MANY]),
)
@example({b"aaaaaaa": 1, b"aaa": 2, b"a": 3}, 1, None, 1)
@example({b"ababab": 1, b"abaab": 1}, 1, None, 1)
@settings(max_examples=400)
def test_merges_counts_and_lengths_equal_the_specification(
    pretokens: dict[bytes, int], min_count: int, max_token_bytes: int | None, work: int
) -> None:
    learned = reference.learn_merges(pretokens, num_merges=30, min_count=min_count, max_token_bytes=max_token_bytes)
    learner = learner_of(pretokens, min_count=min_count, max_token_bytes=max_token_bytes)
    assert_equal(run(learner, 30, work), learned)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=9).map(str.encode), counts_of_all_sizes, max_size=9))
def test_counts_past_32_bits(pretokens: dict[bytes, int]) -> None:
    assert_equal(run(learner_of(pretokens), 12), reference.learn_merges(pretokens, num_merges=12))


@given(st.dictionaries(documents().filter(bool), st.integers(1, 3), max_size=8))
@settings(max_examples=60)
def test_text_of_every_kind_and_bytes_that_are_no_text(pretokens: dict[bytes, int]) -> None:
    assert_equal(run(learner_of(pretokens), 20), reference.learn_merges(pretokens, num_merges=20))


@given(pretoken_counts(b"abc"), caps)
def test_the_order_of_byte_ids_moves_the_ties(pretokens: dict[bytes, int], max_token_bytes: int | None) -> None:
    tokens = reference.byte_tokens("gpt2")
    ids = np.empty(256, np.uint32)
    for token_id, token in tokens.items():
        ids[token[0]] = token_id
    base = reference.Vocabulary(tokens, merges=())
    symbols, offsets = flat([list(pretoken) for pretoken in pretokens], np.uint8)
    learner = MergeLearner(
        symbols,
        offsets,
        np.array(list(pretokens.values()), np.int64),
        [tokens[token_id] for token_id in range(256)],
        byte_ids=ids,
        max_token_bytes=max_token_bytes,
    )
    learned = reference.learn_merges(pretokens, base, num_merges=20, max_token_bytes=max_token_bytes)
    assert_equal(run(learner, 20), learned)


@given(vocabularies(), pretoken_counts(b"ab"), caps, st.integers(0, 9))
@settings(max_examples=300)
def test_an_extension_equals_the_specification(
    base: reference.Vocabulary, pretokens: dict[bytes, int], max_token_bytes: int | None, gap: int
) -> None:
    first_id = base.last_id + 1 + gap
    learned = reference.learn_merges(
        pretokens, base, num_merges=15, max_token_bytes=max_token_bytes, first_id=first_id, special_tokens=["abab"]
    )
    merged = reference.all_splits(base)
    symbols, offsets = flat([reference.encode_pretoken(pretoken, merged) for pretoken in pretokens], np.uint32)
    learner = MergeLearner(
        symbols,
        offsets,
        np.array(list(pretokens.values()), np.int64),
        [base.tokens.get(token_id) for token_id in range(base.last_id + 1)],
        taken=[b"abab"],
        first_id=first_id,
        max_token_bytes=max_token_bytes,
    )
    assert_equal(run(learner, 15), learned)


@given(pretoken_counts(b"abc"), st.randoms(use_true_random=False))
def test_the_order_of_the_pretokens_has_no_say(pretokens: dict[bytes, int], shuffle: random.Random) -> None:
    items = list(pretokens.items())
    shuffle.shuffle(items)
    assert pairs(run(learner_of(dict(items)), 20)) == pairs(run(learner_of(pretokens), 20))


@given(pretoken_counts(b"abc"), st.integers(0, 12), st.integers(0, 12))
def test_fewer_merges_are_a_prefix_of_more(pretokens: dict[bytes, int], one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert pairs(run(learner_of(pretokens), few)) == pairs(run(learner_of(pretokens), many))[:few]


def test_the_curve_counts_pretokens_of_one_symbol_too() -> None:
    learner = run(learner_of({b"a": 10, b"ab": 3}), 1)
    assert learner.corpus_tokens.tolist() == [16, 13]


def test_nothing_to_merge() -> None:
    for pretokens in ({}, {b"a": 5}, {b"ab": 1}):
        learner = learner_of(pretokens)
        assert pairs(run(learner, 5)) == []
        assert not learner.learn(5)


def test_a_merge_wins_over_all_that_tie_by_its_ids_alone() -> None:
    r"""All pairs occur twice; the smallest ids are merged first, whatever the order in the text: \x01\x02 before zy."""
    pretokens = {b"zy": 2, b"\x01\x02": 2, b"\x01\x03": 2, b"z\x01": 2}
    assert pairs(run(learner_of(pretokens), 4)) == [(1, 2), (1, 3), (122, 1), (122, 121)]


def seeded(alphabet: bytes, distinct: int, length: int, seed: int) -> dict[bytes, int]:
    """Random pretokens of a repetitive kind, with counts as they are in text: many small, few large."""
    rng = random.Random(seed)
    words = [bytes(rng.choices(alphabet, k=rng.randint(1, 5))) for _ in range(40)]
    return {
        b"".join(rng.choices(words, k=rng.randint(1, length))): int(rng.paretovariate(0.6)) for _ in range(distinct)
    }


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_pairs(seed: int) -> None:
    """Enough for tables to grow, blocks to move and be freed, pairs to be dropped and their numbers used again."""
    pretokens = seeded(bytes(range(97, 105)) + "中国人".encode(), 300, 12, seed)
    learned = reference.learn_merges(pretokens, num_merges=250)
    assert_equal(run(learner_of(pretokens), 250), learned)


def test_all_that_is_learned_from_enough_text_to_move_every_block_is_what_recounting_says() -> None:
    """A check that costs one recount and not one a merge: at the end, apply the merges and recount."""
    pretokens = seeded(bytes(range(256)), 4000, 40, 7)
    learner = run(learner_of(pretokens), 3000)
    ids = {tuple(pretoken): list(pretoken) for pretoken in pretokens}
    lengths = learner.corpus_tokens.tolist()
    assert lengths[0] == sum(len(pretoken) * count for pretoken, count in pretokens.items())
    for rank, pair in enumerate(pairs(learner)):
        for key, sequence in ids.items():
            if pair[0] in sequence:
                ids[key] = reference.apply_merge(sequence, pair, 256 + rank)
        if rank % 500 == 499:
            assert lengths[rank + 1] == sum(len(ids[tuple(pretoken)]) * count for pretoken, count in pretokens.items())
            best = max(
                reference.count_pairs([(ids[tuple(pretoken)], count) for pretoken, count in pretokens.items()]).values()
            )
            assert rank + 1 == len(learner) or learner.counts[rank + 1] == best


@pytest.mark.parametrize("times", [2, 3, 10**6, 10**6 + 1])
def test_one_pretoken_of_equal_bytes_halves_with_each_merge(times: int) -> None:
    learner = run(learner_of({b"a" * times: 1}), 100)
    for rank, length in enumerate(learner.corpus_tokens.tolist()[:-1]):
        # Positions, overlaps included. Where the run is odd an older token stands at its end, and does not count.
        assert learner.counts[rank] <= length - 1
    assert pairs(learner)[:1] == ([(97, 97)] if times > 2 else [])
    longest = max((len(learner.merges)), 0)
    assert longest == (0 if times == 2 else 1 if times == 3 else longest)
    if times >= 10**6:
        assert pairs(learner)[:18] == [(97, 97), *((rank, rank) for rank in range(256, 273))]


def test_a_million_random_bytes_in_one_pretoken() -> None:
    data = random.Random(1).randbytes(10**6)
    learner = run(learner_of({data: 1}), 1000)
    assert len(learner) == 1000
    assert (np.diff(learner.counts) <= 0).all()


def test_the_same_learner_goes_on_where_it_stopped() -> None:
    pretokens = seeded(b"abcdef", 200, 10, 3)
    learner = learner_of(pretokens)
    for merges in (0, 1, 5, 60):
        run(learner, merges, work=1)
    assert pairs(learner) == pairs(run(learner_of(pretokens), 60))
