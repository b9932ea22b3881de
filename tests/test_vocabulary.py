"""A vocabulary is immutable, and contradictions are refused on construction with what, where and which."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import sliced_vocabularies, token_lists, tokenizer_of, vocabularies

from bbpe import Pattern, SpecialToken, Template, Vocabulary, get_pattern, reference
from bbpe.errors import BbpeError, VocabularyError

PATTERN = get_pattern("llama3")
AB = {0: b"a", 1: b"b", 2: b"ab"}


def make(tokens: Any = AB, **arguments: Any) -> Vocabulary:
    return Vocabulary(tokens, **{"pattern": PATTERN, **arguments})


# ---- what it holds ------------------------------------------------------------------------------------


def test_tokens_are_in_the_order_of_ids_whatever_order_they_came_in() -> None:
    vocabulary = make({9: b"ab", 0: b"a", 4: b"b"}, ranks=[4, 0, 9])
    assert list(vocabulary.tokens.items()) == [(0, b"a"), (4, b"b"), (9, b"ab")]
    assert dict(vocabulary.ids) == {b"a": 0, b"b": 4, b"ab": 9}
    assert vocabulary.ranks == (4, 0, 9)
    assert vocabulary.merges is None


def test_without_merges_and_ranks_it_is_a_rank_table_in_the_order_of_ids() -> None:
    assert make({9: b"ab", 0: b"a", 4: b"b"}).ranks == (0, 4, 9)
    assert make(merges=[]).ranks is None  # a merge list without merges is another thing
    assert make(merges=[]).merges == ()


def test_sizes_count_entries_and_id_space_counts_rows() -> None:
    assert (make().vocab_size, make().id_space, len(make())) == (3, 3, 3)
    holes = make({0: b"a", 70: b"b"}, special_tokens=[SpecialToken("<s>", 500)])
    assert (holes.vocab_size, holes.id_space, len(holes)) == (3, 501, 3)
    # A special token that is an ordinary token too, with the same id and the same bytes, is one entry.
    assert make({0: b"a", 1: b"<s>"}, special_tokens=[SpecialToken("<s>", 1)]).vocab_size == 2
    empty = make({})
    assert (empty.vocab_size, empty.id_space) == (0, 0)
    assert make({}, special_tokens=[SpecialToken("<s>", 3)]).id_space == 4


def test_special_tokens_are_in_the_order_of_ids() -> None:
    specials = [SpecialToken("<b>", 9, lstrip=True), SpecialToken("<a>", 3, special=False)]
    assert make(special_tokens=iter(specials)).special_tokens == (specials[1], specials[0])


@given(st.one_of(vocabularies(), sliced_vocabularies().map(lambda case: case[0])))
def test_it_holds_what_it_was_given(vocabulary: reference.Vocabulary) -> None:
    held = tokenizer_of(vocabulary).vocabulary
    assert dict(held.tokens) == dict(vocabulary.tokens)
    assert list(held.tokens) == sorted(vocabulary.tokens)
    assert (held.merges, held.ranks) == (vocabulary.merges, vocabulary.ranks)
    assert (held.vocab_size, held.id_space) == (len(vocabulary), vocabulary.last_id + 1)
    assert held.whole_pretoken is vocabulary.whole_pretoken


# ---- immutable, equal, hashable, picklable ------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *["tokens", "ids", "merges", "ranks", "special_tokens", "pattern", "normalizer", "whole_pretoken"],
        *["template", "name", "vocab_size", "id_space", "something_else"],
    ],
)
def test_nothing_can_be_assigned(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(make(), name, None)


def test_what_it_was_made_of_and_what_it_shows_cannot_change_it() -> None:
    tokens, merges, specials = dict(AB), [(0, 1)], [SpecialToken("<s>", 7)]
    vocabulary = make(tokens, merges=merges, special_tokens=specials)
    tokens[3] = b"c"
    merges.append((1, 0))
    specials.clear()
    assert vocabulary == make(merges=[(0, 1)], special_tokens=[SpecialToken("<s>", 7)])
    with pytest.raises(TypeError):
        vocabulary.tokens[3] = b"c"  # type: ignore[index]
    with pytest.raises(TypeError):
        vocabulary.ids[b"c"] = 3  # type: ignore[index]


FULL = {
    "merges": [(0, 1)],
    "special_tokens": [SpecialToken("<s>", 7, lstrip=True), SpecialToken("</s>", 9)],
    "normalizer": "NFC",
    "whole_pretoken": True,
    "template": Template((7,), (9,)),
    "name": "mine",
}
OTHER: dict[str, Any] = {
    "merges": [],
    "special_tokens": [SpecialToken("<s>", 7), SpecialToken("</s>", 9)],
    "normalizer": None,
    "whole_pretoken": False,
    "template": Template((7,)),
    "pattern": get_pattern("gpt2"),
    "tokens": {0: b"a", 1: b"b", 3: b"ab"},
}


def test_pickled_and_copied_it_is_equal_in_every_part() -> None:
    vocabulary = make(**FULL)
    copies = [pickle.loads(pickle.dumps(vocabulary, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in [*copies, copy.copy(vocabulary), copy.deepcopy(vocabulary), vocabulary.replace()]:
        assert other == vocabulary
        assert hash(other) == hash(vocabulary)
        assert other.name == "mine"
        assert (other.merges, other.template, other.special_tokens) == (
            vocabulary.merges,
            vocabulary.template,
            vocabulary.special_tokens,
        )


@pytest.mark.parametrize("part", list(OTHER))
def test_replace_changes_one_part_and_every_part_counts_for_equality(part: str) -> None:
    vocabulary = make(**FULL)
    changed = vocabulary.replace(**{part: OTHER[part]})
    assert changed != vocabulary
    assert len({vocabulary, changed, make(**FULL)}) == 2
    assert changed.replace(**{part: {**FULL, "pattern": PATTERN, "tokens": AB}[part]}) == vocabulary


def test_a_name_does_not_count_for_equality_and_another_type_is_not_equal() -> None:
    assert make(name="one") == make(name="two")
    assert hash(make(name="one")) == hash(make(name="two"))
    assert make() != AB
    assert make(merges=[]) != make(ranks=[0, 1, 2])


# ---- refused ------------------------------------------------------------------------------------------

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"tokens": {0: b"a", 1: b"a"}}, r"0 and 1 .* b'a'"),
    ({"tokens": {0: b"a", 1: b""}}, r"token 1 is b''"),
    ({"tokens": {0: "a"}}, r"token 0 is 'a'"),
    ({"tokens": {-1: b"a"}}, r"-1"),
    ({"tokens": {2**32 - 1: b"a"}}, r"4294967295"),
    ({"tokens": {True: b"a"}}, r"True"),
    ({"tokens": {0.0: b"a"}}, r"0\.0"),
    ({"merges": [(0, 1)], "ranks": [0, 1, 2]}, r"not both"),
    ({"merges": [(0, 5)]}, r"merge 0 .* 5"),
    ({"merges": [(0, 1), (1, 0)]}, r"merge 1 joins b'b' and b'a'.* b'ba'"),
    ({"merges": [(0, 1), (0, 1)]}, r"0 and 1 .* \(0, 1\)"),
    ({"ranks": [0, 1]}, r"every token exactly once"),
    ({"ranks": [0, 1, 1]}, r"every token exactly once"),
    ({"ranks": [0, 1, 2, 2]}, r"every token exactly once"),
    ({"ranks": [0, 1, 3]}, r"every token exactly once"),
    ({"special_tokens": [SpecialToken("", 3)]}, r"3 is empty"),
    ({"special_tokens": [SpecialToken("<s>", 3), SpecialToken("<s>", 4)]}, r"'<s>' .* 3 and 4"),
    ({"special_tokens": [SpecialToken("<s>", 3), SpecialToken("<t>", 3)]}, r"3 .*'<s>' and '<t>'"),
    ({"special_tokens": [SpecialToken("<s>", 2)]}, r"2 .* b'ab' .* '<s>'"),
    ({"special_tokens": [SpecialToken("\ud800", 3)]}, r"surrogate"),
    ({"special_tokens": [SpecialToken("<s>", -1)]}, r"'<s>' .* -1"),
    ({"special_tokens": [SpecialToken("<s>", 2**32 - 1)]}, r"'<s>' .* 4294967295"),
    ({"normalizer": "NFKC"}, r"'NFKC'.* NFC"),
    ({"template": Template((5,))}, r"template .* 5"),
    ({"template": Template((), (2, 6))}, r"template .* 6"),
]


@pytest.mark.parametrize(("arguments", "message"), CONTRADICTIONS, ids=[str(case[0]) for case in CONTRADICTIONS])
def test_a_contradiction_is_refused_and_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(VocabularyError, match=message) as caught:
        make(**{"tokens": AB, **arguments})
    assert isinstance(caught.value, BbpeError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"merges": [(0.0, 1)]},
        {"merges": [(0, True)]},
        {"merges": [(0, 1, 2)]},
        {"ranks": [0.0, 1, 2]},
        {"tokens": {0: bytearray(b"a")}},
        {"special_tokens": ["<s>"]},
        {"special_tokens": [SpecialToken(b"<s>", 3)]},  # type: ignore[arg-type]
        {"special_tokens": [SpecialToken("<s>", True)]},
        {"special_tokens": [SpecialToken("<s>", "3")]},  # type: ignore[arg-type]
        {"pattern": "llama3"},
    ],
    ids=str,
)
def test_a_wrong_type_is_refused_rather_than_kept(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, VocabularyError)):
        make(**{"tokens": AB, **arguments})


@given(token_lists())
def test_every_rank_order_is_accepted_and_kept(tokens: list[bytes]) -> None:
    by_id = dict(enumerate(tokens))
    ranks = tuple(sorted(by_id, key=lambda id: by_id[id]))
    assert make(by_id, ranks=ranks).ranks == ranks


def test_a_pattern_of_any_number_of_stages_that_splits_also_encodes() -> None:
    stages = (r"[^a]+|a+",) * 16
    vocabulary = reference.Vocabulary({0: b"a", 1: b"b", 2: b"aa"}, merges=((0, 0),), pattern=stages)
    assert tokenizer_of(vocabulary, Pattern(stages)).encode("aabaaa") == reference.encode("aabaaa", vocabulary)
