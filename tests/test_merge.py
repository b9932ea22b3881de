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
from bbpe._characters import CharacterLearner, learner
from bbpe._merge import MergeLearner, spelled

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
@settings(max_examples=200)
def test_merges_counts_and_lengths_equal_the_specification(
    pretokens: dict[bytes, int], min_count: int, max_token_bytes: int | None, work: int
) -> None:
    learned = reference.learn_merges(pretokens, num_merges=30, min_count=min_count, max_token_bytes=max_token_bytes)
    learner = learner_of(pretokens, min_count=min_count, max_token_bytes=max_token_bytes)
    assert_equal(run(learner, 30, work), learned)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=9).map(str.encode), counts_of_all_sizes, max_size=9))
def test_counts_past_32_bits(pretokens: dict[bytes, int]) -> None:
    assert_equal(run(learner_of(pretokens), 12), reference.learn_merges(pretokens, num_merges=12))


# The queue has one bucket for each count below 256, one for two counts up to 511, for four up to 1023, and so on.
beside_the_edges_of_buckets = st.sampled_from(
    [*range(126, 131), *range(253, 262), *range(508, 518), *range(1021, 1032), 2**40, 2**40 + 1, 2**40 + 2**33]
)


@given(
    st.dictionaries(
        st.text("abc", min_size=2, max_size=7).map(str.encode), beside_the_edges_of_buckets, min_size=2, max_size=25
    ),
    st.integers(1, 300),
    st.sampled_from([1, MANY]),
)
@settings(max_examples=300)
def test_counts_that_share_a_bucket_of_the_queue_and_fall_into_others(
    pretokens: dict[bytes, int], min_count: int, work: int
) -> None:
    learned = reference.learn_merges(pretokens, num_merges=25, min_count=min_count)
    assert_equal(run(learner_of(pretokens, min_count=min_count), 25, work), learned)


@given(
    st.lists(
        st.tuples(st.integers(1, 3) | st.integers(61, 66) | st.integers(126, 129), st.sampled_from([1, 2, 3, 70000])),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 5),
)
@settings(max_examples=150)
def test_weights_of_cells_where_pretokens_of_a_count_end_beside_a_multiple_of_64(
    sizes: list[tuple[int, int]], seed: int
) -> None:
    """Counts differ by much: a position that took its weight from the neighbouring stretch would change a count."""
    rng = random.Random(seed)
    pretokens = {bytes(rng.choices(b"ab", k=size)): count for size, count in sizes}
    learned = reference.learn_merges(pretokens, num_merges=40, min_count=1)
    assert_equal(run(learner_of(pretokens, min_count=1), 40), learned)


powers_of_two = st.integers(0, 40).map(lambda power: 1 << power)


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=9).map(str.encode), powers_of_two, max_size=12)
    | st.dictionaries(st.text("a中丰é", min_size=1, max_size=6).map(str.encode), powers_of_two, max_size=12),
    st.integers(1, 3),
    caps,
    st.sampled_from([1, MANY]),
    st.booleans(),
)
@example({b"ab": 1 << 40, b"bc": 1 << 20, b"cd": 1 << 10, b"de": 2, b"f": 1}, 1, None, MANY, False)
@settings(max_examples=300)
def test_pairs_that_are_left_out_for_being_rare_are_counted_again_when_the_frequent_are_merged(
    pretokens: dict[bytes, int], min_count: int, max_token_bytes: int | None, work: int, characters: bool
) -> None:
    """Counts over twelve orders of magnitude: few pairs are kept at first, and the rest is counted some times."""
    options = {"min_count": min_count, "max_token_bytes": max_token_bytes, "taken": [b"ab"]}
    learned = reference.learn_merges(
        pretokens, num_merges=30, min_count=min_count, max_token_bytes=max_token_bytes, special_tokens=["ab"]
    )
    assert_equal(run(by_character(pretokens, characters, **options), 30, work), learned)


@pytest.mark.parametrize(("step", "merges"), [(1, 60), (40, 60), (40, 300)])
def test_a_guess_from_whole_characters_may_be_too_high(step: int, merges: int) -> None:
    """Chains of characters: where the whole ones leave off, counts fall slowly or off a cliff (to a fortieth)."""
    pretokens = {
        "".join(chr(0x4E00 + 7 * row + column) for column in range(5)).encode(): 1 + max(0, 50 - row) * step
        for row in range(60)
    }
    pretokens["，一".encode()] = 50 * step  # mixed, soon the most frequent: the first stage ends
    learned = reference.learn_merges(pretokens, num_merges=merges, min_count=1)
    assert len(learned.merges) == merges
    assert_equal(run(by_character(pretokens, True, min_count=1), merges, MANY), learned)


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
    pretokens = seeded(bytes(range(256)), 1500, 30, 7)
    learner = run(learner_of(pretokens), 1000)
    ids = {tuple(pretoken): list(pretoken) for pretoken in pretokens}
    lengths = learner.corpus_tokens.tolist()
    assert lengths[0] == sum(len(pretoken) * count for pretoken, count in pretokens.items())
    for rank, pair in enumerate(pairs(learner)):
        for key, sequence in ids.items():
            if pair[0] in sequence:
                ids[key] = reference.apply_merge(sequence, pair, 256 + rank)
        if rank % 250 == 249:
            assert lengths[rank + 1] == sum(len(ids[tuple(pretoken)]) * count for pretoken, count in pretokens.items())
            best = max(
                reference.count_pairs([(ids[tuple(pretoken)], count) for pretoken, count in pretokens.items()]).values()
            )
            assert rank + 1 == len(learner) or learner.counts[rank + 1] == best


@pytest.mark.parametrize("times", [2, 3, 4, 1000, 10**6, 10**6 + 1])
def test_a_run_of_one_byte(times: int) -> None:
    """Long runs of equal tokens halve with each merge, and a merge takes time only for what it replaces."""
    learner = run(learner_of({b"a" * times: 1}), 60)
    if times <= 1000:
        assert_equal(learner, reference.learn_merges({b"a" * times: 1}, num_merges=60))
    else:
        assert pairs(learner)[:18] == [(97, 97), *((token, token) for token in range(256, 273))]
        assert learner.counts[:2].tolist() == [times - 1, times // 2 - 1]


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


def test_room_for_the_merges_asked_for_is_no_limit() -> None:
    """All tables have room for the merges of the first call; later calls make them grow."""
    pretokens = seeded(bytes(range(256)), 2500, 30, 11)
    learner = learner_of(pretokens)
    for merges in (1, 2, 700, 3000):
        run(learner, merges)
    once = run(learner_of(pretokens), 3000)
    assert len(once) == 3000
    assert pairs(learner) == pairs(once)
    assert learner.corpus_tokens.tolist() == once.corpus_tokens.tolist()


def test_many_pairs_of_one_count_are_merged_in_the_order_of_their_ids() -> None:
    """Every two letters once, and twice those that begin with a vowel: two buckets of hundreds of pairs that tie."""
    letters = bytes(range(97, 123))
    pretokens = {bytes([x, y, 255]): 2 + (x in b"aeiou") for x in letters for y in letters}
    learned = reference.learn_merges(pretokens, num_merges=600)
    assert_equal(run(learner_of(pretokens), 600), learned)


def test_a_token_that_is_there_already_is_told_by_all_of_its_bytes() -> None:
    """The base has all even runs of a byte, up to 2,000. Every longer one begins with the bytes that are looked for."""
    tokens = [*TOKENS, *(b"a" * length for length in range(2, 2002, 2))]
    odd = [[256 + half, 97] for half in range(1000)]
    even = [[256 + half, 256] for half in range(1000)]  # all are there but the last
    symbols, offsets = flat(odd + even, np.uint32)
    counts = np.array([*range(2000, 1000, -1), *range(5000, 4000, -1)], np.int64)
    learner = MergeLearner(symbols, offsets, counts, tokens, first_id=1256)
    assert pairs(run(learner, 2000)) == [(1255, 256), *map(tuple, odd)]


# ---- what was learned as a vocabulary keeps it ----


def test_tokens_of_merges_are_spelled_as_they_are_joined() -> None:
    base = [bytes([byte]) for byte in range(256)]
    merges = np.array([[97, 98], [256, 99], [257, 256], [0, 255]], np.uint32)
    tokens, ids, merge_list, made = spelled(base, merges)
    assert list(tokens.values())[256:] == [b"ab", b"abc", b"abcab", b"\x00\xff"]
    assert list(tokens) == list(range(260))
    assert ids == {token: id for id, token in tokens.items()}
    assert merge_list == ((97, 98), (256, 99), (257, 256), (0, 255))
    assert made == (256, 257, 258, 259)
    assert {type(id) for pair in merge_list for id in pair} == {int}


def test_nothing_learned_leaves_the_bytes() -> None:
    base = [bytes([byte]) for byte in range(256)]
    tokens, ids, merge_list, made = spelled(base, np.empty((0, 2), np.uint32))
    assert (list(tokens.values()), len(ids), merge_list, made) == (base, 256, (), ())


def test_a_merge_of_what_is_not_made_yet_is_refused() -> None:
    with pytest.raises(ValueError, match="merge 1 joins"):
        spelled([b"a", b"b"], np.array([[0, 1], [3, 0]], np.uint32))


# ---- characters first ------------------------------------------------------------------------------

# Characters of 2, 3 and 4 bytes that share first, middle and last bytes with one another.
ALIKE = ["a", "b", "中", "串", "丰", "争", "㸭", "é", "©", "ê", "\U00040000", "\U00040040", "😀"]


def by_character(pretokens: Mapping[bytes, int], characters: bool | None = True, **options: object) -> MergeLearner:
    symbols, offsets = flat([list(pretoken) for pretoken in pretokens], np.uint8)
    counts = np.array(list(pretokens.values()), np.int64)
    options.setdefault("byte_ids", BYTES)
    return learner(symbols, offsets, counts, TOKENS, by_character=characters, **options)  # type: ignore[arg-type]


def counts_of_texts(alphabet: list[str], most: int = 12) -> st.SearchStrategy[dict[bytes, int]]:
    text = st.lists(st.sampled_from(alphabet), min_size=1, max_size=9).map(lambda found: "".join(found).encode())
    return st.dictionaries(text, st.integers(1, 4) | counts_of_all_sizes, max_size=most)


@given(
    counts_of_texts(ALIKE) | counts_of_texts(ALIKE[2:5]) | counts_of_texts(ALIKE[-3:]) | counts_of_texts(["a", "é"]),
    st.integers(1, 3),
    caps,
    st.sampled_from([1, 5, MANY]),
)
@example({"\U00040000".encode() * 3: 5}, 1, None, 1)
@settings(max_examples=250)
def test_beginning_with_characters_gives_the_same_merges(
    pretokens: dict[bytes, int], min_count: int, max_token_bytes: int | None, work: int
) -> None:
    learned = reference.learn_merges(
        pretokens, num_merges=40, min_count=min_count, max_token_bytes=max_token_bytes, special_tokens=["中串"]
    )
    found = by_character(pretokens, min_count=min_count, max_token_bytes=max_token_bytes, taken=["中串".encode()])
    assert_equal(run(found, 40, work), learned)


@given(counts_of_texts(ALIKE), st.permutations(range(256)))
@settings(max_examples=100)
def test_beginning_with_characters_breaks_ties_by_ids_too(pretokens: dict[bytes, int], order: list[int]) -> None:
    tokens = {token_id: bytes([byte]) for token_id, byte in enumerate(order)}
    ids = np.empty(256, np.uint32)
    ids[order] = BYTES
    symbols, offsets = flat([list(pretoken) for pretoken in pretokens], np.uint8)
    counts = np.array(list(pretokens.values()), np.int64)
    found = learner(symbols, offsets, counts, [tokens[i] for i in range(256)], byte_ids=ids, by_character=True)
    learned = reference.learn_merges(pretokens, reference.Vocabulary(tokens, merges=()), num_merges=30)
    assert_equal(run(found, 30), learned)


@given(st.dictionaries(documents().filter(bool), st.integers(1, 3), max_size=8))
@settings(max_examples=60)
def test_bytes_that_are_no_text_are_learned_from_byte_by_byte(pretokens: dict[bytes, int]) -> None:
    assert_equal(run(by_character(pretokens), 20), reference.learn_merges(pretokens, num_merges=20))


def like_chinese(seed: int, distinct: int = 4000) -> dict[bytes, int]:
    """Pretokens with characters, words and counts as unequally frequent as in text; some ASCII, marks and emoji."""
    rng = random.Random(seed)
    han = "".join(map(chr, rng.sample(range(0x4E00, 0x9FA6), 500)))
    characters = han[:6] + "，" + han[6:60] + "。ae1" + han[60:] + "éà😀😁tn"
    weights = [1 / (rank + 30) for rank in range(len(characters))]
    words = ["".join(rng.choices(characters, weights, k=rng.choice([1, 1, 1, 1, 2, 2, 3]))) for _ in range(3000)]
    return {
        "".join(rng.choices(words, k=rng.randint(1, 9))).encode(): int(rng.paretovariate(1.2)) for _ in range(distinct)
    }


@pytest.mark.parametrize(("seed", "least"), [(0, 400), (1, 0), (2, 40), (5, 300), (10, 20), (14, 10)])
@pytest.mark.parametrize("options", [{}, {"max_token_bytes": 3}, {"min_count": 7}], ids=str)
def test_characters_first_or_bytes_first_is_the_same_for_thousands_of_pairs(
    seed: int, least: int, options: dict[str, int]
) -> None:
    """Against the learner that begins with bytes, which equals the specification: large enough for every branch."""
    pretokens = like_chinese(seed)
    characters, plain = (run(by_character(pretokens, choice, **options), 2500, 5000) for choice in (True, False))
    assert isinstance(characters, CharacterLearner)
    assert not isinstance(plain, CharacterLearner)
    assert characters.merges_by_character >= least  # the first stage ends early, late, or at once
    assert pairs(characters) == pairs(plain)
    assert characters.counts.tolist() == plain.counts.tolist()
    assert characters.corpus_tokens.tolist() == plain.corpus_tokens.tolist()


def test_the_learner_begins_with_characters_where_that_pays() -> None:
    rng = random.Random(1)
    chinese = {
        "".join(rng.choices("一丁七万三上下不与丑专世业东两严中串临为主丽举乃久么义之", k=4)).encode(): 1
        for _ in range(200)
    }
    english = {b"the": 5, b" quick": 3}
    russian = {text.encode(): 3 for text in (" слово", " дело", " море", " или")}
    assert isinstance(by_character(chinese, None), CharacterLearner)
    assert not isinstance(by_character({**chinese, b"\xe4\xb8": 1}, None), CharacterLearner)
    assert not isinstance(by_character(english, None), CharacterLearner)
    assert not isinstance(by_character(russian, None), CharacterLearner)


def test_the_trial_does_not_hang_on_a_single_frequent_pretoken() -> None:
    """Where the sample holds one that is as frequent as a tenth of all others, and that would be merged first."""
    rng = np.random.default_rng(5)
    han = np.array([list(chr(0x4E00 + 37 * place).encode()) for place in range(500)], np.uint8)
    weights = 1 / np.arange(30, 530)
    drawn = han[rng.choice(500, (400_000, 4), p=weights / weights.sum())]
    drawn[0] = [list(character.encode()) for character in "，一，一"]
    counts = np.ones(400_000, np.int64)
    counts[0] = 40_000  # the first is in every sample
    offsets = np.arange(0, drawn.size + 1, 12, dtype=np.int64)
    assert isinstance(learner(drawn.reshape(-1), offsets, counts, TOKENS, byte_ids=BYTES), CharacterLearner)


@pytest.mark.parametrize(("comma", "characters"), [(0.1, True), (0.9, False)], ids=["seldom", "often"])
def test_of_much_text_a_sample_is_tried(comma: float, characters: bool) -> None:
    """Where a comma stands before most characters, the comma and a first byte are merged early: that does not pay."""
    rng = np.random.default_rng(3)
    han = np.array([list(chr(0x4E00 + 37 * place).encode()) for place in range(500)], np.uint8)
    weights = 1 / np.arange(30, 530)
    drawn = han[rng.choice(500, (400_000, 4), p=weights / weights.sum())]
    drawn[rng.random(400_000) < comma, 0] = list("，".encode())
    symbols = drawn.reshape(-1)
    offsets = np.arange(0, len(symbols) + 1, 12, dtype=np.int64)
    counts = np.ones(400_000, np.int64)
    chosen = learner(symbols, offsets, counts, TOKENS, byte_ids=BYTES)
    plain = learner(symbols, offsets, counts, TOKENS, byte_ids=BYTES, by_character=False)
    assert isinstance(chosen, CharacterLearner) == characters
    assert pairs(run(chosen, 300)) == pairs(run(plain, 300))
