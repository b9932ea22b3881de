"""The native encoder equals the specification, byte for byte and id for id.

First differential: random vocabularies over small alphabets, over slices of text, learned ones; then published ones
against tiktoken. Then one test for each claim that ``_encode.pyx`` makes: cuts, one pair a token, whole pretokens,
caches, sizes at which it changes its way. Last, that no input is quadratic.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain, permutations, product
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    ANYTHING,
    CHINESE,
    DIGITS,
    EMOJI,
    FRAGMENTS,
    LETTERS,
    SPACES,
    SYMBOLS,
    documents,
    pretoken_counts,
    sliced_vocabularies,
    small_texts,
    texts,
    tokenizer_of,
    vocabularies,
)
from tiktoken.load import load_tiktoken_bpe

from bbpe import Pattern, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.errors import EncodeError
from bbpe.expression import spell_out
from bbpe.patterns import named_patterns

BYTES = reference.byte_tokens()


def merge_list(*pieces: str | bytes, pattern: tuple[str, ...] = ANYTHING, whole: bool = False) -> reference.Vocabulary:
    """The 256 bytes and these tokens, each made of its first byte after its last, at the rank of its place.

    What stands before a token's last byte must be a token too.
    """
    tokens = dict(BYTES)
    ids = {token: id for id, token in tokens.items()}
    merges = []
    for piece in pieces:
        token = piece.encode() if isinstance(piece, str) else piece
        merges.append((ids[token[:-1]], ids[token[-1:]]))
        ids[token] = len(tokens)
        tokens[len(tokens)] = token
    return reference.Vocabulary(tokens, merges=tuple(merges), pattern=pattern, whole_pretoken=whole)


def grown(*tokens: bytes) -> list[bytes]:
    """All beginnings of these tokens, two bytes or longer, shorter ones first: every one of them can be reached."""
    return sorted(
        {token[:length] for token in tokens for length in range(2, len(token) + 1)}, key=lambda t: (len(t), t)
    )


def assert_as_the_reference(
    vocabulary: reference.Vocabulary, texts: Iterable[bytes], tokenizer: Tokenizer | None = None
) -> None:
    """Every text gets the reference's ids: the first time, from the caches, and as a str where it is one."""
    tokenizer = tokenizer or tokenizer_of(vocabulary)
    expected = [(text, reference.encode(text, vocabulary)) for text in texts]
    for text, ids in chain(expected, reversed(expected)):
        assert tokenizer.encode_bytes(text) == ids, (text, vocabulary)
    for text, ids in expected:
        try:
            as_str = text.decode()
        except UnicodeDecodeError:
            continue
        assert tokenizer.encode(as_str) == ids, (text, vocabulary)
        assert tokenizer.count(as_str) == len(ids)


# ---- differential: any vocabulary ---------------------------------------------------------------------


@settings(max_examples=120)
@given(vocabularies(b"ab"), st.lists(small_texts(b"ab"), min_size=1, max_size=6))
def test_two_letters(vocabulary: reference.Vocabulary, texts: list[bytes]) -> None:
    assert_as_the_reference(vocabulary, texts)


@settings(max_examples=60)
@given(vocabularies(b"abc", max_tokens=25), st.lists(small_texts(b"abc", max_runs=40), min_size=1, max_size=4))
def test_three_letters_and_longer_texts(vocabulary: reference.Vocabulary, texts: list[bytes]) -> None:
    assert_as_the_reference(vocabulary, texts)


@settings(max_examples=200)
@given(sliced_vocabularies())
def test_tokens_that_begin_and_end_inside_characters(case: tuple[reference.Vocabulary, list[bytes]]) -> None:
    assert_as_the_reference(*case)


@settings(max_examples=50)
@given(
    pretoken_counts(b"abc"),
    st.lists(st.text("中丮文一a ", max_size=8).map(str.encode), max_size=6),
    st.lists(st.text("中丮文一abc ", max_size=12).map(str.encode), min_size=1, max_size=6),
)
def test_learned_merges(pretokens: dict[bytes, int], chinese: list[bytes], texts: list[bytes]) -> None:
    learned = reference.learn_merges(pretokens | dict.fromkeys(chinese, 3), num_merges=40)
    assert_as_the_reference(learned.vocabulary, [*texts, *pretokens, *chinese])


@settings(max_examples=100)
@given(
    st.lists(st.text("中丮文一\u093e\ufe0f", min_size=1, max_size=6).map(str.encode), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_ranks_in_any_order_over_characters_of_three_bytes(texts: list[bytes], random: Random) -> None:
    """A token of two characters may rank before those that make a third: not all begins with whole characters."""
    learned = reference.learn_merges(dict.fromkeys(texts, 2), num_merges=30).vocabulary
    ranks = sorted(learned.tokens)[256:]
    random.shuffle(ranks)
    table = reference.Vocabulary(learned.tokens, ranks=(*sorted(learned.tokens)[:256], *ranks))
    assert_as_the_reference(table, [*texts, b"".join(texts)])


@pytest.fixture(scope="module")
def trained() -> reference.Vocabulary:
    """600 merges of the kinds of text that the strategies make."""
    counts = reference.count_pretokens(
        [*FRAGMENTS * 2, *(CHINESE[at : at + 3] for at in range(40)), *(CHINESE[at : at + 2] for at in range(40))] * 2,
        [r"\s?[^\s]{1,6}|\s+"],
    )
    return reference.learn_merges(counts, num_merges=600).vocabulary


@pytest.mark.parametrize("name", list(named_patterns()))
@settings(max_examples=40)
@given(st.lists(documents(), min_size=1, max_size=4))
def test_whole_documents_with_each_named_pattern(name: str, trained: reference.Vocabulary, texts: list[bytes]) -> None:
    pattern = get_pattern(name)
    vocabulary = replace(trained, pattern=tuple(map(spell_out, pattern.stages)))
    assert_as_the_reference(vocabulary, texts, tokenizer_with(trained, pattern))


@pytest.mark.parametrize("name", list(named_patterns()))
@settings(max_examples=25)
@given(st.lists(st.one_of(texts(), st.sampled_from(FRAGMENTS)), min_size=20, max_size=60))
def test_a_long_str_has_the_ids_of_its_bytes(name: str, trained: reference.Vocabulary, drawn: list[str]) -> None:
    """Bytes go pretoken by pretoken, a str all at once: in units of 16 bits, or as it is where it is ASCII."""
    tokenizer = tokenizer_with(trained, get_pattern(name))
    whole = "".join(drawn)
    below = "".join(character for character in whole if character < "\U00010000")
    for text in (
        whole,
        below,
        below.encode("latin-1", "ignore").decode("latin-1"),
        below.encode("ascii", "ignore").decode(),
    ):
        ids = tokenizer.encode_bytes(text.encode())
        assert tokenizer.encode(text) == ids
        assert tokenizer.encode_batch_to_numpy([text, "", text])[0].tolist() == ids + ids


_tokenizers: dict[tuple[int, Pattern], Tokenizer] = {}


def tokenizer_with(vocabulary: reference.Vocabulary, pattern: Pattern) -> Tokenizer:
    """One tokenizer for all examples of a test, so that its caches fill."""
    key = (id(vocabulary), pattern)
    if key not in _tokenizers:
        _tokenizers[key] = tokenizer_of(vocabulary, pattern)
    return _tokenizers[key]


def test_a_pattern_that_runs_on_the_regex_package_gives_the_same_ids(trained: reference.Vocabulary) -> None:
    by_regex = Pattern((r"(?<=\s)\w+|(?s:.)\b|(?s:.)",))
    with pytest.warns(UserWarning, match="regex package"):
        tokenizer = tokenizer_of(trained, by_regex)
    assert tokenizer.vocabulary.pattern == by_regex
    texts = [fragment.encode() for fragment in FRAGMENTS] + [b"a\xff b\xe4\xbd", "中 文a".encode()]
    assert_as_the_reference(replace(trained, pattern=by_regex.stages), texts, tokenizer)


# ---- differential: published vocabularies against tiktoken --------------------------------------------

PUBLISHED = {
    "cl100k": "cl100k_base/cl100k_base.tiktoken",
    "o200k": "o200k_base/o200k_base.tiktoken",
    "gpt2": "r50k_base/gpt2.tiktoken",
    "llama3": "llama3/tokenizer.model",
    "qwen2": "qwen/qwen.tiktoken",
}
CORPORA = ["zh-web.txt", "en-web.txt", "mixed-zh-en.txt", "emoji-social.txt", "zh-classical.txt"]


def generated(rng: random.Random, tokens: list[bytes], corpora: list[str]) -> str:
    """A text of a kind that finds faults: any class, any code point, joins, the tokens themselves, runs, mutations."""

    def slice_of(most: int) -> str:
        corpus = rng.choice(corpora)
        at = rng.randrange(len(corpus))
        return corpus[at : at + rng.randint(1, most)]

    def code_point() -> str:
        code = rng.choice([rng.randrange(0x800), rng.randrange(0x3000, 0xA000), rng.randrange(0xE000, 0x110000)])
        return chr(code)

    kinds = [LETTERS, CHINESE, DIGITS, SPACES, SYMBOLS, EMOJI, "กขาิ่ไทย", "한국어말가각", "あいうアイウ"]
    match rng.randrange(6):
        case 0:
            return "".join(rng.choice([rng.choice(rng.choice(kinds)), rng.choice(FRAGMENTS)]) for _ in range(6))
        case 1:
            return "".join(code_point() for _ in range(rng.randint(1, 10)))
        case 2:
            return slice_of(20) + slice_of(20)
        case 3:
            return b"".join(rng.choices(tokens, k=rng.randint(1, 6))).decode("utf-8", rng.choice(["ignore", "replace"]))
        case 4:
            return rng.choice(rng.choice(kinds)) * rng.randint(1, 120)
        case _:
            text = list(slice_of(60))
            for _ in range(3):
                text.insert(rng.randrange(len(text) + 1), rng.choice([code_point(), rng.choice(rng.choice(kinds))]))
            return "".join(text)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_a_published_vocabulary_equals_tiktoken(name: str, bbpe_home: Path, read_corpus: Callable[..., bytes]) -> None:
    pattern = get_pattern(name)
    ranks = load_tiktoken_bpe(str(bbpe_home / "vocabs" / PUBLISHED[name]))
    spelling = pattern.spelling("tiktoken")
    assert isinstance(spelling, str)
    peer = tiktoken.Encoding(name, pat_str=spelling, mergeable_ranks=ranks, special_tokens={})
    tokenizer = Tokenizer(Vocabulary({id: token for token, id in ranks.items()}, pattern=pattern, whole_pretoken=True))
    corpora = [read_corpus(corpus, 150_000).decode() for corpus in CORPORA]
    seed = 20240607
    rng = random.Random(seed)
    tokens = list(ranks)
    texts = [*corpora, *(generated(rng, tokens, corpora) for _ in range(4000))]
    for text, ids, expected in zip(
        texts, tokenizer.encode_batch(texts), peer.encode_ordinary_batch(texts), strict=True
    ):
        assert ids == expected, (seed, text[:200])
    for text in texts[len(corpora) : 500]:
        assert tokenizer.encode(text) == peer.encode_ordinary(text), (seed, text)


# ---- the claim: a cut is where no token bridges -------------------------------------------------------


def joined(left: bytes, right: bytes) -> reference.Vocabulary:
    """The 256 bytes, two parts grown byte by byte, and what they are side by side: the only token across the seam."""
    tokens = [*grown(left), *grown(right), left + right]
    ids = {token: id for id, token in enumerate([*BYTES.values(), *tokens])}
    merges = [(ids[token[:-1]], ids[token[-1:]]) for token in tokens[:-1]]
    return reference.Vocabulary(
        {id: token for token, id in ids.items()}, merges=(*merges, (ids[left], ids[right])), pattern=ANYTHING
    )


@pytest.mark.parametrize(("before", "after"), list(product(range(1, 5), range(1, 5))))
def test_a_token_that_spans_a_boundary_with_any_part_of_the_two_characters(before: int, after: int) -> None:
    # The token has the last `before` bytes of 中 (e4 b8 ad) and the first `after` of U+5F40 (e5 bd 80); 4 reaches into
    # a third character. It also lies between others that have those bytes: some share two with 中 or U+5F40, some one.
    # Alone it must be found as what it is; grown byte by byte, its beginnings span the boundary as well.
    text = "\u6c1a\u4e2d\u5f40\u8083".encode()
    spanning = text[6 - before : 6 + after]
    lefts = "\u4e2d\u7e2d\u4e6d\u4e2e\u5e6e"
    rights = "\u5f40\u5f41\u5f80\u6f40\u4e2d"
    texts = ["".join(pair).encode() for pair in product(lefts, rights)]
    texts += [f"\u6c1a{pair}\u8083".encode() for pair in map("".join, product(lefts, rights))]
    for vocabulary in (joined(spanning[:before], spanning[before:]), merge_list(*grown(spanning))):
        assert_as_the_reference(vocabulary, texts)
        formed = [text for text in texts if vocabulary.ids[spanning] in reference.encode(text, vocabulary)]
        assert formed == [text for text in texts if spanning in text]
        assert formed


@pytest.mark.parametrize(("before", "after"), list(product(range(1, 5), range(1, 5))))
def test_a_token_that_spans_a_boundary_is_found_beside_any_character_with_its_bytes(before: int, after: int) -> None:
    # The same token between every two of 60 characters, of which most have none, some all of its bytes at that end.
    text = "\u6c1a\u4e2d\u5f40\u8083".encode()
    vocabulary = joined(text[6 - before : 6], text[6 : 6 + after])
    rng = random.Random(before * 10 + after)
    lefts = [0x4E2D, *(0x4E2D ^ 1 << bit for bit in range(13)), *rng.sample(range(0x1000, 0xD000), 8)]
    rights = [0x5F40, *(0x5F40 ^ 1 << bit for bit in range(13)), *rng.sample(range(0x1000, 0xD000), 8)]
    texts = [(chr(left) + chr(right)).encode() for left, right in product(lefts, rights)]
    tokenizer = tokenizer_of(vocabulary)
    for text in texts:
        assert tokenizer.encode_bytes(text) == reference.encode(text, vocabulary), text


def test_more_sets_of_leads_than_a_byte_can_number() -> None:
    # 400 characters, each followed in some tokens by another set of first bytes: past 254 sets the class is "all".
    tokens = dict(BYTES)
    rng = random.Random(1)
    characters = [chr(0x4E00 + number) for number in range(1, 401)]
    grown_tokens = grown(*(character.encode() for character in characters))
    tails = [
        character.encode() + bytes([0xE1 + bit])
        for number, character in enumerate(characters, start=1)
        for bit in range(9)
        if number >> bit & 1
    ]
    for token in [*grown_tokens, *tails]:
        tokens[len(tokens)] = token
    vocabulary = reference.Vocabulary(tokens, ranks=tuple(tokens), pattern=ANYTHING)
    followers = [chr((0x1 + bit) << 12 | 0x123) for bit in range(9)]
    texts = [(character + rng.choice(followers) + rng.choice(characters)).encode() for character in characters * 3]
    assert_as_the_reference(vocabulary, texts)
    merged = sum(len(reference.encode(text, vocabulary)) < 5 for text in texts)
    assert 300 < merged < 1100  # both answers occur: with and without a bridge


@pytest.mark.parametrize("tail", ["中", "é", "😀", "a", " ", "\0", "\u0301", "가"])
@pytest.mark.parametrize("head", ["中", "é", "😀", "a", " ", "\0", "가"])
def test_segments_of_characters_of_different_lengths(head: str, tail: str) -> None:
    # Tokens over head + tail, over the middle of it, and none: in text with either one doubled and with strangers.
    both = (head + tail).encode()
    texts = [
        "".join(parts).encode()
        for parts in product([head, tail, "丁", "x"], repeat=3)
        if head in parts or tail in parts
    ]
    texts += [text[:-1] for text in texts] + [text[1:] for text in texts]
    middle = both[len(head.encode()) - 1 :][:2]
    for tokens in (grown(both), [middle], grown(both[1:]), []):
        assert_as_the_reference(merge_list(*tokens), texts)


FORMS = [
    *[b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xed\xa0\x80\xed\xb0\x80"],  # surrogates
    *[b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xc0\x80"],  # overlong; the first has the sixteen bits 0
    *[b"\xe4", b"\xe4\xb8", b"\xb8\xad", b"\xad", b"\xe4\xe4\xb8\xad", b"\xb8\xad\xe4"],  # parts of 中
    *[b"\xf0\x9f\x98", b"\xf0\x9f", b"\x9f\x98\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbf", b"\xff", b"\0"],
]


@pytest.mark.parametrize("pattern", [ANYTHING, ("(?s:.)",), (r"\w+|\W+",)])
def test_bytes_that_are_no_text(pattern: tuple[str, ...]) -> None:
    texts = [left + right for left, right in product([*FORMS, "中".encode(), b"a"], repeat=2)]
    texts += [b"".join(random.Random(seed).choices(FORMS, k=5)) for seed in range(60)]
    spanning = [
        b"\x80\xed\xb0",
        b"\xed\xa0\x80\xed",
        b"\x80\xe0\x80\x80",
        b"\xad\xe4",
        b"\xe4\xe4",
        b"\x80\x80\xe4\xb8",
    ]
    for tokens in ([], grown(*spanning), grown(*FORMS[:6], *spanning)):
        vocabulary = merge_list(*tokens, pattern=tuple(map(spell_out, pattern)))
        assert_as_the_reference(vocabulary, texts, tokenizer_of(vocabulary, Pattern(pattern)))


def test_what_lies_behind_the_end_of_a_text_decides_nothing() -> None:
    # The buffer still holds the longer text before it: the rest of the character, of the token, of the pretoken.
    vocabulary = merge_list(*grown("中文中文".encode(), b"aaaaaaaaaaaaaaaaaaaa"))
    tokenizer = tokenizer_of(vocabulary)
    for longer in ["中文中文".encode() * 9, b"a" * 200, "a中文".encode() * 20]:
        for length in range(len(longer) if len(longer) < 60 else 60):
            assert tokenizer.encode_bytes(longer)
            assert tokenizer.encode_bytes(longer[:length]) == reference.encode(longer[:length], vocabulary)


@pytest.mark.parametrize("count", [1, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 193, 255, 256, 257, 320, 449])
def test_as_many_segments_as_the_queue_holds_and_more(count: int) -> None:
    # Each character is a segment: from the table of characters, from the cache, unknown, and 文 unreachable, so unknown
    # every time. The two behind 文 and 丁 in the table are in the text too.
    vocabulary = reference.Vocabulary(
        BYTES | {256: "文".encode(), 257: "中a".encode(), 258: "a中".encode()}, merges=(), pattern=(r"[^,]+|,+",),
        whole_pretoken=True,
    )  # fmt: skip
    for characters in ("丁", "丁七文斈", "文", "丁a七b文", "é丁", "文,", "丁七,文,文文,"):
        text = (characters * count)[:count].encode()
        assert_as_the_reference(vocabulary, [text, b"x" + text, text + b"x"])


def test_long_clauses_of_chinese() -> None:
    rng = random.Random(3)
    counts = {"".join(rng.choices(CHINESE[:20], k=6)).encode(): 2 for _ in range(60)}
    vocabulary = reference.learn_merges(counts, num_merges=150).vocabulary
    texts = ["".join(rng.choices(CHINESE[:22], k=length)).encode() for length in [*range(60, 70), 90, 120]]
    assert_as_the_reference(vocabulary, [*texts, *(b" " + text for text in texts), *(text + b"a" for text in texts)])


# ---- the claim: one pair a token ----------------------------------------------------------------------


def test_every_merge_list_over_five_tokens() -> None:
    # a, b, ab, ba, aba: all orders of all subsets of the four merges, all texts of up to six letters.
    tokens = {0: b"a", 1: b"b", 2: b"ab", 3: b"ba", 4: b"aba"}
    pairs = [(0, 1), (1, 0), (2, 0), (0, 3)]
    texts = [bytes(letters) for length in range(1, 7) for letters in product(b"ab", repeat=length)]
    for count in range(5):
        for merges in permutations(pairs, count):
            vocabulary = reference.Vocabulary(tokens, merges=merges)
            tokenizer = tokenizer_of(vocabulary)
            for text in texts:
                assert tokenizer.encode_bytes(text) == reference.encode(text, vocabulary), (merges, text)


def test_every_order_of_a_rank_table_over_runs() -> None:
    # Which of aa + a and a + aa makes aaa depends on the ranks; so does whether aaaa can be reached.
    tokens = {0: b"a", 1: b"aa", 2: b"aaa", 3: b"aaaa", 4: b"b", 5: b"ab"}
    texts = [
        bytes(letters) for length in range(1, 8) for letters in product(b"ab", repeat=length) if b"aa" in bytes(letters)
    ]
    for order in permutations([1, 2, 3, 5]):
        vocabulary = reference.Vocabulary(tokens, ranks=(0, 4, *order))
        tokenizer = tokenizer_of(vocabulary)
        for text in texts:
            assert tokenizer.encode_bytes(text) == reference.encode(text, vocabulary), (order, text)


def test_a_token_with_two_pairs_forms_by_the_one_that_its_bytes_alone_take() -> None:
    """abc = (a, bc) at rank 1 or (ab, c) at rank 3. Alone: bc first (rank 0), then a + bc. In ``xabc``, with xa at
    rank 2, too; but where ``ab`` can form first it takes b away from c only if (b, c) has the higher rank."""
    tokens = {ord("a"): b"a", ord("b"): b"b", ord("c"): b"c", 1: b"ab", 2: b"bc", 3: b"abc"}
    late = reference.Vocabulary(tokens, merges=((98, 99), (97, 2), (97, 98), (1, 99)))
    early = reference.Vocabulary(tokens, merges=((97, 98), (97, 2), (98, 99), (1, 99)))
    for vocabulary in (late, early):
        assert tokenizer_of(vocabulary).encode("abc") == [3]
        assert_as_the_reference(vocabulary, [bytes(letters) for letters in product(b"abc", repeat=6)])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("whole", [False, True])
def test_tokens_so_long_that_a_heap_holds_their_merges(seed: int, whole: bool) -> None:
    """Each token alone is what the reference makes of its bytes: itself, or not; its one pair is found either way."""
    rng = random.Random(seed)
    texts = [bytes(rng.choices(b"aab", k=rng.randint(2, 40))) for _ in range(4)]
    counts = {text * rng.randint(1, 6): rng.randint(1, 3) for text in texts} | {texts[0] * 8: 1, b"a" * 200: 1}
    learned = reference.learn_merges(counts, num_merges=300, min_count=1).vocabulary
    assert learned.merges is not None
    assert max(map(len, learned.tokens.values())) > 128
    of_text = [id for id in learned.tokens if id > 255]
    swapped = [*learned.merges]
    for _ in range(3):
        first, second = rng.sample(range(len(swapped)), 2)
        swapped[first], swapped[second] = swapped[second], swapped[first]
    for vocabulary in (
        replace(learned, whole_pretoken=whole),
        replace(learned, merges=tuple(swapped), whole_pretoken=whole),
        replace(learned, merges=None, ranks=(*range(256), *rng.sample(of_text, len(of_text))), whole_pretoken=whole),
    ):
        tokens = [token for token in learned.tokens.values() if len(token) >= 90]
        assert_as_the_reference(vocabulary, [*tokens, *(token + b"a" for token in tokens[:4])])


# ---- the claim: a pretoken is taken whole, a segment is not -------------------------------------------


@pytest.mark.parametrize("around", ["丁 丁", "丁 ", " 丁"])
@pytest.mark.parametrize("unit", ["中", "abc"])
@pytest.mark.parametrize("times", [1, 2, 5, 6, 15, 16, 31, 32, 40])
def test_a_token_that_no_merge_reaches_is_itself_only_as_a_whole_pretoken(times: int, unit: str, around: str) -> None:
    # 3 bytes (the table of characters), 15 | 18 (short | long cache), 45 | 48 (long | none), 93 | 96 (scan | by rank).
    # As a part it is a segment all the same: no token bridges to what is around it.
    token = (unit * times).encode()
    part = around.replace(" ", unit * times).encode()
    for whole_pretoken, first in product([True, False], [token, part]):
        vocabulary = reference.Vocabulary(
            BYTES | {256: token}, merges=(), pattern=ANYTHING, whole_pretoken=whole_pretoken
        )
        tokenizer = tokenizer_of(vocabulary)
        whole_ids = [256] if whole_pretoken else list(token)
        for text in (first, token, part, token, part):
            assert tokenizer.encode_bytes(text) == (whole_ids if text == token else list(part))


@pytest.mark.parametrize("length", [2, 7, 8, 9, 15, 16, 46, 47, 95, 96, 97])
def test_whole_pretokens_of_each_length_beside_their_beginnings(length: int) -> None:
    token = b"ab" * length
    token = token[:length]
    vocabulary = reference.Vocabulary(
        BYTES | {300: token, 301: b"ab" if length != 2 else b"ba"}, merges=((97, 98),) if length != 2 else (),
        pattern=(r"[^,]+|,",), whole_pretoken=True,
    )  # fmt: skip
    texts = [token, token[:-1], token + b"a", token + b"," + token, b"," + token[1:], token + "中".encode()]
    assert reference.encode(token, vocabulary) == [300]
    assert_as_the_reference(vocabulary, [*texts, *reversed(texts)])


# ---- the claim: caches never change an id -------------------------------------------------------------


@pytest.mark.parametrize("tokens", [(), (b"aa", b"aaaa"), (b"ab", b"abab", b"aba")])
def test_segments_of_every_length_up_to_past_the_long(tokens: tuple[bytes, ...]) -> None:
    # Without merges a segment has as many ids as bytes: 4 | 5 and 20 | 21 are passed on the way to 15 | 16, 46 | 47
    # and 95 | 96. Each text is encoded twice, so the second comes from where the first was kept.
    ids = {97: b"a", 98: b"b"} | {256 + place: token for place, token in enumerate(tokens)}
    vocabulary = reference.Vocabulary(BYTES | ids, ranks=(*range(256), *(256 + place for place in range(len(tokens)))))
    rng = random.Random(5)
    texts = []
    for length in range(1, 104):
        texts += [b"a" * length, bytes(rng.choices(b"ab", k=length)), bytes(rng.choices(b"aaab\0", k=length))]
    assert_as_the_reference(vocabulary, texts)


def test_a_merge_that_is_no_longer_there_does_not_bring_its_successor_forward() -> None:
    """abcd: bc first (0). The pair ab (1) is gone; a + bc (3) has taken its place, but bc + d (2) goes before it."""
    tokens = {97: b"a", 98: b"b", 99: b"c", 100: b"d", 1: b"bc", 2: b"ab", 3: b"bcd", 4: b"abc"}
    vocabulary = reference.Vocabulary(tokens, merges=((98, 99), (97, 98), (1, 100), (97, 1)))
    for times in (1, 23, 24, 25, 40):  # 96 bytes are 24 times: from there on merges wait for their rank's turn
        assert tokenizer_of(vocabulary).encode("abcd" * times) == [97, 3] * times


@pytest.mark.parametrize("seed", range(24))
def test_long_segments_with_many_merges_in_any_order(seed: int) -> None:
    rng = random.Random(seed)
    tokens = grown(*(bytes(rng.choices(b"abc", k=rng.randint(2, 6))) for _ in range(12)))
    ranks = [*range(256), *rng.sample(range(256, 256 + len(tokens)), len(tokens))]
    vocabulary = reference.Vocabulary(BYTES | dict(enumerate(tokens, start=256)), ranks=tuple(ranks))
    tokenizer = tokenizer_of(vocabulary)
    for length in (95, 96, 97, 150):
        text = bytes(rng.choices(b"abc", k=length))
        assert tokenizer.encode_bytes(text) == reference.encode(text, vocabulary), (seed, text)


@pytest.mark.parametrize("seed", range(12))
def test_long_segments_whose_merges_all_follow_those_of_their_parts(seed: int) -> None:
    """Rank after rank: runs, whose places overlap, and places that come to a queue in another order than they stand."""
    rng = random.Random(seed)
    letters = [b"a", b"ab", b"abc"][seed % 3]
    tokens = grown(b"a" * 9, *(bytes(rng.choices(letters, k=rng.randint(2, 8))) for _ in range(20)))
    vocabulary = reference.Vocabulary(BYTES | dict(enumerate(tokens, start=256)), ranks=tuple(range(256 + len(tokens))))
    tokenizer = tokenizer_of(vocabulary)
    for length in (96, 97, 130, 300, 95, 700, 96):
        runs = b"".join(bytes([letter]) * rng.choice([1, 1, 2, 3, 7]) for letter in rng.choices(letters, k=length))
        for text in (runs[:length], letters[:1] * length):
            assert tokenizer.encode_bytes(text) == reference.encode(text, vocabulary), (seed, text)


@pytest.mark.parametrize("unit", ["中", "é", "😀", "中a", " 中"])
def test_documents_of_every_length_in_units_of_each_size(unit: str) -> None:
    vocabulary = merge_list(*grown(unit.encode(), unit.encode()[1:] + unit.encode()[:1]))
    assert_as_the_reference(vocabulary, [(unit * 60).encode()[:length] for length in range(1, 120)])


@pytest.mark.parametrize("other", ["—", "é", "中", "中文"])
def test_ascii_between_other_characters_at_every_place_of_a_block(trained: reference.Vocabulary, other: str) -> None:
    """64 characters that are all ASCII are encoded from a copy in bytes, which a full queue ends."""
    tokenizer = tokenizer_of(trained, get_pattern("cl100k"))
    words = "the cat sat on a mat, 12 times\n    and counted" * 40
    for place in range(0, 200, 7):
        for length in (0, 1, 63, 64, 65, 127, 128, 129, 200, 1100):
            text = words[:place] + other + words[place : place + length] + other + words[:300]
            assert tokenizer.encode(text) == tokenizer.encode_bytes(text.encode()), (place, length)
    for length in (4000, 4095, 4096, 4097, 4160, 9000):  # one segment, longer than all that is copied
        text = f"{other}a b {'x' * length} c d{other} {'y z ' * length}{other}"
        assert tokenizer.encode(text) == tokenizer.encode_bytes(text.encode()), length


def test_equal_beginnings_and_zero_bytes_are_told_apart() -> None:
    # Cache keys are padded with zeros: a text and the same with NUL behind it differ in length only.
    vocabulary = merge_list(b"a\0", b"a\0\0", b"\0\0")
    texts = [b"a" + b"\0" * length for length in range(20)] + [b"\0" * length for length in range(1, 40)]
    assert_as_the_reference(vocabulary, texts)


def test_more_segments_than_the_caches_hold() -> None:
    # Every slot is overwritten many times over; keys of 1, 4, 6 and 21 bytes, the long ones with one beginning. Twice,
    # in opposite orders.
    vocabulary = merge_list("ab", "abc", "cd", "ef", "dd", "ddd", "12", "123", pattern=(r"[a-z0-9]+|[^a-z0-9]+",))
    tokenizer = tokenizer_of(vocabulary)
    words = ["".join(letters) for letters in product("abcdef1", repeat=6)]  # 117,649
    texts = [*words, *(word[:4] + "-" + word for word in words), *(f"abcdefab{word}d{word}" for word in words)]
    ids, offsets = tokenizer.encode_batch_to_numpy(texts, threads=1)
    again, offsets_again = tokenizer.encode_batch_to_numpy(texts[::-1], threads=1)
    assert np.array_equal(np.diff(offsets), np.diff(offsets_again)[::-1])
    starts = np.repeat(offsets_again[:-1][::-1] - offsets[:-1], np.diff(offsets))
    assert np.array_equal(ids, again[starts + np.arange(len(ids))])
    for place in random.Random(8).sample(range(len(texts)), 2000):
        assert ids[offsets[place] : offsets[place + 1]].tolist() == reference.encode(texts[place], vocabulary)


def test_ids_with_holes_huge_ids_and_ids_in_no_order() -> None:
    pieces = [b"ab", b"abc", "中".encode()[:2], "中".encode(), "中文".encode()[:5]]
    for ids in (
        [300, 299, 4_000_000_000, 4_294_967_294, 298],
        [2**26, 2**26 - 1, 256, 257, 300],  # either side of the largest dense id
        [2**20 + 1, 2**20, 2**20 - 1, 256, 257],
    ):
        tokens = BYTES | dict(zip(ids, pieces, strict=True))
        vocabulary = reference.Vocabulary(tokens, ranks=(*range(256), *ids), pattern=ANYTHING)
        assert_as_the_reference(vocabulary, ["abcab中文".encode(), "文中中a".encode()])
        tokenizer = tokenizer_of(vocabulary)
        assert tokenizer.decode_bytes(tokenizer.encode("abcab中文")) == "abcab中文".encode()
        assert tokenizer.encode_to_numpy("abab").tolist() == [ids[0]] * 2


# ---- bytes without a token ----------------------------------------------------------------------------


@given(
    st.sets(st.sampled_from(list(b"ab \xe4\xb8\xad")), min_size=1),
    st.text("ab中丁 ", min_size=1, max_size=20),
)
def test_the_first_byte_without_a_token_is_named_with_its_offset(missing: set[int], text: str) -> None:
    tokens = {id: token for id, token in BYTES.items() if id not in missing}
    merges = [(97, 98)] if not missing & {97, 98} else []
    tokens |= {300: b"ab"} if merges else {}
    vocabulary = reference.Vocabulary(tokens, merges=tuple(merges), pattern=(r" ?[^ ]+| +",))
    tokenizer = tokenizer_of(vocabulary)
    try:
        expected = reference.encode(text, vocabulary)
    except reference.MissingByteError as error:
        with pytest.raises(EncodeError, match=rf"0x{error.byte:02X}.*\b{error.offset}\b"):
            tokenizer.encode(text)
        with pytest.raises(EncodeError, match=rf"0x{error.byte:02X}.*\b{error.offset}\b of text 1"):
            tokenizer.encode_batch(["", text])
    else:
        assert tokenizer.encode(text) == expected


def test_a_pretoken_that_is_a_token_needs_no_tokens_for_its_bytes() -> None:
    vocabulary = reference.Vocabulary({0: "中".encode(), 1: b"a"}, merges=(), pattern=ANYTHING, whole_pretoken=True)
    tokenizer = tokenizer_of(vocabulary)
    assert tokenizer.encode("中") == [0]
    with pytest.raises(EncodeError, match=r"0xE4.*\b1\b"):
        tokenizer.encode("a中")


# ---- no input is quadratic ----------------------------------------------------------------------------


def assert_linear(run: Callable[[int], object], size: int) -> None:
    """Four times the size costs far less than sixteen times the CPU time. A few tries, for others run beside us."""
    ratio = 0.0
    for _ in range(5):
        costs = []
        gc.disable()  # what it costs depends on what other tests have left behind
        try:
            for scale in (1, 4):
                start = time.thread_time()
                run(size * scale)
                costs.append(time.thread_time() - start)
        finally:
            gc.enable()
        ratio = costs[1] / max(costs[0], 1e-4)
        if ratio < 9:
            return
    pytest.fail(f"4 times the size took {ratio:.1f} times as long")


def random_bytes(size: int) -> bytes:
    return np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8).tobytes()


def clause(size: int) -> bytes:
    """Chinese without any punctuation."""
    characters = np.frombuffer(CHINESE[:40].encode(), dtype=np.uint8).reshape(-1, 3)
    return characters[np.random.default_rng(7).integers(0, len(characters), size // 3)].tobytes()


ENDLESS: dict[str, Callable[[int], bytes]] = {
    **{f"{unit!r} times n": lambda size, unit=unit: unit.encode() * size for unit in ["a", "\n", " ", "1", "!", "é"]},
    **{f"{unit!r} times n": lambda size, unit=unit: unit.encode() * (size // 3) for unit in ["中", "\u3000", "\u0301"]},
    "clause": clause,
    "random bytes": random_bytes,
    "ab at random": lambda size: bytes(random_bytes(size).translate(b"ab" * 128)),
    "one character in two": lambda size: "中a".encode() * (size // 4),
    "half characters": lambda size: b"\xe4\xb8" * (size // 2),
}


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_a_pretoken_without_end_is_linear(kind: str) -> None:
    vocabulary = merge_list(
        *[b"aa", b"\n\n", b"  ", b"11", b"!!", b"ab", b"ba", b"aaa", b"aab", b"aba"],
        *grown("中中中中".encode(), "\u3000\u3000".encode(), "\u0301\u0301".encode(), "éé".encode(), b"\xad\xe4"),
    )
    tokenizer = tokenizer_of(vocabulary)
    assert_linear(lambda size: tokenizer.encode_bytes(ENDLESS[kind](size)), 250_000)


def doubled(size: int, *, ranks: bool) -> reference.Vocabulary:
    """``acgt`` and its doublings up to ``size`` bytes: what training finds in a long run of it."""
    tokens = [b"ac", b"gt", b"acgt"]
    pairs = [(97, 99), (103, 116), (256, 257)]
    while len(tokens[-1]) < size:
        tokens.append(tokens[-1] * 2)
        pairs.append((255 + len(tokens) - 1,) * 2)
    every = BYTES | dict(enumerate(tokens, start=256))
    return reference.Vocabulary(every, **({"ranks": tuple(every)} if ranks else {"merges": tuple(pairs)}))


@pytest.mark.parametrize("ranks", [False, True], ids=["merges", "ranks"])
def test_a_token_without_end_is_linear(ranks: bool) -> None:
    assert_linear(lambda size: tokenizer_of(doubled(size, ranks=ranks)), 1 << 16)
    vocabulary = doubled(1 << 16, ranks=ranks)
    assert tokenizer_of(vocabulary).encode("acgt" * (1 << 14)) == [vocabulary.last_id]


RUNS = [" ", "\n", "\r\n", "\t", "\u3000", " \n", "a", "A", "aA", "中", "1", "!", "/", "'", "\u0301", "😀", "A中"]


@pytest.mark.parametrize("name", list(named_patterns()))
def test_no_named_pattern_rescans_a_run(name: str) -> None:
    # Followed by something else, so that what holds only at the end of text is tried and given up.
    tokenizer = tokenizer_of(merge_list("aa", "  "), get_pattern(name))
    for unit in RUNS:
        for end in ("a", "中", "\n", ""):
            assert_linear(lambda size, unit=unit, end=end: tokenizer.count(unit * size + end), 4000)
