"""The named patterns split as ``regex``, tiktoken and tokenizers do, each given the spelling of its own dialect."""

from __future__ import annotations

import ast
import copy
import itertools
import json
import lzma
import pickle
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import regex
import tiktoken
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from strategies import broken_texts
from test_automaton import ALPHABET, patterns
from tokenizers import Regex, pre_tokenizers

from bbpe._compiled_patterns import STAGES
from bbpe.automaton import Machine, compile_pattern
from bbpe.errors import PatternError
from bbpe.expression import spell_out
from bbpe.patterns import (
    _NAMED,
    Pattern,
    Pretokenizer,
    SlowPatternWarning,
    from_spelling,
    get_pattern,
    identify,
    llama_cpp_names,
    named_patterns,
)
from bbpe.unicode import property_set

NAMES = sorted(named_patterns())
ONE_STAGE = [name for name in NAMES if len(named_patterns()[name].stages) == 1]
IN_TIKTOKEN = [name for name in ONE_STAGE if named_patterns()[name].covers_everything]


# --- How the others split ---------------------------------------------------------------------------------------------


def isolated(compiled: regex.Pattern[str], piece: str) -> list[str]:
    parts, at = [], 0
    for match in compiled.finditer(piece):
        begin, end = match.span()
        parts += [piece[at:begin], piece[begin:end]] if begin > at else [piece[begin:end]]
        at = end
    return [*parts, piece[at:]] if at < len(piece) else parts


@cache
def regexes(name: str, spelled_out: bool) -> list[regex.Pattern[str]]:
    return [regex.compile(spell_out(s) if spelled_out else s) for s in named_patterns()[name].stages]


def split_by_regex(name: str, text: str, spelled_out: bool = False) -> list[str]:
    """By the ``regex`` spelling as it is; or with its sets spelled out, where characters are too new for both."""
    pieces = [text] if text else []
    for compiled in regexes(name, spelled_out):
        pieces = [part for piece in pieces for part in isolated(compiled, piece)]
    return pieces


@cache
def splitter(name: str) -> pre_tokenizers.PreTokenizer:
    spelling = named_patterns()[name].spelling("oniguruma")
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stage), "isolated") for stage in spelling])


def split_by_tokenizers(name: str, text: str) -> list[str]:
    return [part for part, _ in splitter(name).pre_tokenize_str(text)]


def split_by_tiktoken(pattern: str, strings: Iterable[str]) -> list[list[str]]:
    """tiktoken shows ids only; in this vocabulary every piece of a string is a token, so each pretoken is one id."""
    strings = list(strings)
    pieces = {s[i:j].encode() for s in strings for i, j in itertools.combinations(range(len(s) + 1), 2)}
    pieces -= {bytes([value]) for value in range(128)}
    ranks = {bytes([value]): value for value in range(256)} | {p: 256 + i for i, p in enumerate(sorted(pieces))}
    encoding = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return [[encoding.decode_single_token_bytes(i).decode() for i in encoding.encode_ordinary(s)] for s in strings]


def in_tiktoken(name: str) -> str:
    spelling = named_patterns()[name].spelling("tiktoken")
    assert isinstance(spelling, str)
    return spelling


def ours(name: str, text: str) -> list[str]:
    return [part.decode() for part in Pretokenizer(name).split(text)]


def ends(parts: list[str]) -> list[int]:
    return list(itertools.accumulate(len(part.encode("utf-8", "surrogateescape")) for part in parts))


# --- Texts ------------------------------------------------------------------------------------------------------------


@cache
def samples(name: str) -> list[str]:
    """Characters of every class that any stage tells apart: the first and last of ranges, and random ones."""
    rng = random.Random(11)
    found: set[str] = set(" \n\r\t'sStTrReEvVmMlLdD019aA，。中/\u3000\u017f")
    for stage in named_patterns()[name].stages:
        machine = compile_pattern(stage)
        starts = [*machine.class_starts.tolist(), 0x110000]
        for number in range(machine.classes):
            ranges = [i for i, c in enumerate(machine.class_ids.tolist()) if c == number]
            for i in rng.sample(ranges, min(len(ranges), 6)):
                low, high = starts[i], starts[i + 1] - 1
                around = (low, high, rng.randint(low, high), max(low - 1, 0), min(high + 1, 0x10FFFF))
                found.update(chr(c) for c in around if not 0xD800 <= c < 0xE000)
    return sorted(found)


def drawn_strings(name: str, number: int, size: int = 10) -> list[str]:
    """Strings of such characters: random ones, and runs of two or three kinds."""
    rng = random.Random(number)
    characters = samples(name)
    strings = []
    for i in range(number):
        few = rng.sample(characters, 3) + rng.sample(" \n'1aA中，", 2)
        if i % 2:
            strings.append("".join(rng.choice(characters) for _ in range(rng.randint(1, size))))
        else:
            strings.append("".join(rng.choice(few) * rng.randint(1, 3) for _ in range(rng.randint(1, size // 2))))
    return strings


HARD = [
    *["", " ", "\n", "  ", " \n", "\n ", "\r\n\r\n  x", "a  \n  b", "x \n\n  ", " \u00a0a", "\u3000\u3000中"],
    *["don't DON'T 'S 'ſ ſ's", "''s'll", "12345678", "1 23", "ａＢ１２", "Ⅷ²½", "e\u0301\u0301", "\U00020000𠀀"],
    *["中文，English混排。\n", "  中 文", "…。，、।۔،|()", "👩‍💻🇨🇳️", "\x00\x00 \x1c\x85\u2028"],
    *["\t\tif x:\n\t\t\treturn\n", "HTTPServer camelCase aBc", "//\n/*\r\n*/"],
]


@pytest.mark.parametrize("name", NAMES)
def test_hard_strings_split_alike_everywhere(name: str) -> None:
    for text in HARD:
        expected = ours(name, text)
        assert split_by_regex(name, text) == expected, text
        assert split_by_tokenizers(name, text) == expected, text
    if name in IN_TIKTOKEN:
        assert split_by_tiktoken(in_tiktoken(name), HARD) == [ours(name, text) for text in HARD]


@pytest.mark.parametrize("name", NAMES)
def test_strings_drawn_from_each_class_and_around_each_boundary_split_as_regex_splits_them(name: str) -> None:
    for text in drawn_strings(name, 150):
        assert ours(name, text) == split_by_regex(name, text, spelled_out=True), text


@pytest.mark.parametrize("name", NAMES)
def test_the_same_strings_split_as_tokenizers_splits_them(name: str) -> None:
    for text in drawn_strings(name, 300):
        assert ours(name, text) == split_by_tokenizers(name, text), text


@pytest.mark.parametrize("name", IN_TIKTOKEN)
def test_the_same_strings_split_as_tiktoken_splits_them(name: str) -> None:
    strings = drawn_strings(name, 300)
    assert [ours(name, text) for text in strings] == split_by_tiktoken(in_tiktoken(name), strings)


@cache
def every_assigned_code_point() -> list[str]:
    """Those that both know (private use only at its edges: it is of one kind)."""
    every = "".join(chr(c) for c in range(0xF0002) if not 0xD800 <= c < 0xE000 and not 0xE002 < c < 0xF8FE)
    known = regex.findall(r"\P{Cn}", every)
    unassigned = property_set("Cn")
    low = np.searchsorted(unassigned.bounds, [ord(c) for c in known], side="right") & 1
    return [c for c, out in zip(known, low.tolist(), strict=True) if not out and c != "\u0295"]  # Ll, since 17.0 Lo


@pytest.mark.parametrize("name", ONE_STAGE)
def test_every_code_point_in_every_position_of_a_short_context_splits_as_regex_splits_it(name: str) -> None:
    """Before, after and between letters, digits, spaces, newlines, an apostrophe, and doubled: 150,000 characters."""
    text = "".join(f"a{c}1 {c}{c}\n{c}'s" for c in every_assigned_code_point())
    assert Pretokenizer(name).ends(text.encode()).tolist() == ends(split_by_regex(name, text))


@pytest.mark.parametrize("name", ["llama3", "o200k"])
def test_every_code_point_of_the_first_planes_splits_as_tokenizers_splits_it(name: str) -> None:
    """Also those that ``regex`` knows and they do not. A tenth of the ideographs and syllables will do."""
    chosen = [c for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    chosen = [c for c in chosen if not (0x3400 <= c < 0xD7A4 or 0x17000 <= c < 0x18D00) or c % 10 == 0]
    for begin in range(0, len(chosen), 2000):  # tokenizers is slow on long strings
        text = "".join(f"a{chr(c)}{chr(c)} {chr(c)}\n" for c in chosen[begin : begin + 2000])
        assert ends(ours(name, text)) == ends(split_by_tokenizers(name, text))


LANGUAGES = ["arb", "deu", "eng", "fra", "hin", "jpn", "kor", "rus", "spa", "tha", "vie", "zho-CN", "zho-TW"]
CORPORA = [
    *["zh-web.txt", "en-web.txt", "zh-small.txt", "en-small.txt", "mixed-zh-en.txt", "zh-classical.txt"],
    *["emoji-social.txt", *(f"ntrex/{language}.txt" for language in LANGUAGES)],
]


@pytest.mark.parametrize("corpus", CORPORA)
def test_corpora_split_as_regex_and_tokenizers_split_them(read_corpus: Callable[..., bytes], corpus: str) -> None:
    data = read_corpus(corpus, 60_000)
    text = data.decode()
    for name in NAMES:
        found = Pretokenizer(name).ends(data).tolist()
        assert found == ends(split_by_regex(name, text)), name
    short = text[:4000]
    for name in NAMES:
        assert ours(name, short) == split_by_tokenizers(name, short), name


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=broken_texts())
def test_text_that_is_not_utf_8_splits_as_regex_splits_its_surrogate_escapes(name: str, data: bytes) -> None:
    pretokenizer = Pretokenizer(name)
    expected = ends(split_by_regex(name, data.decode("utf-8", "surrogateescape"), spelled_out=True))
    assert pretokenizer.ends(data).tolist() == expected
    assert b"".join(pretokenizer.split(data)) == data


def test_random_bytes_split_as_regex_splits_them() -> None:
    data = random.Random(5).randbytes(20_000)
    expected = ends(split_by_regex("llama3", data.decode("utf-8", "surrogateescape"), spelled_out=True))
    assert Pretokenizer("llama3").ends(data).tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_million_equal_characters_are_split_in_linear_time(name: str) -> None:
    """Quadratic would be 10^12 steps and never end."""
    for unit in ("a", " ", "\n", "中", "1", "。", "'", "\xff", " \n", "A", "\u0301"):
        for after in (b"", b"a", b"!"):
            data = unit.encode("latin-1" if unit == "\xff" else "utf-8") * (1_000_000 // len(unit)) + after
            assert Pretokenizer(name).ends(data)[-1] == len(data)


# --- Stages -----------------------------------------------------------------------------------------------------------


def test_each_stage_sees_a_piece_of_the_one_before_as_a_whole_text() -> None:
    """The second stage's \\Z is the end of each line of the first; its look-ahead does not see past it."""
    assert Pretokenizer([r"\n", r"\s+\Z", r"a+(?!b)"]).split("x  \ny aab\naa") == [
        b"x", b"  ", b"\n", b"y ", b"a", b"ab", b"\n", b"aa"
    ]  # fmt: skip


def test_what_no_stage_matches_is_a_pretoken() -> None:
    assert Pretokenizer([r"\d+"]).split("ab12 中3") == [b"ab", b"12", " 中".encode(), b"3"]
    assert Pretokenizer([r"\d"]).split("中") == ["中".encode()]


def test_sixteen_stages_and_no_more() -> None:
    pattern = Pattern(tuple(f"{c}+" for c in "abcdefghijklmnop"))
    assert Pretokenizer(pattern).split("aabbXpp") == [b"aa", b"bb", b"X", b"pp"]
    with pytest.raises(PatternError, match="16 stages"):
        Pattern(tuple("a+" for _ in range(17)))
    with pytest.raises(PatternError, match="16 stages"):
        Pattern(())


# --- Spellings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(named_patterns()))
def test_what_is_compiled_beforehand_is_what_would_be_compiled(name: str) -> None:
    """Run scripts/make_compiled_patterns.py where this fails."""
    for stage in named_patterns()[name].stages:
        machine, read = compile_pattern(stage), Machine.read(*STAGES[stage])
        assert machine.written() == tuple(" ".join(text.split()) for text in STAGES[stage])
        assert read.same_matches(machine)
        assert np.array_equal(read.safe, machine.safe)
        assert read.covers_everything == machine.covers_everything
        assert [
            array.dtype for array in (read.next_state, read.accept, read.class_starts, read.class_ids, read.safe)
        ] == [
            array.dtype
            for array in (machine.next_state, machine.accept, machine.class_starts, machine.class_ids, machine.safe)
        ]


@pytest.mark.parametrize("named", _NAMED, ids=lambda named: named.name)
def test_every_published_spelling_is_proven_equal_and_is_recognised(named: object) -> None:
    pattern = named_patterns()[named.name]  # type: ignore[attr-defined]
    spellings = list(named.published)  # type: ignore[attr-defined]
    spellings += [("oniguruma", pattern.spelling("oniguruma"))]
    spellings += [("tiktoken", (pattern.spelling("tiktoken"),))] if pattern.name in IN_TIKTOKEN else []
    for dialect, stages in spellings:
        assert identify(stages) == pattern
        assert from_spelling(stages, dialect).name == pattern.name
        for stage, meant in zip(stages, pattern.stages, strict=True):
            if pattern.name == "deepseek-v2" and stage == r"\s+$":
                continue  # the next test
            assert compile_pattern(stage, dialect).same_matches(compile_pattern(meant)), (dialect, stage)


def test_deepseeks_published_spelling_splits_alike_although_one_stage_alone_would_not() -> None:
    published = next(stages for named in _NAMED if named.name == "deepseek-v2" for _, stages in named.published)
    assert not compile_pattern(r"\s+$", "oniguruma").same_matches(compile_pattern(r"\s+$", "regex"))
    assert r"\s+$" in published
    theirs = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stage), "isolated") for stage in published])
    for text in ["a  \n  b", " \n ", "\n\n", "x \r\n  y  \n", "  \n  ", *drawn_strings("deepseek-v2", 200)]:
        assert [part for part, _ in theirs.pre_tokenize_str(text)] == ours("deepseek-v2", text), text


def test_a_copied_spelling_would_give_other_pretokens() -> None:
    """What the spellings are for: tiktoken's cl100k, read by Oniguruma, splits otherwise."""
    copied = pre_tokenizers.Split(Regex(str(named_patterns()["cl100k"].spelling("tiktoken"))), "isolated")
    assert [part for part, _ in copied.pre_tokenize_str("1234567")] == ["1234567"]
    assert split_by_tokenizers("cl100k", "1234567") == ours("cl100k", "1234567") == ["123", "456", "7"]


def test_the_patterns_inside_published_files_are_recognised(bbpe_home: Path) -> None:
    for vocabulary, name in (("qwen2/qwen2.json.xz", "qwen2"), ("glm-4.6/glm-4.6.json.xz", "llama3")):
        with lzma.open(bbpe_home / "vocabs" / vocabulary) as file:
            first = json.load(file)["pre_tokenizer"]["pretokenizers"][0]
        assert identify(first["pattern"]["Regex"]) is named_patterns()[name]
    with lzma.open(bbpe_home / "vocabs" / "mistral-tekken" / "tekken_240718.json.xz") as file:
        tekken = json.load(file)
    assert identify(tekken["config"]["pattern"]) is named_patterns()["tekken"]
    manifest = json.loads((bbpe_home / "vocabs" / "MANIFEST.json").read_text())
    expected = {"cl100k_base": "cl100k", "o200k_base": "o200k", "r50k_base": "gpt2", "gpt2": "gpt2", "llama3": "llama3",
                "qwen": "qwen2", "bloom": "bloom", "deepseek-v2": "deepseek-v2"}  # fmt: skip
    for entry in manifest:
        if entry["name"] in expected:
            assert identify(entry["pretokenizer"]) is named_patterns()[expected[entry["name"]]]


def test_tiktokens_own_encodings_are_recognised() -> None:
    from tiktoken_ext import openai_public

    source = Path(openai_public.__file__).read_text()
    for name in ("cl100k", "gpt2"):
        assert str(named_patterns()[name].spelling("tiktoken")) in source or any(
            spelling[0] in source for named in _NAMED if named.name == name for _, spelling in named.published
        )
    lines = source.split("def o200k_base")[1].split("[", 1)[1].split("]\n")[0].splitlines()
    joined = "|".join(ast.literal_eval(line.strip().rstrip(",")) for line in lines if line.strip())
    assert identify(joined) is named_patterns()["o200k"]


@pytest.mark.parametrize(
    ("expression", "tiktoken_spelling", "oniguruma_spelling"),
    [
        (r"\p{L}+|\P{L}", r"\p{L}+|\P{L}", r"\p{L}+|\P{L}"),
        (r"\s+\Z|\s|\S", r"\s+$|\s|\S", r"\s+\Z|\s|\S"),  # proven: \s+ takes a last newline too
        (r"a\Z|\s|\S", r"a$|\s|\S", r"a\z|\s|\S"),
        (r"\s+$|\s|\S", r"\s+$|\s|\S", r"\s+\z|\s|\S"),
        (r"\d{1,3}+|\D", r"\d{1,3}+|\D", r"\d{1,3}|\D"),
        (r"(?V1)[\p{L}&&[^a-z]]|[\s\S]", r"[\p{L}&&[^a-z]]|[\s\S]", r"[\p{L}&&[^a-z]]|[\s\S]"),
        (r"[$]+|[^$]", r"[$]+|[^$]", r"[$]+|[^$]"),
        (r"a(?s:.)|[\s\S]", r"a(?s:.)|[\s\S]", r"a(?m:.)|[\s\S]"),
    ],
)
def test_a_users_expression_is_respelled_where_that_is_proven(
    expression: str, tiktoken_spelling: str, oniguruma_spelling: str
) -> None:
    pattern = get_pattern(expression)
    assert pattern.spelling("regex") == (expression,)
    assert pattern.spelling("tiktoken") == tiktoken_spelling
    assert pattern.spelling("oniguruma") == (oniguruma_spelling,)
    assert from_spelling(oniguruma_spelling, "oniguruma").spelling("oniguruma") == (oniguruma_spelling,)


@settings(max_examples=100)
@given(patterns(), st.lists(st.text(st.sampled_from(ALPHABET), max_size=10), min_size=4, max_size=8))
def test_a_spelling_that_is_given_splits_alike_in_its_program(expression: str, strings: list[str]) -> None:
    pattern = Pattern((expression + r"|[\s\S]",))
    try:
        pretokenizer = Pretokenizer(pattern)
    except (PatternError, SlowPatternWarning):
        assume(False)
    expected = [[part.decode() for part in pretokenizer.split(text)] for text in strings]
    for dialect in ("tiktoken", "oniguruma"):
        try:
            spelling = pattern.spelling(dialect)  # type: ignore[arg-type]
        except PatternError:
            event(f"{dialect}: refused")
            continue
        event(f"{dialect}: spelled")
        if isinstance(spelling, str):
            assert split_by_tiktoken(spelling, strings) == expected
        else:
            split = pre_tokenizers.Split(Regex(spelling[0]), "isolated")
            assert [[part for part, _ in split.pre_tokenize_str(text)] for text in strings] == expected


@pytest.mark.parametrize(
    ("expression", "dialect", "reason"),
    [
        (r"\w+|\W", "oniguruma", r"\\w is another set"),
        (r"\d+", "tiktoken", "leaves some text"),
        (r"(a)\1|[\s\S]", "oniguruma", "back-reference"),
        (r"(a)\1|[\s\S]", "tiktoken", "back-reference"),
        (r"(?i:strasse)|[\s\S]", "oniguruma", "folds"),
        (r"\p{L}+|\P{L}", "llama.cpp", "no name"),
    ],
)
def test_a_spelling_that_cannot_be_proven_is_refused_with_the_reason(
    expression: str, dialect: str, reason: str
) -> None:
    with pytest.raises(PatternError, match=reason):
        get_pattern(expression).spelling(dialect)  # type: ignore[arg-type]


def test_a_pattern_of_stages_has_no_tiktoken_spelling() -> None:
    with pytest.raises(PatternError, match="6 stages"):
        named_patterns()["deepseek-v2"].spelling("tiktoken")
    with pytest.raises(PatternError, match="unknown dialect"):
        named_patterns()["llama3"].spelling("perl")  # type: ignore[arg-type]


def test_llama_cpp_knows_names_only() -> None:
    assert named_patterns()["llama3"].spelling("llama.cpp") == "llama-bpe"
    assert llama_cpp_names()["gpt-2"] == named_patterns()["gpt2"]
    with pytest.raises(PatternError, match="llama-bpe"):
        named_patterns()["cl100k"].spelling("llama.cpp")


# --- Errors, fallback, sharing ----------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones() -> None:
    for word in ("gpt5", "cl100k_base", "", "llama-3"):
        with pytest.raises(PatternError, match="bloom, cl100k, deepseek-v2, gpt2, llama3, o200k, qwen2, tekken"):
            get_pattern(word)
    assert get_pattern(".").stages == (".",)
    assert get_pattern("(?:gpt5)").stages == ("(?:gpt5)",)


@pytest.mark.parametrize("bad", [None, 7, b"a", ["a", 7], [b"a"]])
def test_what_is_no_pattern_is_a_type_error(bad: object) -> None:
    with pytest.raises(TypeError):
        get_pattern(bad)  # type: ignore[arg-type]


def test_patterns_are_equal_by_their_stages() -> None:
    assert get_pattern(named_patterns()["gpt2"].stages) is named_patterns()["gpt2"]
    assert Pattern(named_patterns()["gpt2"].stages) == named_patterns()["gpt2"]
    assert len({Pattern(("a",)), Pattern(("a",), "x"), Pattern(("b",))}) == 2
    with pytest.raises(TypeError):
        Pattern("a")  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["(", "a*", "(?=a)", "[a", r"\p{Nope}+", "a|", r"(?:(a)\1)*"])
def test_a_pattern_that_does_not_compile_or_matches_empty_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pretokenizer(pattern)


def test_a_pattern_that_no_automaton_can_express_runs_on_regex_and_says_so_once() -> None:
    pattern = r"(\w)\1+|(?<=[a-c])\d+|\p{L}|[^\p{L}]"
    with pytest.warns(SlowPatternWarning, match="more slowly, because of .* it has a back-reference"):
        slow = Pretokenizer(pattern)
    assert slow.automata is None
    again = Pretokenizer(pattern)  # warnings are errors here: it says so once
    expected = [b"aa", b"b", b"12", "，".encode(), "é".encode(), b"1"]
    assert slow.split("aab12，é1") == again.split("aab12，é1") == expected
    assert slow.split(b"a\xff\xffb") == [b"a", b"\xff", b"\xff", b"b"]
    assert slow.split("") == []
    assert pickle.loads(pickle.dumps(slow)).split("aab") == [b"aa", b"b"]


def test_the_slow_way_has_the_same_unicode() -> None:
    """U+20C1 and the letters of Unicode 17 are unassigned here, whatever ``regex`` is installed."""
    newer = "\U00016ea0"  # BERIA ERFE CAPITAL LETTER ARKAB, a letter since 17.0
    with pytest.warns(SlowPatternWarning):
        slow = Pretokenizer(r"(?<!\d)\p{L}+|[\s\S]")
    fast = Pretokenizer(r"\p{L}+|[\s\S]")
    assert slow.split(f"a{newer}b") == fast.split(f"a{newer}b") == [b"a", newer.encode(), b"b"]


def test_the_slow_way_never_takes_an_empty_match() -> None:
    with pytest.warns(SlowPatternWarning):
        slow = Pretokenizer(r"(?<=a)(?=b)|b|a")
    with pytest.raises(
        PatternError, match=r"pattern '\(\?<=a\)\(\?=b\)\|b\|a' matches the empty string at character 1"
    ):
        slow.split("ab")


def test_the_slow_way_agrees_with_the_fast_one() -> None:
    """The same pattern, made inexpressible by a look-behind that never fails."""
    with pytest.warns(SlowPatternWarning):
        slow = Pretokenizer(rf"(?<=\A|[\s\S])(?:{named_patterns()['llama3'].stages[0]})")
    for text in [*HARD, *drawn_strings("llama3", 60)]:
        assert slow.split(text) == Pretokenizer("llama3").split(text)


def test_a_pretokenizer_is_pickled_and_copied_by_its_pattern() -> None:
    pretokenizer = Pretokenizer("o200k")
    for twin in (pickle.loads(pickle.dumps(pretokenizer)), copy.deepcopy(pretokenizer)):
        assert twin.pattern is not None
        assert twin.pattern == pretokenizer.pattern
        assert twin.split("It's 中文") == pretokenizer.split("It's 中文")
    assert pretokenizer.automata is Pretokenizer("o200k").automata  # compiled once


def test_many_threads_may_split_at_once() -> None:
    pretokenizer = Pretokenizer("llama3")
    text = "中文 and English, 123456!\n" * 500
    expected = pretokenizer.split(text)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(pretokenizer.split, [text] * 16))


def test_text_must_be_text() -> None:
    pretokenizer = Pretokenizer("llama3")
    with pytest.raises(TypeError):
        pretokenizer.ends("text")  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        pretokenizer.split("\ud800")
    assert pretokenizer.split(b"") == [] == pretokenizer.split("")
    assert pretokenizer.ends(b"").dtype == np.uint64
