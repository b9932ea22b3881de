"""The committed tables say what tiktoken and tokenizers do, for every code point; sets behave as sets."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import regex
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from bbpe import unicode
from bbpe._unicode_tables import CATEGORIES
from bbpe.errors import PatternError
from bbpe.unicode import CharacterSet, property_set

# Every code point but the insides of the planes that hold nothing (4 to D) or private use alone (F and 10); the script
# that makes the tables asks about those too.
ASKED = unicode.CharacterSet.of_ranges(
    [(0, 0x3FFFF), (0xE0000, 0xEFFFF), *((plane, plane + 9) for plane in range(0x40000, 0x110000, 0x10000)),
     *((plane - 9, plane) for plane in range(0x4FFFF, 0x110000, 0x10000))]
)  # fmt: skip
EVERY = "".join(chr(c) for low, high in ASKED.ranges() for c in range(low, high + 1))
BYTES = {bytes([value]): value for value in range(256)}


def members(characters: str) -> CharacterSet:
    """The set of the characters of an ascending string."""
    code_points = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32).astype(np.int32)
    return CharacterSet(np.setxor1d(code_points, code_points + 1, assume_unique=True))


def ask_tiktoken(pattern: str) -> CharacterSet:
    """What a pattern of one character matches; tiktoken drops what is left unmatched."""
    encoding = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks=BYTES, special_tokens={})
    return members(encoding.decode(encoding.encode_ordinary(EVERY)))


def ask_tokenizers(pattern: str) -> CharacterSet:
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return members("".join(piece for piece, _ in split.pre_tokenize_str(EVERY)))


@cache
def assigned_in_both() -> CharacterSet:
    """Characters that our tables and the installed ``regex`` both know."""
    return property_set("Assigned") & members("".join(regex.findall(r"\P{Cn}", EVERY)))


def test_the_version_is_stated_and_is_not_that_of_python() -> None:
    assert unicode.unicode_version() == "16.0"
    assert 0x10D40 in property_set("Nd")  # GARAY DIGIT ZERO came with 16.0
    assert 0x20C1 in property_set("Cn")  # SAUDI RIYAL SIGN came with 17.0


@pytest.mark.parametrize("name", ["L", "N", "Lu", "M", "Han"])
def test_properties_are_those_of_tiktoken_and_tokenizers_on_every_code_point(name: str) -> None:
    assert ask_tiktoken(rf"\p{{{name}}}") == property_set(name) & ASKED
    assert ask_tokenizers(rf"\p{{{name}}}") == property_set(name) & ASKED


def test_white_space_is_theirs_on_every_code_point() -> None:
    assert ask_tiktoken(r"\s") == ask_tokenizers(r"\s") == unicode.space()


def test_word_characters_are_those_of_tiktoken_and_not_those_of_oniguruma() -> None:
    assert ask_tiktoken(r"\w") == unicode.word()
    theirs = ask_tokenizers(r"\w")
    assert theirs - unicode.word() == CharacterSet.of("²³¹¼½¾")
    assert unicode.word() - theirs == CharacterSet.of("\u200c\u200d")


@pytest.mark.parametrize("name", ["L", "N", "M", "P", "S", "Z", "Lu", "Lt", "Lm", "Nd", "Han", "Latin", "Alphabetic"])
def test_regex_has_the_same_properties_where_it_knows_the_same_characters(name: str) -> None:
    theirs = members("".join(regex.findall(rf"\p{{{name}}}", EVERY)))
    assert theirs & assigned_in_both() == property_set(name) & assigned_in_both()


def test_word_and_space_of_regex_are_the_same_where_it_knows_the_same_characters() -> None:
    for escape, ours in ((r"\w", unicode.word()), (r"\s", unicode.space()), (r"\d", unicode.digit())):
        assert members("".join(regex.findall(escape, EVERY))) & assigned_in_both() == ours & assigned_in_both()


def test_categories_partition_the_code_points() -> None:
    sets = [property_set(name) for name in (*CATEGORIES, "Cn")]
    assert sum(map(len, sets)) == 0x110000 - 0x800
    assert unicode.union(sets) == unicode.EVERYTHING - unicode.INVALID


def test_no_property_and_no_range_holds_an_invalid_byte_and_negations_do() -> None:
    for name in ("L", "C", "Cs", "Cn", "Any", "Assigned"):
        assert 0xD800 not in property_set(name)
        assert 0xDFFF in ~property_set(name)
    assert 0xDC80 not in CharacterSet.of_ranges([(0, 0x10FFFF)])


@pytest.mark.parametrize("names", [("L", "Letter", "gc=L", "general_category=letter"), ("Lu", "uppercase letter"),
                                   ("Han", "Hani", "sc=Han", "Script=hani", "IsHan"), ("White_Space", "space"),
                                   ("Old_Italic", "olditalic", "ITAL")])  # fmt: skip
def test_properties_have_several_names(names: tuple[str, ...]) -> None:
    assert len({property_set(name) for name in names}) == 1
    assert len(property_set(names[0])) > 0


@pytest.mark.parametrize("name", ["Lx", "", "Klingon", "sc=", "gc=Han", "script=Lu", "Foo=Bar", "l_u_x"])
def test_an_unknown_property_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(PatternError, match=r"Unicode 16\.0"):
        property_set(name)


@pytest.mark.parametrize(("letters", "variants"), [("s", "sSſ"), ("k", "kK\u212a"), ("ǆ", "ǄǅǆǄ"), ("i", "iI"),
                                                   ("ß", "ßẞ"), ("θ", "θϑΘϴ"), ("İ", "İ"), ("1中", "1中")])  # fmt: skip
def test_case_variants_are_those_of_simple_folding(letters: str, variants: str) -> None:
    assert unicode.folded(CharacterSet.of(letters)) == CharacterSet.of(variants)


def test_case_variants_of_whole_blocks_are_those_of_tiktoken() -> None:
    for low, high in ((0x41, 0x5A), (0x100, 0x24F), (0x370, 0x3FF)):
        expected = unicode.folded(CharacterSet.of_ranges([(low, high)]))
        assert ask_tiktoken(f"(?i:[{chr(low)}-{chr(high)}])") == expected
        assert unicode.folded(expected) == expected


small_sets = st.frozensets(st.integers(0, 12))


@given(small_sets, small_sets)
def test_sets_are_sets(left: frozenset[int], right: frozenset[int]) -> None:
    def built(values: frozenset[int]) -> CharacterSet:
        return CharacterSet.of_ranges((v, v) for v in sorted(values, reverse=True))

    def listed(characters: CharacterSet) -> set[int]:
        return {c for low, high in characters.ranges() for c in range(low, high + 1)}

    a, b = built(left), built(right)
    assert listed(a | b) == left | right == listed(unicode.union([a, b]))
    assert listed(a & b) == left & right
    assert listed(a - b) == left - right
    assert listed(a ^ b) == left ^ right
    assert listed(~a & built(frozenset(range(13)))) == set(range(13)) - left
    assert (a == b) == (left == right)
    assert (hash(a) == hash(b)) or left != right
    assert len(a) == len(left)
    assert all((value in a) == (value in left) for value in range(14))
    assert ~~a == a


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair)))))
def test_ranges_in_any_order_and_overlapping_make_one_set(ranges: list[tuple[int, int]]) -> None:
    found = CharacterSet.of_ranges(ranges)
    assert {c for low, high in found.ranges() for c in range(low, high + 1)} == {
        c for low, high in ranges for c in range(low, high + 1)
    }
    bounds = found.bounds.tolist()
    assert bounds == sorted(set(bounds)), "adjoining ranges are one"


def test_script_of_agrees_with_the_script_sets() -> None:
    starts, numbers, names = unicode.script_table()
    assert starts[0] == 0
    assert (starts[1:] > starts[:-1]).all()
    stops = [*starts[1:].tolist(), unicode.CODE_POINTS]
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    for start, stop, number in zip(starts.tolist(), stops, numbers.tolist(), strict=True):
        if start < stop:
            spans[names[number]].append((start, stop - 1))
    assert len(set(names)) == len(names)
    for name in names[1:]:
        assert unicode.CharacterSet.of_ranges(spans[name]) == unicode.property_set(f"script={name}"), name
    assert unicode.script_of("\U0010ffff") == "Unknown"
    assert unicode.script_of("々") == "Han"
