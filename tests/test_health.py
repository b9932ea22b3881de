"""Faults of a vocabulary: what is proven holds for every text that was tried, and what is found comes with a witness."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import rank_tables, sliced_vocabularies, texts, tokenizer_of, vocabularies

import bbpe
from bbpe import Pattern, SpecialToken, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.analysis.health import Health, find_faults, suspicion
from bbpe.analysis.merge_forest import AloneEncoder, MergeForest
from bbpe.analysis.pattern_proof import PatternProof
from bbpe.analysis.reachability import reachability
from bbpe.analysis.token_shape import beginnings, endings, holders, shape_of
from bbpe.errors import VocabularyError
from bbpe.patterns import Pretokenizer

BYTES = {value: bytes([value]) for value in range(256)}


# --- known answers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama3(bbpe_home: object) -> Health:
    return find_faults(bbpe.load("llama3"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def qwen(bbpe_home: object) -> Health:
    return find_faults(bbpe.load("qwen"))  # type: ignore[arg-type]


def test_llama3_is_missed_by_its_merges_in_three_ways(llama3: Health) -> None:
    assert len(llama3["unreachable_by_merges"]) == 588
    assert len(llama3["whole_only"]) == 588  # tiktoken takes whole pretokens directly
    assert llama3.canonical is not None
    assert llama3.canonical.without_split == 678
    assert llama3.canonical.unreachable == 695
    assert " việc".encode() in {fault.token for fault in llama3["unreachable_by_merges"].faults}


def test_llama3_holds_pieces_of_characters(llama3: Health) -> None:
    starts, ends, mixes = (len(llama3[f"not_utf8_{kind}"]) for kind in ("starts", "ends", "mixes"))
    assert (starts + ends, starts, ends, mixes) == (1352, 271, 1081, 590)


def test_llama3_is_never_cut_by_its_pattern(llama3: Health) -> None:
    assert llama3["unreachable_by_pattern"].how == "proof"
    assert len(llama3["unreachable_by_pattern"]) == 0
    assert len(llama3["not_found"]) == 0  # every token has a witness or a proof


def test_qwen_cuts_some_of_its_own_tokens(qwen: Health) -> None:
    cut = qwen["unreachable_by_pattern"]
    assert cut.how == "proof"
    whole = [fault for fault in cut.faults if fault.id not in qwen.reachability.shapes]  # type: ignore[union-attr]
    assert len(whole) == 1673
    # Six more end inside a character, and whatever completes it is cut off: 珊 before a variation selector, for one.
    assert len(cut) == 1679
    assert cut.detail == "1,673 of whole characters, 6 that end or begin inside one"
    assert "１０".encode() in {fault.token for fault in cut.faults}
    pretokenizer = Pretokenizer("qwen2")
    assert all(len(pretokenizer.split(fault.token)) > 1 for fault in whole)


def test_qwen_is_reached_by_its_merges(qwen: Health) -> None:
    assert len(qwen["unreachable_by_merges"]) == 0
    starts, ends, mixes = (len(qwen[f"not_utf8_{kind}"]) for kind in ("starts", "ends", "mixes"))
    assert (starts + ends, starts, ends, mixes) == (1448, 180, 1268, 311)
    assert len(qwen["not_found"]) == 0


def test_qwen_normalizes_some_of_its_own_tokens_away(qwen: Health) -> None:
    lost = qwen["unreachable_by_normalizer"].faults
    assert lost
    for fault in lost:
        shape = shape_of(fault.token)
        assert shape is not None
        text = shape.middle
        for each in endings(shape.tail).tolist()[:50] if shape.tail else [None]:
            for other in beginnings(shape.head).tolist()[:50] if shape.head else [None]:
                whole = (chr(each) if each is not None else "") + text + (chr(other) if other is not None else "")
                assert not unicodedata.is_normalized("NFC", whole)


def test_every_witness_of_a_published_vocabulary_gives_its_token(llama3: Health, bbpe_home: object) -> None:
    tokenizer = bbpe.load("llama3")
    assert llama3.reachability is not None
    witnesses = llama3.reachability.witnesses
    assert len(witnesses) > 1000
    assert all(id in tokenizer.encode(text) for id, text in witnesses.items())


def test_gpt_neox_has_its_spaces_twice(bbpe_home: object) -> None:
    health = find_faults(bbpe.load("gpt-neox-20b"))
    assert len(health["duplicate_bytes"]) == 23
    assert all(fault.token.isspace() for fault in health["duplicate_bytes"].faults)
    assert {fault.why for fault in health["special_in_text"].faults} == {"white space"}


# --- shapes -----------------------------------------------------------------------------------------------------------


@given(texts(6), st.data())
def test_any_slice_of_a_text_has_a_shape_whose_completions_hold_it(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    start = data.draw(st.integers(0, len(raw)))
    piece = raw[start : data.draw(st.integers(start, len(raw)))]
    shape = shape_of(piece)
    assert shape is not None
    assert shape.tail + shape.middle.encode() + shape.head == piece
    if shape.middle or shape.head:
        for ends in endings(shape.tail)[::997].tolist() if shape.tail else []:
            assert chr(ends).encode().endswith(shape.tail)
            assert len(chr(ends).encode()) > len(shape.tail)
    elif shape.tail:
        assert all(shape.tail in chr(holds).encode()[1:] for holds in holders(shape.tail)[::997].tolist())
    for begins in beginnings(shape.head)[::97].tolist() if shape.head else []:
        assert chr(begins).encode().startswith(shape.head)


@cache
def _inner() -> tuple[frozenset[bytes], frozenset[bytes], frozenset[bytes]]:
    """Of all characters: their proper beginnings, proper endings, and what lies inside behind the lead byte."""
    # Of those of four bytes one of 64: all their beginnings are among them, and others have all endings of two bytes.
    codes = [*range(0x80, 0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, 64)]
    characters = [chr(code).encode() for code in codes]
    heads = {character[:size] for character in characters for size in range(1, len(character))}
    tails = {character[size:] for character in characters for size in range(1, len(character))}
    inside = {tail[:size] for tail in tails for size in range(1, len(tail) + 1)}
    return frozenset(heads), frozenset(tails), frozenset(inside)


def test_short_byte_strings_have_a_shape_if_and_only_if_some_text_holds_them() -> None:
    """All of one and two bytes, against the beginnings and endings of all characters."""
    heads, tails, inside = _inner()

    def fits(piece: bytes) -> bool:
        if piece in inside or piece in heads:
            return True
        try:
            piece.decode()
            return True
        except UnicodeDecodeError:
            pass
        return any(
            (left in tails or left.isascii()) and (right in heads or right.isascii())
            for left, right in ((piece[:1], piece[1:]),)
            if left and right
        )

    for first in range(256):
        assert (shape_of(bytes([first])) is not None) == fits(bytes([first])), first
        for second in range(256):
            piece = bytes([first, second])
            assert (shape_of(piece) is not None) == fits(piece), piece
    for piece in (b"\xed\xa0", b"\xe0\x80", b"\xf4\x90\x80", b"\x80\x80\x80\x80", b"\xe4A", b"\xc3\xa9\xff"):
        assert shape_of(piece) is None


# --- merges -----------------------------------------------------------------------------------------------------------


def reference_run(token: bytes, vocabulary: reference.Vocabulary) -> tuple[list[bytes], int]:
    """The parts at the end, and the size of the left half of the last merge where one part is left, else 0."""
    parts = [bytes([byte]) for byte in token]
    left = 0
    while True:
        ranked = [
            (rank, at) for at, (a, b) in enumerate(pairwise(parts)) if (rank := vocabulary.rank(a, b)) is not None
        ]
        if not ranked:
            return parts, left
        at = min(ranked)[1]
        left = len(parts[at]) if len(parts) == 2 else 0
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


@given(st.one_of(vocabularies(), vocabularies(b"abc"), sliced_vocabularies().map(lambda drawn: drawn[0])))
def test_the_run_on_each_token_is_that_of_the_specification(vocabulary: reference.Vocabulary) -> None:
    forest = MergeForest(tokenizer_of(vocabulary).vocabulary)
    for id, token in vocabulary.tokens.items():
        parts, left = reference_run(token, vocabulary)
        run = forest.run(id)
        whole = all(part in vocabulary.ids for part in parts)
        assert run.parts == (len(parts) if whole else 0)
        expected = (token[:left], token[left:]) if left else None
        split = None if run.split is None else tuple(vocabulary.tokens[part] for part in run.split)
        assert split == expected
        assert (id in forest.not_made()) == (parts != [token])
        tree = forest.tree(id)
        assert b"".join(node.token for node in tree.walk() if not node.parts) == token or not whole
        for node in tree.walk():
            assert not node.parts or b"".join(part.token for part in node.parts) == node.token


def test_a_rank_table_joins_bytes_that_have_no_token() -> None:
    vocabulary = Vocabulary({0: b"a", 1: b"xa", 2: b"ay", 3: b"ax"}, ranks=[0, 1, 2, 3], pattern=Pattern(("(?s:.+)",)))
    forest = MergeForest(vocabulary)
    assert forest.run(1).parts == 1  # x has no token, and yet x + a is one
    assert forest.split(1) is None
    assert AloneEncoder(vocabulary).parts([b"xa", b"aay", b"y"]) == [[1], [0, 2], []]
    found = reachability(Tokenizer(vocabulary))
    assert found.unreachable == ()
    assert found.not_found == ()


@given(rank_tables(b"abc", max_tokens=14))
def test_canonical_splits_use_only_lower_ranks(vocabulary: reference.Vocabulary) -> None:
    """A token's canonical split is what merging with the tokens of lower rank alone leaves, where that is two parts."""
    assert vocabulary.ranks is not None
    place = {id: rank for rank, id in enumerate(vocabulary.ranks)}
    lost = []
    for id, token in vocabulary.tokens.items():
        # Single bytes are there from the start whatever their rank.
        lower = [other for other in vocabulary.ranks if place[other] < place[id] or len(vocabulary.tokens[other]) == 1]
        smaller = reference.Vocabulary({other: vocabulary.tokens[other] for other in lower if other != id}, ranks=tuple(o for o in lower if o != id)) if len(token) > 1 else None  # fmt: skip
        if smaller is not None and len(reference.encode_pretoken(token, smaller)) != 2:
            lost.append(id)
    assert MergeForest(tokenizer_of(vocabulary).vocabulary).without_canonical_split() == sorted(lost)


def test_trees_of_very_long_tokens_need_no_recursion() -> None:
    size = 1200  # Python's limit is 1,000
    tokens = {0: b"a", 1: b"b", **{1 + length: b"b" + b"a" * length for length in range(1, size)}}
    vocabulary = Vocabulary(tokens, merges=[(length, 0) for length in range(1, size)], pattern=get_pattern("llama3"))
    nodes = list(MergeForest(vocabulary).tree(size).walk())
    assert len(nodes) == 2 * size - 1
    assert sum(not node.parts for node in nodes) == size


def test_tokens_too_long_to_follow_are_refused() -> None:
    vocabulary = Vocabulary({0: b"a", 1: b"a" * 40_000}, pattern=get_pattern("llama3"))
    with pytest.raises(VocabularyError, match="40,000 bytes are too long"):
        MergeForest(vocabulary)


# --- pattern ----------------------------------------------------------------------------------------------------------

GAPS = (r"ab+", r"[ab]+(?!\S)", r" ?[^\s(|.,!?]+", r"a{2}|b", r"c{2}", "aba|b", "[a-c]b|a(?=c)")
PUBLISHED = ("llama3", "qwen2", "gpt2", "o200k", "tekken", "cl100k")
COVERING = (r"a+b|\s|\S", r"ab|a|b|[^ab]+", r"(?s:..?)")


def holding(pretokenizer: Pretokenizer, before: str, text: str, behind: str) -> bool:
    """Whether one pretoken of the whole text holds ``text`` where it stands."""
    start = len(before.encode())
    end = start + len(text.encode())
    edges = [0, *pretokenizer.ends((before + text + behind).encode()).tolist()]
    return not any(start < edge < end for edge in edges)


@pytest.mark.parametrize("pattern", [*PUBLISHED, *COVERING, *GAPS])
def test_what_is_proven_to_be_cut_is_cut_in_every_context_and_the_rest_is_not(pattern: str) -> None:
    """Against every context of up to two characters before and two behind (one, for the larger alphabet)."""
    compiled = get_pattern(pattern)
    proof = PatternProof(compiled)
    assert proof.complete
    pretokenizer = Pretokenizer(compiled)
    published = pattern in PUBLISHED
    alphabet = "sB1 '.\n" if published else "abc "
    candidates = ["".join(characters) for size in (1, 2, 3) for characters in product(alphabet, repeat=size)]
    befores = ["".join(characters) for size in (0, 1, 2) for characters in product(alphabet, repeat=size)]
    behinds = [
        "".join(characters) for size in range(2 if published else 3) for characters in product(alphabet, repeat=size)
    ]
    candidates = candidates[::3] if published else candidates
    cut = proof.always_cut(candidates).tolist()
    for text, always in zip(candidates, cut, strict=True):
        held = any(holding(pretokenizer, before, text, behind) for before in befores for behind in behinds)
        assert held == (not always), (text, always)


@settings(max_examples=60)
@given(
    st.sampled_from([*PUBLISHED, *COVERING, *GAPS, "bloom", "deepseek-v2"]),
    st.lists(texts(3), min_size=1, max_size=8),
    texts(2),
    texts(2),
)
def test_nothing_proven_to_be_cut_ever_stands_in_a_pretoken(
    pattern: str, candidates: list[str], before: str, behind: str
) -> None:
    proof = PatternProof(get_pattern(pattern))
    pretokenizer = Pretokenizer(pattern)
    some = [text for text in candidates if text]
    for text, always in zip(some, proof.always_cut(some).tolist(), strict=True):
        if always:
            assert not holding(pretokenizer, before, text, behind)
        if proof.never_whole(text):
            assert text.encode() not in pretokenizer.split(before + text + behind)


@pytest.mark.parametrize("pattern", ["llama3", "qwen2", "o200k"])
def test_what_is_never_a_whole_pretoken_is_one_in_no_context(pattern: str) -> None:
    proof = PatternProof(get_pattern(pattern))
    pretokenizer = Pretokenizer(pattern)
    alphabet = "aB1 '.\n"
    contexts = ["".join(characters) for size in (0, 1, 2) for characters in product(alphabet, repeat=size)]
    for characters in product(alphabet, repeat=2):
        text = "".join(characters)
        whole = any(
            text.encode() in pretokenizer.split(before + text + behind) for before in contexts for behind in contexts
        )
        assert whole == (not proof.never_whole(text)), text


def test_a_token_that_ends_inside_a_character_is_held_if_some_completion_is() -> None:
    proof = PatternProof(get_pattern("qwen2"))
    marks = shape_of("ê".encode() + b"\xcc")  # U+0300 to U+033F: combining marks, which qwen2 cuts off letters
    letters = shape_of("ê".encode() + b"\xce")  # Greek letters among others
    assert marks is not None
    assert letters is not None
    assert proof.always_cut_shape(marks)
    assert not proof.always_cut_shape(letters)


# --- reachability -----------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(sliced_vocabularies(), st.sampled_from([None, "llama3", "qwen2", r"a+b|\s|\S", " ?[a-z]+|\\S"]))
def test_no_text_gives_what_is_proven_unreachable_and_every_witness_gives_its_token(
    drawn: tuple[reference.Vocabulary, list[bytes]], pattern: str | None
) -> None:
    vocabulary, samples = drawn
    tokenizer = tokenizer_of(vocabulary, None if pattern is None else get_pattern(pattern))
    found = reachability(tokenizer)
    assert all(id in tokenizer.encode(text) for id, text in found.witnesses.items())
    unreachable = set(found.unreachable)
    own = [token for token in vocabulary.tokens.values() if shape_of(token) is not None]
    tried = [sample for sample in (*samples, *own) if _is_text(sample)]
    tried += [left + right for left in tried[:12] for right in tried[:12]]
    for text in tried:
        given_ids = set(tokenizer.encode_bytes(text))
        assert not given_ids & unreachable
    assert set(found.whole_only) <= set(found.not_by_merges)
    known = unreachable | set(found.not_found) | set(found.witnesses)
    for id in set(vocabulary.tokens) - known:  # the rest is given by its own text
        assert id in tokenizer.encode_bytes(vocabulary.tokens[id])


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_beginning_whose_every_completion_is_merged_is_proven_to_be_merged_on() -> None:
    """All characters C2 80 to C2 BF are tokens, so the byte C2 is never left; with one of them missing it is."""
    tokens = dict(BYTES)
    merges = []
    for value in range(0x80, 0xC0):
        merges.append((0xC2, value))
        tokens[256 + value - 0x80] = bytes([0xC2, value])
    full = Vocabulary(tokens, merges=merges, pattern=get_pattern("llama3"))
    assert reachability(Tokenizer(full)).proven["neighbours"] == (0xC2,)
    del tokens[256 + 0x3F]
    partly = reachability(Tokenizer(Vocabulary(tokens, merges=merges[:-1], pattern=get_pattern("llama3"))))
    assert partly.proven["neighbours"] == ()
    assert partly.witnesses[0xC2] == "\u00bf"


def test_a_token_that_its_own_text_never_gives_is_found_in_context() -> None:
    """Two spaces at the end are one pretoken, but before a word llama3 keeps one for the word: three give two."""
    tokens = {**BYTES, 256: b"'s", 257: b"s'"}
    vocabulary = Vocabulary(tokens, merges=[(0x27, 0x73), (0x73, 0x27)], pattern=get_pattern(r"a[s']+|(?s:.)"))
    found = reachability(Tokenizer(vocabulary))
    assert found.proven["pattern"] == ()
    assert {256, 257} <= found.witnesses.keys()
    assert found.witnesses[256].startswith("a")


def test_a_whole_pretoken_is_given_though_no_merge_makes_it() -> None:
    tokens = {**BYTES, 256: b"abc", 257: b" x y"}
    pattern = get_pattern("llama3")
    rule = reachability(Tokenizer(Vocabulary(tokens, merges=[], pattern=pattern, whole_pretoken=True)))
    assert rule.whole_only == (256,)
    assert rule.not_by_merges == (256, 257)
    assert rule.proven["merges"] == (257,)  # two words are never one pretoken
    assert rule.proven["pattern"] == (257,)
    plain = reachability(Tokenizer(Vocabulary(tokens, merges=[], pattern=pattern)))
    assert plain.whole_only == ()
    assert plain.proven["merges"] == (256, 257)


@pytest.mark.filterwarnings("ignore::bbpe.patterns.SlowPatternWarning")
def test_nothing_is_proven_of_a_pattern_without_an_automaton() -> None:
    tokens = {**BYTES, 256: b"ab"}
    vocabulary = Vocabulary(tokens, merges=[(97, 98)], pattern=get_pattern(r"(?<=x)ab|(?s:.)"))
    health = find_faults(Tokenizer(vocabulary))
    assert health["unreachable_by_pattern"].how == "search"
    assert health.reachability is not None
    assert not health.reachability.pattern_proven
    assert health.reachability.witnesses[256] == "xab"


# --- duplicates, rules ------------------------------------------------------------------------------------------------


def test_duplicates_are_told_by_their_normal_forms() -> None:
    tokens = {**BYTES}
    for word in ("é", "e\u0301", "Ａ", "ﬁ", "fi"):
        tokens[len(tokens)] = word.encode()
    special = [SpecialToken("fi!", 400), SpecialToken("é", 401)]
    merges = [(0xC3, 0xA9)]
    health = find_faults(
        Tokenizer(Vocabulary(tokens, merges=merges, special_tokens=special, pattern=get_pattern("gpt2")))
    )
    assert [fault.id for fault in health["duplicate_bytes"].faults] == [401]
    assert [(fault.id, fault.why) for fault in health["duplicate_nfc"].faults] == [(257, "token 256 'é' after NFC")]
    assert [fault.token.decode() for fault in health["duplicate_nfkc"].faults] == ["Ａ", "ﬁ"]
    names = {fault.token: fault.why for fault in health["special_in_text"].faults}
    assert names == {b"fi!": "plain characters", "é".encode(): "plain characters"}


def test_a_special_token_that_plain_text_gives_is_found() -> None:
    tokens = {**BYTES, 256: b"<x", 257: b"<x>"}
    vocabulary = Vocabulary(
        tokens,
        merges=[(0x3C, 0x78), (256, 0x3E)],
        special_tokens=[SpecialToken("<x>", 257), SpecialToken("<|y|>", 300), SpecialToken("</s>", 301)],
        pattern=get_pattern(r"(?s:.+)"),
    )
    faults = {fault.id: fault.why for fault in find_faults(Tokenizer(vocabulary))["special_in_text"].faults}
    assert faults == {257: "its text gives it even where no special token is allowed", 301: "an HTML tag"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("_日本毛片免费视频观看", "spam"),
        (" 生命周期函数", "phrase"),
        ("人工智能", None),
        ('" class="', "markup"),
        (" https://", "markup"),
        ("getElementsByTagName", "identifier"),
        ("_RESERVED_WORD_LIST_A", "identifier"),
        (" internationalization", None),
        ("----------------", "run"),
        ("                ", None),
    ],
)
def test_suspicion_follows_its_stated_rules(text: str, rule: str | None) -> None:
    found = suspicion(text)
    assert (found.split(":")[0] if found else None) == rule


def test_every_list_says_how_it_is_known_and_its_tokens_by_id() -> None:
    trained = bbpe.train(["low lower lowest 中文 模型"] * 3, vocab_size=300, special_tokens=["<|endoftext|>"])
    health = find_faults(trained)
    for listed in health.lists:
        assert listed.how in ("proof", "search", "table", "rule")
        assert listed.meaning.endswith(".")
        ids = [fault.id for fault in listed.faults]
        assert ids == sorted(ids)
    assert np.all([len(health[name]) == 0 for name in ("unreachable_by_merges", "unreachable_by_pattern", "not_found")])
    assert len(health["never_in_utf8"]) == 13
