"""The compiler: equal to ``regex`` on patterns of every construct it takes, exact in what it says, bounded.

The differential test draws whole patterns, not only texts: alternatives that are prefixes of one another, lazy and
possessive repetitions, look-ahead, sets that overlap. Where the compiler refuses, the reason must be true.
"""

from __future__ import annotations

import itertools
import random
import warnings
from functools import cache

import numpy as np
import pytest
import regex
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from strategies import BROKEN, texts

from bbpe._pretokenize import Automaton
from bbpe.automaton import MAX_POSITIONS, MAX_STATES, Inexpressible, Machine, compile_pattern
from bbpe.errors import PatternError
from bbpe.expression import Dialect, parse, spell_out
from bbpe.patterns import Pretokenizer, named_patterns
from bbpe.unicode import property_set


def lay_out(machine: Machine) -> Automaton:
    return Automaton(machine.next_state, machine.accept, machine.class_starts, machine.class_ids, machine.safe)


@cache
def automaton_of(pattern: str) -> Automaton:
    return lay_out(compile_pattern(pattern))


def split(automaton: Automaton, data: bytes) -> list[bytes]:
    """The pretokens, by the fast loop; the loop that is the definition must say the same."""
    ends = automaton.ends(data).tolist()
    assert ends == automaton.ends(data, plain=True).tolist()
    assert not data or ends[-1] == len(data)
    return [data[begin:end] for begin, end in itertools.pairwise([0, *ends])]


def assert_boundaries(automaton: Automaton, text: str) -> None:
    """The loop that takes a whole text at once, in units, says what the loop says that takes pretoken after pretoken."""
    lengths = np.cumsum([0, *(len(character.encode()) for character in text)])
    expected = np.searchsorted(lengths, automaton.ends(text.encode()).astype(np.int64))
    assert automaton.boundaries(text) == expected.tolist(), text


def split_by_regex(pattern: str, data: bytes) -> list[bytes] | None:
    """What ``regex`` isolates, gaps included; None where a match is empty."""
    text = data.decode("utf-8", "surrogateescape")
    parts, at = [], 0
    for match in regex.compile(pattern).finditer(text):
        begin, end = match.span()
        if begin == end:
            return None
        parts += [text[at:begin], text[begin:end]] if begin > at else [text[begin:end]]
        at = end
    parts += [text[at:]] if at < len(text) else []
    return [part.encode("utf-8", "surrogateescape") for part in parts]


# --- Against regex, on drawn patterns ---------------------------------------------------------------------------------

ATOMS = ["a", "b", "c", "[ab]", "[^a]", "[bc]", ".", r"\s", r"\S", r"\p{L}", r"\p{Lu}", "é", "[一-龥]", "。", "(?i:s)",
         "ab", "ca"]  # fmt: skip
ALPHABET = "aabbbcc \n\té一。Sſ9"
LOOKS = ["(?!a)", "(?=b)", r"(?!\S)", r"(?=\s|\Z)", r"(?![ab])", r"\Z", r"(?=(?!a))", r"(?!\Z)"]


def patterns() -> st.SearchStrategy[str]:
    quantifiers = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}"])
    modes = st.sampled_from(["", "", "", "?", "+"])

    def extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        repeated = st.tuples(inner, quantifiers, modes).map(
            lambda p: f"(?:{p[0]}){p[1]}{p[2]}" if p[1] else f"(?:{p[0]})"
        )
        return st.one_of(
            st.lists(inner, min_size=2, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
            repeated,
            st.tuples(inner, st.sampled_from(LOOKS)).map("".join),
            inner.map(lambda part: f"(?>{part})"),
            inner.map(lambda part: f"({part})"),
        )

    return st.recursive(st.sampled_from(ATOMS), extended, max_leaves=8)


@settings(max_examples=250)
@given(patterns(), st.lists(st.text(st.sampled_from(ALPHABET), max_size=14), min_size=4, max_size=8))
@example(r"a*?b|a", ["aaab", "aaa"])
@example(r"(?:a|ab)(?:c|bcd)", ["abcd", "abcabcd"])
@example(r"\s++\Z|\s+(?!\S)|\s", ["a  ", "  a", " \n "])
@example(r"a(?:b(?:c(?!a))?)?", ["abca", "abcb", "abc"])
def test_every_pattern_that_compiles_splits_as_regex_does(pattern: str, drawn: list[str]) -> None:
    data = [text.encode() for text in drawn]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [split_by_regex(pattern, text) for text in data]
    try:
        automaton = automaton_of(pattern)
    except Inexpressible as reason:
        event(f"inexpressible: {str(reason)[:40]}")
        return
    except PatternError as error:
        event("refused")
        if "empty" not in str(error):  # then it can never match anything
            assert all(parts == [text] for parts, text in zip(expected, data, strict=True) if text), pattern
        return
    event("compiled")
    assert None not in expected, "a pattern that can match the empty string was compiled"
    assert [split(automaton, text) for text in data] == expected


@settings(max_examples=250)
@given(
    patterns(),
    st.lists(st.text(st.sampled_from(ALPHABET), min_size=1, max_size=14), min_size=1, max_size=8),
    st.sampled_from([1, 1, 2, 9, 40]),
    st.booleans(),
)
@example(r"a(?=[^c]*c)|.", ["aaab"], 40, True)
@example(r"a+(?=b)|b(?:a*c)?", ["aaac", "aaba", "é"], 9, False)
@example(r"\s+(?!\S)|[a-c]+", ["a  b   \n  c"], 40, True)
def test_a_whole_text_at_once_has_the_same_boundaries(pattern: str, drawn: list[str], times: int, ascii: bool) -> None:
    """Long texts go in four parts side by side; help is needed where a match ended earlier, or none begins."""
    try:
        automaton = automaton_of(pattern)
    except (Inexpressible, PatternError):
        return
    text = "".join(drawn) * times
    assert_boundaries(automaton, text.encode("ascii", "ignore").decode() if ascii else text)


@pytest.mark.parametrize("name", list(named_patterns()))
@settings(max_examples=60)
@given(st.lists(texts(), min_size=1, max_size=12), st.integers(0, 3))
def test_a_whole_text_at_once_by_each_named_pattern(name: str, drawn: list[str], seed: int) -> None:
    automata = Pretokenizer(name).automata or ()
    text = "".join(character for character in "".join(drawn) if character < "\U00010000")
    ascii = text.encode("ascii", "ignore").decode()
    for automaton, plain in itertools.product(automata, (text, ascii)):
        assert_boundaries(automaton, plain)
        assert_boundaries(automaton, "".join(random.Random(seed).choices(plain, k=500)) if plain else "")


def test_two_steps_at_once_where_the_kinds_of_pairs_are_few() -> None:
    """With more kinds than the tables of pairs have room for, one step is taken at a time."""
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 60)]
    many = "|".join(f"{a}{b}{c}" for a, b, c in zip(letters, letters[1:], letters[2:], strict=False)) + "|[a-c]+"
    rng = random.Random(1)
    for pattern, paired in ((many, False), ("|".join(many.split("|")[:4]) + "|[a-c]+", True)):
        automaton = automaton_of(pattern)
        assert ("pairs" in automaton.tables) == paired
        for drawn in (letters, [*letters[:6], *"abc"], [*"abc "]):
            for size in (1, 2, 3, 50, 501):
                text = "".join(rng.choices(drawn, k=size))
                assert_boundaries(automaton, text + "".join(letters) + text)
                assert_boundaries(automaton, text)


@settings(max_examples=80)
@given(patterns(), st.lists(st.sampled_from(["a", "b ", "é", "一", *BROKEN]), max_size=8))
def test_invalid_bytes_are_characters_without_properties(pattern: str, parts: list[object]) -> None:
    data = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
    try:
        automaton = automaton_of(pattern)
    except (Inexpressible, PatternError):
        assume(False)
    assert split(automaton, data) == split_by_regex(pattern, data)


@settings(max_examples=150)
@given(patterns(), texts())
@example(r"\p{L}|.", "0\U000323b0")  # an ideograph since Unicode 17.0
def test_spelling_a_pattern_out_does_not_change_it(pattern: str, text: str) -> None:
    """On characters that both know; U+0295 is a letter of another kind in Unicode 17."""
    known = regex.sub(r"[\p{Cn}\u0295]", "", "".join(c for c in text if ord(c) not in property_set("Cn"))).encode()
    assert split_by_regex(spell_out(pattern), known) == split_by_regex(pattern, known)


def test_a_pattern_that_is_refused_as_matching_empty_does_match_empty_and_no_other() -> None:
    """All patterns of up to three atoms with each a quantifier, over all short texts of two letters."""
    texts_of_two = ["".join(letters) for size in range(5) for letters in itertools.product("ab", repeat=size)]
    atoms = ["a", "b", "[ab]", "(?!a)", "(?=b)", r"\Z"]
    quantifiers = ["", "?", "*", "+?"]
    pieces = [a + q for a in atoms[:3] for q in quantifiers] + atoms[3:]
    checked = {True: 0, False: 0}
    rng = random.Random(7)
    for pieces_of_pattern in rng.sample(list(itertools.product(pieces, ["", "|"], pieces, pieces)), 400):
        pattern = "".join(pieces_of_pattern)
        found = regex.compile(pattern)
        empty = any(m.start() == m.end() for text in texts_of_two for m in [found.match(text)] if m)
        try:
            compile_pattern(pattern)
            refused = False
        except PatternError as error:
            refused = "empty" in str(error)
        assert refused == empty, pattern
        checked[refused] += 1
    assert min(checked.values()) > 50


# --- What it says of a pattern ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        (r"\s|\S", True),
        (r"\w+|\W", True),
        (r"\w+|\s+", False),
        (r"a*b|.", False),  # a newline
        (r"a*b|[\s\S]", True),
        (r"\s+(?!\S)|\s+|\S", True),
        (r"\s+(?!\S)|\S", False),
        (r"[^\r\n]+|\s*[\r\n]", True),
        (r"[\x00-\U0010FFFF]", False),  # an invalid byte is in no range
    ],
)
def test_whether_text_can_be_left_unmatched_is_decided_exactly(pattern: str, covers: bool) -> None:
    assert compile_pattern(pattern).covers_everything is covers


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ab|a", "ab?"),
        ("(?:a|b)+", "[ab]+"),
        (r"a{1,3}+", r"a{1,3}"),
        (r"a++b", "a+b"),
        (r"\s++\Z|x", r"\s+\Z|x"),
        (r"\s+$|x", r"\s+\Z|x"),
        (r"x(?>a|ab)", "x(?:a|ab)"),
        ("a(?!b)|ab", "ab|a"),
        (r"[\d\D]", r"(?s:.)"),
        (r"(?i:k)", "[kK\u212a]"),
        (r"\h", r"[\t\p{Zs}]"),
        (r"(?x) a b # comment", "ab"),
        (r"(?V1)[\p{L}--[a-z]]", r"(?V1)[\p{L}&&[^a-z]]"),
    ],
)
def test_two_spellings_of_one_pattern_are_proven_equal(left: str, right: str) -> None:
    assert compile_pattern(left).same_matches(compile_pattern(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [("ab|a", "a|ab"), (r"\s+", r"\s+?"), (r"\p{L}+", r"\p{L}"), (r"a+(?!b)", "a+"), (r"[ab]+", "[abc]+"),
     (r"\s+(?!\S)|\s+", r"\s+"), (r"a\Z|b", "a|b")],
)  # fmt: skip
def test_two_patterns_that_differ_on_some_text_are_not(left: str, right: str) -> None:
    assert not compile_pattern(left).same_matches(compile_pattern(right))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1|b", "back-reference"),
        (r"(?P<x>a)(?P=x)", "back-reference"),
        (r"(?<=a)b|a", "looks behind"),
        (r"(?<!a)b|a", "looks behind"),
        (r"a(?=bc)|.", "further than one"),
        (r"\ba", "depends on what stands before"),
        (r"^a|b", "depends on what stands before"),
        (r"a$|b", r"also matches before a newline"),
        (r"a++a|b", "could not be proven"),
        (r"[ab]++a|b", "could not be proven"),
        (r"(?>ab|a)b|c", "could not be proven"),
        (r"(?:a?){2,}b", "can be empty"),
    ],
)
def test_what_cannot_be_compiled_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(Inexpressible, match=reason):
        compile_pattern(pattern)
    regex.compile(spell_out(pattern))


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:a|b)*a(?:a|b){14}",  # its deterministic automaton has 2^14 states
        "(?:(?:a{100}){100}){100}",
        "a{100000}",
        "(?:a{1,200}b{1,200}){1,200}",
        "|".join(f"{chr(c)}x" for c in range(0x4E00, 0x4F00)),  # more classes than there are columns
        ".*" * 30 + "x" + ".{9}y",
        "(" * 60 + "a" + ")+" * 60,
    ],
)
def test_compiling_a_hostile_pattern_is_bounded(pattern: str) -> None:
    """Counted, not timed: either it fits, or it is given up at a limit."""
    try:
        machine = compile_pattern(pattern)
    except (Inexpressible, PatternError):
        return
    assert machine.states <= MAX_STATES


def test_nesting_beyond_reason_is_an_error_and_not_a_recursion() -> None:
    for pattern in ("(" * 5000 + "a" + ")" * 5000, "(?V1)" + "[" * 5000 + "a" + "]" * 5000, "(?:" * 5000):
        with pytest.raises(PatternError, match="nested"):
            compile_pattern(pattern)


def test_a_long_pattern_of_many_alternatives_compiles() -> None:
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"]
    machine = compile_pattern("|".join(words) + r"|\p{L}|\P{L}")
    assert machine.states < MAX_STATES < MAX_POSITIONS
    assert split(lay_out(machine), b"aiqzhpx") == [b"aiq", b"z", b"hpx"]


# --- The parser -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)", "(?:a", "[a", "[", "[]", "a{2}{3}", "a**", "*a", "+", "a{3,2}", r"\p{Foo}", "\\", r"\xZ1", r"\u12",
     "(?P<1>a)", "[z-a]", "(?<a", "(?Z:a)", r"\q", "(?#", "{2}"],
)  # fmt: skip
def test_what_regex_does_not_compile_is_an_error_that_shows_where(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(regex.error):
            regex.compile(pattern)
    with pytest.raises(PatternError, match="position"):
        parse(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["[[a]", "[a[b]", "[a&&b]", "[a--b]", "[a||b]", "[a~~b]", "a{", "a{x}", r"\01", "a(?i)b", r"(?i:\p{Lu})",
     "[[:alpha:]]", r"\p{L", r"[a-\d]", r"\X", r"\K", "(?R)", "(?|a|b)", "(?(1)a|b)", "a{,3}{2}", "(?r)a",
     r"\N{DIGIT ONE}", "(?V1)[a&&b--c]"],
)  # fmt: skip
def test_what_means_different_things_to_different_programs_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="position"):
        parse(pattern)


@pytest.mark.parametrize(
    ("text", "dialect", "same_in_regex"),
    [
        (r"\p{N}{1,3}+", "oniguruma", r"(?:\p{N}{1,3})+"),
        (r"\p{N}{1,3}+", "tiktoken", r"\p{N}{1,3}"),
        (r"\s+$|a", "tiktoken", r"\s+\Z|a"),
        (r"\s+$|a", "oniguruma", r"\s+(?=\n|\Z)|a"),
        (r"\s+\z|a", "oniguruma", r"\s+\Z|a"),
        (r"[^(\s|[.,])]", "oniguruma", r"[^(\s|.,)]"),
        (r"[\p{L}&&[^a-z]]", "tiktoken", r"(?V1)[\p{L}--[a-z]]"),
        (r"(?i:'s|'ll)", "oniguruma", r"(?i:'s|'ll)"),
        (r"(?i:\p{L})", "tiktoken", r"[\p{L}\u0345]"),
        (r"(?i:\p{L})", "oniguruma", r"\p{L}"),
        (r"(?i:[\p{L}])", "oniguruma", r"[\p{L}\u0345]"),
        (r"(?i:[\p{L}])", "regex", r"\p{L}"),
        (r"\p{L}++|\P{L}", "oniguruma", r"\p{L}+|\P{L}"),
    ],
)
def test_each_dialect_is_read_as_its_program_reads_it(text: str, dialect: Dialect, same_in_regex: str) -> None:
    assert compile_pattern(text, dialect).same_matches(compile_pattern(same_in_regex))


@pytest.mark.parametrize(
    ("text", "dialect"),
    [(r"\w", "oniguruma"), (r"^a", "oniguruma"), (r"\h", "oniguruma"), (r"\h", "tiktoken"), ("a{,3}b", "tiktoken"),
     ("(?i:straße|ss)", "oniguruma"), ("(?i:office)", "oniguruma"), (r"a\Z", "tiktoken"), ("(?V1)a", "tiktoken"),
     ("[a--b]", "oniguruma"), ("(?s:.)", "oniguruma"), ("(?m:.)", "tiktoken"), ("(?m:.)", "regex"),
     ("a{2}?b", "oniguruma")],
)  # fmt: skip
def test_what_a_dialect_reads_in_its_own_way_is_refused_there(text: str, dialect: Dialect) -> None:
    with pytest.raises((PatternError, Inexpressible)):
        compile_pattern(text, dialect)


# --- The tables, laid out ---------------------------------------------------------------------------------------------


def test_every_code_point_is_in_its_class_once_laid_out() -> None:
    """A pattern whose alternatives are sets of which each splits runs otherwise, so a wrong class shows as a boundary.

    Every character stands between two letters and doubled; all of them, also those without a property.
    """
    pattern = r"\p{Lu}+|\p{Ll}{2}|\p{Lo}+\p{M}*|\p{M}\p{M}|\p{Nd}+|\p{Han}|[\p{S}\p{Co}]+|\s+|\p{P}{1,2}|[\s\S]"
    machine = compile_pattern(pattern)
    automaton = lay_out(machine)
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    classes = machine.class_ids[np.searchsorted(machine.class_starts, code_points, side="right") - 1]
    # One representative of every class, split by regex; every other code point must split as its representative.
    shape: dict[int, list[int]] = {}
    for one in np.unique(classes, return_index=True)[1].tolist():
        character = chr(code_points[one])
        parts = split_by_regex(pattern, f"a{character}b{character}{character}Z".encode())
        assert parts is not None
        shape[int(classes[one])] = [len(part.decode()) for part in parts]
    for plane in range(17):
        chosen = [i for i, c in enumerate(code_points) if c >> 16 == plane]
        text = "\x01".join(f"a{chr(code_points[i])}b{chr(code_points[i])}{chr(code_points[i])}Z" for i in chosen)
        lengths = [size for i in chosen for size in [*shape[int(classes[i])], 1]][:-1]
        # Ends in characters → ends in bytes.
        widths = np.array([len(c.encode()) for c in text]) if plane == 0 else None
        ends = np.cumsum(lengths)
        if widths is None:
            raw = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            widths = 1 + (raw >= 0x80).astype(int) + (raw >= 0x800) + (raw >= 0x10000)
        assert np.array_equal(np.cumsum(widths)[ends - 1], automaton.ends(text.encode()).astype(np.int64)), plane


def test_runs_that_cross_the_word_size_end_where_they_should() -> None:
    """Runs of 0 to 40 of each kind, then each other kind, at every offset of an eight-byte word."""
    automaton = automaton_of(r" ?\p{L}+|\d{1,3}| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+")
    pattern = r" ?\p{L}+|\d{1,3}| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"
    units = ["a", "Z", "é", "中", "。", "7", " ", "\n", "!", "😀", "\x00"]
    for unit, after in itertools.permutations(units, 2):
        for size in (0, 1, 2, 7, 8, 9, 15, 16, 17, 40):
            data = (unit * size + after + unit).encode()
            assert split(automaton, data) == split_by_regex(pattern, data), (unit, size, after)


def test_what_stands_after_the_end_of_the_text_is_never_looked_at() -> None:
    """The text is scanned inside a longer one, which would go on with its last character, run or look-ahead."""
    pattern = r"\p{L}+|\s+\Z|\s|\d+(?!\d)|[^\p{L}]"
    automaton = automaton_of(pattern)
    whole = ("abcdefghijkl中文中文中文中文  \t\t  😀😀中é" + "12345678901234").encode()
    for size in range(len(whole) + 1):
        alone = automaton.ends(whole[:size]).tolist()
        assert automaton.ends(whole, size=size).tolist() == alone
        assert automaton.ends(whole, plain=True, size=size).tolist() == alone
        parts = split_by_regex(pattern, whole[:size])
        assert parts is not None
        assert alone == list(itertools.accumulate(map(len, parts)))


# --- Cuts -------------------------------------------------------------------------------------------------------------

SAFE_PATTERNS = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[\r\n]",
    r"\p{L}+|\p{N}{1,2}",
    r"a*b|a",
    r"ab?c?|\s+(?!\S)",
]
AROUND = [(b"", b""), (b"a", b"b"), (b" ", b" "), ("中".encode(), b"\n"), (b"\n", b"1"), (b"'", b"a")]


@pytest.mark.parametrize("pattern", SAFE_PATTERNS)
@settings(max_examples=25)
@given(data=st.one_of(texts().map(str.encode), st.text(st.sampled_from("ab1 \n'。中"), max_size=30).map(str.encode)))
def test_a_cut_is_a_boundary_whatever_stands_around(pattern: str, data: bytes) -> None:
    """A cut found in a window is a boundary of every text that the window is a part of."""
    automaton = automaton_of(pattern)
    for stop in range(len(data) + 1):
        cut = automaton.safe_cut(data, stop)
        if cut is None:
            continue
        assert 0 < cut <= stop
        for before, after in AROUND:
            around = before + data + after
            assert len(before) + cut in automaton.ends(around).tolist(), (before, after, cut)


@settings(max_examples=50)
@given(texts(30).map(str.encode), st.integers(1, 12))
def test_a_text_cut_into_chunks_gives_the_pretokens_of_the_whole(data: bytes, size: int) -> None:
    """As counting does it: cut near the end of a window, take the pretokens up to the cut, go on there."""
    automaton = automaton_of(SAFE_PATTERNS[0])
    found: list[int] = []
    begin = 0
    while begin < len(data):
        limit = min(begin + size, len(data))
        cut = automaton.safe_cut(data[begin:limit], limit - begin) if limit < len(data) else None
        if limit < len(data) and cut is None:
            size += 1
            continue
        ends = automaton.ends(data[begin:limit]).tolist()
        kept = [begin + end for end in ends if cut is None or end <= cut]
        assert cut is None or kept[-1] == begin + cut
        found += kept
        begin = found[-1]
    assert found == automaton.ends(data).tolist()


def test_cuts_are_found_in_ordinary_text() -> None:
    """A cut that is never found would pass every other test."""
    automaton = automaton_of(SAFE_PATTERNS[0])
    assert automaton.safe_cut(b"hello world", 11) == 5
    assert automaton.safe_cut("你好，世界".encode(), 15) == 6
    assert automaton.safe_cut("你好世界".encode(), 12) is None
    assert automaton.safe_cut(b"one\ntwo", 7) == 4
    assert automaton.safe_cut(b"", 0) is None
    lines = automaton_of(r"[\r\n]")
    assert lines.safe_cut(b"one\ntwo three", 13) == 4


def test_a_window_that_ends_inside_a_character_is_not_cut_before_it() -> None:
    automaton = automaton_of(SAFE_PATTERNS[0])
    data = "ab，".encode()
    for size in (3, 4):
        assert automaton.safe_cut(data[:size], size) is None
    assert automaton.safe_cut(data, 5) == 2
