"""The specification: each of its thirteen points, its worked examples, its properties, and its peers.

The peers are asked where they claim the same thing: tiktoken for rank tables, Hugging Face tokenizers for merge lists,
for training and for NFC.
"""

from __future__ import annotations

import ast
import doctest
import json
import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    broken_texts,
    documents,
    merge_lists,
    pretoken_counts,
    rank_tables,
    small_texts,
    surrogate_texts,
    texts,
    vocabularies,
)
from tiktoken._educational import bpe_encode
from tiktoken.load import load_tiktoken_bpe

from bbpe import reference
from bbpe.reference import (
    Vocabulary,
    all_splits,
    apply_merge,
    best_pair,
    byte_tokens,
    characters,
    count_pairs,
    count_pretokens,
    cut_pretoken,
    cut_special_tokens,
    decode,
    decode_bytes,
    decode_stream,
    encode,
    encode_pretoken,
    encode_with_offsets,
    learn_merges,
    normalize,
    split_pretokens,
    to_bytes,
    train,
)

WORDS = (r" ?[a-z]+|\s+(?!\S)|\s+",)
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)  # as Llama 3 spells it: in this order and without possessive operators it cuts as cl100k's own spelling does
TINY = Path(__file__).parent.parent / "corpora" / "tiny"


def make(tokens: list[bytes], merges: list[tuple[bytes, bytes]] | None = None, **options: object) -> Vocabulary:
    """A vocabulary from tokens in id order, merges spelled as bytes; a rank table without merges."""
    ids = {token: place for place, token in enumerate(tokens)}
    pairs = None if merges is None else tuple((ids[left], ids[right]) for left, right in merges)
    return Vocabulary(dict(enumerate(tokens)), merges=pairs, **options)  # type: ignore[arg-type]


def encoded(text: bytes, vocabulary: Vocabulary) -> list[bytes]:
    return [vocabulary.tokens[token_id] for token_id in encode_pretoken(text, vocabulary)]


def added(learned: reference.Learned) -> list[bytes]:
    return [learned.vocabulary.tokens[token_id] for token_id in learned.ids]


# ---- the file itself -------------------------------------------------------------------------------


def test_every_worked_example_of_the_specification_holds() -> None:
    result = doctest.testmod(reference)
    assert result.failed == 0
    assert result.attempted > 50


def test_every_function_of_the_specification_has_a_worked_example() -> None:
    tree = ast.parse(Path(reference.__file__).read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    without = [node.name for node in functions if ">>>" not in (ast.get_docstring(node) or "")]
    assert without == ["from_escaped"]  # the inverse of the one above it


def test_the_specification_imports_nothing_of_bbpe() -> None:
    tree = ast.parse(Path(reference.__file__).read_text("utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in imported if name.split(".")[0] == "bbpe"]
    assert all(node.level == 0 for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


def test_the_specification_names_a_test_for_each_point() -> None:
    named = {name.split("_")[2] for name in globals() if name.startswith("test_point_")}
    assert named == {f"{point:02}" for point in range(1, 16)}


# ---- point 1: training is extension --------------------------------------------------------------------


def test_point_01_training_from_scratch_extends_the_byte_tokens() -> None:
    text = {b"abab": 3, b"abc": 2}
    assert learn_merges(text, num_merges=5) == learn_merges(text, Vocabulary(byte_tokens()), num_merges=5)


@given(pretoken_counts(), merge_lists(b"abc"), st.integers(0, 6))
def test_point_01_an_extension_leaves_tokens_ids_and_merges_as_they_were(
    pretokens: dict[bytes, int], base: Vocabulary, num_merges: int
) -> None:
    extended = learn_merges(pretokens, base, num_merges=num_merges).vocabulary
    assert base.merges is not None
    assert extended.merges is not None
    assert dict(base.tokens).items() <= dict(extended.tokens).items()
    assert extended.merges[: len(base.merges)] == base.merges


def test_point_01_a_rank_table_becomes_all_its_splits_and_the_added_merges_follow() -> None:
    base = make([b"a", b"b", b"c", b"ab", b"bc", b"abc"])
    learned = learn_merges({b"cabcc": 2}, base, num_merges=1)
    # The base makes c|abc|c. Splits in rank order: ab = a+b; bc = b+c; abc = a+bc, ab+c. Then the added c+abc: of two
    # pairs that occur twice, (2, 5) and (5, 2), the smaller.
    assert learned.vocabulary.ranks is None
    assert learned.vocabulary.merges == ((0, 1), (1, 2), (0, 4), (3, 2), (2, 5))
    backwards = Vocabulary({3: b"a", 2: b"b", 1: b"ab", 5: b"bb", 4: b"abb"}, ranks=(2, 3, 1, 5, 4))
    assert all_splits(backwards).merges == ((3, 2), (2, 2), (1, 2), (3, 5))  # of one token: by ids, not by length


def test_point_01_a_pair_whose_bytes_are_already_a_token_is_never_learned() -> None:
    # abc is a token that no merge reaches: ab+c is not listed. Its pair is the most frequent and is passed over.
    base = make([b"a", b"b", b"c", b"d", b"ab", b"abc"], [(b"a", b"b")])
    learned = learn_merges({b"abcd": 9, b"cd": 3}, base, num_merges=9)
    assert added(learned) == [b"cd", b"abcd"]
    special = learn_merges({b"abab": 9}, make([b"a", b"b"], []), num_merges=9, special_tokens=["ab"])
    assert added(special) == [b"ba", b"aba", b"abab"]  # ab is a special token: a|ba|b instead


def test_point_01_special_tokens_of_the_base_are_never_learned_either() -> None:
    base = Vocabulary({0: b"a", 1: b"b"}, merges=(), special_tokens={"ab": 2})
    assert added(learn_merges({b"ab": 9}, base, num_merges=1)) == []


def test_point_01_a_pretoken_that_the_base_takes_whole_has_no_pairs() -> None:
    # aba is taken whole, so that only the b|b of the other pretoken is a pair to learn from.
    base = make([b"a", b"b", b"aba"], [], whole_pretoken=True)
    learned = learn_merges({b"aba": 9, b"bb": 2}, base, num_merges=2)
    assert (added(learned), learned.counts, learned.lengths) == ([b"bb"], (2,), (13, 11))


def test_point_01_an_extension_keeps_all_else_of_its_base() -> None:
    base = Vocabulary(
        {0: b"a", 1: b"b", 2: b"ab"},
        special_tokens={"<s>": 9},
        special_flags={"<s>": frozenset({"lstrip"})},
        pattern=WORDS,
        normalizer="NFC",
        whole_pretoken=True,
        template=((9,), ()),
    )
    extended = learn_merges({b"baba": 2}, base, num_merges=1, special_tokens=["<t>"]).vocabulary
    for name in ["special_flags", "pattern", "normalizer", "whole_pretoken", "template"]:
        assert getattr(extended, name) == getattr(base, name)
    assert extended.special_tokens == {"<s>": 9, "<t>": 11}


@given(pretoken_counts(), vocabularies(b"abc"), st.one_of(st.none(), st.integers(1, 4)))
def test_point_01_tokens_of_an_extension_are_distinct_and_the_text_is_left_as_it_will_be_encoded(
    pretokens: dict[bytes, int], base: Vocabulary, cap: int | None
) -> None:
    learned = learn_merges(pretokens, base, num_merges=8, max_token_bytes=cap)  # constructing it checks distinctness
    length = sum(len(encode_pretoken(pretoken, learned.vocabulary)) * count for pretoken, count in pretokens.items())
    assert length == learned.lengths[-1]
    for token in added(learned):
        assert encoded(token, learned.vocabulary) == [token]


@given(vocabularies(b"ab"), small_texts(), pretoken_counts(b"ab"))
def test_point_01_text_without_an_added_token_keeps_its_ids(
    base: Vocabulary, text: bytes, pretokens: dict[bytes, int]
) -> None:
    learned = learn_merges(pretokens, base, num_merges=4)
    ids = encode_pretoken(text, learned.vocabulary)
    if not set(ids) & set(learned.ids):
        assert ids == encode_pretoken(text, base)


@given(rank_tables(b"ab", max_tokens=14), small_texts())
def test_point_01_all_splits_encode_as_the_rank_table(vocabulary: Vocabulary, text: bytes) -> None:
    assert encode_pretoken(text, all_splits(vocabulary)) == encode_pretoken(text, vocabulary)


# ---- point 2: counts -----------------------------------------------------------------------------------


def test_point_02_overlapping_pairs_count_and_so_does_the_count_of_the_pretoken() -> None:
    assert count_pairs([([7, 7, 7, 7], 2), ([7, 7], 10), ([7], 100), ([], 100)]) == {(7, 7): 2 * 3 + 10}


def test_point_02_overlapping_positions_decide_what_is_merged_first() -> None:
    # aaa three times: (a, a) at 6 positions, though at most 3 of them are replaced. bc: 5 positions.
    assert added(learn_merges({b"aaa": 3, b"bc": 5}, num_merges=1)) == [b"aa"]


def test_point_02_counts_past_32_bits_are_counted() -> None:
    learned = learn_merges({b"ab": 3 * 10**9, b"ba": 3 * 10**9 - 1}, num_merges=1)
    assert (added(learned), learned.counts) == ([b"ab"], (3 * 10**9,))


def test_point_02_counts_that_could_exceed_64_bits_are_refused() -> None:
    most = (2**63 - 1) // 7
    assert learn_merges({b"abcdefg": most}, num_merges=1).counts == (most,)
    with pytest.raises(ValueError, match="64 bits"):
        learn_merges({b"abcdefg": most, b"x": 1}, num_merges=1)


# ---- point 3: replacement ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([1, 1], [9]), ([1, 1, 1], [9, 1]), ([1, 1, 1, 1], [9, 9]), ([2, 1, 1, 2, 1], [2, 9, 2, 1]), ([1], [1]), ([], [])],
)
def test_point_03_a_merge_replaces_left_to_right_without_overlap(ids: list[int], expected: list[int]) -> None:
    assert apply_merge(ids, (1, 1), 9) == expected


# ---- point 4: the best pair ----------------------------------------------------------------------------


def test_point_04_the_highest_count_goes_first() -> None:
    assert best_pair({(0, 1): 2, (8, 9): 3}, byte_tokens()) == (8, 9)


def test_point_04_ties_go_to_the_smaller_left_id_then_the_smaller_right_id() -> None:
    assert best_pair({(3, 1): 5, (2, 9): 5, (2, 4): 5, (1, 1): 4}, byte_tokens()) == (2, 4)


def test_point_04_ties_are_decided_by_ids_not_by_bytes() -> None:
    base = Vocabulary({9: b"a", 5: b"b", 1: b"c"}, merges=())
    assert added(learn_merges({b"ab": 2, b"ca": 2}, base, num_merges=1)) == [b"ca"]


@given(pretoken_counts(), st.randoms())
def test_point_04_the_order_of_the_pretokens_has_no_say(pretokens: dict[bytes, int], shuffle: random.Random) -> None:
    items = list(pretokens.items())
    shuffle.shuffle(items)
    assert learn_merges(dict(items), num_merges=10) == learn_merges(pretokens, num_merges=10)


@given(pretoken_counts(), st.integers(0, 8), st.integers(0, 8))
def test_point_04_fewer_merges_are_a_prefix_of_more(pretokens: dict[bytes, int], one: int, other: int) -> None:
    few, many = sorted([one, other])
    assert learn_merges(pretokens, num_merges=few).merges == learn_merges(pretokens, num_merges=many).merges[:few]


# ---- point 5: the three stops --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "merges", "stop"),
    [
        ({"vocab_size": 258}, 2, "vocab_size"),
        ({"num_merges": 2}, 2, "num_merges"),
        ({"num_merges": 0}, 0, "num_merges"),
        ({"vocab_size": 256}, 0, "vocab_size"),
        ({"vocab_size": 300, "num_merges": 1}, 1, "num_merges"),
        ({"vocab_size": 257, "num_merges": 5}, 1, "vocab_size"),
        ({"vocab_size": 258, "num_merges": 2}, 2, "vocab_size"),  # both hold: the first of the three is named
        ({"num_merges": 3}, 3, "num_merges"),  # min_count would stop here too
        ({"num_merges": 4}, 3, "min_count"),
        ({"num_merges": 4, "min_count": 3}, 1, "min_count"),
        ({"num_merges": 10, "min_count": 1}, 7, "min_count"),  # one id is left: no pair at all
    ],
)
def test_point_05_three_stops_and_the_result_names_the_one(options: dict[str, int], merges: int, stop: str) -> None:
    learned = learn_merges({b"aaabdaaabac": 1}, **options)  # type: ignore[arg-type]
    assert (len(learned.merges), learned.stop) == (merges, stop)
    assert len(learned.vocabulary) == 256 + merges


def test_point_05_a_pair_that_occurs_once_is_no_pattern_unless_asked_for() -> None:
    assert learn_merges({b"ab": 1}, num_merges=1).merges == ()
    assert learn_merges({b"ab": 1}, num_merges=1, min_count=1).merges == ((97, 98),)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_merges": -1},
        {"num_merges": 1, "min_count": 0},
        {"vocab_size": 255},
        {"num_merges": 1, "max_token_bytes": 0},
    ],
)
def test_point_05_options_that_cannot_end_or_begin_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"num_merges|min_count|vocab_size|max_token_bytes"):
        learn_merges({b"ab": 2}, **options)  # type: ignore[arg-type]


# ---- point 6: ids --------------------------------------------------------------------------------------


def test_point_06_bytes_then_merges_then_special_tokens() -> None:
    learned = learn_merges({b"aaaa": 2}, num_merges=2, special_tokens=["<|b|>", "<|a|>"])
    assert [learned.vocabulary.tokens[byte] for byte in range(256)] == [bytes([byte]) for byte in range(256)]
    assert learned.ids == (256, 257)
    assert learned.vocabulary.special_tokens == {"<|b|>": 258, "<|a|>": 259}


def test_point_06_gpt2_byte_order_is_a_permutation_and_moves_the_ties() -> None:
    tokens = byte_tokens("gpt2")
    assert sorted(tokens.values()) == sorted(byte_tokens().values())
    assert list(tokens.values())[:188] == sorted(list(tokens.values())[:188])
    assert list(tokens.values())[188:] == sorted(list(tokens.values())[188:])
    text = {b" a": 2, b"b ": 2}  # a space is 32 in byte order, and 220 in the other
    assert added(learn_merges(text, num_merges=1)) == [b" a"]
    assert added(learn_merges(text, Vocabulary(tokens), num_merges=1)) == [b"b "]


def test_point_06_ids_of_an_extension_follow_the_last_of_the_base_special_tokens_included() -> None:
    base = Vocabulary({0: b"a", 5: b"b"}, merges=(), special_tokens={"<s>": 20})
    learned = learn_merges({b"abab": 2}, base, num_merges=2, special_tokens=["<t>"])
    assert learned.ids == (21, 22)
    assert learned.vocabulary.special_tokens == {"<s>": 20, "<t>": 23}


def test_point_06_ids_of_an_extension_begin_where_the_caller_says() -> None:
    base = Vocabulary({0: b"a", 5: b"b"}, merges=(), special_tokens={"<s>": 20})
    assert learn_merges({b"abab": 2}, base, num_merges=2, first_id=6).ids == (6, 7)
    with pytest.raises(ValueError, match="new id 5 is taken"):
        learn_merges({b"abab": 2}, base, num_merges=2, first_id=4)
    with pytest.raises(ValueError, match="id 20, which is taken"):
        learn_merges({b"abab": 2}, base, num_merges=0, first_id=20, special_tokens=["<t>"])


# ---- point 7: sizes ------------------------------------------------------------------------------------


def test_point_07_vocab_size_counts_bytes_merges_and_special_tokens() -> None:
    learned = learn_merges({b"abcdefg": 2}, vocab_size=260, special_tokens=["<s>", "</s>"])
    assert (len(learned.merges), len(learned.vocabulary), learned.stop) == (2, 260, "vocab_size")
    with pytest.raises(ValueError, match="258 entries already"):
        learn_merges({b"ab": 2}, vocab_size=257, special_tokens=["<s>", "</s>"])


def test_point_07_max_token_bytes_is_inclusive() -> None:
    # ab, then abc is the best; with at most 2 bytes it is passed over and cd is not, with at most 3 it is taken.
    text = {b"abc": 5, b"cd": 2}
    assert added(learn_merges(text, num_merges=2, max_token_bytes=2)) == [b"ab", b"cd"]
    assert added(learn_merges(text, num_merges=2, max_token_bytes=3)) == [b"ab", b"abc"]


def test_point_07_max_token_bytes_leaves_the_tokens_of_the_base_alone() -> None:
    base = make([b"a", b"b", b"ab", b"abab"], [(b"a", b"b"), (b"ab", b"ab")])
    learned = learn_merges({b"ababab": 2}, base, num_merges=5, max_token_bytes=3)
    assert (learned.merges, learned.lengths) == ((), (4,))


def test_point_07_max_pretoken_bytes_cuts_between_characters() -> None:
    pretoken = "a你好b".encode()  # 1 + 3 + 3 + 1
    assert cut_pretoken(pretoken, 4) == ["a你".encode(), "好b".encode()]
    assert cut_pretoken(pretoken, 7) == ["a你好".encode(), b"b"]
    assert cut_pretoken(pretoken, 8) == [pretoken]
    assert cut_pretoken(b"\xe4\xbd\xe4\xbd\xff", 4) == [b"\xe4\xbd\xe4\xbd", b"\xff"]
    with pytest.raises(ValueError, match="at least 4"):
        cut_pretoken(pretoken, 3)


@given(documents(), st.integers(4, 12))
def test_point_07_cut_pretokens_are_whole_characters_and_lose_nothing(pretoken: bytes, most: int) -> None:
    runs = cut_pretoken(pretoken, most)
    assert b"".join(runs) == pretoken
    assert all(len(run) <= most for run in runs)
    assert [character for run in runs for character in characters(run)] == characters(pretoken)


def test_point_07_max_pretoken_bytes_is_for_training_only() -> None:
    learned = train(["aaaaaaaa"], num_merges=9, max_pretoken_bytes=4)
    assert added(learned) == [b"aa", b"aaaa"]
    assert len(encode("aaaaaaaa", learned.vocabulary)) == 2


# ---- point 8: special tokens in training text ---------------------------------------------------------


def test_point_08_special_tokens_are_cut_out_of_training_text_and_count_for_nothing() -> None:
    counts = count_pretokens(["one<|end|>two<|end|><|end|>"], special_tokens=["<|end|>"])
    assert counts == {b"one": 1, b"two": 1}
    assert count_pretokens(["<|end|>"], special_tokens=["<|end|>"]) == {}


def test_point_08_what_stands_on_either_side_is_separate_text() -> None:
    # "a  " ends there, so both spaces stay together; without the special token the second would go with "b".
    assert count_pretokens(["a  <s>b"], WORDS, special_tokens=["<s>"]) == {b"a": 1, b"  ": 1, b"b": 1}
    assert count_pretokens(["a  b"], WORDS) == {b"a": 1, b" ": 1, b" b": 1}
    learned = train(["a<s>b"] * 9, num_merges=9, special_tokens=["<s>"])
    assert added(learned) == []  # a and b never meet


def test_point_08_the_special_tokens_of_a_base_are_cut_out_too() -> None:
    base = Vocabulary(byte_tokens(), special_tokens={"<s>": 256})
    assert added(train(["<s><t><s><t>"], base, num_merges=9, special_tokens=["<t>"])) == []


@pytest.mark.parametrize("special_tokens", [["<s>", "<s>"], [""], ["<old>"]])
def test_point_08_empty_and_repeated_special_tokens_are_refused(special_tokens: list[str]) -> None:
    base = Vocabulary(byte_tokens(), special_tokens={"<old>": 256})
    with pytest.raises(ValueError, match="special token"):
        learn_merges({b"ab": 2}, base, num_merges=1, special_tokens=special_tokens)


# ---- point 9: patterns ---------------------------------------------------------------------------------


def test_point_09_a_stage_sees_each_piece_as_a_whole_text() -> None:
    # The first stage takes x off; then every run of spaces is at the end of a text, and (?!\S) holds.
    assert split_pretokens(b"a  b", [r"\s+(?!\S)|\s|[a-z]+"]) == [b"a", b" ", b" ", b"b"]
    assert split_pretokens(b"a  b", [r"[a-z]", r"\s+(?!\S)|\s"]) == [b"a", b"  ", b"b"]
    assert split_pretokens(b"ab", [r"b$", r"^b", r"a$"]) == [b"a", b"b"]


def test_point_09_end_of_text_is_the_end_of_a_document_and_the_edge_of_a_special_token() -> None:
    assert split_pretokens(b"a  ", WORDS) == [b"a", b"  "]
    vocabulary = Vocabulary(
        byte_tokens() | {256: b"  "}, merges=((32, 32),), special_tokens={"<s>": 300}, pattern=WORDS
    )
    assert encode("a  <s>b", vocabulary, allowed_special="all") == [97, 256, 300, 98]
    assert encode("a  b", vocabulary) == [97, 32, 32, 98]
    assert encode("a  <s>", vocabulary) == [97, 32, 32, *b"<s>"]  # plain text: no edge


def test_point_09_what_is_left_unmatched_is_a_pretoken() -> None:
    assert split_pretokens(b"12ab34-", [r"[a-z]+"]) == [b"12", b"ab", b"34-"]
    assert split_pretokens(b"!!", [r"[a-z]+"]) == [b"!!"]
    assert split_pretokens(b"!!", []) == [b"!!"]
    assert split_pretokens(b"", [r"[a-z]+"]) == []


@pytest.mark.parametrize("stage", [r"a*", r"b?", r"(?=a)", r"^"])
def test_point_09_a_match_is_never_empty(stage: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        split_pretokens(b"ab", [stage])


def test_point_09_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ValueError, match="does not compile"):
        split_pretokens(b"ab", ["(a"])


@given(documents())
def test_point_09_pretokens_joined_are_the_text(data: bytes) -> None:
    for pattern in [CL100K, WORDS, (r"\p{N}+", r"[一-龥]+", *CL100K)]:
        pieces = split_pretokens(data, pattern)
        assert b"".join(pieces) == data
        assert all(pieces)


# ---- point 10: bytes are never replaced ---------------------------------------------------------------


@given(documents(), vocabularies(b"ab"))
def test_point_10_decoding_undoes_encoding_for_any_bytes(data: bytes, vocabulary: Vocabulary) -> None:
    tokens = {
        **vocabulary.tokens,
        **{10**6 + place: token for place, token in byte_tokens().items() if token not in b"ab"},
    }
    whole = Vocabulary(
        tokens, merges=all_splits(vocabulary).merges, pattern=CL100K, whole_pretoken=vocabulary.whole_pretoken
    )
    assert decode_bytes(encode(data, whole), whole) == data


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", b"\xe4\xbd", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\x80"],
)
def test_point_10_an_invalid_byte_is_a_character_of_its_own(data: bytes) -> None:
    assert characters(b"a" + data + "你".encode()) == [b"a", *(bytes([byte]) for byte in data), "你".encode()]


def test_point_10_an_invalid_byte_is_neither_letter_nor_digit_nor_space() -> None:
    assert split_pretokens(b"a\xff1\xfe \xfd", [r"\p{L}+|\p{N}+|\s+"]) == [b"a", b"\xff", b"1", b"\xfe", b" ", b"\xfd"]
    assert split_pretokens(b"\xff\xfeab", [r"[^\s\p{L}\p{N}]+|\P{L}|\w+"]) == [b"\xff\xfe", b"ab"]


@given(surrogate_texts())
def test_point_10_a_lone_surrogate_is_refused_with_its_position(text: str) -> None:
    position = next(place for place, character in enumerate(text) if unicodedata.category(character) == "Cs")
    with pytest.raises(ValueError, match=rf"U\+{ord(text[position]):04X} at character {position}\b"):
        to_bytes(text)
    replaced = to_bytes(text, "replace").decode()
    assert len(replaced) == len(text)
    assert [after for before, after in zip(text, replaced, strict=True) if before != after] == ["\ufffd"] * sum(
        unicodedata.category(character) == "Cs" for character in text
    )


def test_point_10_a_pair_of_surrogates_in_a_str_is_two_lone_ones() -> None:
    assert to_bytes("\ud83d\ude00", "replace") == "\ufffd\ufffd".encode()


# ---- point 11: the normalizer -------------------------------------------------------------------------


@given(texts())
def test_point_11_clusters_normalize_as_the_whole_text_does(text: str) -> None:
    normalized, origin = normalize(text.encode(), "NFC")
    assert normalized == unicodedata.normalize("NFC", text).encode()
    assert len(origin) == len(normalized)


@given(broken_texts())
def test_point_11_invalid_bytes_are_left_alone_and_nothing_of_the_original_is_lost(data: bytes) -> None:
    normalized, origin = normalize(data, "NFC")
    covered = {at for begin, end in origin for at in range(begin, end)}
    assert covered == set(range(len(data)))
    assert [span for span in origin if span[0] >= span[1]] == []
    assert origin == sorted(origin)
    broken = [character for character in characters(data) if len(character) == 1 and character >= b"\x80"]
    assert [character for character in characters(normalized) if len(character) == 1 and character >= b"\x80"] == broken


@pytest.mark.parametrize(
    "text",
    [
        *["\u1100\u1161\u11a8", "\uac00\u11a8", "x\u1161", "\u30ab\u3099", "\u3099", "\u1112\u1175\u11c2"],
        *["\u1ecd\u0302", "o\u0302\u0323", "\u0958", "\u212b", "\u0f73\u0f71", "a\u0344\u0323"],
        "\u0f40\u0f74\u0f73",  # of combining class 0, but made of two marks that go before the one before it
    ],
)
def test_point_11_syllables_marks_and_exclusions(text: str) -> None:
    assert normalize(text.encode(), "NFC")[0] == unicodedata.normalize("NFC", text).encode()


def test_point_11_it_runs_after_special_tokens_are_cut() -> None:
    # The accent after the special token stands at the beginning of a text, and does not join its last letter.
    vocabulary = Vocabulary(byte_tokens(), special_tokens={"<e": 300}, normalizer="NFC")
    assert encode("<e\u0301", vocabulary, allowed_special="all") == [300, 0xCC, 0x81]
    assert encode("<e\u0301", vocabulary) == [ord("<"), 0xC3, 0xA9]


def test_point_11_it_runs_before_the_pattern_and_in_training_too() -> None:
    letters = (r"\p{L}+",)
    assert count_pretokens(["cafe\u0301"], letters, normalizer="NFC") == {"café".encode(): 1}
    assert count_pretokens(["cafe\u0301"], letters) == {b"cafe": 1, "\u0301".encode(): 1}
    base = Vocabulary(byte_tokens(), pattern=letters, normalizer="NFC")
    assert added(train(["é", "e\u0301"], base, num_merges=1)) == ["é".encode()]


def test_point_11_offsets_speak_of_the_original_text() -> None:
    vocabulary = Vocabulary(byte_tokens(), normalizer="NFC")
    # x, then e + accent which become two bytes, then y: characters 0, 1-2, 3; bytes 0, 1-3, 4.
    ids, spans = encode_with_offsets("xe\u0301y", vocabulary)
    assert (ids, spans) == ([120, 0xC3, 0xA9, 121], [(0, 1), (1, 3), (1, 3), (3, 4)])
    assert encode_with_offsets("xe\u0301y", vocabulary, unit="bytes")[1] == [(0, 1), (1, 4), (1, 4), (4, 5)]
    # Marks that change places: five bytes before and after, of which none stands for one of the others.
    assert normalize("a\u0301\u0323".encode(), "NFC") == ("\u1ea1\u0301".encode(), [(0, 5)] * 5)


# ---- point 12: special tokens and the template --------------------------------------------------------


def test_point_12_special_tokens_are_plain_text_unless_allowed() -> None:
    vocabulary = Vocabulary(byte_tokens(), special_tokens={"<s>": 300, "<t>": 301})
    assert encode("<s><t>", vocabulary) == list(b"<s><t>")
    assert encode("<s><t>", vocabulary, allowed_special={"<t>"}) == [*b"<s>", 301]
    assert encode("<s><t>", vocabulary, allowed_special="all") == [300, 301]
    with pytest.raises(ValueError, match="'<u>' is not a special token"):
        encode("<s>", vocabulary, allowed_special={"<u>"})


def test_point_12_the_longest_at_the_leftmost_position() -> None:
    assert cut_special_tokens(b"aab", ["aa", "aab", "ab"]) == [(0, 3, "aab")]
    assert cut_special_tokens(b"aab", ["ab", "aa"]) == [(0, 2, "aa"), (2, 3, None)]
    assert cut_special_tokens(b"aaa", ["aa"]) == [(0, 2, "aa"), (2, 3, None)]
    # Only the allowed ones are looked for, so that a shorter one is found inside a longer one that is not.
    vocabulary = Vocabulary(byte_tokens(), special_tokens={"<s>": 300, "<s>>": 301})
    assert encode("<s>>", vocabulary, allowed_special={"<s>"}) == [300, ord(">")]


@given(st.lists(small_texts(b"ab", 2).filter(bool).map(bytes.decode), unique=True, max_size=4), small_texts())
def test_point_12_the_cuts_are_the_text(special_tokens: list[str], data: bytes) -> None:
    cuts = cut_special_tokens(data, special_tokens)
    assert [begin for begin, _, _ in cuts] + [len(data)] * bool(data) == [0] * bool(data) + [end for _, end, _ in cuts]
    for begin, end, special in cuts:
        assert begin < end
        if special is None:
            assert not any(content.encode() in data[begin:end] for content in special_tokens)
        else:
            assert data[begin:end].decode() == special


def test_point_12_special_tokens_may_take_white_space_or_stand_only_between_words() -> None:
    flags = {"<l>": {"lstrip"}, "<r>": {"rstrip"}, "<w>": {"single_word"}}

    def cut(text: str) -> list[str]:
        data = text.encode()
        return [data[begin:end].decode() for begin, end, _ in cut_special_tokens(data, flags, flags)]  # type: ignore[arg-type]

    assert cut("a \u3000<l> b") == ["a", " \u3000<l>", " b"]
    assert cut("a <r>\n\u3000 b") == ["a ", "<r>\n\u3000 ", "b"]
    assert cut("<r>  <l>") == ["<r>  ", "<l>"]  # white space is taken once, by the first
    assert cut("x<w> <w>你 <w>, <w>") == ["x<w> <w>你 ", "<w>", ", ", "<w>"]
    assert cut("a <w>") == ["a ", "<w>"]


def test_point_12_the_template_is_added_on_request() -> None:
    vocabulary = Vocabulary(byte_tokens(), special_tokens={"<s>": 300}, template=((300,), (10, 300)))
    assert encode("a", vocabulary) == [97]
    assert encode("a", vocabulary, add_template=True) == [300, 97, 10, 300]
    assert encode("", vocabulary, add_template=True) == [300, 10, 300]


# ---- point 13: vocabularies that no training made -----------------------------------------------------


def test_point_13_a_missing_byte_is_named_with_its_offset_in_the_original_text() -> None:
    tokens = {place: token for place, token in byte_tokens().items() if token != b"\xa9"}
    vocabulary = Vocabulary(tokens, special_tokens={"<s>": 300}, pattern=WORDS, normalizer="NFC")
    with pytest.raises(reference.MissingByteError, match="byte 0xa9 at offset 9 has no token") as caught:
        encode("<s>你ab©", vocabulary, allowed_special="all")
    assert (caught.value.byte, caught.value.offset) == (0xA9, 9)
    with pytest.raises(reference.MissingByteError, match="byte 0xa9 at offset 1 has no token"):
        encode("xe\u0301", vocabulary)
    with pytest.raises(reference.MissingByteError, match="0xa9"):
        learn_merges({"é".encode(): 2}, vocabulary, num_merges=1)


def test_point_13_ids_have_holes_and_need_not_follow_ranks() -> None:
    vocabulary = Vocabulary({9: b"a", 4: b"b", 1: b"ab", 70: b"ba"}, ranks=(9, 4, 70, 1))
    assert encode(b"aba", vocabulary) == [9, 70]
    assert encode(b"ab", vocabulary) == [1]
    with pytest.raises(ValueError, match="id 5 at position 1"):
        decode_bytes([9, 5], vocabulary)


def test_point_13_without_merges_and_ranks_it_is_a_rank_table_in_the_order_of_ids() -> None:
    assert Vocabulary({9: b"a", 4: b"b", 1: b"ab", 70: b"ba"}).ranks == (1, 4, 9, 70)


def test_point_13_the_whole_pretoken_rule_is_a_property_of_the_vocabulary() -> None:
    tokens, merges = [b"a", b"b", b"ab", b"aba"], [(b"a", b"b")]
    assert encoded(b"aba", make(tokens, merges)) == [b"ab", b"a"]
    assert encoded(b"aba", make(tokens, merges, whole_pretoken=True)) == [b"aba"]
    assert encoded(b"abab", make(tokens, merges, whole_pretoken=True)) == [b"ab", b"ab"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"tokens": {0: b"a", 1: b"a"}},
        {"tokens": {0: b""}},
        {"tokens": {-1: b"a"}},
        {"tokens": {2**32: b"a"}},
        {"tokens": {0: b"a"}, "merges": ((0, 0),)},
        {"tokens": {0: b"a", 1: b"aa"}, "merges": ((0, 2),)},
        {"tokens": {0: b"a", 1: b"aa"}, "merges": ((0, 0), (0, 0))},
        {"tokens": {0: b"a", 1: b"b"}, "ranks": (0,)},
        {"tokens": {0: b"a", 1: b"b"}, "ranks": (0, 0)},
        {"tokens": {0: b"a"}, "ranks": (0,), "merges": ()},
        {"tokens": {0: b"a"}, "special_tokens": {"<s>": 0}},
        {"tokens": {0: b"a"}, "special_tokens": {"<s>": 1, "<t>": 1}},
        {"tokens": {0: b"a"}, "special_tokens": {"": 1}},
    ],
)
def test_point_13_contradictions_are_refused_on_construction(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"token|merge|rank|id"):
        Vocabulary(**arguments)  # type: ignore[arg-type]


# ---- point 14: what may be added ----------------------------------------------------------------------


@given(st.text(max_size=4), st.integers(0, 3), st.integers(0, 3))
def test_point_14_what_may_be_added_is_whole_characters_or_a_piece_of_one(text: str, head: int, tail: int) -> None:
    token = "中".encode()[head:] * (head > 0) + text.encode() + "中".encode()[:tail]
    if token:
        pieces = (head in (1, 2)) + (tail in (1, 2))
        assert reference.may_be_added(token) == (pieces == 0 or (pieces == 1 and text == "" and tail != 3))


# ---- point 15: options of the loop --------------------------------------------------------------------


def test_point_15_the_worst_compressed_language_has_the_next_merge() -> None:
    text, side = {b"abab": 1}, {b"xyxyxy": 9}
    worst_first = [(text, {b"abab": 1}), (side, {b"ab": 1})]
    learned = reference.learn_merges(text | side, num_merges=1, languages=worst_first, min_count=1)
    assert added(learned) == [b"ab"]
    learned = reference.learn_merges(text | side, num_merges=1, languages=worst_first, min_count=3)
    assert added(learned) == [b"xy"]  # nothing of the worse one occurs so often


def test_point_15_languages_that_are_equally_badly_off_are_no_matter_of_their_order() -> None:
    languages = [({b"ab": 2}, {b"ab": 1}), ({b"xy": 3}, {b"xy": 1})]
    for order in (languages, languages[::-1]):
        assert added(reference.learn_merges({b"ab": 2, b"xy": 3}, num_merges=1, languages=order)) == [b"xy"]


def test_point_15_seed_tokens_come_last_and_only_if_nobody_else_made_them() -> None:
    text = {b"abcabc": 5, b"xyz": 1}
    learned = reference.learn_merges(text, num_merges=5, seed_tokens=[b"abc", b"xyz"])
    assert added(learned) == [b"ab", b"abc", b"abcabc", b"xy", b"xyz"]
    with pytest.raises(ValueError, match="need 4 merges, and 3 may be learned"):
        reference.learn_merges(text, num_merges=3, seed_tokens=[b"abc", b"xyz"])


def test_point_15_seeds_that_no_text_has_are_made_when_the_text_is_exhausted() -> None:
    learned = reference.learn_merges({b"abab": 2}, num_merges=9, seed_tokens=[b"qq"])
    assert added(learned)[-1] == b"qq"
    assert learned.stop == "min_count"


def test_point_15_a_protected_string_is_a_pretoken_in_training_and_in_encoding() -> None:
    base = Vocabulary(reference.byte_tokens(), pattern=(r"[a-z]+",))
    learned = reference.train(["concat concat cat"] * 9, base, num_merges=20, protect=["cat"])
    assert not [token for token in added(learned) if b"cat" in token and token != b"cat"]
    assert b"cat" in added(learned)
    ids = reference.encode("concats", learned.vocabulary)
    assert [learned.vocabulary.tokens[id] for id in ids][-2:] == [b"cat", b"s"]


def test_point_15_superwords_extend_the_first_stage_with_another_pattern() -> None:
    base = Vocabulary(reference.byte_tokens(), pattern=(r" ?[a-z]+",))
    plain = reference.train(["by the way by the way"] * 3, base, num_merges=30)
    learned = reference.train(["by the way by the way"] * 3, base, num_merges=30, superwords=(262, (r"[a-z ]+",)))
    assert learned.merges[:6] == plain.merges[:6]
    assert any(b" " in token[1:] for token in added(learned))
    assert learned.lengths[-1] == 3 * len(reference.encode("by the way by the way", learned.vocabulary))


# ---- decoding and offsets ------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 259), max_size=20), st.sampled_from(["replace", "ignore", "backslashreplace"]))
def test_a_streaming_decoder_gives_what_decode_gives(ids: list[int], errors: str) -> None:
    extra = {256: b"\xe4\xbd", 257: b"\xa0\xe5", 258: "你好".encode(), 259: b"\xf0\x9f\x98"}
    vocabulary = Vocabulary(byte_tokens() | extra)
    pieces = list(decode_stream(ids, vocabulary, errors))
    assert len(pieces) == len(ids) + 1
    assert "".join(pieces) == decode(ids, vocabulary, errors) == decode_bytes(ids, vocabulary).decode("utf-8", errors)


def test_a_streaming_decoder_holds_back_what_is_unfinished_and_no_more() -> None:
    vocabulary = Vocabulary(byte_tokens() | {256: b"a\xe4\xbd", 257: b"\xa0b"})
    assert list(decode_stream([256, 257, 0xE4, 0xBD], vocabulary)) == ["a", "你b", "", "", "\ufffd"]
    assert list(decode_stream([256, 33], vocabulary)) == ["a", "\ufffd!", ""]
    with pytest.raises(UnicodeDecodeError):
        list(decode_stream([256], vocabulary, "strict"))


@given(documents(), rank_tables(b"ab "))
def test_offsets_in_bytes_are_exact_and_in_characters_cover_what_is_touched(data: bytes, small: Vocabulary) -> None:
    tokens = {**small.tokens, **{10**6 + place: token for place, token in byte_tokens().items() if token not in b"ab "}}
    extra = {2 * 10**6: b"\xe4\xbd", 2 * 10**6 + 1: b"\xa0\xe5"}
    vocabulary = Vocabulary({**tokens, **extra}, pattern=CL100K)
    ids, spans = encode_with_offsets(data, vocabulary, unit="bytes")
    assert [data[begin:end] for begin, end in spans] == [vocabulary.tokens[token_id] for token_id in ids]
    edges = [0]
    for character in characters(data):
        edges.append(edges[-1] + len(character))
    for (begin, end), (first, past) in zip(spans, encode_with_offsets(data, vocabulary)[1], strict=True):
        assert edges[first] <= begin < edges[first + 1]
        assert edges[past - 1] < end <= edges[past]


# ---- peers ---------------------------------------------------------------------------------------------


def as_tiktoken(vocabulary: Vocabulary) -> tuple[tiktoken.Encoding, dict[int, int]]:
    """A rank table as tiktoken sees it, where rank is id; and from its ids to ours."""
    assert vocabulary.ranks is not None
    ranks = {vocabulary.tokens[token_id]: rank for rank, token_id in enumerate(vocabulary.ranks)}
    pattern = "|".join(vocabulary.pattern) or r"[\s\S]+"
    specials = {content: 10**6 + token_id for content, token_id in vocabulary.special_tokens.items()}
    ours = dict(enumerate(vocabulary.ranks)) | {
        10**6 + token_id: token_id for token_id in vocabulary.special_tokens.values()
    }
    return tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials), ours


@given(rank_tables(b"ab", max_tokens=14), small_texts().filter(bool))
def test_rank_tables_encode_as_tiktoken_does(vocabulary: Vocabulary, text: bytes) -> None:
    encoding, ours = as_tiktoken(vocabulary)
    whole = Vocabulary(vocabulary.tokens, ranks=vocabulary.ranks, whole_pretoken=True)  # tiktoken's rule
    assert encode_pretoken(text, whole) == [ours[rank] for rank in encoding.encode_ordinary(text.decode())]
    merged = Vocabulary(vocabulary.tokens, ranks=vocabulary.ranks)  # its educational twin has no such rule
    assert encode_pretoken(text, merged) == [ours[rank] for rank in bpe_encode(encoding._mergeable_ranks, text, None)]


@pytest.fixture(scope="session")
def cl100k(bbpe_home: Path) -> Vocabulary:
    ranks = load_tiktoken_bpe(str(bbpe_home / "vocabs" / "cl100k_base" / "cl100k_base.tiktoken"))
    specials = {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258}
    return Vocabulary(
        {rank: token for token, rank in ranks.items()}, special_tokens=specials, pattern=CL100K, whole_pretoken=True
    )


def test_cl100k_encodes_as_tiktoken_does(cl100k: Vocabulary, read_corpus: Callable[..., bytes]) -> None:
    encoding, ours = as_tiktoken(cl100k)
    for name in ["zh-small.txt", "en-small.txt", "mixed-zh-en.txt", "emoji-social.txt", "zh-classical.txt"]:
        text = read_corpus(name, 20_000).decode() + "<|endoftext|> <|fim_prefix|>"
        theirs = encoding.encode(text, allowed_special={"<|endoftext|>"}, disallowed_special=())
        ids, spans = encode_with_offsets(text, cl100k, allowed_special={"<|endoftext|>"})
        assert ids == [ours[rank] for rank in theirs]
        assert [begin for begin, _ in spans] == encoding.decode_with_offsets(theirs)[1]


VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
SPELLED = {byte: chr(byte) for byte in VISIBLE}
SPELLED |= {byte: chr(0x100 + place) for place, byte in enumerate(byte for byte in range(256) if byte not in VISIBLE)}


def byte_level(data: bytes) -> str:
    """The text in which Hugging Face writes bytes."""
    return "".join(SPELLED[byte] for byte in data)


def as_tokenizers(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """A merge list as Hugging Face's tokenizers takes it, with the same ids."""
    spelled = {token_id: byte_level(token) for token_id, token in vocabulary.tokens.items()}
    merges = [(spelled[left], spelled[right]) for left, right in vocabulary.merges or ()]
    model = tokenizers.models.BPE(
        {token: token_id for token_id, token in spelled.items()}, merges, ignore_merges=vocabulary.whole_pretoken
    )
    tokenizer = tokenizers.Tokenizer(model)
    stages = [tokenizers.pre_tokenizers.Split(tokenizers.Regex(stage), "isolated") for stage in vocabulary.pattern]
    byte_level_stage = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*stages, byte_level_stage])
    if vocabulary.normalizer is not None:
        tokenizer.normalizer = tokenizers.normalizers.NFC()
    return tokenizer


@given(merge_lists(b"ab", max_tokens=14), small_texts().filter(bool))
def test_merge_lists_encode_as_tokenizers_does(vocabulary: Vocabulary, text: bytes) -> None:
    assert encode_pretoken(text, vocabulary) == as_tokenizers(vocabulary).encode(text.decode()).ids


@given(
    st.lists(
        st.sampled_from(["<s>", "<t>", "<s>>", "<", " ", "\u3000", "\n", "a", "你", "_", ",", "\u0301"]), max_size=12
    )
)
def test_special_tokens_are_cut_as_tokenizers_does(parts: list[str]) -> None:
    flags: dict[str, frozenset[reference.Flag]] = {
        "<s>": frozenset({"lstrip", "rstrip"}),
        "<t>": frozenset({"single_word", "lstrip"}),
        "<s>>": frozenset({"rstrip"}),
        "a_": frozenset(),
    }
    specials = {content: 300 + place for place, content in enumerate(flags)}
    vocabulary = all_splits(Vocabulary(byte_tokens(), special_tokens=specials, special_flags=flags))
    tokenizer = as_tokenizers(vocabulary)
    for content in specials:
        options = dict.fromkeys(flags[content], True)
        tokenizer.add_special_tokens([tokenizers.AddedToken(content, normalized=False, **options)])
    ours = {tokenizer.token_to_id(content): token_id for content, token_id in specials.items()}
    theirs = tokenizer.encode("".join(parts))
    ids, spans = encode_with_offsets("".join(parts), vocabulary, allowed_special="all")
    assert (ids, spans) == ([ours.get(token_id, token_id) for token_id in theirs.ids], theirs.offsets)


@given(texts())
def test_offsets_are_those_of_tokenizers(text: str) -> None:
    vocabulary = all_splits(Vocabulary(byte_tokens() | {256: b"\xe4\xbd", 257: b"\xa0\xe5"}, pattern=(r"\p{L}+|\n",)))
    theirs = as_tokenizers(vocabulary).encode(text)
    assert encode_with_offsets(text, vocabulary) == (theirs.ids, theirs.offsets)


def trained_by_tokenizers(
    documents: list[str], pattern: str, vocab_size: int, cap: int | None
) -> tuple[list[str], list[list[str]]]:
    """The tokens by id and the merges that BpeTrainer learns."""
    tokenizer = as_tokenizers(Vocabulary({}, merges=(), pattern=(pattern,)))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=None if cap is None else cap + 1,
    )
    tokenizer.train_from_iterator(documents, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    return sorted(state["vocab"], key=state["vocab"].get), [list(merge) for merge in state["merges"]]


def assert_trained_as_tokenizers(documents: list[str], vocab_size: int, cap: int | None) -> None:
    base = Vocabulary(byte_tokens("gpt2"), pattern=CL100K)
    learned = train(documents, base, vocab_size=vocab_size, max_token_bytes=cap)
    tokens = learned.vocabulary.tokens
    theirs, merges = trained_by_tokenizers(documents, CL100K[0], vocab_size, cap)
    assert [[byte_level(tokens[left]), byte_level(tokens[right])] for left, right in learned.merges] == merges
    assert [byte_level(tokens[token_id]) for token_id in range(len(tokens))] == theirs


@pytest.mark.parametrize("cap", [None, 2, 5])
def test_merges_and_ids_are_those_of_tokenizers_on_text(cap: int | None) -> None:
    documents = [(TINY / "train" / name).read_text("utf-8")[:3000] for name in ["zh.txt", "en.txt", "mixed.txt"]]
    assert_trained_as_tokenizers(documents, 256 + 120, cap)


@given(st.lists(small_texts(b"abc").map(bytes.decode), max_size=6), st.sampled_from([None, 2, 3, 4]))
def test_merges_and_ids_are_those_of_tokenizers_on_runs_and_ties(documents: list[str], cap: int | None) -> None:
    assert_trained_as_tokenizers(documents, 256 + 40, cap)


def test_pretokens_and_counts_of_real_text_add_up() -> None:
    text = (TINY / "train" / "mixed.txt").read_bytes()
    counts = count_pretokens([text], CL100K)
    assert sum(len(pretoken) * count for pretoken, count in counts.items()) == len(text)
    assert counts == Counter(split_pretokens(text, CL100K))
